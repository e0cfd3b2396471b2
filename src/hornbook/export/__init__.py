"""A student for other people's servers: one folder that common loaders open, checked against PyTorch.

`config.json tokenizer.json tokenizer_config.json model.safetensors onnx/model.onnx README.md`. The stage is in
`build`, with a module for each step: `graph` makes the ONNX graph, `files` the files around it, `verify` compares.
`session` runs an export. `card` writes its model card, with the tables in `card_tables`, from what `lineage` finds;
`push` uploads it.
"""

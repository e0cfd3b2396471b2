"""The files of an export beside the graph, so that every loader reads the same texts and names the same labels."""

import copy
from pathlib import Path
from typing import Any

from hornbook.machine.parsing import read_json
from hornbook.store import write_json
from hornbook.tasks.kinds import KINDS

GRAPH = "onnx/model.onnx"
"""The float32 graph, where transformers.js and text-embeddings-inference look for it."""
INT8_GRAPH = "onnx/model_quantized.onnx"
"""The int8 graph, where transformers.js and infinity look for it."""
INT8_FOLDER = "int8"
"""The int8 graph as `model.onnx` with the small files, for servers that take no file name."""
CALIBRATION = "calibration.json"
"""The temperature, for hornbook's own loaders; logits of the graphs are raw."""
CONFIG, TOKENIZER = "config.json", "tokenizer.json"


def write_files(model: Any, tokenizer: Any, folder: Path, length: int) -> None:
    """Write the weights, the configuration and a tokenizer that truncates, whoever loads it.

    Servers that read tokenizer.json alone truncate only if it says so; here it does, unlike in a student. No padding
    is stored: it would override what a server asks for.

    Args:
        model: the classifier. Its configuration gets the padding id and the kind of problem if it lacks them.
        tokenizer: its tokenizer, as `load_tokenizer` returns it.
        folder: the folder to write to.
        length: the most tokens of an input, special tokens included.
    """
    # Running an export, which needs the names above, loads no PyTorch.
    from tokenizers import Tokenizer

    from hornbook.models.encode import input_names
    from hornbook.models.loading import kind_of
    from hornbook.models.saving import save_model

    model.config.problem_type = KINDS[kind_of(model.config)].problem_type
    if model.config.pad_token_id is None:
        model.config.pad_token_id = tokenizer.pad_token_id
    own = copy.deepcopy(tokenizer)
    own.model_max_length = length  # an export is not trained on, so nothing longer is of use
    # By default transformers passes no segments from a tokenizer without a class of its own, and passes those of some
    # classes to models that have none.
    own.model_input_names = own.init_kwargs["model_input_names"] = list(input_names(model))
    save_model(model, own, folder, length)
    config = read_json(folder / CONFIG)
    if "id2label" not in config:  # transformers leaves the names out where they are its own, LABEL_0 and LABEL_1
        names = {str(place): name for place, name in model.config.id2label.items()}
        write_json(folder / CONFIG, {**config, "id2label": names, "label2id": model.config.label2id})
    stored = Tokenizer.from_file(str(folder / TOKENIZER))
    stored.enable_truncation(length, direction=tokenizer.truncation_side)
    stored.save(str(folder / TOKENIZER))

"""A finished classifier at work: answers in Python, files of predictions, how fast it is.

`classifier` loads a model for the fastest of its formats, `runtimes` run it. `predict` classifies the rows of a file:
`rows` finds their texts, `output` writes them with their predictions, and keeps what a killed run has finished.
`benchmark` measures the speed of models.
"""

"""A classifier as an ONNX graph in one file, for any number of texts of any length."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnx  # noqa: F401 - torch needs both and would name only one of them, late
import onnxscript  # noqa: F401
import torch

from hornbook.errors import HornbookError, one_line
from hornbook.models.encode import model_inputs

OUTPUT = "logits"
# ModernBERT is wrong for more than one text at 23. Older opsets write activations as longer expressions.
OPSET = 20
# A Protocol Buffers file, which an ONNX file is, has at most 2 GiB.
_MOST_BYTES = 2_000_000_000


def write_graph(model: Any, path: Path) -> None:
    """Write a classifier as an ONNX graph: inputs as its forward pass takes them, output `logits`, float32.

    The graph's `batch` and `length` are free.

    Args:
        model: a classifier of transformers, on the CPU.
        path: the file to write.

    Raises:
        HornbookError: the model's code cannot be traced, or is too large for one file.
    """
    family = model.config.model_type
    size = sum(p.numel() * p.element_size() for p in model.parameters())
    if size > _MOST_BYTES:
        raise HornbookError(f"this {family} model has {size / 1e9:.1f} GB of weights; one ONNX file takes 2 GB")
    inputs = model_inputs(model.eval(), _sample(model.config))
    try:
        with _quiet(), _plain_attention(model):
            program = torch.onnx.export(
                model,
                kwargs=inputs,
                dynamo=True,
                verbose=False,
                opset_version=OPSET,
                input_names=list(inputs),
                output_names=[OUTPUT],
                dynamic_shapes={name: {0: "batch", 1: "length"} for name in inputs},
            )
    except Exception as error:  # tracing a model's code raises anything
        reason = _cause(error)
        raise HornbookError(
            f"{family} models cannot be exported to ONNX by torch {torch.__version__} "
            f"({type(reason).__name__}: {one_line(reason, 150)}); use the PyTorch folder itself"
        ) from None
    assert program is not None
    program.save(path, external_data=False)


def _sample(config: Any) -> dict[str, torch.Tensor]:
    """Return two texts of 7 and 5 tokens: sizes of 1 would be taken for constants, even lengths for multiples."""
    pad, end = config.pad_token_id or 0, config.eos_token_id
    ids = torch.tensor([[8, 9, 10, 11, 12, 13, 14], [8, 9, 10, 11, 12, pad, pad]])
    if isinstance(end, int):  # some classifiers look for it
        ids[0, 6] = ids[1, 4] = end
    mask = torch.tensor([[1] * 7, [1] * 5 + [0] * 2])
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": torch.zeros_like(ids)}


def _cause(error: BaseException) -> BaseException:
    """Return the first of a chain of errors: torch's own says only at which step it stopped."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error


@contextmanager
def _plain_attention(model: Any) -> Iterator[None]:
    """Let a model multiply queries and keys itself.

    As a graph, PyTorch's function transposes keys twice and looks for texts without tokens: a tenth slower in int8.
    """
    before = model.config._attn_implementation
    if before == "sdpa":
        model.set_attn_implementation("eager")
    try:
        yield
    finally:
        model.set_attn_implementation(before)


@contextmanager
def _quiet() -> Iterator[None]:
    """Turn off what the exporter warns of in every model: absent packages, names of its own that are deprecated."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [one.level for one in loggers]
    for one in loggers:
        one.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for one, level in zip(loggers, levels, strict=True):
            one.setLevel(level)

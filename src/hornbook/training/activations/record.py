"""The stage that asks a teacher once: its activations for the tokens of a textbook, in parts."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hornbook.errors import HornbookError
from hornbook.machine import disk
from hornbook.machine.progress import progress
from hornbook.models.encode import Batch, Encoded
from hornbook.models.predict import best_device
from hornbook.models.source import Model, model_key, model_path
from hornbook.models.taps import LOGITS, LOGITS_TAP, Tapped, Taps, multiply_in_bfloat16
from hornbook.recipe import DistilConfig
from hornbook.store import Artifact, StageContext
from hornbook.training.activations.layout import Layout
from hornbook.training.activations.sampling import sample, sample_of
from hornbook.training.distillation import ask
from hornbook.training.processes import PART, process, wait_for_all
from hornbook.training.steps import micro_batches
from hornbook.training.teaching import load_teacher, open_for_teacher
from hornbook.training.trainer import use_bfloat16

STAGE = "activations"
VERSION = 1
# Fixed, so that the bytes depend on neither the students nor on where a run was killed.
_PART_TOKENS = 1 << 16
# A processor is fastest with batches that its second-level cache nearly holds, a GPU with large ones.
_BATCH_TOKENS = {"cpu": 1 << 10, "cuda": 1 << 14}
_ROWS, _LOGITS = ".rows", ".logits"
_TOKENS_COLUMN, _LOGITS_COLUMN = "teacher_tokens", "teacher_logits"


def identity(teacher: Model, tokens: Artifact, layout: Layout | None, config: DistilConfig) -> dict[str, Any]:
    """Return stage, version, settings and inputs of the artefact; they depend on no student and no seed.

    Args:
        teacher: the teacher.
        tokens: the textbook's token ids.
        layout: what is stored; None while it is not known.
        config: budget and precision.

    Returns:
        arguments of `store.make`.
    """
    return {
        "stage": STAGE,
        "version": VERSION,
        "config": {
            **(layout.for_key() if layout else {"dtype": config.cache}),
            "bfloat16": use_bfloat16(config.precision),
            "sample": sample_of(config, tokens),
        },
        "inputs": {"teacher": model_key(teacher), "tokens": tokens.key},
    }


def fill(context: StageContext, teacher: Model, tokens: Artifact, layout: Layout, config: DistilConfig) -> None:
    """Compute the activations, a part of the textbook at a time; parts that are finished are kept.

    Several processes share the parts.

    Args:
        context: the folder to fill.
        teacher: the teacher.
        tokens: the textbook's token ids.
        layout: what is stored.
        config: budget and precision.

    Raises:
        HornbookError: the disk has too little space, or an activation cannot be stored.
    """
    whole = open_for_teacher(tokens, teacher)
    encoded = whole.subset(sample(whole.lengths, **sample_of(config, tokens)))
    total = int(encoded.lengths.sum())
    context.needed = layout.size(total, len(encoded))
    _check_room(context, layout)
    model = load_teacher(model_path(teacher), whole, with_head=layout.outputs > 0)
    bfloat16 = use_bfloat16(config.precision)
    if bfloat16:
        multiply_in_bfloat16(model)
    tapped = Tapped(model.to(best_device()), asked_taps(layout))
    write_parts(context.resume, tapped, encoded, layout, bfloat16)
    wait_for_all()
    if process()[0] == 0:
        for file in context.resume.glob(f"{PART}*"):
            file.rename(context.path / file.name)
    context.counts = {"sequences": len(encoded), "tokens": total}


def asked_taps(layout: Layout) -> Taps:
    """Return the taps of a layout by their numbers, and the logits if it has them."""
    taps: Taps = {str(number): tap for number, tap in enumerate(layout.taps)}
    return {**taps, LOGITS: LOGITS_TAP} if layout.outputs else taps


def write_parts(folder: Path, teacher: Tapped, encoded: Encoded, layout: Layout, bfloat16: bool) -> None:
    """Ask a teacher, and write its answers a part at a time; parts that are there are kept.

    Args:
        folder: where the files are put.
        teacher: frozen, with the taps of `asked_taps`.
        encoded: the sequences.
        layout: what is stored.
        bfloat16: whether the teacher runs in bfloat16.

    Raises:
        HornbookError: an activation cannot be stored.
    """
    index, count = process()
    with progress("ask the teacher", int(encoded.lengths.sum()), "tokens") as counter:
        for number, part in enumerate(parts(encoded.lengths)):
            of_part = encoded.subset(part)
            size = int(of_part.lengths.sum())
            if _is_finished(folder, number, layout, size, len(part)):
                counter.skip(size)
            elif number % count == index:
                _write(folder, number, *_computed(teacher, of_part, layout, bfloat16))
                counter.advance(size)


def parts(lengths: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Return the sequences of each part: neighbours, some 65,536 tokens in all."""
    firsts = np.cumsum(lengths) - lengths
    return np.split(np.arange(len(lengths)), np.flatnonzero(np.diff(firsts // _PART_TOKENS)) + 1)


def _check_room(context: StageContext, layout: Layout) -> None:
    room = disk.free(context.path) + disk.size_of(context.resume)
    if process()[0] == 0 and room < context.needed:
        smaller = "int8, a smaller budget or none" if layout.dtype != "int8" else "none or use a smaller budget"
        raise HornbookError(
            f"{context.path.parent}: what the teacher computes would take {disk.megabytes(context.needed)} in "
            f"{layout.dtype}, but {disk.megabytes(room)} are free; make room, or set distil.cache to {smaller}"
        )


def _computed(
    teacher: Tapped, encoded: Encoded, layout: Layout, bfloat16: bool
) -> tuple[NDArray[Any], NDArray[np.float32]]:
    """Return the rows of all tokens and the logits of all sequences, in the order of the sequences."""
    starts = np.cumsum(encoded.lengths) - encoded.lengths
    rows = np.empty(int(encoded.lengths.sum()), layout.row)
    logits = np.empty((len(encoded), layout.outputs), "<f4")
    device = next(teacher.parameters()).device
    most = _BATCH_TOKENS.get(device.type, _BATCH_TOKENS["cuda"])
    for indices in micro_batches(np.arange(len(encoded)), encoded.lengths, most):
        batch = {name: tensor.to(device) for name, tensor in encoded.batch(indices).items()}
        said = ask(teacher, batch, bfloat16)
        own = layout.rows([said[str(number)] for number in range(len(layout.taps))], batch["attention_mask"])
        for index, mine in zip(indices, np.split(own, np.cumsum(encoded.lengths[indices])[:-1]), strict=True):
            rows[starts[index] : starts[index] + len(mine)] = mine
        if layout.outputs:
            logits[indices] = said[LOGITS].float().cpu().numpy()
    return rows, logits


def _name(number: int) -> str:
    return f"{PART}{number:05}"


def _write(folder: Path, number: int, rows: NDArray[Any], logits: NDArray[np.float32]) -> None:
    """Write a part; it counts as finished when the rows, written last, have their name."""
    if logits.size:
        logits.tofile(folder / f"{_name(number)}{_LOGITS}")
    unfinished = folder / f"unfinished-{_name(number)}"
    rows.tofile(unfinished)
    unfinished.replace(folder / f"{_name(number)}{_ROWS}")


def _is_finished(folder: Path, number: int, layout: Layout, tokens: int, sequences: int) -> bool:
    sizes = {_ROWS: layout.size(tokens, 0), _LOGITS: layout.size(0, sequences)}
    files = {folder / f"{_name(number)}{kind}": size for kind, size in sizes.items() if size or kind == _ROWS}
    return all(file.is_file() and file.stat().st_size == size for file, size in files.items())


class _Tokens:
    """The activations of tokens, memory-mapped; indexed by sequences."""

    def __init__(self, files: list[Path], layout: Layout, lengths: NDArray[np.int64]) -> None:
        self._layout, self._lengths = layout, lengths
        groups = parts(lengths)
        self._parts = [np.memmap(file, layout.row, "r") for file in files]
        self._part = np.repeat(np.arange(len(groups)), [len(own) for own in groups])
        self._starts = np.concatenate([np.cumsum(lengths[own]) - lengths[own] for own in groups])

    def __getitem__(self, indices: NDArray[np.int64]) -> NDArray[Any]:
        """Return the values of sequences, padded; shape (sequences, length, sum of widths)."""
        found = []
        for part, start, length in zip(
            self._part[indices], self._starts[indices], self._lengths[indices], strict=True
        ):
            found.append(self._parts[part][start : start + length])
        return self._layout.padded(found)


class Recorded:
    """A teacher's activations on disk, in place of the teacher.

    Args:
        file: returns the path of a file by its name; of an artefact its `file`.
        layout: what it holds.
        lengths: tokens of each sequence in it, shape (sequences,).
        taps: the teacher's taps by the names that the losses use.
        model: a model that takes the same inputs as the teacher.

    Attributes:
        columns: what a batch must hold for a call: arrays indexed by sequences, by name.

    Raises:
        HornbookError: a file is missing or changed.
    """

    def __init__(
        self, file: Callable[[str], Path], layout: Layout, lengths: NDArray[np.int64], taps: Taps, model: Any
    ) -> None:
        self.model = model
        self._taps, self._slices = dict(taps), layout.slices()
        numbers = range(len(parts(lengths)))
        self.columns: dict[str, Any] = {}
        if layout.taps:
            self.columns[_TOKENS_COLUMN] = _Tokens([file(_name(n) + _ROWS) for n in numbers], layout, lengths)
        if layout.outputs:
            logits = np.concatenate([np.fromfile(file(_name(n) + _LOGITS), "<f4") for n in numbers])
            self.columns[_LOGITS_COLUMN] = logits.reshape(len(lengths), layout.outputs)

    def tensors(self, batch: Batch) -> Mapping[str, Tensor]:
        """Return the tapped tensors of a batch in float32, as the teacher would; padding has zeros."""
        return {
            name: batch[_LOGITS_COLUMN]
            if tap == LOGITS_TAP
            else batch[_TOKENS_COLUMN][..., self._slices[tap]].to(torch.float32)
            for name, tap in self._taps.items()
        }

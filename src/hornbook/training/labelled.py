"""Distillation from a file: its labels in place of a teacher's logits, beside a model that gives the rest."""

from collections.abc import Mapping
from typing import Any

import pyarrow.parquet as pq
from torch import Tensor

from hornbook.errors import HornbookError
from hornbook.models.encode import Batch
from hornbook.models.taps import LOGITS_TAP, Tapped, Taps
from hornbook.recipe import DistilConfig
from hornbook.store import Artifact
from hornbook.training.distillation import ask
from hornbook.training.outputs import PLACE, UNITS, open_outputs
from hornbook.training.outputs import STAGE as OUTPUTS
from hornbook.training.teaching import FileLabels, Models

_COLUMN = "file_logits"


def checked(labels: Artifact, book: Artifact, config: DistilConfig) -> Artifact:
    """Return labels, checked to be of a textbook's units, one sequence each.

    Args:
        labels: of `file_outputs`.
        book: the textbook, or its token ids.
        config: objectives and packing.

    Returns:
        the labels.

    Raises:
        HornbookError: they are of another textbook, units are packed, or no objective is about logits.
    """
    key = book.manifest["inputs"]["textbook"] if book.stage == "tokens" else book.key
    if labels.stage != OUTPUTS or labels.manifest["inputs"].get("textbook") != key:
        raise HornbookError(f"{labels.path}: does not hold what a file says about the textbook {book.path}")
    if config.pack != "none":
        raise HornbookError("distil.pack: labels of a file are of single units; set it to none")
    if "logits" not in config.objectives:
        raise HornbookError("distil.objectives: labels of a file are learned by logits; add {logits: 1}")
    return labels


def open_labels(labels: Artifact) -> FileLabels:
    """Return what a file says about the units of a textbook; see `file_outputs`."""
    places = pq.read_table(labels.file(UNITS), columns=[PLACE])[PLACE].to_numpy()
    return FileLabels(labels.info["kind"], labels.info["labels"], places, open_outputs(labels).units)


class Labelled:
    """A file's labels for each sequence, in place of a teacher's logits.

    Args:
        models: of the distillation; the teacher gives what is not logits.
        taps: the teacher's taps by the names that the losses use.
        bfloat16: whether the teacher runs in bfloat16.

    Attributes:
        model: a model that takes the same inputs as the teacher.
        columns: what a batch must hold for a call: arrays indexed by sequences, by name.
    """

    def __init__(self, models: Models, taps: Taps, bfloat16: bool) -> None:
        self.model, self._bfloat16 = models.student, bfloat16
        self._logits = [name for name, tap in taps.items() if tap == LOGITS_TAP]
        others = {name: tap for name, tap in taps.items() if tap != LOGITS_TAP}
        self._teacher = Tapped(models.teacher, others) if others else None
        self.columns: dict[str, Any] = {_COLUMN: models.logits}

    def tensors(self, batch: Batch) -> Mapping[str, Tensor]:
        """Return the tensors of a batch that the objectives expect."""
        found = {} if self._teacher is None else ask(self._teacher, batch, self._bfloat16)
        return {**found, **dict.fromkeys(self._logits, batch[_COLUMN])}

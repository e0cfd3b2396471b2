"""The student's outputs follow the teacher's (Hinton et al. 2015)."""

from collections.abc import Mapping
from typing import Any, Self

from torch import Tensor

from hornbook.models.loading import kind_of
from hornbook.models.taps import LOGITS, LOGITS_TAP, Taps
from hornbook.tasks.labels import Kind
from hornbook.training.labels import soft_loss
from hornbook.training.objectives.base import Objective, Pair


class Logits(Objective):
    """Divergence of a classifier's outputs; see `soft_loss`.

    The teacher must be a classifier, and the student becomes one.

    Args:
        temperature: divides both models' logits.
        kind: the kind of the teacher's task.
    """

    def __init__(self, temperature: float, kind: Kind = "classification") -> None:
        super().__init__()
        self.temperature, self.kind = temperature, kind

    @classmethod
    def create(cls, pair: Pair, options: Any) -> Self:
        """Return the objective at `distil.temperature`."""
        return cls(pair.config.temperature, kind_of(pair.teacher))

    def taps(self) -> tuple[Taps, Taps]:
        """Return the taps of both models' logits."""
        return {LOGITS: LOGITS_TAP}, {LOGITS: LOGITS_TAP}

    def forward(
        self, teacher: Mapping[str, Tensor], student: Mapping[str, Tensor], mask: Tensor
    ) -> dict[str, Tensor]:
        """Return the mean of `soft_loss`; see `Objective.forward`."""
        expected, found = teacher[LOGITS].float(), student[LOGITS].float()
        return {LOGITS: soft_loss(self.kind, found, expected, self.temperature).mean()}

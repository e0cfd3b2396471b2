"""What a student learns from its teacher: objectives that can be weighted and added up."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from hornbook.models.encode import Batch, model_inputs
from hornbook.models.taps import LOGITS, Tapped
from hornbook.tasks.labels import Kind
from hornbook.training.labels import soft_loss
from hornbook.training.relations import RELATIONS, relation_loss


class Objective(Protocol):
    """A loss between what is tapped from the teacher and from the student."""

    @property
    def taps(self) -> tuple[str, ...]:
        """Names of the tensors that it needs from both models."""

    def __call__(
        self, teacher: Mapping[str, Tensor], student: Mapping[str, Tensor], mask: Tensor
    ) -> dict[str, Tensor]:
        """Return its losses by name, each a scalar averaged over the sequences.

        Args:
            teacher: the taps of the teacher.
            student: the taps of the student.
            mask: 1 for tokens, 0 for padding, shape (sequences, length).
        """


@dataclass(frozen=True)
class Relations:
    """MiniLMv2's: the relations of queries, keys and values (Wang et al. 2021, section 3.1).

    Attributes:
        heads: the number of relation heads.
    """

    heads: int
    taps: tuple[str, ...] = RELATIONS

    def __call__(
        self, teacher: Mapping[str, Tensor], student: Mapping[str, Tensor], mask: Tensor
    ) -> dict[str, Tensor]:
        """Return the losses of queries, keys and values; see `Objective`."""
        return relation_loss(teacher, student, mask, self.heads)


@dataclass(frozen=True)
class Logits:
    """A classifier's outputs; see `soft_loss`.

    Attributes:
        temperature: both models' logits are divided by it.
        kind: of the teacher's task.
    """

    temperature: float
    kind: Kind = "classification"
    taps: tuple[str, ...] = (LOGITS,)

    def __call__(
        self, teacher: Mapping[str, Tensor], student: Mapping[str, Tensor], mask: Tensor
    ) -> dict[str, Tensor]:
        """Return the mean of `soft_loss`; see `Objective`."""
        expected, found = teacher[LOGITS].float(), student[LOGITS].float()
        return {LOGITS: soft_loss(self.kind, found, expected, self.temperature).mean()}


class Distillation:
    """The loss of a tapped student on a batch, against a tapped teacher: a weighted sum of objectives."""

    def __init__(self, teacher: Tapped, objectives: Mapping[Objective, float], bfloat16: bool = False) -> None:
        """Follow `teacher`, run in bfloat16 or not, by objectives with their weights."""
        self.teacher, self.objectives, self.bfloat16 = teacher, objectives, bfloat16

    def __call__(self, student: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """Return the weighted losses by name, each averaged over the sequences of the batch."""
        device = batch["input_ids"].device
        if next(self.teacher.parameters()).device != device:
            self.teacher.to(device)
        inputs = model_inputs(self.teacher.model, batch)
        # The Trainer casts the student's pass only; the losses themselves stay in float32.
        with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, enabled=self.bfloat16):
            expected = self.teacher(**inputs)
        found = student(**inputs)
        losses: dict[str, Tensor] = {}
        for objective, weight in self.objectives.items():
            of_one = objective(expected, found, batch["attention_mask"])
            losses |= {name: loss * weight for name, loss in of_one.items()}
        return losses

"""The student's hidden states follow those of some of the teacher's layers (TinyBERT; Jiao et al. 2020)."""

from collections.abc import Mapping
from typing import Any, Self

import torch
from torch import Tensor, nn

from hornbook.models.taps import Taps, hidden_state_tap
from hornbook.training.objectives.base import Objective, Pair

HIDDEN_STATES = "hidden_states"


def mapped_layers(student: int, teacher: int) -> list[int]:
    """Return the teacher's layer for the student's embeddings and each of its layers; 0 is the embeddings.

    TinyBERT's uniform mapping (section 4.1): student layer m follows teacher layer m x teacher / student. It is
    rounded to the nearest layer, halves up.

    Args:
        student: the number of the student's layers.
        teacher: the number of the teacher's.

    Returns:
        student + 1 layers, the first 0, the last `teacher`.
    """
    return [(2 * m * teacher + student) // (2 * student) for m in range(student + 1)]


class HiddenStates(Objective):
    """Mean squared error of the embeddings' output and of each layer's (Jiao et al. 2020, equations 8 and 9).

    If the widths differ, learned linear maps without a bias project the student's states to the teacher's width: one
    for the embeddings, one for all layers. States of equal width are compared directly.

    Differences from TinyBERT: padding does not count, each sequence counts the same, and attention matrices are not
    compared (see the objective `attention`).

    Args:
        layers: the teacher's layer for each of the student's; see `mapped_layers`.
        student_hidden: the student's width.
        teacher_hidden: the teacher's width.
    """

    def __init__(self, layers: list[int], student_hidden: int, teacher_hidden: int) -> None:
        super().__init__()
        self.layers = layers
        same = student_hidden == teacher_hidden
        self.embedding_map, self.layer_map = (
            nn.Identity() if same else nn.Linear(student_hidden, teacher_hidden, bias=False) for _ in range(2)
        )

    @classmethod
    def create(cls, pair: Pair, options: Any) -> Self:
        """Return the objective with the uniform mapping of layers."""
        own, its = pair.student_sizes, pair.teacher_sizes
        return cls(mapped_layers(own.layers, its.layers), own.hidden, its.hidden)

    def taps(self) -> tuple[Taps, Taps]:
        """Return the taps of the teacher's mapped layers and of all the student's, by the student's numbers."""
        return (
            {str(m): hidden_state_tap(layer) for m, layer in enumerate(self.layers)},
            {str(m): hidden_state_tap(m) for m in range(len(self.layers))},
        )

    def forward(
        self, teacher: Mapping[str, Tensor], student: Mapping[str, Tensor], mask: Tensor
    ) -> dict[str, Tensor]:
        """Return the sum over layers of the mean squared error over a sequence's tokens and the teacher's width."""
        weights = mask / (mask.sum(dim=1, keepdim=True) * len(mask))
        loss = torch.zeros((), device=mask.device)
        for name, expected in teacher.items():
            to_teacher = self.layer_map if int(name) else self.embedding_map
            difference = to_teacher(student[name].float()) - expected.float()
            loss = loss + (difference.square().mean(dim=-1) * weights).sum()
        return {HIDDEN_STATES: loss}

    def info(self) -> dict[str, Any]:
        """Return the mapping of layers, for the manifest."""
        return {"teacher_layers": self.layers}

"""MiniLM's objective: the student's last self-attention follows the teacher's (Wang et al. 2020)."""

from collections.abc import Mapping
from typing import Any, Self

from torch import Tensor

from hornbook.errors import HornbookError
from hornbook.models.probe import check_attention
from hornbook.models.taps import PROJECTIONS, Taps
from hornbook.training.objectives.base import Objective, Pair
from hornbook.training.objectives.relations import relation_divergence

QUERY, KEY, VALUE = PROJECTIONS
ATTENTION, VALUE_RELATION = "attention", "value_relation"


class Attention(Objective):
    """Attention distributions and value relation of the last layer (Wang et al. 2020, sections 3.1 and 3.2).

    Teacher and student must have the same number of attention heads; the widths of the heads may differ. The
    attention must be softmax(q k' / sqrt(width of a head)): `check_attention` refuses families that rotate queries
    and keys, add a bias for relative positions or attend locally.

    Args:
        heads: attention heads, the same number in both models.
        pair: teacher and student; needed for `taps` only.
    """

    def __init__(self, heads: int, pair: Pair | None = None) -> None:
        super().__init__()
        self.heads, self.pair = heads, pair

    @classmethod
    def create(cls, pair: Pair, options: Any) -> Self:
        """Return the objective on `distil.teacher_layer`, by default the teacher's last, and the student's last.

        Args:
            pair: the configurations of teacher and student, and the settings.
            options: none.

        Returns:
            the objective.

        Raises:
            HornbookError: the numbers of heads differ, or the family's attention depends on more than queries and
                keys (see `check_attention`).
        """
        own, its = pair.student_sizes, pair.teacher_sizes
        if own.heads != its.heads:
            raise HornbookError(
                f"distil.objectives: attention needs as many heads in the student ({own.heads}) as in the teacher "
                f"({its.heads}); set student.heads to {its.heads} (it must divide the width {own.hidden}), or take "
                "relations"
            )
        for config in (pair.teacher, pair.student):
            check_attention(config, pair.family)
        return cls(its.heads, pair)

    def taps(self) -> tuple[Taps, Taps]:
        """Return the taps of both models' queries, keys and values."""
        assert self.pair is not None
        return self.pair.projection_taps(self._layer(self.pair))

    def forward(
        self, teacher: Mapping[str, Tensor], student: Mapping[str, Tensor], mask: Tensor
    ) -> dict[str, Tensor]:
        """Return KL(teacher || student) of the attention distributions and of the value relations.

        Both are means over heads and a sequence's own positions; padding gets no attention.
        """
        keys = {"teacher_keys": teacher[KEY], "student_keys": student[KEY]}
        return {
            ATTENTION: relation_divergence(teacher[QUERY], student[QUERY], mask, self.heads, **keys),
            VALUE_RELATION: relation_divergence(teacher[VALUE], student[VALUE], mask, self.heads),
        }

    def info(self) -> dict[str, Any]:
        """Return the teacher's layer, for the manifest."""
        return {} if self.pair is None else {"attention_layer": self._layer(self.pair)}

    @staticmethod
    def _layer(pair: Pair) -> int:
        return pair.config.teacher_layer or pair.teacher_sizes.layers

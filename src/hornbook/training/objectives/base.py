"""The interface of objectives: the tensors they take from teacher and student, and a loss between them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from torch import Tensor, nn

from hornbook.models.families import Sizes, default_teacher_layer, sizes_of
from hornbook.models.taps import Taps, projection_taps
from hornbook.recipe import DistilConfig, FamilyConfig
from hornbook.recipe.settings import Settings


@dataclass(frozen=True)
class Pair:
    """Teacher and student as an objective sees them, before any weights are loaded.

    Attributes:
        teacher: the teacher's Hugging Face configuration.
        student: the student's.
        config: the settings of the distillation.
        family: the family of both, if not in the table.
    """

    teacher: Any
    student: Any
    config: DistilConfig
    family: FamilyConfig | None = None

    @property
    def teacher_sizes(self) -> Sizes:
        """The teacher's sizes."""
        return sizes_of(self.teacher, self.family)

    @property
    def student_sizes(self) -> Sizes:
        """The student's sizes."""
        return sizes_of(self.student, self.family)

    @property
    def relation_layer(self) -> int:
        """The teacher's layer whose relations are followed, counted from 1."""
        return self.config.teacher_layer or default_teacher_layer(self.teacher, self.family)

    def projection_taps(self, teacher_layer: int) -> tuple[Taps, Taps]:
        """Return the taps of the projections of a teacher's layer (counted from 1) and of the student's last."""
        return (
            projection_taps(self.teacher, teacher_layer, self.family),
            projection_taps(self.student, self.student_sizes.layers, self.family),
        )


class Objective(nn.Module):
    """A loss between tensors tapped from the teacher and from the student.

    Its parameters, if it has any, are trained with the student, and are not part of the finished student.

    Attributes:
        version: raise it when a change of the code changes results; the student's content key then changes.
    """

    version: ClassVar[int] = 1

    class Options(Settings):
        """Settings of its own, given beside its weight: `objectives: {name: {weight: 1, option: 2}}`."""

    @classmethod
    def create(cls, pair: Pair, options: Any) -> Self:
        """Return the objective for a teacher and a student.

        Args:
            pair: teacher and student.
            options: an `Options` of this class.

        Returns:
            the objective.

        Raises:
            HornbookError: they do not fit together.
        """
        raise NotImplementedError

    def taps(self) -> tuple[Taps, Taps]:
        """Return the tensors to take from the teacher and from the student, by names of its own."""
        raise NotImplementedError

    def forward(
        self, teacher: Mapping[str, Tensor], student: Mapping[str, Tensor], mask: Tensor
    ) -> dict[str, Tensor]:
        """Return its losses by name, each a float32 scalar averaged over the sequences.

        Args:
            teacher: the tapped tensors of the teacher, by the names of `taps`.
            student: the tapped tensors of the student, by the names of `taps`.
            mask: 1 for tokens, 0 for padding, shape (sequences, length).

        Returns:
            at least one loss; the distillation multiplies them by the objective's weight.
        """
        raise NotImplementedError

    def info(self) -> dict[str, Any]:
        """Return what to record in the student's manifest."""
        return {}

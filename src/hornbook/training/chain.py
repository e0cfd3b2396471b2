"""A chain: distil a student on one textbook, then on the next (the paper's CC&TaskDA)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hornbook.errors import HornbookError
from hornbook.models.source import Model
from hornbook.recipe import DistilConfig, FamilyConfig, StudentConfig, changed
from hornbook.store import Artifact, Destination, beside
from hornbook.training.activations.choice import ALONE, Sharing
from hornbook.training.books import open_book
from hornbook.training.distil import distil


def distil_chain(
    teacher: Model,
    textbooks: Sequence[Artifact | Path | str],
    out: Destination,
    student: StudentConfig | None = None,
    config: DistilConfig | None = None,
    then: Mapping[str, Any] | None = None,
    *,
    seed: int = 0,
    family: FamilyConfig | None = None,
    start: Artifact | None = None,
    sharing: Sharing = ALONE,
    labels: Sequence[Artifact] = (),
) -> list[Artifact]:
    """Distil a student on textbooks one after another.

    Args:
        teacher: a model folder or hub name.
        textbooks: finished textbooks, or their token ids; one alone is `distil`.
        out: the last student's folder; earlier students are put beside it, numbered. Or a store.
        student: the student's size and initial weights.
        config: settings of the first distillation.
        then: settings of the later ones where they differ; a budget replaces that of the first.
        seed: of the student's initial weights, the order of the units and dropout.
        family: where the teacher keeps its projections, for a family that is not in the table.
        start: a student distilled earlier to begin from.
        sharing: who else reads what the teacher computes; see `distil`.
        labels: what a file says about the units of each textbook; see `distil`.

    Returns:
        the students, stage "student"; the last is the chain's.

    Raises:
        HornbookError: as `distil`; the textbooks are about different tasks; `then` has an unknown setting.
    """
    config = config or DistilConfig()
    later = changed(config, then or {}, "then")
    books = [open_book(book) for book in textbooks]
    _check_one_task(books)
    students: list[Artifact] = []
    for number, book in enumerate(books, 1):
        last = number == len(books)
        place = out if last else beside(out, str(number))
        before = students[-1] if students else start
        settings = later if students else config
        given: dict[str, Any] = {"seed": seed, "family": family, "start": before, "sharing": sharing}
        if labels and "logits" in settings.objectives:
            given["labels"] = labels[number - 1]
        made = distil(teacher, book, place, student, settings, **given)
        students.append(made)
    return students


def _check_one_task(books: Sequence[Artifact]) -> None:
    """Refuse textbooks about different tasks, before hours go into the first."""
    about: dict[str, Artifact] = {}
    for book in books:
        task = None if book.planned else book.info.get("task")
        if task is not None:
            about.setdefault(task, book)
    if len(about) > 1:
        first, other, *_ = about.values()
        raise HornbookError(f"{other.path}: is about another task than {first.path}; a chain is about one task")

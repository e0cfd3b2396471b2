"""What a student was made from, as far as the manifests beside it tell."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from hornbook.errors import HornbookError
from hornbook.models.source import Model
from hornbook.results import REPORT, RunResult, read_results
from hornbook.store import MANIFEST, Artifact, load


@dataclass(frozen=True)
class Lineage:
    """What a student was made from; what is not in its store is missing.

    Attributes:
        model: the student; None for a plain folder or hub name.
        distilled: the student after each distillation, the last one first.
        textbooks: what it learned from, in the same order.
        corpora: what the textbooks were taken from.
        teacher: its teacher.
        task: the task's data.
        evaluation, teacher_evaluation: scores of student and teacher.
    """

    model: Artifact | None = None
    distilled: tuple[Artifact, ...] = ()
    textbooks: tuple[Artifact, ...] = ()
    corpora: tuple[Artifact, ...] = ()
    teacher: Artifact | None = None
    task: Artifact | None = None
    evaluation: Artifact | None = None
    teacher_evaluation: Artifact | None = None


def lineage(student: Model) -> Lineage:
    """Return what a student was made from, by the keys in its manifest.

    Args:
        student: an artefact, a folder or a hub name.

    Returns:
        the artefacts that stand in the same store.
    """
    model = student if isinstance(student, Artifact) else _finished(Path(student))
    if model is None:
        return Lineage()
    store = model.path.resolve().parent.parent
    distilled = tuple(_students(model, store))
    textbooks = tuple(_distinct(book for one in distilled for book in _books(_input(one, "textbook", store), store)))
    corpora = tuple(_distinct(one for book in textbooks if (one := _input(book, "corpus", store)) is not None))
    teacher = _input(distilled[0], "teacher", store) if distilled else None
    task = _input(model, "task", store)
    return Lineage(
        *(model, distilled, textbooks, corpora, teacher, task),
        evaluation=_evaluation(model, task, store),
        teacher_evaluation=_evaluation(teacher, task, store),
    )


def run_of(student: Model) -> RunResult | None:
    """Return the results of the run in whose folder a student stands; None if it stands elsewhere.

    Args:
        student: an artefact, a folder or a hub name.

    Returns:
        the results.
    """
    if isinstance(student, Artifact) or not (Path(student).parent / REPORT).is_file():
        return None
    try:
        found = read_results(Path(student).parent)
    except HornbookError:  # of another version, or incomplete: the card says less
        return None
    return found if isinstance(found, RunResult) else None


def _finished(folder: Path) -> Artifact | None:
    try:
        return load(folder) if (folder / MANIFEST).is_file() else None
    except HornbookError:
        return None


def _input(artifact: Artifact, role: str, store: Path) -> Artifact | None:
    key = artifact.manifest["inputs"].get(role)
    found = (_finished(path.parent) for path in store.glob(f"*/{key[:16]}/{MANIFEST}")) if key else ()
    return next((one for one in found if one is not None and one.key == key), None)


def _students(model: Artifact, store: Path) -> Iterator[Artifact]:
    """Yield the students from which a model was fine-tuned, the last distillation first."""
    for role in ("model", "student", "init"):
        if (one := _input(model, role, store)) is not None and one.stage == "student":
            yield one
            yield from _students(one, store)


def _books(book: Artifact | None, store: Path) -> Iterator[Artifact]:
    """Yield a textbook, or those that it consists of."""
    if book is None:
        return
    # `like` only tells how large it is.
    roles = (role for role in book.manifest["inputs"] if role != "like")
    parts = [part for role in roles if (part := _input(book, role, store)) is not None and part.stage == book.stage]
    if not parts:
        yield book
    for part in parts:
        yield from _books(part, store)


def _distinct(artifacts: Iterable[Artifact]) -> list[Artifact]:
    return list({one.key: one for one in artifacts}.values())


def _evaluation(model: Artifact | None, task: Artifact | None, store: Path) -> Artifact | None:
    """Return the scores of a model on a task."""
    if model is None or task is None:
        return None
    wanted = {("model", model.key), ("task", task.key)}
    found = (_finished(path.parent) for path in sorted(store.glob(f"evaluation/*/{MANIFEST}")))
    return next((one for one in found if one is not None and wanted <= set(one.manifest["inputs"].items())), None)

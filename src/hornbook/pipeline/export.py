"""The export that ends a run, if its recipe asks for one."""

from collections.abc import Sequence
from typing import Any

from hornbook.pipeline.models import RunArtifacts, ScoredModel
from hornbook.recipe import ExportConfig, Recipe
from hornbook.results import ExportResult, RunResult
from hornbook.results.summary import best_student
from hornbook.store import Artifact, Store


def export_student_of(recipe: Recipe, made: RunArtifacts, store: Store) -> tuple[ScoredModel, Artifact] | None:
    """Export a student of a run, or plan it where the store is dry.

    Args:
        recipe: the whole run.
        made: by its stages.
        store: where the artefact is found and put.

    Returns:
        the student and its export; None without `export` in the recipe.
    """
    if recipe.export is None:
        return None
    from hornbook.export.build import export_student

    student = choose(made.models, [recipe.export.student] if recipe.export.student else list(recipe.textbooks))
    assert student.model is not None  # distilled students are in the store
    gate = ExportConfig(**{name: getattr(recipe.export, name) for name in ExportConfig.model_fields})
    return student, export_student(student.model, store, gate, task=made.task, textbook=student.books[-1])


def choose(models: Sequence[ScoredModel], names: Sequence[str]) -> ScoredModel:
    """Return the seed with the best dev score of the student with the best mean; the first while scores are missing.

    Args:
        models: of a run.
        names: of the students to choose from.

    Returns:
        the model.
    """
    students = [model for model in models if model.name in names]
    if any(model.planned for model in students):
        return students[0]
    best = best_student([model.result() for model in students])
    assert best is not None
    return max((model for model in students if model.name == best.name), key=lambda model: model.result().dev)


def publish(recipe: Recipe, student: ScoredModel, exported: Artifact, result: RunResult) -> None:
    """Write the export's card with what the run knows, and upload the export if the recipe names a repository.

    Args:
        recipe: the whole run.
        student: what was exported.
        exported: its export.
        result: of the run.

    Raises:
        HornbookError: the upload failed.
    """
    from hornbook.export.card import write_card
    from hornbook.export.push import push

    assert recipe.export is not None
    assert student.model is not None
    write_card(exported, student.model, result)
    if recipe.export.push_to_hub is not None:
        push(exported, recipe.export.push_to_hub, public=recipe.export.public)


def export_result(student: ScoredModel, exported: Artifact) -> ExportResult:
    """Return what a report says about an export."""
    int8 = exported.info.get("int8")
    size = exported.counts.get("int8_bytes")
    return ExportResult(
        name=student.name,
        seed=student.seed,
        key=exported.key,
        folder=str(exported.path),
        megabytes=round(exported.counts["graph_bytes"] / 1e6, 1),
        largest_difference=exported.measured["largest_difference"],
        int8=None if int8 is None else int8["published"],
        int8_megabytes=None if size is None else round(size / 1e6, 1),
        int8_why_not=None if int8 is None else int8.get("why_not"),
        agreement=_agreement(int8),
    )


def _agreement(int8: dict[str, Any] | None) -> dict[str, float]:
    """Return how often the published int8 graph answers as the student, by what was compared."""
    rows = [] if int8 is None else [row for row in int8["tried"] if row["variant"] == int8["published"]]
    return {name: one["agreement"] for row in rows for name, one in row["compared"].items()}

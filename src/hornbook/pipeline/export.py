"""The export that ends a run, if its recipe asks for one."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from hornbook.pipeline.models import RunArtifacts, ScoredModel
from hornbook.recipe import BenchmarkConfig, ExportConfig, Recipe
from hornbook.results import ExportResult, FormatResult, RunResult, Speed
from hornbook.results.summary import best_student
from hornbook.store import Artifact, StageContext, Store, make
from hornbook.tasks import open_task


@dataclass(frozen=True)
class Shipped:
    """An exported student of a run; with a dry store it is only planned.

    Attributes:
        student: what was exported.
        export: the export.
        evaluation: scores and speed of its graphs.
        speeds: how fast teacher and student are in each format; None if the recipe does not ask for it.
    """

    student: ScoredModel
    export: Artifact
    evaluation: Artifact
    speeds: Artifact | None


def ship_student_of(recipe: Recipe, made: RunArtifacts, store: Store) -> Shipped | None:
    """Export a student of a run and measure the export, or plan it where the store is dry.

    Args:
        recipe: the whole run.
        made: by its stages.
        store: where the artefacts are found and put.

    Returns:
        the student and what was made of it; None without `export` in the recipe.
    """
    if recipe.export is None:
        return None
    from hornbook.export.build import export_student
    from hornbook.export.evaluate import evaluate_export

    student = choose(made.models, [recipe.export.student] if recipe.export.student else list(recipe.textbooks))
    assert student.model is not None  # distilled students are in the store
    gate = ExportConfig(**{name: getattr(recipe.export, name) for name in ExportConfig.model_fields})
    exported = export_student(student.model, store, gate, task=made.task, textbook=student.books[-1])
    evaluation = evaluate_export(exported, made.task, store, recipe.evaluate)
    speeds = _speeds(exported, made, store) if recipe.export.benchmark else None
    return Shipped(student, exported, evaluation, speeds)


def _speeds(exported: Artifact, made: RunArtifacts, store: Store) -> Artifact:
    """Measure how fast the teacher and an export are in each format, on the task's dev texts."""
    teacher = None if made.teacher is None else made.teacher.model
    models = [exported] if teacher is None else [teacher, exported]

    def build(context: StageContext) -> None:
        from hornbook.inference.benchmark import benchmark, texts_of_task

        names = {str(exported.path): "student", str(models[0].path): "student" if teacher is None else "teacher"}
        rows = benchmark(models, texts_of_task(open_task(made.task)))
        context.measured["rows"] = [{**asdict(row), "model": names[row.model]} for row in rows]

    inputs = {"export": exported.key, "task": made.task.key}
    return make(
        store,
        stage="speeds",
        version=1,
        config=BenchmarkConfig().model_dump(mode="json"),
        inputs=inputs if teacher is None else {**inputs, "teacher": teacher.key},
        build=build,
    )


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


def publish(recipe: Recipe, shipped: Shipped, result: RunResult) -> None:
    """Write the export's card with what the run knows, and upload the export if the recipe names a repository.

    Args:
        recipe: the whole run.
        shipped: the student and its export.
        result: of the run.

    Raises:
        HornbookError: the upload failed.
    """
    from hornbook.export.card import write_card
    from hornbook.export.push import push

    assert recipe.export is not None
    assert shipped.student.model is not None
    write_card(shipped.export, shipped.student.model, result)
    if recipe.export.push_to_hub is not None:
        push(shipped.export, recipe.export.push_to_hub, public=recipe.export.public)


def export_result(shipped: Shipped) -> ExportResult:
    """Return what a report says about an export."""
    exported = shipped.export
    int8 = exported.info.get("int8")
    size = exported.counts.get("int8_bytes")
    return ExportResult(
        name=shipped.student.name,
        seed=shipped.student.seed,
        key=exported.key,
        folder=str(exported.path),
        megabytes=round(exported.counts["graph_bytes"] / 1e6, 1),
        largest_difference=exported.measured["largest_difference"],
        int8=None if int8 is None else int8["published"],
        int8_megabytes=None if size is None else round(size / 1e6, 1),
        int8_why_not=None if int8 is None else int8.get("why_not"),
        agreement=_agreement(int8),
        formats=tuple(_formats(exported, shipped.evaluation)),
        speeds=() if shipped.speeds is None else tuple(Speed(**row) for row in shipped.speeds.measured["rows"]),
    )


def _formats(exported: Artifact, evaluation: Artifact) -> Iterator[FormatResult]:
    metric, counts = evaluation.info["metric"], exported.counts
    for name, scores in evaluation.info["scores"].items():
        yield FormatResult(
            format=name,
            megabytes=round(counts["graph_bytes" if name == "float32" else "int8_bytes"] / 1e6, 1),
            dev=scores["dev"][metric],
            test=scores.get("test", {}).get(metric),
            sentences_per_second=evaluation.measured["sentences_per_second"][name],
        )


def _agreement(int8: dict[str, Any] | None) -> dict[str, float]:
    """Return how often the published int8 graph answers as the student, by what was compared."""
    rows = [] if int8 is None else [row for row in int8["tried"] if row["variant"] == int8["published"]]
    return {name: one["agreement"] for row in rows for name, one in row["compared"].items()}

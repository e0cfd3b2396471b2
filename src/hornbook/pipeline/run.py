"""A whole run of a recipe."""

import logging
import os
from dataclasses import replace
from functools import partial
from pathlib import Path

from hornbook.errors import HornbookError
from hornbook.pipeline.export import export_result, publish, ship_student_of
from hornbook.pipeline.inspection import inspect
from hornbook.pipeline.jobs import side_by_side
from hornbook.pipeline.models import RunArtifacts, ScoredModel, link
from hornbook.pipeline.plan import STORE, plan, stage_results
from hornbook.pipeline.stages import run_stages
from hornbook.recipe import Recipe
from hornbook.report.tables.runs import run_markdown
from hornbook.results import INSPECTION, REPORT, AskedOnceResult, RunResult, TaskResult, VocabularyResult
from hornbook.results.files import read_inspection, write_run
from hornbook.results.summary import remarks, summarise
from hornbook.store import Artifact, Store, write_text

logger = logging.getLogger("hornbook")

TABLE = "report.md"
PAGE = "report.html"
EXPORT = "export"


def run(recipe: Recipe, runs: Path | str = "runs", *, cluster: str | None = None, jobs: int = 1) -> RunResult:
    """Run a recipe; finished stages are reused.

    Started by torchrun in several processes, all train together, and the first one writes the results.

    Args:
        recipe: the whole run.
        runs: the folder of runs; artefacts are shared in RUNS/artifacts, the results are in RUNS/NAME.
        cluster: the address of a Ray cluster on which the corpus is searched; does not change the results.
        jobs: students that are distilled and adapted at a time, in processes that share the cores; more than one
            changes the results as fewer threads do, by rounding.

    Returns:
        the results, as in RUNS/NAME/report.json.

    Raises:
        HornbookError: something in the recipe or the data is wrong, or the teacher is at chance level.
    """
    plan(recipe, Path(os.devnull))  # a missing source shows now, not after an hour of training
    if cluster is not None:
        _reach(cluster)
    if recipe.export is not None and recipe.export.push_to_hub is not None:
        from hornbook.export.push import check_push

        check_push(recipe.export.push_to_hub)
    store = Store(Path(runs) / STORE)
    folder = Path(runs) / recipe.name
    if jobs > 1 and _are_several():
        raise HornbookError("--jobs: torchrun's processes train one student together; leave out one of the two")
    if not _is_first_process():
        return _result(recipe, run_stages(recipe, store, cluster=cluster), store, folder)
    _own_run_folder(folder)
    ahead = partial(side_by_side, recipe, store, jobs) if jobs > 1 else None
    made = run_stages(recipe, store, folder=folder, cluster=cluster, before_students=ahead, on_model=_log)
    inspection = inspect(made, store)
    link(inspection, folder, INSPECTION)
    shipped = ship_student_of(recipe, made, store)
    if shipped is not None:
        link(shipped.export, folder, EXPORT)
    result = _result(recipe, made, store, folder, inspection)
    if shipped is not None:
        result = replace(result, export=export_result(shipped))
    write_run(result)
    write_text(folder / TABLE, run_markdown(result))
    if shipped is not None:
        publish(recipe, shipped, result)
    return result


def _result(
    recipe: Recipe, made: RunArtifacts, store: Store, folder: Path, inspection: Artifact | None = None
) -> RunResult:
    from hornbook.tasks.task import score_name

    rows = tuple(model.result() for model in made.models)
    info, counts = made.task.info, made.task.counts
    vocabulary = None if made.vocabulary is None else _vocabulary(made.vocabulary, counts["train_rows"])
    asked_once = _asked_once(made)
    return RunResult(
        rows=rows,
        summary=summarise(rows),
        remarks=remarks(rows, recipe.student.init, vocabulary, asked_once),
        stages=stage_results(store),
        recipe=recipe.model_dump(mode="json"),
        task=TaskResult(
            key=made.task.key,
            name=info["name"],
            kind=info["kind"],
            metric=score_name(info["metric"], info["labels"]),
            examples={name.removesuffix("_rows"): n for name, n in counts.items() if name.endswith("_rows")},
        ),
        models=tuple(model.artifacts() for model in made.models),
        vocabulary=vocabulary,
        asked_once=asked_once,
        inspection=None if inspection is None else read_inspection(inspection.path),
        folder=folder,
    )


def _vocabulary(made: Artifact, texts: int) -> VocabularyResult:
    counts = made.counts
    return VocabularyResult(
        pieces=counts["pieces"],
        pieces_before=counts["pieces_before"],
        tokens_per_text=counts["tokens"] / texts,
        tokens_per_text_before=counts["tokens_before"] / texts,
    )


def _asked_once(made: RunArtifacts) -> AskedOnceResult | None:
    """Return what was read from the disk; None where nothing was, or older students did not note it."""
    distilled = {one.key: one for model in made.models for one in model.distilled}
    readers = [one for one in distilled.values() if "teacher_tokens" in one.measured]
    if not readers:
        return None
    asked = {one.measured["teacher"]: one.measured for one in readers}.values()
    seconds = sum(one["teacher_seconds"] for one in asked)
    alone = sum(
        one.counts["tokens"] * one.measured["teacher_seconds"] / one.measured["teacher_tokens"] for one in readers
    )
    return AskedOnceResult(
        students=len(readers),
        tokens_read=sum(one.counts["tokens"] for one in readers),
        tokens_asked=sum(one["teacher_tokens"] for one in asked),
        seconds=round(seconds, 1),
        saved_seconds=round(alone - seconds, 1),
    )


def _log(model: ScoredModel) -> None:
    row = model.result()
    tested = "" if row.test is None else f", {row.test:.4f} on test"
    logger.info("%s, seed %d: %s %.4f on dev%s", row.name, row.seed, row.metric, row.dev, tested)


def _reach(cluster: str) -> None:
    """Refuse the address of a cluster that does not answer."""
    from hornbook.cluster import Cluster

    try:
        # Not more: a process in which Ray runs must not fork, and the corpus is built by forked ones.
        Cluster(cluster).check_reachable()
    except (OSError, ValueError) as error:
        raise HornbookError(f"{cluster}: no Ray cluster answers here ({error}); start it first") from None


def _own_run_folder(folder: Path) -> None:
    if folder.exists() and any(folder.iterdir()):
        own = {REPORT, TABLE, PAGE, "recipe.yaml"}
        for name in own:
            (folder / f".{name}.partial").unlink(missing_ok=True)  # of a run that was killed
        foreign = [p.name for p in folder.iterdir() if not (p.is_symlink() or p.name in own)]
        if foreign:
            raise HornbookError(f"{folder}: holds something else ({foreign[0]}); choose another name or remove it")
        for path in folder.iterdir():
            if path.is_symlink() or path.name in (REPORT, TABLE):
                path.unlink()  # perhaps from an earlier recipe
    folder.mkdir(parents=True, exist_ok=True)


def _is_first_process() -> bool:
    from hornbook.training.processes import process

    return process()[0] == 0


def _are_several() -> bool:
    from hornbook.training.processes import process

    return process()[1] > 1

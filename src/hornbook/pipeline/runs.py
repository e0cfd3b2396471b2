"""A whole run of a recipe, its plan, and a check that runs nothing."""

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Any

from hornbook.errors import HornbookError, Unreachable
from hornbook.machine import hub
from hornbook.pipeline.estimate import estimates, stages
from hornbook.pipeline.jobs import side_by_side
from hornbook.pipeline.stages import check_kind, check_trainings, rows
from hornbook.recipe import AugmentedConfig, Recipe
from hornbook.report import REPORT
from hornbook.report.summary import remarks, summarise
from hornbook.report.tables import markdown_table, title
from hornbook.store import Store, write_json, write_text

logger = logging.getLogger("hornbook")

STORE = "artifacts"
TABLE = "report.md"
PAGE = "report.html"


@dataclass
class Outcome:
    """What a run gives.

    Attributes:
        rows: one for each model: name, textbook, parameters, dev, test, metric, speed, seconds, seed.
        stages: one for each artefact: stage, key, folder, seconds, reused.
        summary: one for each model's name: mean, median and spread over its seeds, share of the teacher's score.
        remarks: what the rows say, in plain words.
        folder: where the report and links to the artefacts stand.
        recipe: all its settings.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    stages: list[dict[str, Any]] = field(default_factory=list)
    summary: list[dict[str, Any]] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    folder: Path = Path()
    recipe: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return the report as it stands in `report.json`."""
        names = ("rows", "summary", "remarks", "stages", "recipe")
        return {name: getattr(self, name) for name in names}


def run(recipe: Recipe, runs: Path | str = "runs", *, cluster: str | None = None, jobs: int = 1) -> Outcome:
    """Run a recipe; what is finished already is used again.

    Started by torchrun in several processes, all train together, and the first one writes the results.

    Args:
        recipe: the whole run.
        runs: the folder of runs; artefacts are shared in RUNS/artifacts, the results stand in RUNS/NAME.
        cluster: the address of a Ray cluster on which the corpus is searched; does not change the results.
        jobs: students that are distilled and adapted at a time, in processes that share the cores; more than one
            changes the results as fewer threads do, by rounding.

    Returns:
        the rows of the report and the stages.

    Raises:
        HornbookError: something in the recipe or the data is wrong, or the teacher is at chance level.
    """
    plan(recipe, Path(os.devnull))  # what is missing shows now, not after an hour of training
    if cluster is not None:
        _reach(cluster)
    store = Store(Path(runs) / STORE)
    folder = Path(runs) / recipe.name
    outcome = Outcome(folder=folder, recipe=recipe.model_dump(mode="json"))
    if jobs > 1 and _are_several():
        raise HornbookError("--jobs: torchrun's processes train one student together; leave out one of the two")
    if not _is_first_process():
        outcome.rows = list(rows(recipe, store, None, cluster))
        return outcome
    _own_run_folder(folder)
    ahead = partial(side_by_side, recipe, store, jobs) if jobs > 1 else None
    for row in rows(recipe, store, folder, cluster, ahead=ahead):
        outcome.rows.append(row)
        logger.info(
            "%s, seed %d: %s %.4f on dev%s", row["name"], row["seed"], row["metric"], row["dev"], _tested(row)
        )
    outcome.stages = stages(store)
    outcome.summary, outcome.remarks = summarise(outcome.rows), remarks(outcome.rows)
    write_json(folder / REPORT, outcome.as_json())
    lines = [title(outcome.rows), markdown_table(outcome.rows), *(f"* {remark}" for remark in outcome.remarks)]
    write_text(folder / TABLE, "\n\n".join(lines) + "\n")
    return outcome


def plan(recipe: Recipe, runs: Path | str = "runs") -> list[dict[str, Any]]:
    """Return the stages a run of the recipe would ask for: stage, key, whether reused, an estimate of the rest.

    Seconds and bytes are those of the finished artefact in the same store that is most like it (a distillation's
    scaled by its budget, a grid's by its combinations), else rough figures for a small task and model on two cores;
    beside them what checkpoints take at most while a model is trained.

    Raises:
        Unreachable: sources of the recipe are on the hub, which cannot be asked.
        HornbookError: a source of the recipe is missing.
    """
    try:
        return _planned(recipe, runs)
    except Unreachable:
        if len(names := out_of_reach(recipe)) < 2:
            raise
        raise Unreachable(
            f"{', '.join(names)}: out of reach ({hub.why_not()}); without them nothing is done"
        ) from None


def _planned(recipe: Recipe, runs: Path | str) -> list[dict[str, Any]]:
    store = Store(Path(runs) / STORE, dry=True)
    for _ in rows(recipe, store, None):
        pass
    return estimates(store)


def out_of_reach(recipe: Recipe) -> list[str]:
    """Return the sources that a recipe names and that are not here, while the hub cannot be asked."""
    from hornbook.corpus.sources import find_sources
    from hornbook.models.source import model_key
    from hornbook.tasks.sources import locate

    student = recipe.student.init
    models = [recipe.teacher.model, recipe.released, None if student in ("random", "layers") else student]
    models += [config.model for config in recipe.textbooks.values() if isinstance(config, AugmentedConfig)]
    asked: list[tuple[str, Callable[[], object]]] = [(recipe.task.source, partial(locate, recipe.task))]
    asked += [(source, partial(find_sources, [source])) for source in recipe.corpus.sources if "hub:" in source]
    asked += [(model, partial(model_key, model)) for model in models if model is not None]
    missed: dict[str, None] = {}
    for name, ask in asked:
        try:
            ask()
        except Unreachable:
            missed[name] = None
        except HornbookError:
            pass  # another fault, told elsewhere
    return list(missed)


@hub.briefly()
def check(recipe: Recipe) -> list[str]:
    """Check a recipe without running anything: the task is sound, sources are there, sizes and labels fit together.

    Returns:
        what could not be checked because the hub could not be asked, a line for each name.

    Raises:
        HornbookError: what is wrong first.
    """
    from hornbook import corpus, tasks
    from hornbook.models.loading import label_order, ready_config
    from hornbook.models.probe import check_padding
    from hornbook.models.source import load_config
    from hornbook.models.tokenizers import load_tokenizer, warn_of_length

    teacher, nowhere = recipe.teacher, Path(os.devnull)
    unchecked: dict[str, None] = {}  # in order; several checks may ask for one name
    labels = None
    with _noting(unchecked):
        found = tasks.check(recipe.task)
        labels = found.names
        check_kind(recipe, found.kind)
    for source in recipe.corpus.sources:
        with _noting(unchecked):
            corpus.build(recipe.corpus.model_copy(update={"sources": (source,)}), Store(nowhere, dry=True))
    with _noting(unchecked):
        check_trainings(recipe)
        for name in ("teacher.finetune", "distil", "adapt", "evaluate"):
            longest = attrgetter(f"{name}.max_length")(recipe)
            warn_of_length(f"{name}.max_length", longest, teacher.model)
    if teacher.kind == "ready" and labels is not None:
        with _noting(unchecked):
            label_order(ready_config(teacher.model).id2label, labels, teacher.label_names, teacher.model)
    if recipe.released is not None:
        with _noting(unchecked):
            load_tokenizer(recipe.released)
            check_padding(load_config(recipe.released))
    with _noting(unchecked):
        _planned(recipe, nowhere)
    return list(unchecked)


@contextmanager
def _noting(unchecked: dict[str, None]) -> Iterator[None]:
    """Note what the hub could not be asked, and go on."""
    try:
        yield
    except Unreachable as error:
        unchecked[str(error)] = None


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
                path.unlink()  # of an earlier recipe, perhaps; this run makes its own
    folder.mkdir(parents=True, exist_ok=True)


def _is_first_process() -> bool:
    from hornbook.training.processes import process

    return process()[0] == 0


def _are_several() -> bool:
    from hornbook.training.processes import process

    return process()[1] > 1


def _tested(row: dict[str, Any]) -> str:
    return "" if row["test"] is None else f", {row['test']:.4f} on test"

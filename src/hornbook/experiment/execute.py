"""Run an experiment: its cells one after another or side by side, and the files of its results."""

import logging
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from hornbook import pipeline
from hornbook.errors import DiskFull, HornbookError, one_line
from hornbook.experiment.finished import FinishedCells
from hornbook.experiment.grid import Cell, cells
from hornbook.experiment.plan import key_of, unfinished
from hornbook.pipeline.predictions import gold_of, predicted
from hornbook.recipe import Experiment, load_experiment
from hornbook.report.tables.grids import experiment_markdown
from hornbook.results import TEACHER, CellResult, ExperimentResult, GoldLabels, TextbookCellResult
from hornbook.results.files import write_experiment
from hornbook.results.inspection import TextbookComparison
from hornbook.results.plain import from_json
from hornbook.results.rows import FinishedCell, TeacherScore
from hornbook.store import Store, write_text
from hornbook.tasks import open_task
from hornbook.textbook.inspect.statistics import measured, read_statistics

logger = logging.getLogger("hornbook")

TABLE = "experiment.md"
"""The tables of an experiment as Markdown, in its folder."""


def run_experiment(
    experiment: Experiment | Path | str,
    runs: Path | str = "runs",
    *,
    cluster: str | None = None,
    beside: Path | str = ".",
    allow_many: bool = False,
) -> ExperimentResult:
    """Run an experiment; stages that are finished or shared by cells are reused.

    The results are in RUNS/NAME: `experiment.json` and `experiment.md`; finished rows also in the experiment's own
    file `results`, each as soon as its cell is finished.

    Args:
        experiment: its file, or its settings.
        runs: the folder of runs and shared artefacts.
        cluster: the address of a Ray cluster on which cells run side by side.
        beside: for settings that are not from a file: the folder of the base recipe and of `results`.
        allow_many: run more cells than the setting `most_cells`.

    Returns:
        the finished cells, and what went wrong in the others.

    Raises:
        HornbookError: the settings or the base recipe are wrong, or there are too many cells.
    """
    if isinstance(experiment, Experiment):
        settings, file = experiment, Path(beside) / f"{experiment.name}.yaml"
    else:
        file = Path(experiment)
        settings = load_experiment(file)
    grid = cells(settings, file)
    if len(grid) > settings.most_cells and not allow_many:
        most = settings.most_cells
        raise HornbookError(
            f"{file}: {len(grid)} cells are more than most_cells ({most}); check with --dry-run, then pass --yes"
        )
    finished = FinishedCells.read(file.parent / settings.results if settings.results else None)
    rows = run_cells(grid, runs, finished, cluster=cluster)
    result = ExperimentResult(
        name=settings.name,
        axes=tuple(settings.axes),
        rows=tuple(rows),
        gold=finished.gold,
        failed=finished.failed,
        folder=Path(runs) / settings.name,
    )
    if rows:
        write_experiment(result)
        write_text(result.folder / TABLE, experiment_markdown(result))
    return result


def run_cells(
    cells: Sequence[Cell], runs: Path | str, finished: FinishedCells, *, cluster: str | None = None
) -> list[FinishedCell]:
    """Compute the cells that are missing; a cell that fails is noted, and the others go on.

    Args:
        cells: of one experiment.
        runs: the folder of runs, whose artefacts they share.
        finished: finished cells; every new row is added and written at once.
        cluster: the address of a Ray cluster on which cells run side by side, each with a GPU to itself (without
            GPUs: a core); every node must see `runs` and this folder at the same place. None: one after another here.

    Returns:
        the rows of the cells that are finished, in their order.
    """
    found: dict[int, FinishedCell] = {}
    missing: list[int] = []
    for number, cell in enumerate(cells):
        try:
            row = finished.of(key_of(cell), cell.at)
        except HornbookError as error:
            _note_failed(cell, finished, error)
            continue
        if row is None:
            missing.append(number)
        else:
            found[number] = row
            finished.move(row)
    if found:
        logger.info("%d of %d cells are finished already", len(found), len(cells))
    for number, outcome in _compute(cells, missing, runs, cluster):
        cell = cells[number]
        if isinstance(outcome, HornbookError):
            _note_failed(cell, finished, outcome)
            continue
        row, gold = outcome
        found[number] = row
        finished.add(row, gold)
        score = f"{row.metric} {row.dev:.4f}" if isinstance(row, CellResult) else "measured"
        logger.info("%s: %s; %d of %d cells are finished", cell.name, score, len(found), len(cells))
    return [found[number] for number in sorted(found)]


def _note_failed(cell: Cell, finished: FinishedCells, error: HornbookError) -> None:
    logger.warning("%s: failed: %s", cell.name, error)
    finished.failed[cell.name] = str(error)


_Outcome = tuple[FinishedCell, dict[str, GoldLabels]]
"""A finished cell, and the gold labels of its task by the task's key."""


def _compute(
    cells: Sequence[Cell], missing: Sequence[int], runs: Path | str, cluster: str | None
) -> Iterator[tuple[int, _Outcome | HornbookError]]:
    """Yield the numbers of cells and their rows, or what went wrong, as they are finished."""
    if cluster is not None and missing:
        from hornbook.cluster import Cluster

        with Cluster(cluster) as there:
            outcomes = there.side_by_side(partial(_row, runs=runs), [cells[number] for number in missing])
            yield from ((missing[number], outcome) for number, outcome in outcomes)
        return
    broken: dict[str, HornbookError] = {}  # errors by the key of the stage: other cells may need it too
    for number in missing:
        cell = cells[number]
        if broken and (known := [broken[key] for key in unfinished(cell, runs) if key in broken]):
            yield number, known[0]
            continue
        logger.info("cell %d of %d: %s", number + 1, len(cells), cell.name)
        try:
            yield number, _row(cell, runs)
            continue
        except DiskFull:
            raise  # no other cell would fare better
        except HornbookError as caught:
            error = caught
        except Exception as other:  # memory that ran out, a file that is gone: the others may still go well
            logger.debug("%s", cell.name, exc_info=True)
            error = HornbookError(f"{type(other).__name__}: {one_line(other, 300)}")
        broken |= dict.fromkeys(unfinished(cell, runs)[:1], error)
        yield number, error


def _row(cell: Cell, runs: Path | str) -> _Outcome:
    store = Store(Path(runs) / pipeline.STORE)
    return _measured(cell, store) if cell.compared else _scored(cell, store)


def _measured(cell: Cell, store: Store) -> _Outcome:
    """Build the textbooks of a cell and measure them; none of their text is kept."""
    started = time.monotonic()
    task, books = pipeline.build_textbooks(cell.recipe, store, cell.compared)
    found = read_statistics(measured(books, task, store))
    for book in found["books"]:
        book["most_drawn"] = [{name: unit[name] for name in unit if name != "text"} for unit in book["most_drawn"]]
    row = TextbookCellResult(
        key=key_of(cell),
        at=dict(cell.at),
        task=task.key,
        minutes=_minutes_since(started),
        statistics=from_json(TextbookComparison, found),
    )
    return row, {}


def _scored(cell: Cell, store: Store) -> _Outcome:
    started = time.monotonic()
    made = pipeline.run_cell(cell.recipe, store, cell.textbook)
    student = made.models[-1]
    teachers = [model for model in made.models if model.name == TEACHER]
    task = open_task(made.task)
    row = CellResult(
        **vars(student.result()),
        key=key_of(cell),
        at=dict(cell.at),
        task=task.artifact.key,
        minutes=_minutes_since(started),
        predicted=predicted(student.evaluation, task),
        teachers=tuple(TeacherScore(row.seed, row.dev) for row in (teacher.result() for teacher in teachers)),
    )
    return row, {task.artifact.key: gold_of(task)}


def _minutes_since(started: float) -> float:
    return round((time.monotonic() - started) / 60, 1)

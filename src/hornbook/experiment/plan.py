"""The plan of an experiment: what its cells share, what is finished, how long the rest will take."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hornbook import pipeline
from hornbook.errors import HornbookError, Unreachable
from hornbook.experiment.finished import FinishedCells
from hornbook.experiment.grid import Cell
from hornbook.machine import hub
from hornbook.results import PlannedStage
from hornbook.store import Store, content_key
from hornbook.textbook.inspect.statistics import measured


@dataclass(frozen=True)
class ExperimentPlan:
    """What a run of an experiment would do.

    Attributes:
        cells: the number of cells.
        finished: the number of finished cells.
        stages: the number of distinct artefacts of all cells.
        shared: the number of stages that several cells need.
        missing: the number of stages that are not finished.
        seconds: the estimated time of the missing stages.
        failed: errors of cells that cannot run, by their names.
        unreachable: the sources that are on the hub, while it is out of reach.
        waiting: the number of cells that need one of these; the other figures leave them out.
    """

    cells: int
    finished: int
    stages: int
    shared: int
    missing: int
    seconds: int
    failed: dict[str, str]
    unreachable: tuple[str, ...]
    waiting: int


@hub.briefly()
def plan(cells: Sequence[Cell], runs: Path | str, finished: FinishedCells) -> ExperimentPlan:
    """Return what a run of the cells would do, without doing it."""
    needed: dict[str, PlannedStage] = {}
    times: Counter[str] = Counter()
    done = waiting = 0
    failed: dict[str, str] = {}
    unreachable: dict[str, None] = {}
    for cell in cells:
        store = Store(Path(runs) / pipeline.STORE, dry=True)
        try:
            _run_dry(cell, store)
        except Unreachable:
            unreachable |= dict.fromkeys(pipeline.out_of_reach(cell.recipe))
            waiting += 1
            continue
        except HornbookError as error:
            failed[cell.name] = str(error)
            continue
        stages = pipeline.estimates(store)
        times.update({stage.key for stage in stages})
        if finished.of(key_of(cell), cell.at) is not None:
            done += 1
            continue
        needed |= {stage.key: stage for stage in stages}
    missing = [stage for stage in needed.values() if not stage.reused]
    return ExperimentPlan(
        cells=len(cells),
        finished=done,
        stages=len(times),
        shared=sum(count > 1 for count in times.values()),
        missing=len(missing),
        seconds=sum(stage.estimated_seconds for stage in missing),
        failed=failed,
        unreachable=tuple(unreachable),
        waiting=waiting,
    )


def key_of(cell: Cell) -> str:
    """Return the key of a cell's row: that of the student's evaluation, or of the textbooks' statistics.

    It is planned in an empty store, so the key does not depend on which of several teachers is the best.
    """
    return _run_dry(cell, Store(Path(os.devnull), dry=True))


def unfinished(cell: Cell, runs: Path | str) -> list[str]:
    """Return the keys of the stages that a cell still needs, in order; none where it cannot be planned."""
    store = Store(Path(runs) / pipeline.STORE, dry=True)
    try:
        _run_dry(cell, store)
    except HornbookError:
        return []
    return [artifact.key for artifact in store.requested if artifact.planned]


def _run_dry(cell: Cell, dry: Store) -> str:
    """Plan all that a cell needs in a dry store, and return the cell's key."""
    if cell.compared:
        task, books = pipeline.build_textbooks(cell.recipe, dry, cell.compared)
        return measured(books, task, dry).key
    evaluated = pipeline.run_cell(cell.recipe, dry, cell.textbook).models[-1].evaluation.key
    seeds = cell.recipe.teacher.seeds
    # Where nothing is finished, the first of several teachers stands for the best of them.
    return evaluated if len(seeds) < 2 else content_key("row", 1, {"teacher.seeds": seeds}, {"evaluation": evaluated})

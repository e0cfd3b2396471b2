"""Run the cells of an experiment, one after another or side by side; what they share is computed once."""

import logging
import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from hornbook import pipeline
from hornbook.errors import DiskFull, HornbookError, Unreachable
from hornbook.evaluation.compare import compact
from hornbook.experiment.grid import Cell
from hornbook.experiment.results import Results, Row
from hornbook.machine import hub
from hornbook.store import Artifact, Store, content_key
from hornbook.tasks import Task, open_task
from hornbook.tasks.kinds import KINDS
from hornbook.textbook.inspect.statistics import measured, read_statistics

logger = logging.getLogger("hornbook")


@hub.briefly()
def plan(cells: Sequence[Cell], runs: Path | str, results: Results) -> dict[str, Any]:
    """Return what a run of the cells would do, without doing it.

    Returns:
        cells (how many), finished (of them), stages (distinct artefacts that all cells need), shared (of them, by two
        cells or more), missing (not finished), seconds (estimated, of the missing), failed (what is wrong with cells
        that cannot run, a source that is missing perhaps, by their names), unreachable (the sources of which the hub
        could not be asked), waiting (how many cells need one of these: of them only the number is known).
    """
    asked: dict[str, dict[str, Any]] = {}
    times: Counter[str] = Counter()
    finished = 0
    failed: dict[str, str] = {}
    unreachable: dict[str, None] = {}
    waiting = 0
    for cell in cells:
        store = Store(Path(runs) / pipeline.STORE, dry=True)
        try:
            _asked(cell, store)
        except Unreachable:
            unreachable |= dict.fromkeys(pipeline.out_of_reach(cell.recipe))
            waiting += 1
            continue
        except HornbookError as error:
            failed[cell.name] = str(error)
            continue
        stages = pipeline.estimates(store)
        times.update({stage["key"] for stage in stages})
        if results.of(_key(cell), cell.at) is not None:
            finished += 1
            continue
        asked |= {stage["key"]: stage for stage in stages}
    missing = [stage for stage in asked.values() if not stage["reused"]]
    return {
        "cells": len(cells),
        "finished": finished,
        "stages": len(times),
        "shared": sum(count > 1 for count in times.values()),
        "missing": len(missing),
        "seconds": sum(stage["estimated_seconds"] for stage in missing),
        "failed": failed,
        "unreachable": list(unreachable),
        "waiting": waiting,
    }


def run(cells: Sequence[Cell], runs: Path | str, results: Results, *, cluster: str | None = None) -> list[Row]:
    """Compute the cells that are missing; a cell that fails is noted, and the others go on.

    Args:
        cells: of one experiment.
        runs: the folder of runs, whose artefacts they share.
        results: what is finished; every further row is added at once.
        cluster: the address of a Ray cluster on which cells run side by side, each with a GPU to itself (without
            GPUs: a core); every node must see `runs` and this folder at the same place. None: one after another here.

    Returns:
        the rows of the cells that are finished, in their order.
    """
    found: dict[int, Row] = {}
    missing: list[int] = []
    for number, cell in enumerate(cells):
        try:
            row = results.of(_key(cell), cell.at)
        except HornbookError as error:
            _note_failed(cell, results, error)
            continue
        if row is None:
            missing.append(number)
        else:
            found[number] = row
            results.place(row)
    if found:
        logger.info("%d of %d cells are finished already", len(found), len(cells))
    for number, came in _computed(cells, missing, runs, cluster):
        cell = cells[number]
        if isinstance(came, HornbookError):
            _note_failed(cell, results, came)
            continue
        row, gold = came
        found[number] = row
        results.add(row, gold)
        said = "measured" if cell.compared else f"{row['metric']} {row['dev']:.4f}"
        logger.info("%s: %s; %d of %d cells are finished", cell.name, said, len(found), len(cells))
    return [found[number] for number in sorted(found)]


def _note_failed(cell: Cell, results: Results, error: HornbookError) -> None:
    logger.warning("%s: failed: %s", cell.name, error)
    results.failed[cell.name] = str(error)


_Made = tuple[Row, dict[str, Any]]


def _computed(
    cells: Sequence[Cell], missing: Sequence[int], runs: Path | str, cluster: str | None
) -> Iterator[tuple[int, _Made | HornbookError]]:
    """Yield the numbers of cells and their rows with the gold labels of their tasks, as they are finished."""
    if cluster is not None and missing:
        from hornbook.cluster import Cluster

        with Cluster(cluster) as there:
            made = there.side_by_side(partial(_row, runs=runs), [cells[number] for number in missing])
            yield from ((missing[place], came) for place, came in made)
        return
    broken: dict[str, HornbookError] = {}  # what is wrong with stages, by their keys: other cells may need them too
    for number in missing:
        cell = cells[number]
        if broken and (known := [broken[key] for key in _unfinished(cell, runs) if key in broken]):
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
            said = " ".join(str(other).split())
            error = HornbookError(f"{type(other).__name__}: {said[:300]}")
        broken |= dict.fromkeys(_unfinished(cell, runs)[:1], error)
        yield number, error


def _unfinished(cell: Cell, runs: Path | str) -> list[str]:
    """Return the keys of the stages that a cell still needs, in their order; none where it cannot be planned."""
    store = Store(Path(runs) / pipeline.STORE, dry=True)
    try:
        _asked(cell, store)
    except HornbookError:
        return []
    return [artifact.key for artifact in store.requested if artifact.planned]


def _key(cell: Cell) -> str:
    """Return the key of a cell's row: of what the student's evaluation, or the textbooks' statistics, are made from.

    It is asked of an empty store, so it does not hang on what is finished where: of several teachers which is the
    best one.
    """
    return _asked(cell, Store(Path(os.devnull), dry=True))


def _asked(cell: Cell, dry: Store) -> str:
    """Ask a dry store for all that a cell needs, and return the key of the last."""
    if cell.compared:
        task, books = pipeline.books(cell.recipe, dry, cell.compared)
        return measured(books, task, dry).key
    for _ in pipeline.cell(cell.recipe, dry, cell.textbook):
        pass
    evaluated, seeds = dry.requested[-1].key, cell.recipe.teacher.seeds
    # Where nothing is finished, the first of several teachers stands for the best of them.
    return evaluated if len(seeds) < 2 else content_key("row", 1, {"teacher.seeds": seeds}, {"evaluation": evaluated})


def _row(cell: Cell, runs: Path | str) -> _Made:
    store = Store(Path(runs) / pipeline.STORE)
    started = time.monotonic()
    row, gold = (_measured(cell, store), {}) if cell.compared else _scored(cell, store)
    return row | {
        "key": _key(cell),
        "at": dict(cell.at),
        "minutes": round((time.monotonic() - started) / 60, 1),
    }, gold


def _measured(cell: Cell, store: Store) -> Row:
    """Build the textbooks of a cell and measure them; what is kept holds none of their text."""
    task, books = pipeline.books(cell.recipe, store, cell.compared)
    made = measured(books, task, store)
    found = read_statistics(made)
    for book in found["books"]:
        book["most_drawn"] = [{name: unit[name] for name in unit if name != "text"} for unit in book["most_drawn"]]
    return {"task": task.key, "statistics": found}


def _scored(cell: Cell, store: Store) -> _Made:
    *teachers, row = pipeline.cell(cell.recipe, store, cell.textbook)
    scored = store.requested[-1]
    task = open_task(next(artifact for artifact in store.requested if artifact.stage == "task"))
    gold = {
        "name": task.name,
        "kind": task.kind,
        "metric": task.metric,
        "labels": list(task.labels),
        "dev": compact(task.gold("dev").tolist()),
    }
    row |= {
        "task": task.key,
        "predicted": compact(_predicted(scored, task)),
        "teachers": [{name: teacher[name] for name in ("seed", "dev")} for teacher in teachers],
    }
    return row, {task.key: gold}


def _predicted(scored: Artifact, task: Task) -> list[Any]:
    """Return what a model said of dev as `Task.gold` has it: class indices, 0 or 1 for every label, or scores."""
    said = pq.read_table(scored.file("predictions-dev.parquet"), columns=["predicted"])["predicted"].to_pylist()
    return KINDS[task.kind].unnamed(said, task.labels)

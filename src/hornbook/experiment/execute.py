"""Run the cells of an experiment one after another; what they share is computed once."""

import logging
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from hornbook import pipeline
from hornbook.artifact import Artifact, Store
from hornbook.errors import HornbookError
from hornbook.evaluation.compare import compact
from hornbook.experiment.grid import Cell
from hornbook.experiment.results import Results, Row
from hornbook.tasks import open_task

logger = logging.getLogger("hornbook")


def plan(cells: Sequence[Cell], runs: Path | str, results: Results) -> dict[str, Any]:
    """Return what a run of the cells would do, without doing it.

    Returns:
        cells (how many), finished (of them), stages (distinct artefacts that all cells need), shared (of them, by two
        cells or more), missing (not finished), seconds (estimated, of the missing), failed (what is wrong with cells
        that cannot run, a source that is missing perhaps, by their names).
    """
    asked: dict[str, dict[str, Any]] = {}
    times: Counter[str] = Counter()
    finished = 0
    failed: dict[str, str] = {}
    for cell in cells:
        store = Store(Path(runs) / pipeline.STORE, dry=True)
        try:
            stages = pipeline.planned_cell(cell.recipe, store, cell.textbook)
        except HornbookError as error:
            failed[cell.name] = str(error)
            continue
        times.update({stage["key"] for stage in stages})
        if results.of(store.asked[-1].key, cell.at) is not None:
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
    }


def run(cells: Sequence[Cell], runs: Path | str, results: Results) -> list[Row]:
    """Compute the cells that are missing, one after another; a cell that fails is noted, and the others go on.

    Args:
        cells: of one experiment.
        runs: the folder of runs, whose artefacts they share.
        results: what is finished; every further row is added at once.

    Returns:
        the rows of the cells that are finished, in their order.
    """
    rows = []
    for number, cell in enumerate(cells, 1):
        try:
            row = _finished(cell, runs, results)
            if row is None:
                logger.info("cell %d of %d: %s", number, len(cells), cell.name)
                row = _computed(cell, runs, results)
        except HornbookError as error:
            logger.warning("cell %d of %d failed: %s: %s", number, len(cells), cell.name, error)
            results.failed[cell.name] = str(error)
            continue
        rows.append(row)
        logger.info("cell %d of %d: %s: %s %.4f", number, len(cells), cell.name, row["metric"], row["dev"])
    return rows


def _finished(cell: Cell, runs: Path | str, results: Results) -> Row | None:
    store = Store(Path(runs) / pipeline.STORE, dry=True)
    for _ in pipeline.cell(cell.recipe, store, cell.textbook):
        pass
    return results.of(store.asked[-1].key, cell.at)


def _computed(cell: Cell, runs: Path | str, results: Results) -> Row:
    store = Store(Path(runs) / pipeline.STORE)
    started = time.monotonic()
    *teachers, row = pipeline.cell(cell.recipe, store, cell.textbook)
    scored = store.asked[-1]
    task = open_task(next(artifact for artifact in store.asked if artifact.stage == "task"))
    if task.key not in results.gold:
        results.gold[task.key] = {
            "name": task.name,
            "kind": task.kind,
            "metric": task.metric,
            "labels": list(task.labels),
            "dev": compact(task.gold("dev").tolist()),
        }
    row |= {
        "key": scored.key,
        "task": task.key,
        "at": dict(cell.at),
        "minutes": round((time.monotonic() - started) / 60, 1),
        "predicted": compact(_predicted(scored, task.labels)),
        "teachers": [{name: teacher[name] for name in ("seed", "dev")} for teacher in teachers],
    }
    results.add(row)
    return row


def _predicted(scored: Artifact, labels: Sequence[str]) -> list[Any]:
    """Return what a model said of dev: class indices, lists of them, or scores."""
    said = pq.read_table(scored.file("predictions-dev.parquet"), columns=["predicted"])["predicted"].to_pylist()
    index = {label: number for number, label in enumerate(labels)}
    if said and isinstance(said[0], str):
        return [index[label] for label in said]
    return [[index[label] for label in chosen] if isinstance(chosen, list) else chosen for chosen in said]

"""Results that no run has made."""

import random
from pathlib import Path
from typing import Any

from hornbook.results import CellResult, ExperimentResult, GoldLabels, Inspection, ModelResult, RunResult, TaskResult
from hornbook.results.summary import remarks, summarise

TASK = TaskResult(key="t", name="films", kind="classification", metric="accuracy", examples={"dev": 872})


def row(name: str, dev: float, textbook: str | None = None, seed: int = 0, **more: Any) -> ModelResult:
    """A model of 10 million parameters."""
    measured = {"parameters": 10_000_000, "sentences_per_second": 100.0, "seconds": 1.0, "calibration_error": 0.02}
    measured |= {"test": None, "metric": "accuracy", "share_cut": 0.0, **more}
    return ModelResult(name=name, seed=seed, dev=dev, textbook=textbook, **measured)


TEACHER = row("teacher", 0.9, parameters=40_000_000, sentences_per_second=20.0)


def run_of(*rows: ModelResult, **more: Any) -> RunResult:
    """A run of these models."""
    known = {"stages": (), "models": (), "recipe": {"name": "films"}, "task": TASK, "inspection": Inspection()}
    known |= {"rows": rows, "summary": summarise(rows), "remarks": remarks(rows), "folder": Path("runs/films")}
    return RunResult(**(known | more))


def experiment_of(axes: dict[str, tuple], seeds: tuple[int, ...] = (0, 1, 2), **more: Any) -> ExperimentResult:
    """An experiment with a cell for each combination of the axes and seeds; later combinations are better."""
    draw = random.Random(0)
    gold = "".join(draw.choice("01") for _ in range(872))
    cells: list[dict] = [{}]
    for axis, values in {**axes, "seed": seeds}.items():
        cells = [{**cell, axis: value} for cell in cells for value in values]
    rows = []
    for number, at in enumerate(cells):
        right = 0.6 + 0.02 * (number // len(seeds))
        predicted = "".join(one if draw.random() < right else "10"[int(one)] for one in gold)
        dev = sum(a == b for a, b in zip(predicted, gold, strict=True)) / len(gold)
        task = str(at.get("task", "films"))
        scored = vars(row("book", dev, "9 units", at["seed"]))
        rows.append(CellResult(**scored, key=str(number), at=at, task=task, minutes=1.5, predicted=predicted))
    labels = {one.task: GoldLabels("classification", "accuracy", gold, ("no", "yes"), one.task) for one in rows}
    known = {"name": "grid", "axes": (*axes, "seed"), "rows": tuple(rows), "gold": labels}
    return ExperimentResult(**(known | more))

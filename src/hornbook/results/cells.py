"""The cells of an experiment, seeds together: one configuration a row, its tasks as columns, their average."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from hornbook.results.differences import SEED, TASK
from hornbook.results.rows import AxisValue, CellResult, FinishedCell, Spread
from hornbook.results.summary import spread_of
from hornbook.tasks.glue import GLUE, glue_average


@dataclass(frozen=True)
class CellSummary:
    """The seeds of one cell together.

    Attributes:
        at: the values of the axes but the seed.
        metric: the name of the headline score.
        dev: the headline score on dev.
        by_seed: the score of each seed.
        seeds: in the same order.
        numbers: which of the rows they are.
        minutes: of all seeds.
    """

    at: dict[str, AxisValue]
    metric: str
    dev: Spread
    by_seed: tuple[float, ...]
    seeds: tuple[int, ...]
    numbers: tuple[int, ...]
    minutes: float

    @property
    def task(self) -> str:
        """The value of the axis `task`; `dev` without this axis."""
        return str(self.at.get(TASK, "dev"))


@dataclass(frozen=True)
class Average:
    """The mean of the headline scores of several tasks: over seeds, and of each seed that all tasks have."""

    dev: Spread
    by_seed: tuple[float, ...]


@dataclass(frozen=True)
class Configuration:
    """One way to make a student, on several tasks.

    Attributes:
        at: the values of the axes but seed and task.
        by_task: its cells, by task.
        average: over all tasks of the experiment; None where there is one task, or a task is missing.
    """

    at: dict[str, AxisValue]
    by_task: dict[str, CellSummary]
    average: Average | None


def varying(rows: Sequence[FinishedCell], axes: Sequence[str]) -> tuple[str, ...]:
    """Return the axes with more than one value: the others say the same of every cell."""
    return tuple(axis for axis in axes if len({row.at[axis] for row in rows}) > 1)


def summarise_cells(rows: Sequence[CellResult], axes: Sequence[str]) -> list[CellSummary]:
    """Return one summary for each combination of the axes but the seed."""
    groups: dict[tuple[AxisValue, ...], list[int]] = {}
    for number, row in enumerate(rows):
        groups.setdefault(tuple(row.at[axis] for axis in axes if axis != SEED), []).append(number)
    found = []
    for numbers in groups.values():
        same = [rows[number] for number in numbers]
        scores = [row.dev for row in same]
        found.append(
            CellSummary(
                at={axis: value for axis, value in same[0].at.items() if axis != SEED},
                metric=same[0].metric,
                dev=spread_of(scores),
                by_seed=tuple(scores),
                seeds=tuple(row.seed for row in same),
                numbers=tuple(numbers),
                minutes=sum(row.minutes for row in same),
            )
        )
    return found


def tasks_of(cells: Sequence[CellSummary]) -> tuple[str, ...]:
    """Return the tasks of an experiment, in the order of its cells."""
    return tuple(dict.fromkeys(cell.task for cell in cells))


def average_name(tasks: Sequence[str]) -> str:
    """Return the name of the average over tasks: AVG for the eight of GLUE, as in the paper."""
    return "AVG" if set(tasks) == set(GLUE) else f"mean of {len(tasks)} tasks"


def configurations(rows: Sequence[CellResult], axes: Sequence[str]) -> list[Configuration]:
    """Return the cells of an experiment by all axes but seed and task: the rows of the paper's Table 2."""
    cells = summarise_cells(rows, axes)
    named = [axis for axis in axes if axis not in {SEED, TASK}]
    groups: dict[tuple[AxisValue, ...], dict[str, CellSummary]] = {}
    for cell in cells:
        groups.setdefault(tuple(cell.at[axis] for axis in named), {})[cell.task] = cell
    tasks = tasks_of(cells)
    return [
        Configuration(dict(zip(named, at, strict=True)), by_task, _average(rows, by_task, tasks))
        for at, by_task in groups.items()
    ]


def _average(rows: Sequence[CellResult], by_task: dict[str, CellSummary], tasks: Sequence[str]) -> Average | None:
    if len(tasks) < 2 or by_task.keys() != set(tasks):
        return None
    by_seed: dict[str, dict[int, float]] = {
        task: {rows[number].seed: _headline(rows[number], task) for number in cell.numbers}
        for task, cell in by_task.items()
    }
    first, *others = by_seed.values()
    shared = [seed for seed in first if all(seed in of_task for of_task in others)]
    of_seed = tuple(_mean({task: scores[seed] for task, scores in by_seed.items()}) for seed in shared)
    if all(len(scores) == len(shared) for scores in by_seed.values()):
        return Average(spread_of(of_seed), of_seed)
    mean = _mean({task: statistics.mean(scores.values()) for task, scores in by_seed.items()})
    return Average(Spread(mean, mean, None), of_seed)


def _headline(row: CellResult, task: str) -> float:
    """Return the score that enters the average: of a GLUE task by the paper's metric, whatever the recipe's is."""
    metric = GLUE[task].metric if task in GLUE else row.metric
    return row.scores.get("dev", {}).get(metric, row.dev)


def _mean(scores: dict[str, float]) -> float:
    return glue_average(scores) if scores.keys() == set(GLUE) else statistics.mean(scores.values())

"""Paired differences between the cells of an experiment, with intervals over resampled dev examples."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from hornbook.results.predictions import resampled
from hornbook.results.rows import AxisValue, CellResult, GoldLabels

SEED, TASK, TEXTBOOK = "seed", "task", "textbook"
"""Axes with a meaning of their own."""
Resampled = Callable[[int], NDArray[np.float64]]
"""The resampled scores of a cell, by its number."""


@dataclass(frozen=True)
class Difference:
    """How much more one group of students scores than another.

    Attributes:
        mean: of the differences of scores, over seeds.
        low, high: 95% interval by resampling dev examples (percentile bootstrap). Seeds are not resampled: it says
            how sure the difference of these students is on other examples of the task.
        seeds: how many pairs.
    """

    mean: float
    low: float
    high: float
    seeds: int

    @property
    def clear(self) -> bool:
        """Whether the interval leaves out zero."""
        return self.low > 0 or self.high < 0

    def __neg__(self) -> "Difference":
        return Difference(-self.mean, -self.high, -self.low, self.seeds)


@dataclass(frozen=True)
class PairedDifference:
    """Two values of an axis between which all other axes agree.

    Attributes:
        axis: its name.
        at: the values of the other axes but the seed.
        better, worse: the two values.
        difference: of `better` over `worse`, at least 0.
        complete: whether both have the same seeds.
    """

    axis: str
    at: dict[str, AxisValue]
    better: AxisValue
    worse: AxisValue
    difference: Difference
    complete: bool


def difference(a: Mapping[int, NDArray[np.float64]], b: Mapping[int, NDArray[np.float64]]) -> Difference:
    """Compare students pair by pair.

    Args:
        a: what `resampled` returns for the students of one group, by seed.
        b: the same for the other group; pairs are those of equal seeds.

    Returns:
        how much more `a` scores than `b`.

    Raises:
        ValueError: no two students have the same seed.
    """
    seeds = [seed for seed in a if seed in b]
    if not seeds:
        raise ValueError("no two rows have the same seed")
    whole, *samples = np.mean([a[seed] - b[seed] for seed in seeds], axis=0)
    low, high = np.percentile(samples, [2.5, 97.5])
    return Difference(float(whole), float(low), float(high), len(seeds))


def resampled_cells(rows: Sequence[CellResult], gold: Mapping[str, GoldLabels]) -> Resampled:
    """Return a function from a cell's number to its resampled scores; each is resampled once."""
    return cache(lambda number: resampled(rows[number].predicted, gold[rows[number].task]))


def differences(rows: Sequence[CellResult], axes: Sequence[str], scores: Resampled) -> list[PairedDifference]:
    """Compare every two values of an axis while all other axes are equal.

    Args:
        rows: of an experiment.
        axes: those that vary.
        scores: see `resampled_cells`.

    Returns:
        one difference for each pair of values, those of the axis `textbook` first.
    """
    compared = sorted((axis for axis in axes if axis not in {SEED, TASK}), key=lambda axis: axis != TEXTBOOK)
    return [pair for axis in compared for pair in _differences(rows, axes, axis, scores)]


def _differences(
    rows: Sequence[CellResult], axes: Sequence[str], axis: str, scores: Resampled
) -> Iterator[PairedDifference]:
    groups: dict[tuple[object, ...], dict[AxisValue, dict[int, int]]] = {}
    for number, row in enumerate(rows):
        others = tuple((other, row.at[other]) for other in axes if other not in {SEED, axis})
        groups.setdefault((row.task, others), {}).setdefault(row.at[axis], {})[row.seed] = number
    for values in groups.values():
        first = rows[next(iter(next(iter(values.values())).values()))]
        at = {other: first.at[other] for other in axes if other not in {SEED, axis}}
        for one, other in combinations(values, 2):
            if not values[one].keys() & values[other].keys():
                continue
            ours, theirs = ({seed: scores(at) for seed, at in values[name].items()} for name in (one, other))
            between = difference(ours, theirs)
            better, worse = (one, other) if between.mean >= 0 else (other, one)
            between = between if between.mean >= 0 else -between
            yield PairedDifference(axis, at, better, worse, between, ours.keys() == theirs.keys())

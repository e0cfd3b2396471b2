"""Predictions and gold labels of dev: kept short in files, scored on resamples."""

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hornbook.metrics import score_of
from hornbook.results.rows import Compact, GoldLabels

RESAMPLES = 1_000


def resampled(predicted: Compact, gold: GoldLabels, seed: int = 0) -> NDArray[np.float64]:
    """Return a student's score on dev, then its scores on resamples of the examples, the same for every student.

    Args:
        predicted: as `compact` makes it.
        gold: of its task.
        seed: of the resampling.

    Returns:
        [1 + RESAMPLES].
    """
    right, answers = (np.array(expanded(values)) for values in (gold.dev, predicted))
    random = np.random.default_rng(seed)
    samples = (random.integers(len(right), size=len(right)) for _ in range(RESAMPLES))
    if gold.kind == "classification" and gold.metric in ("accuracy", "agreement"):
        # The score is the mean over examples.
        each = (answers == right).astype(float)
        return np.array([each.mean(), *(each[rows].mean() for rows in samples)])
    every: Iterable[Any] = itertools.chain([slice(None)], samples)
    return np.array([score_of(gold.kind, gold.metric, right[rows], answers[rows]) for rows in every])


def compact(values: Sequence[Any]) -> Compact:
    """Return labels or scores shorter: class indices below ten as one text of digits, scores with nine digits."""
    if all(isinstance(value, int) and 0 <= value < 10 for value in values):
        return "".join(map(str, values))
    return [float(f"{value:.9g}") if isinstance(value, float) else value for value in values]


def expanded(values: Compact) -> list[Any]:
    """Return what `compact` made short."""
    return [int(digit) for digit in values] if isinstance(values, str) else list(values)

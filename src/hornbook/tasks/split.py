"""Stratified splits and samples: systematic sampling of rows sorted by stratum and shuffled inside.

Every tenth row of that order goes to dev and every tenth to test, so each stratum's share of a split is within
one row of exact, and so is the split's size.
"""

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np

from hornbook.tasks.labels import Kind

_BINS = 10
_PERIOD = 10
# Not neighbours: of any two rows that follow each other one is always in train.
_DEV_AT, _TEST_AT = 3, 8

Indices = np.ndarray[tuple[int], np.dtype[np.int64]]


def strata(labels: Sequence[Any], kind: Kind) -> Indices:
    """Return the stratum of each row: its class, its rarest label (0: it has none), or the decile of its score.

    Args:
        labels: class indices, rows of 0 and 1 for each label, or scores, one a row.
        kind: which of these.
    """
    if kind == "classification":
        return np.asarray(labels, dtype=np.int64)
    if kind == "multilabel":
        present = np.asarray(labels, dtype=np.int64)
        frequency = np.where(present == 1, present.sum(axis=0), len(present) + 1)
        return np.where(present.any(axis=1), frequency.argmin(axis=1) + 1, 0)
    ranks = np.empty(len(labels), dtype=np.int64)
    ranks[np.argsort(np.asarray(labels), kind="stable")] = np.arange(len(labels))
    return ranks * _BINS // len(labels)


def copies(texts: Sequence[Hashable]) -> tuple[Indices, Indices]:
    """Return the number of each row's text, in order of first appearance, and the row in which each text is first."""
    numbers: dict[Hashable, int] = {}
    text_of_row = np.array([numbers.setdefault(text, len(numbers)) for text in texts], np.int64)
    return text_of_row, np.unique(text_of_row, return_index=True)[1]


def shuffled_by_stratum(groups: Indices, seed: int) -> Indices:
    """Return the row numbers sorted by stratum, in random order inside a stratum."""
    order = np.random.default_rng(seed).permutation(len(groups))
    return order[np.argsort(groups[order], kind="stable")]


def split_rows(groups: Indices, seed: int, with_test: bool) -> dict[str, Indices]:
    """Return the row numbers of train, dev and test, each ascending: 80/10/10, or 90/10 without test.

    Args:
        groups: the stratum of each row.
        seed: of the shuffle inside the strata.
        with_test: whether a test split is cut off too.
    """
    order = shuffled_by_stratum(groups, seed)
    place = np.arange(len(order)) % _PERIOD
    taken = {"dev": place == _DEV_AT}
    if with_test:
        taken["test"] = place == _TEST_AT
    rest = ~np.logical_or.reduce(list(taken.values()))
    return {name: np.sort(order[mask]) for name, mask in {"train": rest, **taken}.items()}


def sample_rows(groups: Indices, rows: int, seed: int) -> Indices:
    """Return `rows` row numbers, ascending, evenly spaced over the rows sorted by stratum.

    Args:
        groups: the stratum of each row.
        rows: how many to keep, at most all.
        seed: of the shuffle inside the strata and of where the spacing begins.
    """
    order = shuffled_by_stratum(groups, seed)
    rows = min(rows, len(order))
    start = np.random.default_rng(seed).random()
    places = ((np.arange(rows) + start) * len(order) / rows).astype(np.int64)
    return np.sort(order[np.minimum(places, len(order) - 1)])

"""Stratified splits and samples: systematic sampling of rows sorted by stratum and shuffled within each.

Every tenth row of that order goes to dev and every tenth to test. So the share of each stratum in a split, and the
size of a split, are within one row of exact. Rows with the same text stay in one split.
"""

import logging
from collections.abc import Hashable, Mapping, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from hornbook.errors import HornbookError
from hornbook.tasks.kinds import KINDS, Indices
from hornbook.tasks.labels import Labels
from hornbook.tasks.names import listed
from hornbook.tasks.warnings import text_keys

logger = logging.getLogger("hornbook")

_PERIOD = 10
# Not neighbours: of any two rows that follow each other one is always in train.
_DEV_AT, _TEST_AT = 3, 8
_FEWEST_ROWS = 10


def complete(
    tables: Mapping[str, pa.Table], labels: Labels, seed: int, where: str
) -> tuple[dict[str, pa.Table], dict[str, str]]:
    """Cut dev from train if it is missing, and test too if both are.

    Args:
        tables: the splits that are given: text, text_pair, label.
        labels: of all splits.
        seed: of the split.
        where: the source of train, for messages.

    Returns:
        all splits, and for each where it comes from.

    Raises:
        HornbookError: there are too few texts to split.
    """
    how = dict.fromkeys(tables, "given")
    if "dev" in tables:
        return dict(tables), how if "test" in how else {**how, "test": "none given"}
    # Rows with the same text stay together, or train would give away the answers of dev.
    text_of_row, firsts = copies(text_keys(tables["train"]))
    groups = KINDS[labels.kind].strata(labels.values["train"])[firsts]
    if len(groups) < _FEWEST_ROWS:
        raise HornbookError(
            f"{where}: {len(groups)} texts are too few to split; give {_FEWEST_ROWS} or more, or a dev file"
        )
    with_test = "test" not in tables
    parts = split_rows(groups, seed, with_test)
    shares = {"train": 80 if with_test else 90, "dev": 10, "test": 10}
    how |= {split: f"{shares[split]}% of the texts, stratified, seed {seed}" for split in parts}
    parts = _keeping_labels(parts, text_of_row, labels, where)
    cut = {split: tables["train"].filter(pa.array(np.isin(text_of_row, texts))) for split, texts in parts.items()}
    return {**tables, **cut}, how


def sample(train: pa.Table, labels: Labels, rows: int, seed: int, where: str) -> pa.Table:
    """Return a stratified sample of train that still has every label.

    Args:
        train: text, text_pair, label.
        labels: of all splits.
        rows: how many to keep.
        seed: of the sample.
        where: the source of train, for messages.

    Returns:
        the sampled rows, in their order in train.

    Raises:
        HornbookError: the sample has lost a label.
    """
    kept = sample_rows(KINDS[labels.kind].strata(train.column("label").to_pylist()), rows, seed)
    smaller = train.take(pa.array(kept))
    lost = np.flatnonzero((_frequencies(train, labels) > 0) & (_frequencies(smaller, labels) == 0))
    if len(lost):
        names = listed([repr(labels.names[i]) for i in lost])
        raise HornbookError(f"{where}: train_rows: {rows} rows hold none of label {names}; give more")
    return smaller


def copies(texts: Sequence[Hashable]) -> tuple[Indices, Indices]:
    """Return the number of each row's text, in order of first appearance, and the row in which each text is first."""
    numbers: dict[Hashable, int] = {}
    text_of_row = np.array([numbers.setdefault(text, len(numbers)) for text in texts], np.int64)
    return text_of_row, np.unique(text_of_row, return_index=True)[1]


def shuffled_by_stratum(groups: Indices, seed: int) -> Indices:
    """Return the row numbers sorted by stratum, in random order within a stratum."""
    order = np.random.default_rng(seed).permutation(len(groups))
    return order[np.argsort(groups[order], kind="stable")]


def split_rows(groups: Indices, seed: int, with_test: bool) -> dict[str, Indices]:
    """Return the row numbers of train, dev and test, each ascending: 80/10/10, or 90/10 without test.

    Args:
        groups: the stratum of each row, see `TaskKind.strata`; shape (rows,).
        seed: of the shuffle within the strata.
        with_test: whether a test split is cut off too.

    Returns:
        the row numbers by split.
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
        groups: the stratum of each row, shape (rows,).
        rows: how many to keep, at most all.
        seed: of the shuffle within the strata and of where the spacing begins.

    Returns:
        the row numbers, shape (min(rows, all),).
    """
    order = shuffled_by_stratum(groups, seed)
    rows = min(rows, len(order))
    start = np.random.default_rng(seed).random()
    places = ((np.arange(rows) + start) * len(order) / rows).astype(np.int64)
    return np.sort(order[np.minimum(places, len(order) - 1)])


def _keeping_labels(
    parts: Mapping[str, Indices], text_of_row: Indices, labels: Labels, where: str
) -> dict[str, Indices]:
    """Move texts to train so that it has every label, such as those that only one text has.

    Args:
        parts: the texts of each split.
        text_of_row: the text of each row.
        labels: of the rows.
        where: the file, for messages.
    """
    rows, own = KINDS[labels.kind].labels_of_rows(np.array(labels.values["train"]))
    if not len(rows):
        return dict(parts)
    text, label = np.unique([text_of_row[rows], own], axis=1)
    rare = [labels.names[i] for i in np.flatnonzero(np.bincount(label) == 1)]
    lost = np.setdiff1d(label, label[np.isin(text, parts["train"])])
    kept = text[np.isin(label, lost)]
    found = {split: np.setdiff1d(texts, kept) for split, texts in parts.items()}
    found["train"] = np.union1d(parts["train"], kept)
    if empty := next((split for split, texts in found.items() if len(texts) == 0), None):
        raise HornbookError(
            f"{where}: {len(rare)} of {len(labels.names)} labels ({listed(rare)}) have one text each, which leaves"
            f" none for {empty}; give more, or a dev file ({labels.kind} {labels.why})"
        )
    if rare:
        logger.warning(
            "%s: %d of %d labels have one text each; these stay in train, so dev and test do not show how well they"
            " are learned: %s",
            *(where, len(rare), len(labels.names), listed(rare)),
        )
    return found


def _frequencies(table: pa.Table, labels: Labels) -> NDArray[np.int64]:
    """Return the number of rows with each label, shape (labels,); shape (0,) for regression."""
    kind = KINDS[labels.kind]
    _, own = kind.labels_of_rows(kind.gold(table.column("label"), len(labels.names)))
    return np.bincount(own, minlength=len(labels.names))

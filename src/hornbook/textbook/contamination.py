"""Contamination: units of a textbook that hold a dev or test text of the task."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from hornbook.tasks import Task
from hornbook.terms.words import terms

SHORT_WORDS = 6
"""A held-out text of fewer words must be the whole unit; one of so many or more may be a part of it."""
SHARED_WORDS = 13
"""So many words in a row that a unit shares with a held-out text are enough."""


def held_out(task: Task) -> list[str]:
    """Return each distinct text of the task's splits but train; each text of a pair is one."""
    texts: dict[str, None] = {}
    for name in task.splits:
        if name != "train":
            split = task.split(name)
            for column in ("text", "text_pair"):
                texts |= dict.fromkeys(text for text in split.column(column).to_pylist() if text is not None)
    return list(texts)


class Finder:
    """Finds units that hold one of some texts.

    Words are compared, lower-cased, without what stands between them. A unit holds a text of fewer than
    `SHORT_WORDS` words if it has the same words and no others; a longer one if its words stand in the unit in a row,
    or `SHARED_WORDS` of them do.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self._short: set[tuple[str, ...]] = set()
        self._runs: dict[int, set[tuple[str, ...]]] = {}
        for words in map(tuple, map(terms, texts)):
            if len(words) >= SHORT_WORDS:
                size = min(len(words), SHARED_WORDS)
                self._runs.setdefault(size, set()).update(_runs(words, size))
            elif words:
                self._short.add(words)
        # What every run begins with: hardly any unit holds one of them, and the others need no closer look.
        self._begin = {run[:SHORT_WORDS] for runs in self._runs.values() for run in runs}

    def found(self, units: Sequence[str]) -> NDArray[np.bool_]:
        """Return for each unit whether it holds one of the texts, shape [units]."""
        return np.fromiter((self._in(tuple(terms(unit))) for unit in units), bool, len(units))

    def _in(self, unit: tuple[str, ...]) -> bool:
        if len(unit) < SHORT_WORDS:
            return unit in self._short
        if self._begin.isdisjoint(_runs(unit, SHORT_WORDS)):
            return False
        return any(not runs.isdisjoint(_runs(unit, size)) for size, runs in self._runs.items())


def _runs(words: tuple[str, ...], size: int) -> Iterator[tuple[str, ...]]:
    return (words[i : i + size] for i in range(len(words) - size + 1))


def screened(tables: Iterable[pa.Table], finder: Finder, counts: dict[str, int]) -> Iterator[pa.Table]:
    """Yield tables of units without those that hold a text, and count these as `contaminated`.

    A pair is left out if one of its texts does.
    """
    counts["contaminated"] = 0
    for table in tables:
        found = finder.found(table.column("text").to_pylist())
        pairs = table.column("text_pair")
        if pairs.null_count < len(pairs):
            found |= finder.found([text or "" for text in pairs.to_pylist()])
        counts["contaminated"] += int(found.sum())
        yield table.filter(pa.array(~found))

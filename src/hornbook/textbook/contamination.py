"""Contamination: units of a textbook that hold a dev or test text of the task."""

import re
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from hornbook.tasks import Task
from hornbook.terms.plain import folded
from hornbook.terms.words import MARKS

Words = tuple[str, ...]
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


_APART = re.compile(r"\s+(n't|'(?:s|re|ve|ll|d|m))(?!\w)")
_WORD = re.compile(r"[^\W_]+")
# Scripts without spaces between words: each character counts as a word (Thai to Myanmar, Khmer, kana, Chinese).
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_MARKED_WORD = re.compile(rf"[{_UNSPACED}]|(?:(?![{_UNSPACED}])[^\W_])(?:(?![{_UNSPACED}])[^\W_]|[{MARKS}])*")


def normalised(text: str) -> Words:
    """Return the runs of letters, their marks, and digits of a text as it looks to a reader, see `folded`.

    Apostrophes go without parting a word, and what tokenisers cut off is put back: "do n't" and "don't" are one word.
    """
    text = folded(text)
    if "'" in text:
        text = _APART.sub(r"\1", text).replace("'", "")
    return tuple((_WORD if text.isascii() else _MARKED_WORD).findall(text))


class Finder:
    """Finds units that hold one of some texts.

    Words are compared (see `normalised`). A unit holds a text of fewer than `SHORT_WORDS` words if it has the same
    words and no others; a longer one if its words stand in the unit in a row, or `SHARED_WORDS` of them do.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self._short: dict[Words, set[int]] = {}
        self._runs: dict[int, dict[Words, set[int]]] = {}
        for number, words in enumerate(map(normalised, texts)):
            if len(words) >= SHORT_WORDS:
                size = min(len(words), SHARED_WORDS)
                for run in _runs(words, size):
                    self._runs.setdefault(size, {}).setdefault(run, set()).add(number)
            elif words:
                self._short.setdefault(words, set()).add(number)
        # What every run begins with: hardly any unit holds one of them, and the others need no closer look.
        self._begin = {run[:SHORT_WORDS] for runs in self._runs.values() for run in runs}

    def found(self, units: Sequence[str]) -> NDArray[np.bool_]:
        """Return for each unit whether it holds one of the texts, shape [units]."""
        found = np.zeros(len(units), bool)
        found[[row for row, _ in self.texts_in(units)]] = True
        return found

    def texts_in(self, units: Sequence[str]) -> Iterator[tuple[int, set[int]]]:
        """Yield the rows of units that hold texts, with the numbers of these texts."""
        for row, unit in enumerate(units):
            if texts := self._texts_in(normalised(unit)):
                yield row, texts

    def _texts_in(self, unit: Words) -> set[int]:
        if len(unit) < SHORT_WORDS:
            return self._short.get(unit, set())
        if self._begin.isdisjoint(_runs(unit, SHORT_WORDS)):
            return set()
        found = (runs.get(run, ()) for size, runs in self._runs.items() for run in _runs(unit, size))
        return {number for numbers in found for number in numbers}


def _runs(words: Words, size: int) -> Iterator[Words]:
    return (words[i : i + size] for i in range(len(words) - size + 1))


def screened(
    tables: Iterable[pa.Table], finder: Finder, counts: dict[str, int], remove: bool = True
) -> Iterator[pa.Table]:
    """Count units that hold a text as `contaminated`, and yield the tables, if `remove` without them.

    A pair holds a text if one of its own does.
    """
    counts["contaminated"] = 0
    for table in tables:
        found = finder.found(table.column("text").to_pylist())
        pairs = table.column("text_pair")
        if pairs.null_count < len(pairs):
            found |= finder.found([text or "" for text in pairs.to_pylist()])
        counts["contaminated"] += int(found.sum())
        yield table.filter(pa.array(~found)) if remove else table

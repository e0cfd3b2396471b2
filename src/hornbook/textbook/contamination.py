"""Contamination: units of a textbook that contain a dev or test text of the task."""

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
"""A shorter held-out text must be the whole unit; one of at least this many words may be a part of it."""
SHARED_WORDS = 13
"""A unit that shares this many consecutive words with a held-out text contains it."""


def held_out(task: Task) -> list[str]:
    """Return the distinct texts of all splits except train; both texts of a pair count."""
    texts: dict[str, None] = {}
    for name in task.splits:
        if name != "train":
            split = task.split(name)
            for column in ("text", "text_pair"):
                texts |= dict.fromkeys(text for text in split.column(column).to_pylist() if text is not None)
    return list(texts)


_APART = re.compile(r"\s+(n't|'(?:s|re|ve|ll|d|m))(?!\w)")
_WORD = re.compile(r"[^\W_]+")
# Scripts without spaces between words, where each character counts as a word (Thai to Myanmar, Khmer, kana, Chinese).
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_MARKED_WORD = re.compile(rf"[{_UNSPACED}]|(?:(?![{_UNSPACED}])[^\W_])(?:(?![{_UNSPACED}])[^\W_]|[{MARKS}])*")


def normalised(text: str) -> Words:
    """Return the words of a text, for comparison: runs of letters, combining marks and digits of the `folded` text.

    Apostrophes are removed within words and tokenizers' splits are undone: "do n't" and "don't" are the same word.
    """
    text = folded(text)
    if "'" in text:
        text = _APART.sub(r"\1", text).replace("'", "")
    return tuple((_WORD if text.isascii() else _MARKED_WORD).findall(text))


class Finder:
    """Finds units that contain one of some texts.

    Words are compared (see `normalised`). A unit contains a text of fewer than `SHORT_WORDS` words if it has exactly
    the same words; a longer text if it has all its words in a row, or `SHARED_WORDS` of them.
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
        # The beginning of every run. Few units contain one, and only these need a closer look.
        self._prefixes = {run[:SHORT_WORDS] for runs in self._runs.values() for run in runs}

    def found(self, units: Sequence[str]) -> NDArray[np.bool_]:
        """Return whether each unit contains one of the texts, [units]."""
        found = np.zeros(len(units), bool)
        found[[row for row, _ in self.texts_in(units)]] = True
        return found

    def texts_in(self, units: Sequence[str]) -> Iterator[tuple[int, set[int]]]:
        """Yield the row of each unit that contains texts, and the numbers of these texts."""
        for row, unit in enumerate(units):
            if texts := self._texts_in(normalised(unit)):
                yield row, texts

    def _texts_in(self, unit: Words) -> set[int]:
        if len(unit) < SHORT_WORDS:
            return self._short.get(unit, set())
        if self._prefixes.isdisjoint(_runs(unit, SHORT_WORDS)):
            return set()
        found = (runs.get(run, ()) for size, runs in self._runs.items() for run in _runs(unit, size))
        return {number for numbers in found for number in numbers}


def _runs(words: Words, size: int) -> Iterator[Words]:
    return (words[i : i + size] for i in range(len(words) - size + 1))


def screened(
    tables: Iterable[pa.Table], finder: Finder, counts: dict[str, int], remove: bool = True
) -> Iterator[pa.Table]:
    """Count units that contain a held-out text as `contaminated`, and yield the tables.

    Args:
        tables: tables with columns `text` and `text_pair`; a pair contains a text if one of its texts does.
        finder: finds the texts.
        counts: the counts of the stage.
        remove: drop these units.

    Yields:
        The tables, without these units if `remove`.
    """
    counts["contaminated"] = 0
    for table in tables:
        found = finder.found(table.column("text").to_pylist())
        pairs = table.column("text_pair")
        if pairs.null_count < len(pairs):
            found |= finder.found([text or "" for text in pairs.to_pylist()])
        counts["contaminated"] += int(found.sum())
        yield table.filter(pa.array(~found)) if remove else table

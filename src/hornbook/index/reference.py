"""The reference of the compiled core's `UnitTerms`: texts to term ids and blocks of postings, in Python."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from hornbook.index.layout import GROUP_STRIPS, GROUP_WORDS, WINDOW_ROWS, is_sparse, strips_of
from hornbook.machine.arrow import text_buffers, texts_of
from hornbook.terms import terms


class UnitTerms:
    """The terms of units, and blocks of their postings.

    Args:
        kind: the kind of each character, see `terms.characters.tables`; not needed here.
        lower: the lower case of each character; not needed here.
    """

    def __init__(self, kind: NDArray[np.uint8], lower: NDArray[np.uint32]) -> None:
        self._units: list[list[str]] = []
        self._words: list[str] = []

    def add(self, offsets: NDArray[np.int32], data: NDArray[np.uint8]) -> Sequence[int]:
        """Add units and find their terms.

        Args:
            offsets: where texts end, see `text_buffers`, [texts + 1].
            data: their bytes in UTF-8.

        Returns:
            The numbers, counted over all calls, of the units whose terms must come from `put`: here none.
        """
        self._units += [terms(text) for text in texts_of(offsets, data).to_pylist()]
        return []

    def put(self, unit: int, terms: Sequence[str]) -> None:
        """Set the terms of a unit that `add` returned."""
        self._units[unit] = list(terms)

    def vocabulary(self) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
        """Return every term once, in the order of its bytes, as `text_buffers`. Call this before what follows."""
        self._words = sorted({term for unit in self._units for term in unit})
        return text_buffers(pa.array(self._words, pa.string()))

    def sequences(self) -> tuple[NDArray[np.int64], NDArray[np.uint32]]:
        """Return the terms of the units in order: the end of each unit, and positions in the vocabulary."""
        position = {word: number for number, word in enumerate(self._words)}
        flat = [position[word] for unit in self._units for word in unit]
        return np.cumsum([len(unit) for unit in self._units], dtype=np.int64), np.array(flat, np.uint32)

    def block(self, chosen: NDArray[np.int64], term_ids: NDArray[np.int32], terms: int) -> Iterator[NDArray[Any]]:
        """Invert some units.

        Args:
            chosen: their numbers, [rows].
            term_ids: the term id of each entry of the vocabulary, -1 where it is dropped.
            terms: number of term ids.

        Yields:
            Which of the chosen units each row is, [rows] uint32, then the fields of `Block` after `units`, in order.
        """
        id_of = {word: int(term_ids[number]) for number, word in enumerate(self._words)}
        counts = [Counter(id_of[word] for word in self._units[unit] if id_of[word] >= 0) for unit in chosen.tolist()]
        order = sorted(range(len(counts)), key=lambda unit: counts[unit].total())
        rows = [counts[unit] for unit in order]
        yield np.array(order, np.uint32)
        lengths, of_each_length = np.unique([row.total() for row in rows], return_counts=True)
        yield lengths.astype(np.uint32)
        yield np.cumsum(of_each_length).astype(np.uint32)
        rows_of: dict[int, list[int]] = {term: [] for term in sorted({term for row in rows for term in row})}
        for number, row in enumerate(rows):
            for term in row:
                rows_of[term].append(number)
        yield from _postings(rows_of, strips_of(len(rows)), terms)
        yield from _repeats(rows_of, rows)


def _postings(rows_of: dict[int, list[int]], strips: int, terms: int) -> Iterator[NDArray[Any]]:
    """Yield the arrays of the sparse terms and those of the dense ones."""
    # For each term its windows, and for each window the bitmap of its rows.
    windows_of = {term: Counter[int]() for term in rows_of}
    for term, rows in rows_of.items():
        for row in rows:
            windows_of[term][row // WINDOW_ROWS] += 1 << row % WINDOW_ROWS
    dense = [term for term, rows in rows_of.items() if not is_sparse(len(rows), strips)]
    sparse: list[Mapping[int, int]] = [{} if term in dense else windows_of.get(term, {}) for term in range(terms)]
    yield np.cumsum([len(windows) for windows in sparse]).astype(np.uint32)
    yield np.array([window for windows in sparse for window in windows], np.uint16)
    yield np.array([rows for windows in sparse for rows in windows.values()], np.uint8)
    yield np.array(dense, np.uint32)
    yield np.cumsum([len(windows_of[term]) for term in dense]).astype(np.uint32)
    bits = np.zeros((len(dense), -(-strips // GROUP_STRIPS), GROUP_WORDS), np.uint64)
    for words, windows in zip(bits, (windows_of[term] for term in dense), strict=True):
        before = words[:, GROUP_STRIPS:].view(np.uint16)
        for strip in range(strips):
            at = divmod(strip, GROUP_STRIPS)
            words[at] = sum(1 << window % 64 for window in windows if window // 64 == strip)
            before[at] = sum(window // 64 < strip for window in windows)
    yield bits.reshape(-1)
    yield np.array([rows for term in dense for rows in windows_of[term].values()], np.uint8)


def _repeats(rows_of: dict[int, list[int]], rows: Sequence[Counter[int]]) -> Iterator[NDArray[Any]]:
    """Yield the arrays of the terms that occur more than once in a unit."""
    repeats = [
        (term, row, rows[row][term]) for term, of_term in rows_of.items() for row in of_term if rows[row][term] > 1
    ]
    terms, of_each_term = np.unique([term for term, _, _ in repeats], return_counts=True)
    yield terms.astype(np.uint32)
    yield np.cumsum(of_each_term).astype(np.uint32)
    yield np.array([row for _, row, _ in repeats], np.uint32)
    yield np.array([count for _, _, count in repeats], np.uint32)

"""The words of a textbook as integers, for its statistics."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import xxhash
from numpy.typing import NDArray

from hornbook.machine.progress import Counter
from hornbook.terms.plain import normalise
from hornbook.terms.words import END, terms_of_all


class Vocabulary:
    """Words numbered in order of first appearance, shared by textbooks that are compared."""

    def __init__(self) -> None:
        # 0 marks the end of a text.
        self._ids = {END: 0}

    def __len__(self) -> int:
        return len(self._ids)

    def ids(self, texts: Iterable[str]) -> NDArray[np.int32]:
        """Return the numbers of the words of texts, from 1, with a 0 after each text."""
        found, setdefault = self._ids, self._ids.setdefault
        return np.fromiter((setdefault(word, len(found)) for word in terms_of_all(texts)), np.int32)

    def hashes(self) -> NDArray[np.uint64]:
        """Return the hash of each word, by number: an order that favours no text."""
        return np.fromiter((xxhash.xxh3_64_intdigest(word.encode()) for word in self._ids), np.uint64, len(self._ids))

    def numbers(self, words: Iterable[str]) -> NDArray[np.int64]:
        """Return the numbers of the words that are in the vocabulary."""
        return np.array([self._ids[word] for word in words if word in self._ids], np.int64)


@dataclass(frozen=True)
class Words:
    """The words of many texts, mapped from a file.

    Attributes:
        ids: numbers of a `Vocabulary`, 0 after each text, int32, [words + texts].
        starts: the start of each unit in `ids`, and the end, int64, [units + 1]; a pair is one unit.
        counts: the frequency of each number, int64, [vocabulary]; that of 0 is set to 0.
    """

    ids: NDArray[np.int32]
    starts: NDArray[np.int64]
    counts: NDArray[np.int64]

    @property
    def words(self) -> int:
        """The number of words."""
        return int(self.counts.sum())

    @property
    def lengths(self) -> NDArray[np.int64]:
        """The number of words of each unit, [units]."""
        ends = np.flatnonzero(self.ids == 0)
        texts = np.diff(np.searchsorted(ends, self.starts))
        return np.asarray(np.diff(self.starts) - texts)


def read_words(
    tables: Iterable[pa.RecordBatch | pa.Table], vocabulary: Vocabulary, file: Path, counter: Counter
) -> Words:
    """Return the words of units.

    Args:
        tables: batches with columns `text` and `text_pair`.
        vocabulary: the vocabulary; new words are added.
        file: the file for the numbers; memory holds those of one batch.
        counter: the progress counter, in units.

    Returns:
        The words as numbers; the ids are mapped from `file`.
    """
    starts, counts = [np.zeros(1, np.int64)], np.zeros(0, np.int64)
    with file.open("wb") as out:
        for table in tables:
            texts, pairs = table["text"].to_pylist(), table["text_pair"].to_pylist()
            several = any(pair is not None for pair in pairs)
            flat = (
                [one for both in zip(texts, pairs, strict=True) for one in both if one is not None]
                if several
                else texts
            )
            ids = vocabulary.ids(map(normalise, flat))
            ids.tofile(out)
            ends = np.flatnonzero(ids == 0) + 1
            if several:
                ends = ends[np.cumsum([1 + (pair is not None) for pair in pairs]) - 1]
            starts.append(starts[-1][-1] + ends)
            counts = np.pad(counts, (0, len(vocabulary) - len(counts))) + np.bincount(ids, minlength=len(vocabulary))
            counter.advance(len(texts))
    if len(counts):
        counts[0] = 0
    size = int(starts[-1][-1])
    ids = np.memmap(file, np.int32, "r", shape=size) if size else np.empty(0, np.int32)
    return Words(ids, np.concatenate(starts), counts)

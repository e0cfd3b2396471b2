"""The search in NumPy: it defines what the compiled core (core/search) returns, and replaces it where it is missing.

Each name here is also in the core, with the same arguments and results; see `hornbook.kernels`.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from hornbook.index.layout import Block
from hornbook.machine.arrow import texts_of

HitArrays = tuple[NDArray[np.uint64], NDArray[np.int64], NDArray[np.float64]]


def look_up(
    offsets: NDArray[np.int32],
    data: NDArray[np.uint8],
    dictionary_offsets: NDArray[np.int32],
    dictionary_data: NDArray[np.uint8],
) -> NDArray[np.int32]:
    """Return the position of each text in a dictionary, -1 where it is missing, [texts] int32.

    Args:
        offsets: offsets of the texts into `data`, rising by bytes, [texts + 1].
        data: the texts in UTF-8.
        dictionary_offsets: the same of the dictionary.
        dictionary_data: the same of the dictionary.

    Returns:
        the positions; all texts of a sorted dictionary are distinct.

    Raises:
        ValueError: the offsets do not fit the data.
    """
    texts, dictionary = texts_of(offsets, data), texts_of(dictionary_offsets, dictionary_data)
    dictionary.validate(full=True)
    positions: NDArray[np.int32] = pc.index_in(texts, dictionary).fill_null(-1).to_numpy().astype(np.int32)
    return positions


class Search:
    """Scores every unit of the blocks for every query, and keeps the k best.

    Args:
        starts: see `bm25.Queries`, as are `indices`, `counts` and `k`.
        indices: terms of each query.
        counts: how often it has them.
        idf: idf of each term, [terms].
        k: hits per query.
        thresholds: score that a hit of each query must reach, [queries].
        k1: saturation of term frequency.
        b: normalisation by unit length.
        mean_length: mean number of terms in a unit.
        threads: not used here.
    """

    def __init__(
        self,
        starts: NDArray[np.uint64],
        indices: NDArray[np.uint32],
        counts: NDArray[np.uint32],
        idf: NDArray[np.float64],
        k: NDArray[np.uint32],
        thresholds: NDArray[np.float64],
        k1: float,
        b: float,
        mean_length: float,
        threads: int = 1,
    ) -> None:
        pairs = list(zip(indices.tolist(), counts.tolist(), strict=True))
        self._queries = [pairs[first:last] for first, last in pairwise(starts.tolist())]
        self._idf, self._k, self._thresholds = idf, k.tolist(), thresholds.tolist()
        self._k1, self._b, self._mean_length = k1, b, mean_length
        self._hits: list[list[tuple[float, int]]] = [[] for _ in self._k]

    def add(self, blocks: Sequence[Block], ids: NDArray[np.int32]) -> None:
        """Search blocks of a shard.

        Args:
            blocks: the blocks.
            ids: id of each term of the queries in the shard, -1 where the shard lacks it, [terms].

        Raises:
            ValueError: a block is damaged.
            IndexError: a block is damaged.
        """
        index_of = {term: index for index, term in enumerate(ids.tolist()) if term >= 0}
        for block in blocks:
            lengths = np.repeat(block.lengths, length_counts(block)).astype(np.int64)
            saturation = self._k1 * (1 - self._b + self._b * lengths / self._mean_length)
            postings = {
                index_of[term]: (rows, _frequencies(block, term, rows))
                for term, rows in block.rows()
                if term in index_of
            }
            for query, pairs in enumerate(self._queries):
                scores = np.zeros(len(block.units))
                for index, count in pairs:
                    if index in postings:
                        rows, tf = postings[index]
                        scores[rows] += count * (self._idf[index] * tf / (tf + saturation[rows]))
                passing = np.flatnonzero((scores > 0) & (scores >= self._thresholds[query]))
                hits = zip(scores[passing].tolist(), block.units[passing].tolist(), strict=True)
                self._hits[query] = _best([*self._hits[query], *hits], self._k[query])

    def hits(self) -> HitArrays:
        """Return the hits since the last call, as the arrays of `bm25.RaggedHits`."""
        hits, self._hits = self._hits, [[] for _ in self._k]
        return _flatten(hits)


def length_counts(block: Block) -> NDArray[np.int64]:
    """Return how many rows of a block have each length, [lengths].

    Args:
        block: any block.

    Returns:
        the counts, parallel to `block.lengths`; they add up to its rows.

    Raises:
        ValueError: they contradict its rows.
    """
    ends = block.length_ends.astype(np.int64)
    counts = np.diff(ends, prepend=0)
    if len(ends) != len(block.lengths) or not len(ends) or ends[-1] != len(block.units) or np.any(counts < 0):
        raise ValueError("the lengths of a block contradict its rows")
    return counts


def _best(hits: list[tuple[float, int]], k: int) -> list[tuple[float, int]]:
    return sorted(hits, key=lambda hit: (-hit[0], hit[1]))[:k]


def merge(k: NDArray[np.uint32], parts: Sequence[HitArrays], padded: bool, threads: int = 1) -> HitArrays:
    """Return the k best hits of each query over several parts, best first.

    Args:
        k: hits per query, [queries].
        parts: the hits of each part, as the arrays of `bm25.RaggedHits`.
        padded: return k hits for each query, the missing ones with unit -1 and score -inf.
        threads: not used here.

    Returns:
        the merged hits; ties are in order of unit id.
    """
    merged = []
    for query, best in enumerate(k.tolist()):
        hits: list[tuple[float, int]] = []
        for starts, units, scores in parts:
            span = slice(int(starts[query]), int(starts[query + 1]))
            hits += zip(scores[span].tolist(), units[span].tolist(), strict=True)
        missing = [(-math.inf, -1)] * (best if padded else 0)
        merged.append([*_best(hits, best), *missing][:best])
    return _flatten(merged)


def _frequencies(block: Block, term: int, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return how often a term occurs in each of its rows."""
    frequencies = np.ones(len(rows), np.int64)
    number = np.searchsorted(block.repeat_terms, term)
    if number < len(block.repeat_terms) and block.repeat_terms[number] == term:
        span = slice(int(block.repeat_ends[number - 1]) if number else 0, int(block.repeat_ends[number]))
        frequencies[np.searchsorted(rows, block.repeat_rows[span])] = block.repeat_counts[span]
    return frequencies


def _flatten(hits: Sequence[Sequence[tuple[float, int]]]) -> HitArrays:
    flat = [hit for of_query in hits for hit in of_query]
    starts = np.cumsum([0, *map(len, hits)]).astype(np.uint64)
    units, scores = np.array([unit for _, unit in flat], np.int64), np.array([score for score, _ in flat], np.float64)
    return starts, units, scores

"""What the compiled core computes, in NumPy: the definition, and the way where the core could not be built."""

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from hornbook.index.layout import Block
from hornbook.retrieval.bm25 import Found


def look_up(texts: pa.StringArray, others: pa.StringArray) -> NDArray[np.int32]:
    """Return where each of the texts stands among others, or -1, [texts]."""
    places: NDArray[np.int32] = pc.index_in(texts, others).fill_null(-1).to_numpy().astype(np.int32)
    return places


class Search:
    """The best units of blocks for each query; the parameters are those of `bm25.Queries` and `shard.Plan`."""

    def __init__(
        self,
        starts: NDArray[np.uint64],
        places: NDArray[np.uint32],
        counts: NDArray[np.uint32],
        idf: NDArray[np.float64],
        k: NDArray[np.uint32],
        bars: NDArray[np.float64],
        k1: float,
        b: float,
        mean_length: float,
    ) -> None:
        pairs = list(zip(places.tolist(), counts.tolist(), strict=True))
        self._queries = [pairs[first:last] for first, last in pairwise(starts.tolist())]
        self._idf, self._k, self._bars = idf, k.tolist(), bars.tolist()
        self._k1, self._b, self._mean_length = k1, b, mean_length
        self._hits: list[list[tuple[float, int]]] = [[] for _ in self._k]

    def add(self, blocks: Sequence[Block], ids: NDArray[np.int32]) -> None:
        """Go over blocks of a shard; `ids` are those of the queries' terms there, -1 where it lacks them."""
        place_of = {term: place for place, term in enumerate(ids.tolist()) if term >= 0}
        for block in blocks:
            lengths = np.repeat(block.lengths, np.diff(block.length_ends, prepend=0)).astype(np.int64)
            saturation = self._k1 * (1 - self._b + self._b * lengths / self._mean_length)
            held = {
                place_of[term]: (rows, _frequencies(block, term, rows))
                for term, rows in block.rows()
                if term in place_of
            }
            for query, pairs in enumerate(self._queries):
                scores = np.zeros(len(block.units))
                for place, times in pairs:
                    if place in held:
                        rows, tf = held[place]
                        scores[rows] += times * (self._idf[place] * tf / (tf + saturation[rows]))
                good = np.flatnonzero((scores > 0) & (scores >= self._bars[query]))
                found = zip(scores[good].tolist(), block.units[good].tolist(), strict=True)
                self._hits[query] = _best([*self._hits[query], *found], self._k[query])

    def hits(self) -> tuple[NDArray[np.uint64], NDArray[np.int64], NDArray[np.float64]]:
        """Return what was found since the last time, as `bm25.Found` holds it."""
        found, self._hits = self._hits, [[] for _ in self._k]
        return _gather(found)


def _best(hits: list[tuple[float, int]], k: int) -> list[tuple[float, int]]:
    return sorted(hits, key=lambda hit: (-hit[0], hit[1]))[:k]


def merge(k: NDArray[np.uint32], parts: Sequence[Found], filled: bool) -> Found:
    """Return the k best of the hits that were found for each query in several places."""
    merged = []
    for query, best in enumerate(k.tolist()):
        spans = [(part, slice(int(part.starts[query]), int(part.starts[query + 1]))) for part in parts]
        hits = [
            hit
            for part, span in spans
            for hit in zip(part.scores[span].tolist(), part.units[span].tolist(), strict=True)
        ]
        nothing = [(-math.inf, -1)] * (best if filled else 0)
        merged.append([*_best(hits, best), *nothing][:best])
    return Found(*_gather(merged))


def _frequencies(block: Block, term: int, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    frequencies = np.ones(len(rows), np.int64)
    number = np.searchsorted(block.repeat_terms, term)
    if number < len(block.repeat_terms) and block.repeat_terms[number] == term:
        span = slice(int(block.repeat_ends[number - 1]) if number else 0, int(block.repeat_ends[number]))
        frequencies[np.searchsorted(rows, block.repeat_rows[span])] = block.repeat_counts[span]
    return frequencies


def _gather(
    hits: Sequence[Sequence[tuple[float, int]]],
) -> tuple[NDArray[np.uint64], NDArray[np.int64], NDArray[np.float64]]:
    flat = [hit for of_one in hits for hit in of_one]
    starts = np.cumsum([0, *map(len, hits)]).astype(np.uint64)
    units, scores = np.array([unit for _, unit in flat], np.int64), np.array([score for score, _ in flat], np.float64)
    return starts, units, scores

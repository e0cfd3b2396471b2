"""How the inverted index of a shard is laid out: a sorted dictionary, and blocks that hold the postings of its units.

A block is small enough to search in cache. Its rows are units by rising length; eight rows make a window, 64 windows
a strip, eight strips a group. A term's postings are windows, each with a bitmap of its rows. As in Roaring bitmaps
(Chambi, Lemire, Kaser and Godin 2016), sparse terms list their windows and dense ones have a bit for each.
core/index_layout.h holds the same constants.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

WINDOW_ROWS = 8
STRIP_ROWS = 64 * WINDOW_ROWS
GROUP_STRIPS = 8
# 64-bit words of a group: one of window bits per strip, then a 16-bit count per strip.
GROUP_WORDS = GROUP_STRIPS + GROUP_STRIPS * 16 // 64
# Windows are numbered in 16 bits: no block may have more than 8 * 2**16 units.
BLOCK_UNITS = 524_288


@dataclass(frozen=True)
class Block:
    """Postings of some units of a shard. Each row is a unit; rows are sorted by length, then unit id.

    Attributes:
        units: unit id of each row, [rows] int64.
        lengths: distinct unit lengths in terms, rising, [lengths] uint32.
        length_ends: end row of each length, [lengths] uint32.
        sparse_ends: end of each term's windows in `sparse_windows`; a term that is dense, or not in the block, has
            none, [terms of the shard] uint32.
        sparse_windows: windows of the sparse terms, term by term, rising, [sparse windows] uint16.
        sparse_rows: bitmap of the rows in each of these windows, [sparse windows] uint8.
        dense_terms: ids of the dense terms, rising, [dense terms] uint32.
        dense_ends: end of each dense term's windows in `dense_rows`, [dense terms] uint32.
        window_bits: windows of the dense terms, one bit each. A group of eight strips has 8 words of bits, then 2
            words that hold, in 16 bits per strip, how many bits of the term are set before that strip;
            [dense terms x groups x 10] uint64.
        dense_rows: bitmap of the rows in each window whose bit is set, [bits set] uint8.
        repeat_terms: ids of the terms that occur more than once in a unit, rising, [repeated terms] uint32.
        repeat_ends: end of each of these terms in `repeat_rows`, [repeated terms] uint32.
        repeat_rows: rows in which the term occurs more than once, rising, [repeats] uint32.
        repeat_counts: how often it occurs there, [repeats] uint32.
    """

    units: NDArray[np.int64]
    lengths: NDArray[np.uint32]
    length_ends: NDArray[np.uint32]
    sparse_ends: NDArray[np.uint32]
    sparse_windows: NDArray[np.uint16]
    sparse_rows: NDArray[np.uint8]
    dense_terms: NDArray[np.uint32]
    dense_ends: NDArray[np.uint32]
    window_bits: NDArray[np.uint64]
    dense_rows: NDArray[np.uint8]
    repeat_terms: NDArray[np.uint32]
    repeat_ends: NDArray[np.uint32]
    repeat_rows: NDArray[np.uint32]
    repeat_counts: NDArray[np.uint32]

    @property
    def strips(self) -> int:
        """Number of strips that cover the rows."""
        return strips_of(len(self.units))

    @cached_property
    def frequency(self) -> NDArray[np.int64]:
        """Document frequency of each term of the shard within the block, [terms of the shard]."""
        frequency = _bits_per_term(self.sparse_rows, self.sparse_ends)
        frequency[self.dense_terms] = _bits_per_term(self.dense_rows, self.dense_ends)
        return frequency

    def rows(self) -> Iterator[tuple[int, NDArray[np.int64]]]:
        """Yield each term with its rows, rising: the sparse terms, then the dense ones."""
        sparse = np.split(np.arange(len(self.sparse_windows)), self.sparse_ends)
        for term in np.flatnonzero(np.diff(self.sparse_ends, prepend=np.uint32(0))).tolist():
            yield term, _rows(self.sparse_windows[sparse[term]].astype(np.int64), self.sparse_rows[sparse[term]])
        groups = -(-self.strips // GROUP_STRIPS)
        words = self.window_bits.reshape(-1, groups, GROUP_WORDS)[..., :GROUP_STRIPS].astype("<u8")
        octets = words.view(np.uint8).reshape(-1, groups * GROUP_STRIPS * 8)
        bits = np.unpackbits(octets, axis=1, bitorder="little")
        rows_of_each = np.split(self.dense_rows, self.dense_ends)
        for term, windows, rows in zip(self.dense_terms.tolist(), bits, rows_of_each, strict=False):
            yield term, _rows(np.flatnonzero(windows), rows)


def strips_of(rows: int) -> int:
    """Return the number of strips that cover some rows."""
    return -(-rows // STRIP_ROWS)


def is_sparse(units: int, strips: int) -> bool:
    """Return whether a term that occurs in `units` units of a block is sparse: a list takes less room than bits."""
    return 2 * units <= strips + 1


def _bits_per_term(rows: NDArray[np.uint8], ends: NDArray[np.uint32]) -> NDArray[np.int64]:
    """Return how many bits are set between each end and the one before, [ends]."""
    before = np.concatenate([[0], np.cumsum(np.bitwise_count(rows), dtype=np.int64)])
    return np.diff(before[ends], prepend=0)


def _rows(windows: NDArray[np.int64], rows: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return the rows whose bits are set in some windows, rising."""
    positions, bits = np.nonzero(rows[:, None] >> np.arange(WINDOW_ROWS, dtype=np.uint8) & 1)
    return windows[positions] * WINDOW_ROWS + bits


@dataclass(frozen=True)
class InvertedIndex:
    """The inverted index of a shard.

    Attributes:
        dictionary: its terms in the order of their bytes; a term's id is its position, [terms].
        frequency: document frequency of each term, [terms] int64.
        blocks: its postings; the first block is a sample of the shard where there are others.
    """

    dictionary: pa.StringArray
    frequency: NDArray[np.int64]
    blocks: Sequence[Block]

    @cached_property
    def units(self) -> int:
        """Number of units."""
        return sum(len(block.units) for block in self.blocks)

    @cached_property
    def sampled(self) -> int:
        """Number of units in the sample, which is the first block; 0 if there is no other block."""
        return len(self.blocks[0].units) if len(self.blocks) > 1 else 0

    @cached_property
    def length(self) -> int:
        """Number of terms in all units."""
        return sum(
            int(np.diff(block.length_ends, prepend=0) @ block.lengths.astype(np.int64)) for block in self.blocks
        )

"""The terms of a shard at rest: a sorted dictionary, and blocks of units by term. All of it is memory-mapped.

Two Arrow files beside the shard's text, so that a shard stands alone:

* `terms-NNNNN.arrow`: every term of the shard in the order of its bytes (its place is its id), and in how many units
  it stands.
* `blocks-NNNNN.arrow`: a record batch of one row for each block of units, see `Block`. The units of a block are not
  neighbours but every so many of the shard; the first block is a small sample of it.
"""

import platform
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from hornbook.core import core
from hornbook.corpus.arrow import text_buffers, texts_of
from hornbook.errors import HornbookError
from hornbook.places import copy_from, is_address
from hornbook.terms import Analysis, terms
from hornbook.terms.characters import tables

# A window is 8 rows; a strip is 64 windows, what is searched at once.
WINDOW = 8
STRIP = 64 * WINDOW
BLOCK_UNITS = 262_144
# One of so many units is in the first block of its shard, a sample of it.
SAMPLED = 12
# Times this, modulo 2^32, neighbours are far from each other.
_SCATTER = 0x9E3779B1
_TERMS = pa.schema([("term", pa.string()), ("units", pa.int64())])


@dataclass(frozen=True)
class Block:
    """Units by term. A row stands for a unit; the rows stand by rising length, equal lengths scattered.

    Terms that stand in at least two units for each strip are held by windows of 8 rows, the others by rows.

    Attributes:
        units: the unit id of each row, [rows] int64.
        lengths: the lengths (terms) that units have, rising, [lengths] uint32.
        length_ends: the row before which each length ends, [lengths] uint32.
        rare_terms: the ids of the rare terms of the block, rising, [rare terms] uint32.
        rare_ends: where the rows of each end in `rare_rows`, [rare terms] uint32.
        rare_rows: the rows of each in turn, rising, [postings of rare terms] uint32.
        frequent_terms: the ids of the frequent terms, rising, [frequent terms] uint32.
        frequent_units: how many rows each has, [frequent terms] uint32.
        windows: in which windows of each strip it stands, as bits, [frequent terms x strips] uint64.
        before: how many bits are set before each strip, [frequent terms x strips] uint32.
        window_rows: for each bit set, in which of the window's rows the term stands, as bits, [bits set] uint8.
        repeat_terms: the ids of the terms that some unit holds more than once, rising, [repeated terms] uint32.
        repeat_ends: where the rows of each of these end in `repeat_rows`, [repeated terms] uint32.
        repeat_rows: the rows that hold them more than once, rising, [repeats] uint32.
        repeat_counts: how often, [repeats] uint32.
    """

    units: NDArray[np.int64]
    lengths: NDArray[np.uint32]
    length_ends: NDArray[np.uint32]
    rare_terms: NDArray[np.uint32]
    rare_ends: NDArray[np.uint32]
    rare_rows: NDArray[np.uint32]
    frequent_terms: NDArray[np.uint32]
    frequent_units: NDArray[np.uint32]
    windows: NDArray[np.uint64]
    before: NDArray[np.uint32]
    window_rows: NDArray[np.uint8]
    repeat_terms: NDArray[np.uint32]
    repeat_ends: NDArray[np.uint32]
    repeat_rows: NDArray[np.uint32]
    repeat_counts: NDArray[np.uint32]

    @property
    def strips(self) -> int:
        """How many strips its rows are."""
        return -(-len(self.units) // STRIP)

    def rows(self) -> Iterator[tuple[int, NDArray[np.int64]]]:
        """Yield each term with its rows, rising: the rare terms, then the frequent ones."""
        for term, rows in zip(self.rare_terms.tolist(), np.split(self.rare_rows, self.rare_ends), strict=False):
            yield term, rows.astype(np.int64)
        sets = np.unpackbits(self.windows.view(np.uint8), bitorder="little").reshape(-1, self.strips * 64)
        ends = np.cumsum(sets.sum(1, dtype=np.int64))
        held = np.split(self.window_rows, ends)
        for term, bits, masks in zip(self.frequent_terms.tolist(), sets, held, strict=False):
            places, bit = np.nonzero(masks[:, None] >> np.arange(WINDOW, dtype=np.uint8) & 1)
            yield term, np.flatnonzero(bits)[places] * WINDOW + bit


_KINDS = {
    field.name: {"units": "i8", "windows": "u8", "window_rows": "u1"}.get(field.name, "u4") for field in fields(Block)
}
_BLOCKS = pa.schema([(name, pa.list_(pa.from_numpy_dtype(np.dtype(kind)))) for name, kind in _KINDS.items()])


@dataclass(frozen=True)
class Inverted:
    """The terms of a shard.

    Attributes:
        dictionary: its terms in the order of their bytes, [terms].
        frequency: in how many units each stands, [terms] int64.
        blocks: its units by term.
    """

    dictionary: pa.StringArray
    frequency: NDArray[np.int64]
    blocks: Sequence[Block]

    @cached_property
    def units(self) -> int:
        """How many units it has."""
        return sum(len(block.units) for block in self.blocks)

    @cached_property
    def sampled(self) -> int:
        """How many units are in its sample, which is its first block; none where it has no other."""
        return len(self.blocks[0].units) if len(self.blocks) > 1 else 0

    @cached_property
    def length(self) -> int:
        """How many terms its units have together."""
        return sum(
            int(np.diff(block.length_ends, prepend=0) @ block.lengths.astype(np.int64)) for block in self.blocks
        )


@dataclass(frozen=True)
class ShardFiles:
    """Where the terms of a shard lie, for whoever opens it, here or on another machine.

    Attributes:
        name: of the shard in its corpus.
        corpus: the content key of the corpus.
        files: its dictionary and its blocks: the path or the address (such as s3://…) of each, and its size in bytes.
    """

    name: str
    corpus: str
    files: tuple[tuple[str, int], tuple[str, int]]

    def open(self) -> Inverted:
        """Map the shard's terms into memory; from elsewhere they are copied to the folder for temporary files first.

        Raises:
            HornbookError: a file is missing, is that of another corpus, or is not what `write` makes.
        """
        if not any(is_address(place) for place, _ in self.files):
            return read(*(self._checked(Path(place), place, size) for place, size in self.files))
        # What is mapped stays readable when its file is removed, and is gone from the disk when it is let go.
        with TemporaryDirectory(prefix="hornbook-") as folder:
            copies = [Path(folder) / place.rpartition("/")[2] for place, _ in self.files]
            for copy, (place, size) in zip(copies, self.files, strict=True):
                copy_from(place, copy)
                self._checked(copy, place, size)
            return read(*copies)

    def _checked(self, path: Path, place: str, size: int) -> Path:
        there = path.stat().st_size if path.is_file() else None
        if there != size:
            found = "is not there" if there is None else f"has {there:,} bytes"
            raise HornbookError(
                f"{place}: {found} on {platform.node()}, but has {size:,} bytes in corpus {self.corpus[:16]}; "
                "give every machine this corpus under this path"
            )
        return path


def invert(batches: Iterable[pa.RecordBatch], analysis: Analysis, block_units: int = BLOCK_UNITS) -> Inverted:
    """Return the terms of a shard.

    Args:
        batches: its units, with the columns `unit` (int64, rising) and `text` (string).
        analysis: how words become terms.
        block_units: units in a block at most.
    """
    compiled = core()
    held: Any = _Slowly() if compiled is None else compiled.UnitTerms(*tables())
    ids, count = [np.empty(0, np.int64)], 0
    for batch in batches:
        texts = batch.column("text")
        for row in held.add(*text_buffers(texts)):
            held.put(row, terms(texts[row - count].as_py()))
        ids.append(batch.column("unit").to_numpy())
        count += batch.num_rows
    units = np.concatenate(ids)
    words = texts_of(*held.vocabulary()).to_pylist()
    found = analysis.terms(words)
    # A str sorts by code points, which is the order of its bytes in UTF-8.
    dictionary = sorted({term for term in found if term is not None})
    place_of = {term: place for place, term in enumerate(dictionary)}
    place = np.array([-1 if term is None else place_of[term] for term in found], np.int32)
    frequency = np.zeros(len(dictionary), np.int64)
    blocks = []
    for chosen in _cut(count, block_units):
        order, *rest = held.block(chosen, place, len(dictionary))
        blocks.append(Block(units[chosen][order], *rest))
        frequency[blocks[-1].rare_terms] += np.diff(blocks[-1].rare_ends, prepend=0)
        frequency[blocks[-1].frequent_terms] += blocks[-1].frequent_units
    return Inverted(pa.array(dictionary, pa.string()), frequency, blocks)


def _cut(units: int, block_units: int) -> list[NDArray[np.int64]]:
    """Return which of a shard's units each block takes: the sample first."""
    every = np.arange(units)
    sampled = every % SAMPLED == SAMPLED // 2
    sample, others = every[sampled], every[~sampled]
    step = -(-len(others) // block_units)
    return [chosen for chosen in (sample, *(others[first::step] for first in range(step))) if len(chosen)]


def write(inverted: Inverted, terms_path: Path, blocks_path: Path) -> None:
    """Write the two files of a shard."""
    table = pa.table([inverted.dictionary, inverted.frequency], schema=_TERMS)
    with pa.OSFile(str(terms_path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)
    with pa.OSFile(str(blocks_path), "wb") as file, pa.ipc.new_file(file, _BLOCKS) as writer:
        for block in inverted.blocks:
            columns = [_row(getattr(block, name), kind) for name, kind in _KINDS.items()]
            writer.write_batch(pa.record_batch(columns, schema=_BLOCKS))


def read(terms_path: Path, blocks_path: Path) -> Inverted:
    """Map the two files of a shard into memory.

    Raises:
        HornbookError: a file is not what `write` makes.
    """
    table = _mapped(terms_path, _TERMS).read_all().combine_chunks()
    dictionary = table.column("term").chunk(0) if len(table) else pa.array([], pa.string())
    file = _mapped(blocks_path, _BLOCKS)
    batches = [file.get_batch(number) for number in range(file.num_record_batches)]
    blocks = [Block(*(column.values.to_numpy() for column in batch.columns)) for batch in batches]
    return Inverted(dictionary, table.column("units").to_numpy(), blocks)


def _row(values: NDArray[np.generic], kind: str) -> pa.ListArray:
    return pa.ListArray.from_arrays(pa.array([0, len(values)], pa.int32()), pa.array(values.astype(kind, copy=False)))


def _mapped(path: Path, schema: pa.Schema) -> pa.ipc.RecordBatchFileReader:
    try:
        file = pa.ipc.open_file(pa.memory_map(str(path)))
    except (OSError, pa.ArrowException) as error:
        raise HornbookError(f"{path}: cannot be read ({error}); build the corpus again") from None
    if not file.schema.equals(schema):
        raise HornbookError(f"{path}: made by another version of hornbook; remove the corpus and build it again")
    return file


class _Slowly:
    """What the compiled core's `UnitTerms` does, in Python: the definition."""

    def __init__(self) -> None:
        self._units: list[list[str]] = []
        self._rank: dict[str, int] = {}

    def add(self, offsets: NDArray[np.int32], data: NDArray[np.uint8]) -> list[int]:
        self._units += [terms(text) for text in texts_of(offsets, data).to_pylist()]
        return []

    def vocabulary(self) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
        words = sorted({term for unit in self._units for term in unit})
        self._rank = {word: rank for rank, word in enumerate(words)}
        return text_buffers(pa.array(words, pa.string()))

    def block(self, chosen: NDArray[np.int64], place: NDArray[np.int32], terms: int) -> Iterator[NDArray[np.generic]]:
        counts = []
        for unit in [self._units[one] for one in chosen.tolist()]:
            ids = (int(place[self._rank[word]]) for word in unit)
            counts.append(Counter(term for term in ids if term >= 0))
        order = sorted(range(len(counts)), key=lambda unit: (counts[unit].total(), unit * _SCATTER % 2**32))
        lengths, length_ends = np.unique([counts[unit].total() for unit in order], return_counts=True)
        rows_of: dict[int, list[int]] = {}
        for row, one in enumerate(order):
            for term in counts[one]:
                rows_of.setdefault(term, []).append(row)
        strips = -(-len(order) // STRIP)
        rare = {term: rows for term, rows in sorted(rows_of.items()) if len(rows) < 2 * strips}
        frequent = {term: rows for term, rows in sorted(rows_of.items()) if term not in rare}
        windows, before, window_rows = list[int](), list[int](), list[int]()
        for rows in frequent.values():
            masks = Counter[int]()
            for row in rows:
                masks[row // WINDOW] += 1 << row % WINDOW
            for strip in range(strips):
                held = [window for window in masks if window // 64 == strip]
                windows.append(sum(1 << window % 64 for window in held))
                before.append(len(window_rows))
                window_rows += [masks[window] for window in held]
        repeats = [
            (term, row, counts[order[row]][term])
            for term in sorted(rows_of)
            for row in rows_of[term]
            if counts[order[row]][term] > 1
        ]
        repeated, of_each = np.unique([term for term, _, _ in repeats], return_counts=True)
        yield np.array(order, np.uint32)
        yield lengths.astype(np.uint32)
        yield np.cumsum(length_ends).astype(np.uint32)
        yield np.array(list(rare), np.uint32)
        yield np.cumsum([len(rows) for rows in rare.values()]).astype(np.uint32)
        yield np.array([row for rows in rare.values() for row in rows], np.uint32)
        yield np.array(list(frequent), np.uint32)
        yield np.array([len(rows) for rows in frequent.values()], np.uint32)
        yield np.array(windows, np.uint64)
        yield np.array(before, np.uint32)
        yield np.array(window_rows, np.uint8)
        yield repeated.astype(np.uint32)
        yield np.cumsum(of_each).astype(np.uint32)
        yield np.array([row for _, row, _ in repeats], np.uint32)
        yield np.array([count for _, _, count in repeats], np.uint32)

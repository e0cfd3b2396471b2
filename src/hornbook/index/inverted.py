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
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from hornbook.core import core
from hornbook.errors import HornbookError
from hornbook.machine.arrow import text_buffers, texts_of
from hornbook.machine.places import copy_from, is_address
from hornbook.store import known_checksum
from hornbook.terms import Analysis, terms
from hornbook.terms.characters import tables

# A window is 8 rows, a strip 64 windows; a group is 8 strips, whose words lie side by side (core/windows.h).
WINDOW_ROWS = 8
STRIP_ROWS = 64 * WINDOW_ROWS
GROUP_STRIPS = 8
_GROUP_WORDS = GROUP_STRIPS + GROUP_STRIPS * 16 // 64
# Windows are numbered in 16 bits: no block may have more than 8 * 2**16 units.
BLOCK_UNITS = 524_288
# One of so many units is in the first block of its shard, a sample of it, as far as a block has room.
SAMPLED = 12
_TERMS = pa.schema([("term", pa.string()), ("units", pa.int64())])


@dataclass(frozen=True)
class Block:
    """Units by term. A row stands for a unit; the rows stand by rising length, equal lengths by unit id.

    Terms are held by windows of 8 rows: rare ones, in at most half as many rows as there are strips, as a list of
    these, frequent ones as a bit for each.

    Attributes:
        units: the unit id of each row, [rows] int64.
        lengths: the lengths (terms) that units have, rising, [lengths] uint32.
        length_ends: the row before which each length ends, [lengths] uint32.
        rare_ends: where the windows of each term of the shard end in `rare_windows`; one that is frequent, or not in
            the block, has none, [terms of the shard] uint32.
        rare_windows: the windows of each rare term in turn, rising, [rare windows] uint16.
        rare_rows: in which of each window's rows the term stands, as bits, [rare windows] uint8.
        frequent_terms: the ids of the frequent terms, rising, [frequent terms] uint32.
        frequent_ends: where the windows of each end among `frequent_rows`, [frequent terms] uint32.
        windows: the windows that hold each frequent term, as bits. For each group of 8 strips 8 words of bits, then 2
            words with the rank of each strip (16 bits): how many bits of the term are set before it;
            [frequent terms x groups x 10] uint64.
        frequent_rows: for each bit set, in which of the window's rows the term stands, as bits, [bits set] uint8.
        repeat_terms: the ids of the terms that some unit holds more than once, rising, [repeated terms] uint32.
        repeat_ends: where the rows of each of these end in `repeat_rows`, [repeated terms] uint32.
        repeat_rows: the rows that hold them more than once, rising, [repeats] uint32.
        repeat_counts: how often, [repeats] uint32.
    """

    units: NDArray[np.int64]
    lengths: NDArray[np.uint32]
    length_ends: NDArray[np.uint32]
    rare_ends: NDArray[np.uint32]
    rare_windows: NDArray[np.uint16]
    rare_rows: NDArray[np.uint8]
    frequent_terms: NDArray[np.uint32]
    frequent_ends: NDArray[np.uint32]
    windows: NDArray[np.uint64]
    frequent_rows: NDArray[np.uint8]
    repeat_terms: NDArray[np.uint32]
    repeat_ends: NDArray[np.uint32]
    repeat_rows: NDArray[np.uint32]
    repeat_counts: NDArray[np.uint32]

    @property
    def strips(self) -> int:
        """How many strips its rows are."""
        return -(-len(self.units) // STRIP_ROWS)

    @cached_property
    def frequency(self) -> NDArray[np.int64]:
        """In how many of its units each term of the shard stands, [terms of the shard]."""
        frequency = _set_until(self.rare_rows, self.rare_ends)
        frequency[self.frequent_terms] = _set_until(self.frequent_rows, self.frequent_ends)
        return frequency

    def rows(self) -> Iterator[tuple[int, NDArray[np.int64]]]:
        """Yield each term with its rows, rising: the rare terms, then the frequent ones."""
        rare = np.split(np.arange(len(self.rare_windows)), self.rare_ends)
        for term in np.flatnonzero(np.diff(self.rare_ends, prepend=np.uint32(0))).tolist():
            yield term, _rows(self.rare_windows[rare[term]].astype(np.int64), self.rare_rows[rare[term]])
        groups = -(-self.strips // GROUP_STRIPS)
        words = self.windows.reshape(-1, groups, _GROUP_WORDS)[..., :GROUP_STRIPS].copy()
        sets = np.unpackbits(words.view(np.uint8).reshape(-1, groups * GROUP_STRIPS * 8), axis=1, bitorder="little")
        held = np.split(self.frequent_rows, self.frequent_ends)
        for term, bits, rows in zip(self.frequent_terms.tolist(), sets, held, strict=False):
            yield term, _rows(np.flatnonzero(bits), rows)


def _set_until(rows: NDArray[np.uint8], ends: NDArray[np.uint32]) -> NDArray[np.int64]:
    """Return how many bits are set up to each end, from the one before on, [ends]."""
    before = np.concatenate([[0], np.cumsum(np.bitwise_count(rows), dtype=np.int64)])
    return np.diff(before[ends], prepend=0)


def _rows(windows: NDArray[np.int64], rows: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return the rows that are set in some windows, rising."""
    places, bits = np.nonzero(rows[:, None] >> np.arange(WINDOW_ROWS, dtype=np.uint8) & 1)
    return windows[places] * WINDOW_ROWS + bits


_OTHERS = {
    "units": "i8",
    "windows": "u8",
    "rare_windows": "u2",
    "rare_rows": "u1",
    "frequent_rows": "u1",
}
_KINDS = {field.name: _OTHERS.get(field.name, "u4") for field in fields(Block)}
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
class OpenShard:
    """A shard whose terms are mapped into memory.

    Attributes:
        name: of the shard in its corpus.
        inverted: its terms.
    """

    name: str
    inverted: Inverted

    def open(self) -> Inverted:
        """Return the shard's terms."""
        return self.inverted


class ShardFile(NamedTuple):
    """A file of a shard: its path or address (such as s3://…), its size in bytes, its checksum."""

    place: str
    size: int
    checksum: str


@dataclass(frozen=True)
class ShardFiles:
    """Where the terms of a shard lie, for whoever opens it, here or on another machine.

    Attributes:
        name: of the shard in its corpus.
        corpus: the content key of the corpus.
        files: its dictionary and its blocks.
    """

    name: str
    corpus: str
    files: tuple[ShardFile, ShardFile]

    def open(self) -> Inverted:
        """Map the shard's terms into memory; from elsewhere they are copied to the folder for temporary files first.

        Raises:
            HornbookError: a file is missing, is that of another corpus, or is not what `write` makes.
        """
        if not any(is_address(file.place) for file in self.files):
            return read(*(self._checked(Path(file.place), file) for file in self.files))
        # What is mapped stays readable when its file is removed, and is gone from the disk when it is let go.
        with TemporaryDirectory(prefix="hornbook-") as folder:
            copies = [Path(folder) / file.place.rpartition("/")[2] for file in self.files]
            for copy, file in zip(copies, self.files, strict=True):
                copy_from(file.place, copy)
                self._checked(copy, file)
            return read(*copies)

    def _checked(self, path: Path, file: ShardFile) -> Path:
        """Refuse a file that is not as it was made; its checksum is compared once in a process."""
        there = path.stat().st_size if path.is_file() else None
        if there != file.size:
            found = "is not there" if there is None else f"has {there:,} bytes"
            raise HornbookError(
                f"{file.place}: {found} on {platform.node()}, but has {file.size:,} bytes in corpus "
                f"{self.corpus[:16]}; give every machine this corpus under this path"
            )
        if known_checksum(path) != file.checksum:
            raise HornbookError(
                f"{file.place}: changed since it was made, as {platform.node()} has it; remove the corpus "
                f"{self.corpus[:16]} there and build it again, or copy it anew"
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
        frequency += blocks[-1].frequency
    return Inverted(pa.array(dictionary, pa.string()), frequency, blocks)


def _cut(units: int, block_units: int) -> list[NDArray[np.int64]]:
    """Return which of a shard's units each block takes: the sample first."""
    every = np.arange(units)
    one_of = max(SAMPLED, -(-units // block_units))
    sampled = every % one_of == one_of // 2
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


def _is_rare(units: int, strips: int) -> bool:
    return 2 * units <= strips + 1


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
        order = sorted(range(len(counts)), key=lambda unit: counts[unit].total())
        lengths, length_ends = np.unique([counts[unit].total() for unit in order], return_counts=True)
        rows_of: dict[int, list[int]] = {}
        for row, one in enumerate(order):
            for term in counts[one]:
                rows_of.setdefault(term, []).append(row)
        strips = -(-len(order) // STRIP_ROWS)
        held = {term: Counter[int]() for term in sorted(rows_of)}
        for term, windows in held.items():
            for row in rows_of[term]:
                windows[row // WINDOW_ROWS] += 1 << row % WINDOW_ROWS
        rare = [held[term] if term in held and _is_rare(len(rows_of[term]), strips) else {} for term in range(terms)]
        frequent = [term for term in held if not rare[term]]
        bits, frequent_ends = np.zeros((len(frequent), -(-strips // GROUP_STRIPS), _GROUP_WORDS), np.uint64), [0]
        for words, windows in zip(bits, (held[term] for term in frequent), strict=True):
            before = words[:, GROUP_STRIPS:].view(np.uint16)
            for strip in range(strips):
                at = divmod(strip, GROUP_STRIPS)
                words[at] = sum(1 << window % 64 for window in windows if window // 64 == strip)
                before[at] = sum(window // 64 < strip for window in windows)
            frequent_ends.append(frequent_ends[-1] + len(windows))
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
        yield np.cumsum([len(windows) for windows in rare]).astype(np.uint32)
        yield np.array([window for windows in rare for window in windows], np.uint16)
        yield np.array([rows for windows in rare for rows in windows.values()], np.uint8)
        yield np.array(frequent, np.uint32)
        yield np.array(frequent_ends[1:], np.uint32)
        yield bits.reshape(-1)
        yield np.array([rows for term in frequent for rows in held[term].values()], np.uint8)
        yield repeated.astype(np.uint32)
        yield np.cumsum(of_each).astype(np.uint32)
        yield np.array([row for _, row, _ in repeats], np.uint32)
        yield np.array([count for _, _, count in repeats], np.uint32)

"""The second pass of a build: the units that survive de-duplication are written as shards."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from hornbook.corpus.deduplicate import hash_texts
from hornbook.corpus.parts import Part, process_peak, read_part
from hornbook.corpus.store import ROW_GROUP_UNITS, SCHEMA, hash_name, shard_name, term_names
from hornbook.index.build import invert
from hornbook.index.files import write
from hornbook.terms import Analysis

# The units of a shard: for each part that has some, their row numbers there.
ShardRows = Sequence[tuple[Part, npt.NDArray[np.int64]]]


@dataclass(frozen=True)
class WrittenShard:
    """What a worker returns for a shard.

    Attributes:
        sources: units by source.
        lengths: units by number of words, [longest + 1] int64.
        peak: see `process_peak`.
    """

    sources: dict[str, int]
    lengths: npt.NDArray[np.int64]
    peak: tuple[int, int]


def plan_shards(parts: Iterable[Part], keep: npt.NDArray[np.bool_], shard_units: int) -> Iterator[ShardRows]:
    """Yield the rows of each shard.

    Args:
        parts: all parts, in order.
        keep: whether a unit survives de-duplication, [units of all parts].
        shard_units: units in a shard; the last one may have fewer.

    Yields:
        for each shard, its parts with the positions of the rows to keep.
    """
    shard: list[tuple[Part, npt.NDArray[np.int64]]] = []
    room = shard_units
    for part in parts:
        rows = np.flatnonzero(keep[part.first : part.first + part.units])
        while len(rows):
            shard.append((part, rows[:room]))
            room -= len(shard[-1][1])
            rows = rows[len(shard[-1][1]) :]
            if not room:
                yield shard
                shard, room = [], shard_units
    if shard:
        yield shard


def write_shard(folder: Path, analysis: Analysis, first: int, job: tuple[int, ShardRows]) -> WrittenShard:
    """Write a shard's text, its inverted index and the hashes of its texts.

    Args:
        folder: the corpus.
        analysis: how words become terms.
        first: the id of the first unit of all parts.
        job: the shard's number, and its rows.

    Returns:
        counts by source and by length, and the peak memory of the process.
    """
    number, rows = job
    units: list[pa.RecordBatch] = []
    sources: Counter[str] = Counter()
    lengths = np.zeros(0, dtype=np.int64)
    pending = SCHEMA.empty_table()
    options = {"compression": "zstd", "use_dictionary": ["source"], "write_statistics": ["unit"]}
    with pq.ParquetWriter(folder / shard_name(number), SCHEMA, **options) as writer:
        for part, positions in rows:
            table = read_part(part, positions, first)
            lengths = add_counts(lengths, np.bincount(table.column("words").to_numpy()))
            for entry in table.column("source").value_counts().to_pylist():
                sources[entry["values"]] += entry["counts"]
            units += table.select(["unit", "text"]).to_batches()
            pending = pa.concat_tables([pending, table.select(SCHEMA.names)])
            whole = len(pending) // ROW_GROUP_UNITS * ROW_GROUP_UNITS
            if whole:
                writer.write_table(pending.slice(0, whole), row_group_size=ROW_GROUP_UNITS)
                pending = pending.slice(whole)
        if len(pending):
            writer.write_table(pending)
    write(invert(units, analysis), *(folder / name for name in term_names(number)))
    np.save(folder / hash_name(number), np.concatenate([hash_texts(batch.column("text")) for batch in units]))
    return WrittenShard(dict(sources), lengths, process_peak())


def add_counts(one: npt.NDArray[np.int64], other: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Add two arrays of counts that may differ in length."""
    total = np.zeros(max(len(one), len(other)), dtype=np.int64)
    total[: len(one)] += one
    total[: len(other)] += other
    return total

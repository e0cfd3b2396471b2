"""The textbook at rest: Parquet shards of one schema, whatever the kind of textbook."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from hornbook.errors import HornbookError
from hornbook.store import Artifact, load

STAGE = "textbook"
SCHEMA = pa.schema(
    [
        ("text", pa.string()),
        ("text_pair", pa.string()),
        ("label", pa.string()),
        ("source", pa.string()),
        ("unit", pa.int64()),
        ("rank", pa.int32()),
        ("score", pa.float64()),
        ("anchors", pa.int32()),
    ]
)
"""Null where it has no meaning: the second text, the label, and for units that no anchor drew the best rank
(from 1), the best score and the number of anchors that drew the unit. The score of a unit that was drawn by its
importance is its log weight."""
SHARD_UNITS = 250_000
ROW_GROUP_UNITS = 16_384


@dataclass(frozen=True)
class Textbook:
    """A finished textbook."""

    artifact: Artifact

    @property
    def key(self) -> str:
        """The artefact's content key."""
        return self.artifact.key

    @property
    def kind(self) -> str:
        """How it was made: `contextualized`, `general` …"""
        return str(self.artifact.info["kind"])

    @property
    def units(self) -> int:
        """How many units there are."""
        return self.artifact.counts["units"]

    def batches(
        self, columns: Sequence[str] | None = None, batch_units: int = ROW_GROUP_UNITS
    ) -> Iterator[pa.RecordBatch]:
        """Stream the units in the order in which they were written.

        Args:
            columns: of `SCHEMA`; by default all.
            batch_units: units in a batch at most; no batch spans two shards.

        Raises:
            HornbookError: a shard is missing or changed.
        """
        for name in sorted(self.artifact.manifest["files"]):
            path = self.artifact.file(name)
            try:
                with pq.ParquetFile(path) as shard:
                    yield from shard.iter_batches(batch_units, columns=None if columns is None else list(columns))
            except (pa.ArrowException, OSError) as error:
                said = " ".join(str(error).split())[:200]
                raise HornbookError(
                    f"{path}: cannot be read ({said}); remove {self.artifact.path} and run again"
                ) from None


def open_textbook(textbook: Artifact | Path | str) -> Textbook:
    """Open a finished textbook.

    Args:
        textbook: the artefact or its folder.

    Raises:
        HornbookError: there is no finished textbook.
    """
    path = textbook.path if isinstance(textbook, Artifact) else textbook
    return Textbook(load(path, STAGE))


class NothingLeftError(HornbookError):
    """There is no unit for a textbook."""


def write(folder: Path, tables: Iterable[pa.Table], shard_units: int = SHARD_UNITS) -> int:
    """Write tables of `SCHEMA` one after another into shards of `shard_units` units and return their number.

    Raises:
        NothingLeftError: there is no unit at all.
    """
    waiting, units, number = SCHEMA.empty_table(), 0, 0
    for table in tables:
        units += table.num_rows
        waiting = pa.concat_tables([waiting, table])
        while waiting.num_rows >= shard_units:
            _write_shard(folder, number, waiting.slice(0, shard_units))
            waiting, number = waiting.slice(shard_units), number + 1
    if waiting.num_rows:
        _write_shard(folder, number, waiting)
    if not units:
        raise NothingLeftError("no unit is left for this textbook")
    return units


def table_of(units: pa.Table, **columns: pa.Array) -> pa.Table:
    """Return units of a corpus (`unit`, `text`, `source`) as a table of `SCHEMA`; what is not given is null."""
    given = {name: units.column(name) for name in units.column_names} | columns
    nothing = {field.name: pa.nulls(units.num_rows, field.type) for field in SCHEMA}
    return pa.table({name: given.get(name, nothing[name]) for name in SCHEMA.names}).cast(SCHEMA)


def _write_shard(folder: Path, number: int, table: pa.Table) -> None:
    path = folder / f"textbook-{number:05d}.parquet"
    # Combined, so that the bytes do not depend on how the units came.
    pq.write_table(table.combine_chunks(), path, compression="zstd", row_group_size=ROW_GROUP_UNITS)

"""The textbook on disk: Parquet shards of one schema for all kinds."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from hornbook.errors import HornbookError, one_line
from hornbook.store import Artifact, load
from hornbook.tasks import Task
from hornbook.tasks.kinds import KINDS
from hornbook.tasks.task import TEXTS

STAGE = "textbook"
VERSION = 4
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
"""Columns are null where they do not apply. `text_pair`: the second text of a pair. `unit`: the id in the corpus.
`rank`, `score`: the best rank (from 1) and BM25 score over all anchors; in an importance textbook `score` is the log
weight. `anchors`: the number of anchors that retrieved the unit."""
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
        """The kind: `contextualized`, `general` …"""
        return str(self.artifact.info["kind"])

    @property
    def units(self) -> int:
        """The number of units."""
        return self.artifact.counts["units"]

    def batches(
        self, columns: Sequence[str] | None = None, batch_units: int = ROW_GROUP_UNITS
    ) -> Iterator[pa.RecordBatch]:
        """Stream the units in the order in which they were written.

        Args:
            columns: names from `SCHEMA`; default: all.
            batch_units: maximum units per batch; a batch does not span two shards.

        Yields:
            Batches of these columns.

        Raises:
            HornbookError: a shard is missing or changed.
        """
        for name in sorted(self.artifact.manifest["files"]):
            path = self.artifact.file(name)
            try:
                with pq.ParquetFile(path) as shard:
                    yield from shard.iter_batches(batch_units, columns=None if columns is None else list(columns))
            except (pa.ArrowException, OSError) as error:
                reason = one_line(error, 200)
                raise HornbookError(
                    f"{path}: cannot be read ({reason}); remove {self.artifact.path} and run again"
                ) from None


def open_textbook(textbook: Artifact | Path | str) -> Textbook:
    """Open a finished textbook.

    Args:
        textbook: the artefact or its folder.

    Returns:
        The textbook; its shards are read by `batches`.

    Raises:
        HornbookError: there is no finished textbook.
    """
    path = textbook.path if isinstance(textbook, Artifact) else textbook
    return Textbook(load(path, STAGE))


class NothingLeftError(HornbookError):
    """A textbook would have no units."""


def write(folder: Path, tables: Iterable[pa.Table], shard_units: int = SHARD_UNITS) -> int:
    """Write tables into shards.

    Args:
        folder: where the shards go.
        tables: tables of `SCHEMA`.
        shard_units: units per shard.

    Returns:
        The number of units.

    Raises:
        NothingLeftError: there are no units.
        HornbookError: a table has another schema.
    """
    waiting, units, number = SCHEMA.empty_table(), 0, 0
    for table in tables:
        if table.schema != SCHEMA:
            raise HornbookError(
                f"a textbook's tables have the columns {', '.join(SCHEMA.names)} with the types of textbook.SCHEMA, "
                f"not {', '.join(table.schema.names)}; make them with textbook.table_of"
            )
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
    """Convert units to a table of `SCHEMA`.

    Args:
        units: a table with some of the columns, such as `unit`, `text` and `source` of a corpus.
        columns: further columns, [units]; columns not given are null.

    Returns:
        The table, [units].
    """
    given = {name: units.column(name) for name in units.column_names} | columns
    nulls = {field.name: pa.nulls(units.num_rows, field.type) for field in SCHEMA}
    return pa.table({name: given.get(name, nulls[name]) for name in SCHEMA.names}).cast(SCHEMA)


def table_of_task(task: Task, rows: pa.Table) -> pa.Table:
    """Return rows of a task's split as a table of `SCHEMA`, with pairs and labels.

    Labels are class names (several joined by commas), or the score; null where the task has none.
    """
    if task.kind == TEXTS:
        return table_of(rows.select(["text", "text_pair"]))
    names = KINDS[task.kind].texts(rows.column("label"), task.labels)
    return table_of(rows.select(["text", "text_pair"]), label=names)


def _write_shard(folder: Path, number: int, table: pa.Table) -> None:
    path = folder / f"textbook-{number:05d}.parquet"
    # Combined, so that the bytes do not depend on how the units were batched.
    pq.write_table(table.combine_chunks(), path, compression="zstd", row_group_size=ROW_GROUP_UNITS)

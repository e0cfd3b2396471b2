"""Rows with their predictions as bytes of a file, window by window."""

import csv
import io
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq

from hornbook.errors import HornbookError, one_line
from hornbook.machine.tables import Window
from hornbook.machine.tables.columnar import ArrowWindow
from hornbook.machine.tables.delimited import FieldsWindow
from hornbook.machine.tables.json_lines import LinesWindow

Added = Mapping[str, Sequence[Any]]
"""The new columns: texts, lists of texts, or numbers; None for no value."""
_AS_TEXT = ","


class Writer(ABC):
    """Writes a file of one format in parts, so that what is there of it can be continued.

    Attributes:
        text: whether the file is text, which can be read before it is complete.
    """

    text: ClassVar[bool] = True

    @abstractmethod
    def encode(self, window: Window, added: Added) -> bytes:
        """Return what some rows with new columns add to the part file; there is at least one row."""

    @abstractmethod
    def resume(self, part: Path) -> None:
        """Read from a part file that has rows what `encode` needs to continue it."""

    def finish(self, part: Path, out: Path) -> None:
        """Publish a complete part file by a rename."""
        part.replace(out)


class JsonLines(Writer):
    """One JSON object per line. Rows that were JSON lines stay as they were written."""

    def encode(self, window: Window, added: Added) -> bytes:
        """Return the lines of some rows."""
        new = [json.dumps(dict(zip(added, row, strict=True)), ensure_ascii=False) for row in _transposed(added)]
        if isinstance(window, LinesWindow):
            old = [line.rstrip() for line in window.lines]
        else:
            old = [json.dumps(row, ensure_ascii=False, default=str) for row in window.records()]
        return "".join(f"{row[:-1]}, {more[1:]}\n" for row, more in zip(old, new, strict=True)).encode()

    def resume(self, part: Path) -> None:
        """Do nothing: no line depends on others."""


class Fields(Writer):
    """A heading and a line for each row: CSV, or TSV as `machine.tables` reads it, without quotation.

    Args:
        tabs: TSV.
    """

    def __init__(self, tabs: bool) -> None:
        self._tabs = tabs
        self._heading: list[str] = []

    def encode(self, window: Window, added: Added) -> bytes:
        """Return the lines of some rows, the first time after the heading."""
        begins = not self._heading
        self._heading = self._heading or [*window.names, *added]
        rows = self._rows(window, self._heading[: -len(added)])
        lines = [[*row, *map(_cell, new)] for row, new in zip(rows, _transposed(added), strict=True)]
        return self._lines([self._heading, *lines] if begins else lines)

    def resume(self, part: Path) -> None:
        """Read the heading."""
        with part.open(encoding="utf-8", newline="") as file:
            self._heading = file.readline().rstrip("\n").split("\t") if self._tabs else next(csv.reader(file))

    def _rows(self, window: Window, names: Sequence[str]) -> list[Sequence[str]]:
        if isinstance(window, FieldsWindow):
            return list(window.fields)
        records = window.records()
        for number, record in zip(window.numbers, records, strict=True):
            if more := [name for name in record if name not in names]:
                where = f"{window.unit} {number}"
                raise HornbookError(
                    f"{where} has a column {more[0]!r}, which the first row lacks; write JSONL instead"
                )
        return [[_cell(record.get(name)) for name in names] for record in records]

    def _lines(self, rows: Sequence[Sequence[str]]) -> bytes:
        if self._tabs:
            return "".join(f"{_tab_line(row)}\n" for row in rows).encode()
        held = io.StringIO()
        csv.writer(held, lineterminator="\n").writerows(rows)
        return held.getvalue().encode()


class Parquet(Writer):
    """Parquet. Its part file is a sequence of Arrow streams, since Parquet cannot be continued."""

    text: ClassVar[bool] = False

    def __init__(self) -> None:
        self._schema: pa.Schema | None = None

    def encode(self, window: Window, added: Added) -> bytes:
        """Return some rows as an Arrow stream."""
        old = window.batch if isinstance(window, ArrowWindow) else self._typed(window, len(added))
        new = [pa.array(values, _type(values)) for values in added.values()]
        # Without metadata: what other programs keep there counts the columns.
        schema = pa.schema([*old.schema, *(pa.field(n, v.type) for n, v in zip(added, new, strict=True))])
        self._schema = self._schema or schema
        sink = io.BytesIO()
        with pa.ipc.new_stream(sink, schema) as stream:
            stream.write_batch(pa.RecordBatch.from_arrays([*old.columns, *new], schema=schema))
        return sink.getvalue()

    def resume(self, part: Path) -> None:
        """Read the types of the columns."""
        with pa.OSFile(str(part)) as file:
            self._schema = pa.ipc.open_stream(file).schema

    def finish(self, part: Path, out: Path) -> None:
        """Copy the streams to a Parquet file and publish it by a rename."""
        whole = part.with_name(f"{part.name}.parquet")
        assert self._schema is not None
        with pa.OSFile(str(part)) as file, pq.ParquetWriter(whole, self._schema) as table:
            while file.tell() < file.size():
                for batch in pa.ipc.open_stream(file):
                    table.write_batch(batch)
        whole.replace(out)
        part.unlink()

    def _typed(self, window: Window, new: int) -> pa.RecordBatch:
        """Return rows of another format with the types of the first ones; a column without values counts as text."""
        records = window.records()
        try:
            own = pa.schema(list(self._schema)[:-new]) if self._schema else _schema_of(records)
            if more := [name for record in records for name in record if name not in own.names]:
                raise pa.ArrowInvalid(f"the first rows lack the column {more[0]!r}")
            return pa.RecordBatch.from_pylist(records, own)
        except pa.ArrowException as error:
            where = f"{window.unit}s {window.numbers[0]} to {window.numbers[-1]}"
            said = f"{where} do not fit the types of the first rows ({one_line(error, 150)})"
            raise HornbookError(f"{said}; write JSONL instead") from None


def writer_of(suffix: str) -> Writer:
    """Return the writer of a format.

    Args:
        suffix: the format, as the suffix of a file.

    Returns:
        a new writer.

    Raises:
        HornbookError: predictions cannot be written so.
    """
    if suffix in (".csv", ".tsv"):
        return Fields(tabs=suffix == ".tsv")
    if suffix == ".parquet":
        return Parquet()
    if suffix in (".jsonl", ".json"):
        return JsonLines()
    raise HornbookError(
        f"--out: predictions are written as .jsonl, .csv, .tsv or .parquet, not as {suffix or 'this'}"
    )


def _schema_of(records: Sequence[dict[str, Any]]) -> pa.Schema:
    names = dict.fromkeys(name for record in records for name in record)
    found = pa.Table.from_pylist([{name: record.get(name) for name in names} for record in records]).schema
    return pa.schema([pa.field(one.name, pa.string() if pa.types.is_null(one.type) else one.type) for one in found])


def _transposed(added: Added) -> list[tuple[Any, ...]]:
    return list(zip(*added.values(), strict=True))


def _type(values: Sequence[Any]) -> pa.DataType:
    kind = next((type(value) for value in values if value is not None), str)
    return pa.list_(pa.string()) if kind is list else pa.string() if kind is str else pa.float64()


def _cell(value: Any) -> str:
    """Return a value as a field of text."""
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return _AS_TEXT.join(value)
    return json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, dict | list | bool) else str(value)


def _tab_line(cells: Sequence[str]) -> str:
    if strange := next((cell for cell in cells if "\t" in cell or "\n" in cell), None):
        raise HornbookError(f"--out: {strange[:40]!r} has a tab or a line end, which TSV cannot hold; write CSV")
    return "\t".join(cells)

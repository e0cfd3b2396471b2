"""Typed tables: Parquet, and Arrow IPC (the file and the stream format; Feather version 2 is the former)."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq

from hornbook.errors import HornbookError, one_line
from hornbook.machine.parsing import parse_json
from hornbook.machine.tables.rows import (
    BATCH_CHARACTERS,
    WINDOW_ROWS,
    Format,
    Rows,
    TextBatch,
    Window,
    no_such_column,
    unique_columns,
)

_MOST_ROWS = 1 << 16  # in a batch of texts
_FILE_MAGIC, _FEATHER_1 = b"ARROW1", b"FEA1"
_END_OF_STREAM = b"\xff\xff\xff\xff\x00\x00\x00\x00"


def table_rows(where: str, table: pa.Table) -> Rows:
    """Return the rows of an Arrow table.

    Args:
        where: its file or name, for messages.
        table: any columns; values become Python's.

    Returns:
        the rows; columns that Python cannot hold are refused when used.

    Raises:
        HornbookError: a text is not UTF-8; the message names its column and row.
    """
    refused = {field.name: json_column(field.name) for field in table.schema if "arrow.json" in str(field.type)}
    values = []
    for name, column in zip(table.column_names, table.columns, strict=True):
        try:
            values.append(column.to_pylist())
        except UnicodeDecodeError:
            raise HornbookError(_broken_text(where, name, column)) from None
        except (ValueError, OverflowError, pa.ArrowException) as error:  # a time that Python cannot hold
            refused[name] = f"column {name!r} ({column.type}) cannot be read: {one_line(error, 200)}"
            values.append([])
    columns, _, twice = unique_columns(table.column_names, values)
    refused |= twice
    columns = {name: column for name, column in columns.items() if name not in refused}
    return Rows(where, columns, _stated_class_names(table.schema.metadata or {}), refused)


def json_column(name: str) -> str:
    """Return why a column of the type Json must not be used: text in it is read as JSON once more, or never."""
    return f"column {name!r} is of the type Json (values of several types); store it as text, numbers or lists"


def _broken_text(where: str, name: str, column: Any) -> str:
    """Return the message for the first text of a column that is not UTF-8."""
    for i, value in enumerate(column):
        try:
            value.as_py()
        except UnicodeDecodeError:
            return f"{where}: column {name!r}, row {i + 1} is not UTF-8; convert the text to UTF-8 first"
    return f"{where}: column {name!r} holds text that is not UTF-8"


def _stated_class_names(metadata: dict[bytes, bytes]) -> dict[str, tuple[str, ...]]:
    """Return the label names that the datasets library writes into a schema's metadata."""
    try:
        features = parse_json(metadata[b"huggingface"], "")["info"]["features"]
        inner = {name: about.get("feature", about) for name, about in features.items() if isinstance(about, dict)}
        names = {name: tuple(about["names"]) for name, about in inner.items() if "names" in about}
        return {name: known for name, known in names.items() if all(isinstance(one, str) for one in known)}
    except (HornbookError, KeyError, TypeError, AttributeError):
        return {}


def _read_parquet(path: Path, delimiter: str | None) -> Rows:
    # pq.read_table refuses two columns of one name, whatever is read
    with _readable(path, "Parquet"), pq.ParquetFile(path) as file:
        table = file.read()
    return table_rows(str(path), table)


def _stream_parquet(path: Path, column: str, names: str | None) -> Iterator[TextBatch]:
    with _readable(path, "Parquet"), pq.ParquetFile(path) as file:
        chosen = _text_columns(path, file.schema_arrow, column, names)
        batches = file.iter_batches(
            _rows_of_a_batch(file.metadata), columns=list(dict.fromkeys(chosen)), use_threads=False
        )
        yield from _texts(path, batches, chosen)


def _rows_of_a_batch(metadata: Any) -> int:
    """Return how many rows hold `BATCH_CHARACTERS`: long documents take no more memory than short ones."""
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    row_bytes = max((group.total_byte_size / max(group.num_rows, 1) for group in groups), default=1)
    return int(min(max(BATCH_CHARACTERS / max(row_bytes, 1), 1), _MOST_ROWS))


def _read_arrow(path: Path, delimiter: str | None) -> Rows:
    with _readable(path, "Arrow"), _open_arrow(path) as reader:
        table = reader.read_all()
        _check_structure(table)
    return table_rows(str(path), table)


def _stream_arrow(path: Path, column: str, names: str | None) -> Iterator[TextBatch]:
    with _readable(path, "Arrow"):
        with _open_arrow(path) as reader:
            chosen = _text_columns(path, reader.schema, column, names)
            fields = [reader.schema.get_field_index(name) for name in dict.fromkeys(chosen)]
        with _open_arrow(path, fields) as reader:
            whole = reader if isinstance(reader, pa.RecordBatchReader) else _batches(reader)
            yield from _texts(path, _sliced(whole), chosen)


@contextmanager
def _open_arrow(path: Path, fields: list[int] | None = None) -> Iterator[Any]:
    """Open an Arrow IPC file or stream, and read only the fields with these numbers."""
    options = pa.ipc.IpcReadOptions(use_threads=False, included_fields=fields or [])
    with ExitStack() as stack:
        file = stack.enter_context(pa.OSFile(str(path)))
        magic = file.read(len(_FILE_MAGIC))
        if magic.startswith(_FEATHER_1):
            raise HornbookError(f"{path}: is Feather version 1; write it again as version 2")
        if magic == _FILE_MAGIC:
            yield stack.enter_context(pa.ipc.open_file(file, options=options))
            return
        # A stream that was cut between two messages would end without an error.
        file.seek(max(0, file.size() - len(_END_OF_STREAM)))
        if file.read() != _END_OF_STREAM:
            raise pa.ArrowInvalid("the stream has no end; the file is not complete")
        file.seek(0)
        yield stack.enter_context(pa.ipc.open_stream(file, options=options))


def _batches(reader: Any) -> Iterator[pa.RecordBatch]:
    for number in range(reader.num_record_batches):
        yield reader.get_batch(number)


def _sliced(batches: Any) -> Iterator[pa.RecordBatch]:
    """Yield batches of at most about `BATCH_CHARACTERS`; programs may write a whole table as one."""
    for batch in batches:
        _check_structure(batch)
        rows = int(min(max(BATCH_CHARACTERS * len(batch) / max(batch.nbytes, 1), 1), _MOST_ROWS))
        for start in range(0, len(batch), rows):
            yield batch.slice(start, rows)


def _check_structure(table: pa.Table | pa.RecordBatch) -> None:
    """Raise pa.ArrowInvalid if offsets or indices point out of their buffers; text may still not be valid UTF-8."""
    try:
        table.validate(full=True)
    except pa.ArrowInvalid as error:
        if "UTF8" not in str(error):
            raise


def _text_columns(path: Path, schema: pa.Schema, column: str, names: str | None) -> list[str]:
    """Return the columns to read: that of the texts, and `names` where it is a column of text."""
    if column not in schema.names:
        raise HornbookError(f"{path}: {no_such_column(column, schema.names)}")
    if schema.names.count(column) > 1:
        raise HornbookError(f"{path}: has two columns {column!r}; rename one")
    kind = schema.field(column).type
    if not _is_text(kind):
        raise HornbookError(f"{path}: column {column!r} holds no text but {kind}")
    own = names is not None and schema.names.count(names) == 1 and _is_text(schema.field(names).type)
    return [column, names] if own and names is not None else [column]


def _is_text(kind: Any) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _texts(path: Path, batches: Any, columns: list[str]) -> Iterator[TextBatch]:
    """Yield the texts of batches, and the names of the rows where `columns` has a second one."""
    row = 0
    for batch in batches:
        texts, *names = (batch.column(name).cast(pa.string()) for name in columns)
        _check_utf8(texts, path, row)
        row += len(texts)
        yield TextBatch(texts, *names)


def _check_utf8(texts: Any, path: Path, first_row: int) -> None:
    try:
        texts.validate(full=True)
    except pa.ArrowInvalid:
        for number, text in enumerate(texts.cast(pa.binary()).to_pylist()):
            try:
                (text or b"").decode("utf-8")
            except UnicodeDecodeError as error:
                where = f"{path}, row {first_row + number} (byte {error.start} of its text)"
                raise HornbookError(f"{where}: not UTF-8 text; convert the file to UTF-8") from None
        raise


@contextmanager
def _readable(path: Path, what: str) -> Iterator[None]:
    """Turn what Arrow raises for a damaged file into one line."""
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        raise HornbookError(f"{path}: not a readable {what} file: {one_line(error, 200)}") from None


@dataclass(frozen=True)
class ArrowWindow(Window):
    """Rows of a typed table.

    Attributes:
        unit: rows are numbered, not lines.
        where: the file, for messages.
        numbers: the number of each row.
        batch: the rows as they are stored.
        faults: always none.
    """

    unit: ClassVar[str] = "row"
    where: str
    numbers: Sequence[int]
    batch: pa.RecordBatch
    faults: dict[int, str] = field(default_factory=dict)

    @property
    def names(self) -> Sequence[str]:
        """The names of the columns."""
        return list(self.batch.schema.names)

    def column(self, name: str) -> list[Any]:
        """Return the values of a column, one for each row; None where there is none."""
        column = self.batch.column(name)
        try:
            return list(column.to_pylist())
        except UnicodeDecodeError:
            raise HornbookError(_broken_text(self.where, name, column)) from None

    def take(self, indices: Sequence[int]) -> "ArrowWindow":
        """Return only the rows with these indices."""
        rows = self.batch.take(pa.array(indices, pa.int64()))
        return ArrowWindow(self.where, [self.numbers[i] for i in indices], rows)

    def records(self) -> list[dict[str, Any]]:
        """Return each row as its values by column."""
        return list(self.batch.to_pylist())


def parquet_rows(path: Path) -> int:
    """Return the number of rows of a Parquet file."""
    with _readable(path, "Parquet"):
        return int(pq.read_metadata(path).num_rows)


def _windows(path: Path) -> Iterator[ArrowWindow]:
    row = 1
    with _readable(path, "Parquet"), pq.ParquetFile(path) as file:
        size = min(WINDOW_ROWS, _rows_of_a_batch(file.metadata))
        for batch in file.iter_batches(size, use_threads=False):
            yield ArrowWindow(str(path), range(row, row + len(batch)), batch)
            row += len(batch)


FORMATS = {
    ".parquet": Format(_read_parquet, _stream_parquet, compressible=False, windows=_windows),
    ".arrow": Format(_read_arrow, _stream_arrow, compressible=False),
    ".feather": Format(_read_arrow, _stream_arrow, compressible=False),
}

"""Tables of labelled text as they lie in files: CSV, TSV, JSONL (each also .gz) and Parquet."""

import csv
import difflib
import gzip
import io
import json
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hornbook.errors import HornbookError


@dataclass(frozen=True)
class Rows:
    """The rows of one split, column by column, with the values as they were stored.

    Attributes:
        where: the file or hub split, for messages; rows are counted from 1, the heading left out.
        columns: the values of each column; all of one length.
        class_names: the names of whole-number labels, by column, where the source states them.
    """

    where: str
    columns: dict[str, list[Any]]
    class_names: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def column(self, name: str) -> list[Any]:
        """Return the values of a column.

        Raises:
            HornbookError: there is no such column; names those there are, the nearest first.
        """
        if name in self.columns:
            return self.columns[name]
        near = difflib.get_close_matches(name, self.columns, n=1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        raise HornbookError(f"{self.where}: no column {name!r}{hint}; the columns are {', '.join(self.columns)}")

    def texts(self, name: str) -> list[str]:
        """Return the values of a column of text.

        Raises:
            HornbookError: no such column, empty texts, or values that are no text.
        """
        values = self.column(name)
        empty = [i for i, value in enumerate(values) if value is None or value == "" or str(value).isspace()]
        if empty:
            raise HornbookError(
                f"{self.where}: column {name!r}: {_count(empty, 'empty text')}; fill in or remove these rows"
            )
        other = [i for i, value in enumerate(values) if not isinstance(value, str)]
        if other:
            kind = type(values[other[0]]).__name__
            raise HornbookError(f"{self.where}: column {name!r}: {_count(other, 'value')} not text but {kind}")
        broken = [i for i, value in enumerate(values) if not _is_unicode(value)]
        if broken:
            raise HornbookError(f"{self.where}: column {name!r}: {_count(broken, 'text')} not valid Unicode")
        return values


def _count(at: Sequence[int], what: str) -> str:
    """Say how many rows and which is first: `3 empty texts (the first in row 5)`."""
    plural = "" if len(at) == 1 else "s"
    return f"{len(at)} {what}{plural} (the first in row {at[0] + 1})"


def _is_unicode(text: str) -> bool:
    """Return whether the text can be stored: JSON may escape half of a surrogate pair."""
    return text.isascii() or not any("\ud800" <= c <= "\udfff" for c in text)


def read_rows(path: Path) -> Rows:
    """Read a file of labelled rows; the format follows from its name.

    In TSV files quotation marks are plain characters and fields hold no tabs or line ends, as in GLUE's files.

    Raises:
        HornbookError: missing, empty, of an unknown format, not UTF-8, or malformed (names the row).
    """
    reader = _reader(path)
    if reader is None:
        raise HornbookError(f"{path}: not a known format; use one of {', '.join(_READERS)} (text also .gz)")
    if not path.is_file():
        raise HornbookError(f"{path}: no such file")
    if path.stat().st_size == 0:
        raise HornbookError(f"{path}: the file is empty")
    rows = reader(path)
    if not any(rows.columns.values()):
        raise HornbookError(f"{path}: holds no rows")
    return rows


def is_readable(path: Path | str) -> bool:
    """Return whether the name is that of a format that `read_rows` reads."""
    return _reader(Path(path)) is not None


def stem(path: Path) -> str:
    """Return the file's name without what states its format."""
    name = path.name.removesuffix(".gz")
    return name.removesuffix(Path(name).suffix)


def _reader(path: Path) -> Callable[[Path], Rows] | None:
    name = path.name.lower()
    suffix = Path(name.removesuffix(".gz")).suffix
    return None if name.endswith(".parquet.gz") else _READERS.get(suffix)


def _read_text(path: Path) -> str:
    data = path.read_bytes()
    try:
        data = gzip.decompress(data) if path.suffix.lower() == ".gz" else data
        return data.decode("utf-8").removeprefix("\ufeff")
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise HornbookError(f"{path}: not a complete gzip file") from None
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise HornbookError(
            f"{path}: line {line} (byte {error.start}) is not UTF-8; convert the file to UTF-8 first"
        ) from None


def _read_csv(path: Path) -> Rows:
    csv.field_size_limit(1 << 30)
    reader = csv.reader(io.StringIO(_read_text(path), newline=""), strict=True)
    try:
        return _from_fields(path, list(reader))
    except csv.Error as error:
        raise HornbookError(f"{path}: line {reader.line_num}: not CSV: {error}") from None


def _read_tsv(path: Path) -> Rows:
    lines = (line.removesuffix("\r") for line in _read_text(path).split("\n"))
    return _from_fields(path, [line.split("\t") for line in lines if line])


def _from_fields(path: Path, table: Iterable[Sequence[str]]) -> Rows:
    heading, *body = [fields for fields in table if fields] or [()]
    names = [name.strip() for name in heading]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise HornbookError(f"{path}: the heading has two columns {twice!r}")
    for i, fields in enumerate(body):
        if len(fields) != len(names):
            raise HornbookError(f"{path}: row {i + 1} has {len(fields)} fields, but the heading has {len(names)}")
    columns = [list(column) for column in zip(*body, strict=True)] or [[] for _ in names]
    return Rows(str(path), dict(zip(names, columns, strict=True)))


def _read_jsonl(path: Path) -> Rows:
    records: list[dict[str, Any]] = []
    for number, line in enumerate(_read_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except ValueError:
            record = None
        if not isinstance(record, dict):
            raise HornbookError(f"{path}: line {number} is not a JSON object; JSONL has one object a line")
        records.append(record)
    names = dict.fromkeys(name for record in records for name in record)
    return Rows(str(path), {name: [record.get(name) for record in records] for name in names})


def _read_parquet(path: Path) -> Rows:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
        columns = {name: table.column(name).to_pylist() for name in table.column_names}
    except pa.ArrowException as error:
        raise HornbookError(f"{path}: not a Parquet file that can be read: {str(error).splitlines()[0]}") from None
    except UnicodeDecodeError:
        raise HornbookError(_broken_text(path, table)) from None
    return Rows(str(path), columns, _stated_class_names(table.schema.metadata or {}))


def _broken_text(path: Path, table: Any) -> str:
    """Say in which column and row of a Parquet file the first text that is not UTF-8 stands."""
    for name in table.column_names:
        for i, value in enumerate(table.column(name)):
            try:
                value.as_py()
            except UnicodeDecodeError:
                return f"{path}: column {name!r}, row {i + 1} is not UTF-8; convert the text to UTF-8 first"
    return f"{path}: holds text that is not UTF-8"


def _stated_class_names(metadata: dict[bytes, bytes]) -> dict[str, tuple[str, ...]]:
    """Return the label names that the datasets library leaves in a Parquet file's metadata."""
    try:
        features = json.loads(metadata[b"huggingface"])["info"]["features"]
        inner = {name: about.get("feature", about) for name, about in features.items() if isinstance(about, dict)}
        return {name: tuple(about["names"]) for name, about in inner.items() if "names" in about}
    except (KeyError, ValueError, TypeError):
        return {}


_READERS: dict[str, Callable[[Path], Rows]] = {
    ".csv": _read_csv,
    ".tsv": _read_tsv,
    ".jsonl": _read_jsonl,
    ".json": _read_jsonl,
    ".parquet": _read_parquet,
}

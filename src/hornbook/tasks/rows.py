"""Tables of labelled text as they lie in files: CSV, TSV, TXT, JSON, JSONL (each also .gz) and Parquet."""

import csv
import difflib
import gzip
import io
import json
import re
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from hornbook.errors import HornbookError

_MOST_NAMED = 30  # columns in a message


@dataclass(frozen=True)
class Rows:
    """The rows of one split, column by column, with the values as they were stored.

    Attributes:
        where: the file or hub split, for messages; rows are counted from 1, the heading left out.
        columns: the values of each column; all of one length.
        class_names: the names of whole-number labels, by column, where the source states them.
        refused: columns that must not be used, and why.
        is_text: whether the format knows nothing but text, so that text may stand for a number.
        keeps_quotes: whether quotation marks around a field belong to it.
        hint: what to do if a column is not found.
    """

    where: str
    columns: dict[str, list[Any]]
    class_names: dict[str, tuple[str, ...]] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    is_text: bool = False
    keeps_quotes: bool = False
    hint: str = ""

    def column(self, name: str) -> list[Any]:
        """Return the values of a column.

        Raises:
            HornbookError: there is no such column (names those there are, the nearest first), or it cannot be used.
        """
        if name in self.columns:
            return self.columns[name]
        if name in self.refused:
            raise HornbookError(f"{self.where}: {self.refused[name]}")
        near = difflib.get_close_matches(name, self.columns, n=1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        more = f" and {len(self.columns) - _MOST_NAMED} more" if len(self.columns) > _MOST_NAMED else ""
        there = ", ".join(list(self.columns)[:_MOST_NAMED]) + more
        raise HornbookError(f"{self.where}: no column {name!r}{hint}; the columns are {there}{self.hint}")

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
            raise HornbookError(
                f"{self.where}: column {name!r}: {_count(other, 'value')} {_are(other)} not text but {kind};"
                " store them as text"
            )
        broken = [i for i, value in enumerate(values) if not is_unicode(value)]
        if broken:
            raise HornbookError(
                f"{self.where}: column {name!r}: {_count(broken, 'text')} {_are(broken)} not valid Unicode"
            )
        return values


def _count(at: Sequence[int], what: str) -> str:
    """Say how many rows and which is first: `3 empty texts (the first in row 5)`."""
    plural = "" if len(at) == 1 else "s"
    return f"{len(at)} {what}{plural} (the first in row {at[0] + 1})"


def _are(at: Sequence[int]) -> str:
    return "is" if len(at) == 1 else "are"


def is_unicode(text: str) -> bool:
    """Return whether the text can be stored: JSON may escape half of a surrogate pair."""
    return text.isascii() or not any("\ud800" <= c <= "\udfff" for c in text)


def read_rows(path: Path, delimiter: str | None = None) -> Rows:
    """Read a file of labelled rows; the format follows from its name.

    Args:
        path: the file.
        delimiter: what separates the fields of a text table, which then has quotation marks as CSV has them. Without
            it, CSV has commas, and in TSV quotation marks are plain characters and fields hold no tabs or line ends,
            as in GLUE's files.

    Raises:
        HornbookError: missing, empty, of an unknown format, not UTF-8, or malformed (names the row).
    """
    form = _form(path)
    if form is None:
        raise HornbookError(f"{path}: not a known format; use one of {', '.join(_READERS)} (text also .gz)")
    if not path.is_file():
        raise HornbookError(f"{path}: no such file")
    if path.stat().st_size == 0:
        raise HornbookError(f"{path}: the file is empty")
    if delimiter is not None and is_table(path):
        rows = _read_csv(path, delimiter)
    elif form == ".txt":
        raise HornbookError(f"{path}: set task.delimiter to what separates its columns (tab, ';', …)")
    else:
        rows = _READERS[form](path)
    if not any(rows.columns.values()) and not rows.refused:
        raise HornbookError(f"{path}: holds no rows")
    return rows


def joined(parts: Sequence[Rows]) -> Rows:
    """Return the rows of a split that lies in several files; a column that a part lacks is empty there."""
    if len(parts) == 1:
        return parts[0]
    names = dict.fromkeys(name for part in parts for name in part.columns)
    counts = [len(next(iter(part.columns.values()), ())) for part in parts]
    columns = {
        name: [v for part, n in zip(parts, counts, strict=True) for v in part.columns.get(name, [None] * n)]
        for name in names
    }
    first = parts[0]
    return Rows(
        f"{first.where} and {len(parts) - 1} more",
        columns,
        first.class_names,
        {name: why for part in parts for name, why in part.refused.items()},
        first.is_text,
        first.keeps_quotes,
        first.hint,
    )


def is_readable(path: Path | str) -> bool:
    """Return whether the name is that of a format that `read_rows` reads."""
    return _form(Path(path)) is not None


def is_table(path: Path) -> bool:
    """Return whether the name is that of a text file whose columns a delimiter separates."""
    return _form(path) in _TABLES


def stem(path: Path) -> str:
    """Return the file's name without what states its format."""
    name = path.name.removesuffix(".gz")
    return name.removesuffix(Path(name).suffix)


def _form(path: Path) -> str | None:
    """Return the ending that states the format, None if it is unknown."""
    name = path.name.lower()
    suffix = Path(name.removesuffix(".gz")).suffix
    return None if name.endswith(".parquet.gz") or suffix not in _READERS else suffix


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


def _read_csv(path: Path, delimiter: str = ",") -> Rows:
    csv.field_size_limit(1 << 30)
    text = _EXCEL.sub("", _read_text(path))
    hint = _other_delimiter(text, delimiter)
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=delimiter)
    try:
        return _from_fields(path, list(reader), hint)
    except csv.Error as error:
        raise HornbookError(f"{path}: line {reader.line_num}: not CSV: {error}{hint}") from None


def _read_tsv(path: Path) -> Rows:
    text = _read_text(path)
    lines = (line.removesuffix("\r") for line in text.split("\n"))
    quoted = "; if fields are quoted as in CSV, set task.delimiter: tab" if re.search(r'(^|\t)"', text, re.M) else ""
    hint = _other_delimiter(text, "\t") or quoted
    rows = _from_fields(path, [line.split("\t") for line in lines if line], hint)
    return replace(rows, keeps_quotes=True, hint="" if hint == quoted and '"' not in "".join(rows.columns) else hint)


def _other_delimiter(text: str, delimiter: str) -> str:
    """Return what to do about a heading that is one column now, but more with another delimiter; else nothing."""
    heading = text.lstrip("\r\n").partition("\n")[0].strip("\r")
    other = next((one for one in (";", "\t", "|", ",") if one in heading), None)
    if delimiter in heading or other is None:
        return ""
    return f"; if {'tabs separate' if other == TAB else f'{other!r} separates'} the columns, set task.delimiter"


def _from_fields(path: Path, table: Iterable[Sequence[str]], hint: str) -> Rows:
    heading, *body = [fields for fields in table if fields] or [()]
    names = [name.strip() for name in heading]
    for i, fields in enumerate(body):
        if len(fields) != len(names):
            raise HornbookError(
                f"{path}: row {i + 1} has {len(fields)} fields, but the heading has {len(names)}{hint}"
            )
    columns = [list(column) for column in zip(*body, strict=True)] or [[] for _ in names]
    return Rows(str(path), *_once(names, columns), is_text=True, hint=hint)


def _once(
    names: Sequence[str], columns: Sequence[list[Any]]
) -> tuple[dict[str, list[Any]], dict[str, tuple[str, ...]], dict[str, str]]:
    """Return the columns whose names are there once, no class names, and why not to use the others."""
    twice = {name: f"the heading has two columns {name!r}" for name in names if names.count(name) > 1}
    return {n: column for n, column in zip(names, columns, strict=True) if n not in twice}, {}, twice


def _read_json(path: Path) -> Rows:
    text = _read_text(path)
    records: list[Any] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line, parse_int=_integer)
        except ValueError:
            record = None
        records.append(record)
        if not isinstance(record, dict):
            if len(records) == 1 and (whole := _whole_json(path, text)) is not None:
                return whole
            raise HornbookError(f"{path}: line {number} is not a JSON object; JSONL has one object a line")
    if len(records) == 1 and (whole := _whole_json(path, text)) is not None:
        return whole
    return _from_records(path, records)


def _integer(text: str) -> int | Decimal:
    """Return an integer; Python makes no int of more than 4,300 digits."""
    return int(text) if len(text) < _LONGEST_INTEGER else Decimal(text)


def _whole_json(path: Path, text: str) -> Rows | None:
    """Return the rows of a file that is one list of objects, or one object of columns; None if it is neither.

    Columns are lists of one length or, as pandas writes them, objects with the same keys.
    """
    try:
        whole = json.loads(text, parse_int=_integer)
    except (ValueError, RecursionError):
        return None
    if isinstance(whole, list) and whole and all(isinstance(record, dict) for record in whole):
        return _from_records(path, whole)
    if not isinstance(whole, dict) or not whole:
        return None
    columns = list(whole.values())
    if all(isinstance(column, dict) and column.keys() == columns[0].keys() for column in columns):
        return Rows(str(path), {name: list(column.values()) for name, column in whole.items()})
    if not all(isinstance(column, list) for column in columns):
        return None
    if len({len(column) for column in columns}) > 1:
        counts = ", ".join(f"{name} {len(column)}" for name, column in whole.items())
        raise HornbookError(f"{path}: its columns have different numbers of rows: {counts}")
    return Rows(str(path), whole)


def _from_records(path: Path, records: Sequence[dict[str, Any]]) -> Rows:
    names = dict.fromkeys(name for record in records for name in record)
    return Rows(str(path), {name: [record.get(name) for record in records] for name in names})


def _read_parquet(path: Path) -> Rows:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:  # read_table refuses two columns of one name, whatever is read
            table = file.read()
        columns, _, refused = _once(table.column_names, [column.to_pylist() for column in table.columns])
    except pa.ArrowException as error:
        raise HornbookError(f"{path}: not a Parquet file that can be read: {str(error).splitlines()[0]}") from None
    except UnicodeDecodeError:
        raise HornbookError(_broken_text(path, table)) from None
    refused |= {field.name: json_column(field.name) for field in table.schema if "arrow.json" in str(field.type)}
    columns = {name: values for name, values in columns.items() if name not in refused}
    return Rows(str(path), columns, _stated_class_names(table.schema.metadata or {}), refused)


def json_column(name: str) -> str:
    """Return why a column of the type Json must not be used: text in it is read as JSON once more, or never."""
    return f"column {name!r} is of the type Json (values of several types); store it as text, numbers or lists"


def _broken_text(path: Path, table: Any) -> str:
    """Say in which column and row of a Parquet file the first text that is not UTF-8 stands."""
    for name, column in zip(table.column_names, table.columns, strict=True):
        for i, value in enumerate(column):
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


TAB = "\t"
_EXCEL = re.compile(r"\Asep=.\r?\n")  # a line by which spreadsheets name the delimiter
_LONGEST_INTEGER = 4_000
_TABLES = (".csv", ".tsv", ".txt")
_READERS: dict[str, Callable[[Path], Rows]] = {
    ".csv": _read_csv,
    ".tsv": _read_tsv,
    ".txt": _read_tsv,
    ".jsonl": _read_json,
    ".json": _read_json,
    ".parquet": _read_parquet,
}

"""CSV, TSV and other text tables whose columns a delimiter separates. Values stay text."""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from hornbook.errors import HornbookError
from hornbook.machine.tables.rows import Format, Rows, Window, in_windows, unique_columns
from hornbook.machine.text_files import read_lines, read_text

_TAB = "\t"
_EXCEL = re.compile(r"\Asep=.\r?\n")  # a line in which spreadsheets name the delimiter
_LONGEST_FIELD = 1 << 30


def _read_csv(path: Path, delimiter: str | None) -> Rows:
    delimiter = delimiter or ","
    csv.field_size_limit(_LONGEST_FIELD)
    text = _EXCEL.sub("", read_text(path))
    hint = _other_delimiter(text, delimiter)
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=delimiter)
    try:
        return _from_fields(path, list(reader), hint)
    except csv.Error as error:
        raise HornbookError(f"{path}: line {reader.line_num}: not CSV: {error}{hint}") from None


def _read_tsv(path: Path, delimiter: str | None) -> Rows:
    """Read a table as GLUE writes it: quotation marks are plain characters, and fields hold no tab or line end."""
    if delimiter is not None:
        return _read_csv(path, delimiter)
    text = read_text(path)
    lines = (line.removesuffix("\r") for line in text.split("\n"))
    quoted = "; if fields are quoted as in CSV, set task.delimiter: tab" if re.search(r'(^|\t)"', text, re.M) else ""
    hint = _other_delimiter(text, _TAB) or quoted
    rows = _from_fields(path, [line.split(_TAB) for line in lines if line], hint)
    return replace(rows, keeps_quotes=True, hint="" if hint == quoted and '"' not in "".join(rows.columns) else hint)


def _read_txt(path: Path, delimiter: str | None) -> Rows:
    if delimiter is None:
        raise HornbookError(f"{path}: set task.delimiter to what separates its columns (tab, ';', …)")
    return _read_csv(path, delimiter)


def _other_delimiter(text: str, delimiter: str) -> str:
    """Return advice if the heading is one column with this delimiter but several with another; else nothing."""
    heading = text.lstrip("\r\n").partition("\n")[0].strip("\r")
    other = next((one for one in (";", _TAB, "|", ",") if one in heading), None)
    if delimiter in heading or other is None:
        return ""
    return f"; if {'tabs separate' if other == _TAB else f'{other!r} separates'} the columns, set task.delimiter"


def _from_fields(path: Path, table: Iterable[Sequence[str]], hint: str) -> Rows:
    heading, *body = [fields for fields in table if fields] or [()]
    names = [name.strip() for name in heading]
    for i, fields in enumerate(body):
        if len(fields) != len(names):
            raise HornbookError(
                f"{path}: row {i + 1} has {len(fields)} fields, but the heading has {len(names)}{hint}"
            )
    columns = [list(column) for column in zip(*body, strict=True)] or [[] for _ in names]
    return Rows(str(path), *unique_columns(names, columns), is_text=True, hint=hint)


@dataclass(frozen=True)
class FieldsWindow(Window):
    """Rows of a table of fields.

    Attributes:
        numbers: the line in which each row begins.
        heading: the names of the columns.
        fields: the fields of each row; none of a row that cannot be read.
        faults: see `Window`.
    """

    numbers: Sequence[int]
    heading: Sequence[str]
    fields: Sequence[Sequence[str]]
    faults: dict[int, str]

    @property
    def names(self) -> Sequence[str]:
        """The names of the columns."""
        return self.heading

    def column(self, name: str) -> list[Any]:
        """Return the values of a column, one for each row; None where there is none."""
        place = self.heading.index(name)
        return [fields[place] if fields else None for fields in self.fields]

    def take(self, indices: Sequence[int]) -> "FieldsWindow":
        """Return only the rows with these indices, which can be read."""
        return FieldsWindow([self.numbers[i] for i in indices], self.heading, [self.fields[i] for i in indices], {})

    def records(self) -> list[dict[str, Any]]:
        """Return each row as its values by column; all rows can be read."""
        return [dict(zip(self.heading, fields, strict=True)) for fields in self.fields]


_Row = tuple[int, Sequence[str] | str]  # the line in which a row begins; its fields, or what is wrong


def _windows(path: Path, fields: Any) -> Iterator[FieldsWindow]:
    csv.field_size_limit(_LONGEST_FIELD)
    rows: Iterator[_Row] = fields(f"{line}\n" for line in read_lines(path))
    heading = next((row[1] for row in rows), None)
    if heading is None:
        raise HornbookError(f"{path}: the file is empty")
    if isinstance(heading, str):
        raise HornbookError(f"{path}: the heading is {heading}")
    names = [name.strip() for name in heading]
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise HornbookError(f"{path}: the heading has two columns {twice[0]!r}; rename one")
    for window in in_windows(rows, lambda row: sum(map(len, row[1]))):
        numbers, read = zip(*window, strict=True)
        faults = {i: why for i, row in enumerate(read) if (why := _fault(row, names))}
        yield FieldsWindow(numbers, names, [() if i in faults else row for i, row in enumerate(read)], faults)


def _fault(row: Sequence[str] | str, names: Sequence[str]) -> str | None:
    if isinstance(row, str):
        return row
    return None if len(row) == len(names) else f"{len(row)} fields, but the heading has {len(names)}"


def _csv_fields(lines: Iterable[str]) -> Iterator[_Row]:
    # A line that only names the delimiter still counts as a line.
    reader = csv.reader(("\n" if not i and _EXCEL.match(line) else line for i, line in enumerate(lines)), strict=True)
    while True:
        begin = reader.line_num + 1
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:  # the next row begins in the next line
            yield begin, f"not CSV: {error}"
            continue
        if fields:
            yield begin, fields


def _tsv_fields(lines: Iterable[str]) -> Iterator[_Row]:
    for number, line in enumerate(lines, 1):
        if text := line.removesuffix("\n").removesuffix("\r"):
            yield number, text.split(_TAB)


FORMATS = {
    ".csv": Format(_read_csv, delimited=True, windows=partial(_windows, fields=_csv_fields)),
    ".tsv": Format(_read_tsv, delimited=True, windows=partial(_windows, fields=_tsv_fields)),
    ".txt": Format(_read_txt, delimited=True),
}

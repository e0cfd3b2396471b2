"""CSV, TSV and other text tables whose columns a delimiter separates. Values stay text."""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from hornbook.errors import HornbookError
from hornbook.machine.tables.rows import Format, Rows, unique_columns
from hornbook.machine.text_files import read_text

_TAB = "\t"
_EXCEL = re.compile(r"\Asep=.\r?\n")  # a line in which spreadsheets name the delimiter


def _read_csv(path: Path, delimiter: str | None) -> Rows:
    delimiter = delimiter or ","
    csv.field_size_limit(1 << 30)
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


FORMATS = {
    ".csv": Format(_read_csv, delimited=True),
    ".tsv": Format(_read_tsv, delimited=True),
    ".txt": Format(_read_txt, delimited=True),
}

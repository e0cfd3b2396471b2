"""JSON: one object per line; or, read as a whole, one list of objects or one object of columns."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hornbook.errors import HornbookError
from hornbook.machine.parsing import parse_json
from hornbook.machine.tables.rows import (
    Format,
    Rows,
    TextBatch,
    Window,
    batched,
    in_windows,
    no_such_column,
    no_text,
)
from hornbook.machine.text_files import read_lines, read_text


def _read(path: Path, delimiter: str | None) -> Rows:
    text = read_text(path)
    records: list[Any] = []
    for number, record in _parsed(text.split("\n")):
        records.append(record)
        if not isinstance(record, dict):
            if len(records) == 1 and (whole := _whole(path, text)) is not None:
                return whole
            raise HornbookError(_no_object(path, number))
    if len(records) == 1 and (whole := _whole(path, text)) is not None:
        return whole
    return _from_records(path, records)


def _stream(path: Path, column: str, names: str | None) -> Iterator[TextBatch]:
    return batched(_texts(path, column, names))


def _texts(path: Path, column: str, names: str | None) -> Iterator[tuple[str | None, str | None]]:
    """Yield the text of each row, and the text in column `names`, where there is one that is not empty."""
    for number, row in _parsed(read_lines(path)):
        if not isinstance(row, dict):
            raise HornbookError(_no_object(path, number))
        if column not in row:
            raise HornbookError(f"{path}, line {number}: {no_such_column(column, row)}")
        text = row[column]
        if not isinstance(text, str | None):
            raise HornbookError(f"{path}, line {number}: {no_text(column, text)}")
        name = row.get(names) if names is not None else None
        yield text, name if isinstance(name, str) and name else None


def _parsed(lines: Iterable[str]) -> Iterator[tuple[int, Any]]:
    """Yield the number and the value of each line that is not blank; None for a line that is not JSON."""
    for number, line in enumerate(lines, start=1):
        if line and not line.isspace():
            yield number, _value(line)


def _no_object(path: Path, number: int) -> str:
    return f"{path}: line {number} is not a JSON object; JSONL has one object per line"


def _value(text: str) -> Any:
    """Return the value of a JSON text; None if it is none."""
    try:
        return parse_json(text, "")
    except HornbookError:
        return None


def _whole(path: Path, text: str) -> Rows | None:
    """Return the rows of a file that is one list of objects, or one object of columns; None if it is neither.

    Columns are lists of one length or, as pandas writes them, objects with the same keys.
    """
    whole = _value(text)
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


@dataclass(frozen=True)
class LinesWindow(Window):
    """Rows of JSON lines.

    Attributes:
        numbers: the number of each line.
        lines: the rows as they are stored.
        values: the values of each row by column; none for a row that cannot be read.
        faults: see `Window`.
    """

    numbers: Sequence[int]
    lines: Sequence[str]
    values: Sequence[dict[str, Any]]
    faults: dict[int, str]

    @property
    def names(self) -> Sequence[str]:
        """The names of the columns of the first row that has any."""
        return list(next((row for row in self.values if row), {}))

    def column(self, name: str) -> list[Any]:
        """Return the values of a column, one for each row; None where there is none."""
        return [row.get(name) for row in self.values]

    def has_any(self, names: Collection[str]) -> str | None:
        """Return a column of one of these names that a row has; None if there is none."""
        wanted = frozenset(names)
        return next(
            (name for row in self.values if not wanted.isdisjoint(row) for name in row if name in wanted), None
        )

    def take(self, indices: Sequence[int]) -> "LinesWindow":
        """Return only the rows with these indices, which can be read."""
        numbers, lines, values = ([part[i] for i in indices] for part in (self.numbers, self.lines, self.values))
        return LinesWindow(numbers, lines, values, {})  # type: ignore[arg-type]

    def records(self) -> list[dict[str, Any]]:
        """Return each row as its values by column; all rows can be read."""
        return list(self.values)


def _windows(path: Path) -> Iterator[LinesWindow]:
    filled = ((number, line) for number, line in enumerate(read_lines(path), 1) if line and not line.isspace())
    for window in in_windows(filled, lambda row: len(row[1])):
        numbers, lines = zip(*window, strict=True)
        found = [_object(line) for line in lines]
        faults = {i: "not a JSON object; JSONL has one object per line" for i, row in enumerate(found) if row is None}
        yield LinesWindow(numbers, lines, [row or {} for row in found], faults)


def _object(line: str) -> dict[str, Any] | None:
    found = _value(line)
    return found if isinstance(found, dict) else None


FORMATS = {
    ".jsonl": Format(_read, _stream, windows=_windows),
    ".json": Format(_read, _stream, windows=_windows),
}

"""The rows of a file whose texts are classified: which can be, and what is wrong with the others."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hornbook.errors import HornbookError
from hornbook.machine.tables import FORMATS, Window, format_of
from hornbook.machine.tables.rows import is_unicode, missing_column

STDIN = "-"
_STDIN_PATH = Path("/dev/stdin")
_TEXT_COLUMNS = ("text", "sentence")


@dataclass(frozen=True)
class Columns:
    """The columns with the texts.

    Attributes:
        text: the column of the texts.
        pair: the column of the second texts, None without pairs.
    """

    text: str
    pair: str | None


@dataclass(frozen=True)
class Readable:
    """The rows of a window that can be classified.

    Attributes:
        window: these rows.
        texts: their texts.
        pairs: their second texts, None without pairs.
        faults: for each other row, what is wrong and where.
    """

    window: Window
    texts: Sequence[str]
    pairs: Sequence[str] | None
    faults: Sequence[str]


def open_windows(source: str, suffix: str) -> Iterator[Window]:
    """Return the rows of a file in windows.

    Args:
        source: the file, or `-` for the standard input.
        suffix: its format, as the suffix of a file.

    Returns:
        an iterator over the windows; the same ones each time.

    Raises:
        HornbookError: there is no such file.
    """
    path = Path(source)
    if source == STDIN:
        path = _STDIN_PATH
    elif not path.is_file():
        raise HornbookError(f"{source}: no such file")
    windows = FORMATS[suffix].windows
    assert windows is not None
    return windows(path)


def suffix_of(source: str, format: str | None) -> str:
    """Return the format of the input as a suffix.

    Args:
        source: the file, or `-` for the standard input.
        format: the format, if it is stated.

    Returns:
        `.jsonl`, `.csv`, `.tsv` or `.parquet`.

    Raises:
        HornbookError: the format is unknown or cannot be read in parts.
    """
    legal = [suffix for suffix, one in FORMATS.items() if one.windows is not None and suffix != ".json"]
    words = ", ".join(suffix[1:] for suffix in legal)
    if format is not None or source == STDIN:
        suffix = f".{(format or 'jsonl').removeprefix('.').lower()}"
    else:
        found = format_of(source)
        suffix = next((one for one, known in FORMATS.items() if known is found), "")
    if suffix == ".json":
        suffix = ".jsonl"
    if suffix not in legal:
        raise HornbookError(f"{source}: cannot be read row by row; the formats are {words}: name one with --format")
    if source == STDIN and suffix == ".parquet":
        raise HornbookError("-: Parquet cannot be read from the standard input; name the file")
    return suffix


def find_columns(window: Window, where: str, text: str | None, pair: str | None) -> Columns:
    """Return the columns with the texts.

    Args:
        window: the first rows.
        where: the file, for messages.
        text: the column of the texts, if it is named.
        pair: the column of the second texts, None without pairs.

    Returns:
        their names.

    Raises:
        HornbookError: the file lacks one; the message names those that are there.
    """
    there = window.names
    text = text or next((name for name in _TEXT_COLUMNS if name in there), _TEXT_COLUMNS[0])
    for name, option in ((text, "--text"), (pair, "--text-pair")):
        if name is not None and name not in there and there:
            raise HornbookError(f"{where}: {missing_column(name, there)}; name it with {option}")
    return Columns(text, pair)


def readable(window: Window, columns: Columns, where: str) -> Readable:
    """Return the rows of a window that can be classified; the others have no text or cannot be read.

    Args:
        window: some rows.
        columns: the columns of their texts.
        where: the file, for messages.

    Returns:
        the rows with their texts.
    """
    names = [columns.text, *([columns.pair] if columns.pair else [])]
    values = [window.column(name) for name in names]
    faults = dict(window.faults)
    for name, column in zip(names, values, strict=True):
        faults |= {i: why for i, value in enumerate(column) if i not in faults and (why := _fault(name, value))}
    if faults:
        kept = [i for i in range(len(window.numbers)) if i not in faults]
        values = [[column[i] for i in kept] for column in values]
        said = [f"{where}: {window.unit} {window.numbers[i]}: {faults[i]}" for i in sorted(faults)]
        return Readable(window.take(kept), values[0], values[1] if columns.pair else None, said)
    return Readable(window, values[0], values[1] if columns.pair else None, ())


def _fault(name: str, value: Any) -> str | None:
    """Return what is wrong with a value in a column of texts; None if it is a text."""
    if not isinstance(value, str):
        return f"no text in column {name!r}" + ("" if value is None else f" but {str(value)[:40]!r}")
    if not value or value.isspace():
        return f"no text in column {name!r}"
    return None if is_unicode(value) else f"the text in column {name!r} is not valid Unicode"

"""Tables in files: one reader for labelled data (whole tables) and for the corpus (streams of texts).

`FORMATS` says how the files of each suffix are read, `text_files.COMPRESSIONS` how text may be compressed. A new
format is an entry in the `FORMATS` of one of these modules; tasks and corpora then read it.
"""

from collections.abc import Iterator
from pathlib import Path

from hornbook.errors import HornbookError
from hornbook.machine.tables import columnar, delimited, json_lines
from hornbook.machine.tables.rows import Format, Rows, TextBatch, Window, joined
from hornbook.machine.text_files import COMPRESSIONS, count_lines, suffixes

__all__ = [
    "FORMATS",
    "Format",
    "Rows",
    "TextBatch",
    "Window",
    "count_rows",
    "format_of",
    "is_delimited",
    "joined",
    "read_rows",
    "stem",
    "stream_texts",
]

FORMATS: dict[str, Format] = {**delimited.FORMATS, **json_lines.FORMATS, **columnar.FORMATS}
"""How the files of each suffix are read."""


def format_of(path: Path | str) -> Format | None:
    """Return the format of a file by its name; None if there is none."""
    suffix, compression = suffixes(Path(path))
    found = FORMATS.get(suffix)
    return None if found is None or (compression and not found.compressible) else found


def is_delimited(path: Path) -> bool:
    """Return whether the name is that of a text table whose columns a delimiter separates."""
    found = format_of(path)
    return found is not None and found.delimited


def stem(path: Path) -> str:
    """Return a file's name without the suffixes of its compression and its format."""
    name = path.name
    for suffix in COMPRESSIONS:
        name = name.removesuffix(suffix)
    return name.removesuffix(Path(name).suffix)


def read_rows(path: Path, delimiter: str | None = None) -> Rows:
    """Read all rows of a table.

    Args:
        path: the file; its suffix states the format.
        delimiter: separates the fields of a text table, which may then be quoted as in CSV. Default: a comma in CSV;
            a tab in TSV, where quotation marks are plain characters.

    Returns:
        the rows, column by column.

    Raises:
        HornbookError: the file is missing, empty, of an unknown format, not UTF-8, or malformed (the message names
            the row).
    """
    found = format_of(path)
    if found is None:
        compressed = " or ".join(COMPRESSIONS)
        raise HornbookError(f"{path}: not a known format; use one of {', '.join(FORMATS)} (text also {compressed})")
    if not path.is_file():
        raise HornbookError(f"{path}: no such file")
    if path.stat().st_size == 0:
        raise HornbookError(f"{path}: the file is empty")
    rows = found.read(path, delimiter)
    if not any(rows.columns.values()) and not rows.refused:
        raise HornbookError(f"{path}: holds no rows")
    return rows


def stream_texts(path: Path, column: str, names: str | None = None) -> Iterator[TextBatch]:
    """Yield a column of texts in batches of about `rows.BATCH_CHARACTERS`.

    Args:
        path: a file of a format that can be streamed.
        column: the column with the texts.
        names: a second column to read, if the file has it and it holds text.

    Returns:
        an iterator over the batches.

    Raises:
        HornbookError: the column is missing or holds no text, or the file is damaged or not UTF-8.
    """
    found = format_of(path)
    if found is None or found.stream is None:
        raise ValueError(f"{path} cannot be streamed")
    return found.stream(path, column, names)


def count_rows(path: Path) -> int:
    """Return about how many rows a file has that can be read in windows: in text its lines.

    Args:
        path: the file.

    Returns:
        the number, for the time that is left.
    """
    if suffixes(path)[0] == ".parquet":
        return columnar.parquet_rows(path)
    return count_lines(path)

"""What a table reader returns: the rows of a file column by column, or its texts in batches."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

import pyarrow as pa

from hornbook.errors import HornbookError, nearest

BATCH_CHARACTERS = 1 << 22
"""About how many characters a batch of texts holds."""
WINDOW_ROWS = 8192
"""The most rows of a window; one of long rows holds about `BATCH_CHARACTERS`."""
_MOST_NAMED = 30  # columns in a message
_MOST_COMPARED = 1000  # columns among which one is sought that is spelled nearly so

Item = TypeVar("Item")


@dataclass(frozen=True)
class Rows:
    """The rows of one table, column by column, with the values as they are stored.

    Attributes:
        where: the file or split, for messages; rows count from 1, without the heading.
        columns: the values of each column; all have the same length.
        class_names: the names of integer labels, by column, where the source states them.
        refused: columns that must not be used, and why.
        is_text: whether the format stores nothing but text, so that text may mean a number.
        keeps_quotes: whether quotation marks around a field belong to it.
        hint: what to do if a column is not found; appended to the message.
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

        Args:
            name: the column's name, in exact case.

        Returns:
            the stored values, a list of one per row.

        Raises:
            HornbookError: the column is missing (the message names the nearest one) or must not be used.
        """
        if name in self.columns:
            return self.columns[name]
        if name in self.refused:
            raise HornbookError(f"{self.where}: {self.refused[name]}")
        raise HornbookError(f"{self.where}: {missing_column(name, self.columns)}{self.hint}")

    def texts(self, name: str) -> list[str]:
        """Return the values of a column of text.

        Args:
            name: the column's name, in exact case.

        Returns:
            the texts, one per row.

        Raises:
            HornbookError: the column is missing, or a value is empty, not text, or not valid Unicode.
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


@dataclass(frozen=True)
class TextBatch:
    """Texts of neighbouring rows.

    Attributes:
        texts: Arrow strings, shape (rows,), possibly null.
        names: the strings of a second column, shape (rows,), null where it holds no text; None if it is not read.
    """

    texts: Any
    names: Any = None


class Window(ABC):
    """Neighbouring rows of a table with all their columns, read without the rows before and after.

    Attributes:
        numbers: the place of each row in the file, from 1: a line of text, else a row.
        unit: what they number: "line" or "row".
        faults: what is wrong with rows that cannot be read, by their index in the window.
    """

    unit: ClassVar[str] = "line"
    numbers: Sequence[int]
    faults: dict[int, str]

    @property
    @abstractmethod
    def names(self) -> Sequence[str]:
        """The names of the columns; in JSON lines those of the first row that can be read."""

    @abstractmethod
    def column(self, name: str) -> list[Any]:
        """Return the values of a column, one for each row; None where there is none."""

    def has_any(self, names: Collection[str]) -> str | None:
        """Return a column of one of these names that a row has; None if there is none."""
        return next((name for name in self.names if name in names), None)

    @abstractmethod
    def take(self, indices: Sequence[int]) -> Self:
        """Return only the rows with these indices, which can be read."""

    @abstractmethod
    def records(self) -> list[dict[str, Any]]:
        """Return each row as its values by column; all rows can be read."""


@dataclass(frozen=True)
class Format:
    """How the files of one suffix are read.

    Attributes:
        read: takes a file and a delimiter (None: the format's own) and returns all rows.
        stream: takes a file, its column of texts and a second column (or None), and yields batches; None if a file
            of this format cannot be streamed.
        compressible: whether the file may be compressed as a whole, see `text_files.COMPRESSIONS`.
        delimited: whether a delimiter separates the columns.
        windows: takes a file and yields its rows with all columns; None if they cannot be read in parts.
    """

    read: Callable[[Path, str | None], Rows]
    stream: Callable[[Path, str, str | None], Iterator[TextBatch]] | None = None
    compressible: bool = True
    delimited: bool = False
    windows: Callable[[Path], Iterator[Window]] | None = None


def joined(parts: Sequence[Rows]) -> Rows:
    """Return the rows of several files as one table; a column that a file lacks is empty in its rows."""
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


def unique_columns(
    names: Sequence[str], columns: Sequence[list[Any]]
) -> tuple[dict[str, list[Any]], dict[str, tuple[str, ...]], dict[str, str]]:
    """Return the columns with a unique name, no class names, and the reason to refuse each repeated name."""
    twice = {name: f"the heading has two columns {name!r}" for name, count in Counter(names).items() if count > 1}
    return {n: column for n, column in zip(names, columns, strict=True) if n not in twice}, {}, twice


def batched(texts: Iterable[tuple[str | None, str | None]]) -> Iterator[TextBatch]:
    """Gather texts and the names of their rows into batches of about `BATCH_CHARACTERS`."""
    batch: list[tuple[str | None, str | None]] = []
    characters = 0
    for text, name in texts:
        batch.append((_without_surrogates(text), _without_surrogates(name)))
        characters += len(text or "") + 1
        if characters >= BATCH_CHARACTERS:
            yield _as_arrow(batch)
            batch, characters = [], 0
    if batch:
        yield _as_arrow(batch)


def in_windows(rows: Iterable[Item], characters: Callable[[Item], int]) -> Iterator[list[Item]]:
    """Gather rows, with the number of characters of each, into windows; the same ones whenever a file is read."""
    window: list[Item] = []
    held = 0
    for row in rows:
        window.append(row)
        held += characters(row)
        if len(window) == WINDOW_ROWS or held >= BATCH_CHARACTERS:
            yield window
            window, held = [], 0
    if window:
        yield window


def is_unicode(text: str) -> bool:
    """Return whether the text can be stored: JSON may escape half of a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def missing_column(name: str, columns: Iterable[str]) -> str:
    """Return the message for a column that a table lacks; it names the nearest one."""
    there = list(columns)
    near = nearest(name, there[:_MOST_COMPARED], cutoff=0.6)
    hint = f" (did you mean {near!r}?)" if near is not None else ""
    return f"no column {name!r}{hint}; the columns are {_some(there)}"


def no_such_column(column: str, columns: Iterable[str]) -> str:
    """Return the message for a column of texts that does not exist."""
    return f"no column {column!r}; there are {_some([repr(one) for one in columns]) or 'none'} (set text_column)"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return f"{', '.join(names[:_MOST_NAMED])}{more}"


def no_text(column: str, value: object) -> str:
    """Return the message for a column of texts that holds something else."""
    return f"column {column!r} holds no text but {value!r:.60}; name the column with the text (text_column)"


def _as_arrow(batch: Sequence[tuple[str | None, str | None]]) -> TextBatch:
    texts, names = zip(*batch, strict=True)
    return TextBatch(pa.array(texts, pa.string()), pa.array(names, pa.string()))


def _without_surrogates(text: str | None) -> str | None:
    """Drop halves of surrogate pairs: JSON can spell them, UTF-8 cannot."""
    return text if text is None or text.isascii() else text.encode("utf-8", "ignore").decode("utf-8")


def _count(at: Sequence[int], what: str) -> str:
    """Return how many rows and the first one: `3 empty texts (the first in row 5)`."""
    plural = "" if len(at) == 1 else "s"
    return f"{len(at)} {what}{plural} (the first in row {at[0] + 1})"


def _are(at: Sequence[int]) -> str:
    return "is" if len(at) == 1 else "are"

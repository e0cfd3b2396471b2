"""The names of labels: text as written, numbers by value."""

import datetime
import math
import re
from collections.abc import Collection, Hashable, Iterable, Sequence
from decimal import Decimal
from typing import Any

import numpy as np

from hornbook.errors import HornbookError
from hornbook.machine.tables import Rows
from hornbook.machine.tables.rows import is_unicode

# An integer as programs write it; 007 and +1 are just names.
_INTEGER = re.compile(r"0|-?[1-9][0-9]*")
_DECIMAL = re.compile(r"[+-]?((?=\.?[0-9])(0|[1-9][0-9]*)?(\.[0-9]*)?(e[+-]?[0-9]{1,6})?|inf(inity)?)", re.IGNORECASE)
_LEADING_ZEROS = re.compile(r"(?<![0-9.])0+(?=[0-9])")
# How programs and people mark a missing or withheld value, in lower case.
_NO_VALUE = (
    *("nan", "na", "n/a", "#n/a", "<na>", "nat", "none", "null", "?", "-1", "-1.0", "-100", "unk", "unknown"),
    *("unknwn", "unlabeled", "unlabelled"),
)
# A number with a currency sign, a typographic minus, separators of thousands, a decimal comma, or a unit.
_DECORATED = re.compile(
    r"[^\w.,;:]{0,2}\s?[0-9]+([.,'\s][0-9]{3})*([.,][0-9]+)?(\s?[^\w.,;:\s]{1,2}|\s[^\W\d_]{1,8})?"
)
_LONG = 60
_EXACT = 1 << 53  # up to here a float holds every integer


def stored_type(value: Any) -> str:
    """Return the type of a label: text, number, boolean, date, or the name of its Python type."""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, str):
        return "text"
    if isinstance(value, int | float | Decimal):
        return "number"
    if isinstance(value, datetime.date | datetime.time | datetime.timedelta):
        return "date"
    return type(value).__name__


def one_type(values: Iterable[Any], where: str) -> str:
    """Return the common type of all values, see `stored_type`; text if there are none.

    Args:
        values: the values of a column of labels.
        where: the file and column, for messages.

    Returns:
        text, number, boolean or date.

    Raises:
        HornbookError: there are several types, or one that cannot be a label.
    """
    types = sorted({stored_type(value) for value in values})
    if len(types) > 1:
        raise HornbookError(f"{where}: labels of the types {', '.join(types)}; write all of them in the same way")
    if types and types[0] not in ("text", "number", "boolean", "date"):
        raise HornbookError(f"{where}: labels are of the type {types[0]}; use text or numbers")
    return types[0] if types else "text"


def is_missing(value: Any) -> bool:
    """Return whether nothing is stored: null, NaN, or blank text; the word "nan" counts as text."""
    if isinstance(value, str):
        return not value.strip()
    return value is None or (isinstance(value, float | Decimal) and math.isnan(value))


def is_nan_word(value: Any) -> bool:
    """Return whether a value is the word "nan", which some programs write for a missing number."""
    return isinstance(value, str) and value.strip().lower() == "nan"


def marks_no_value(value: Any) -> bool:
    """Return whether a value may mark a missing or withheld one: null, nan, NA, ?, -1 and the like."""
    return is_missing(value) or str(value).strip().lower() in _NO_VALUE


def is_decorated_number(text: str) -> bool:
    """Return whether text is a number, but not in plain notation: 50%, $5, 1,000, −2 or 3 stars."""
    return number_in(text) is None and bool(_DECORATED.fullmatch(text))


def stripped(values: Sequence[Any]) -> list[Any]:
    """Return values, without white space around text."""
    return [value.strip() if isinstance(value, str) else value for value in values]


def check_texts(values: Sequence[Any], where: str) -> None:
    """Refuse text that cannot be a label.

    Args:
        values: the values of a column of labels; only text is checked.
        where: the file and column, for messages.

    Raises:
        HornbookError: two labels differ only in white space around them, so that `stripped` would make them one, or
            a label is not valid Unicode.
    """
    first: dict[str, tuple[int, str]] = {}
    for i, value in enumerate(values):
        if isinstance(value, str):
            if not is_unicode(value):
                raise HornbookError(f"{where}: label {value!r} (row {i + 1}) is not valid Unicode")
            row, spelling = first.setdefault(value.strip(), (i, value))
            if spelling != value:
                raise HornbookError(
                    f"{where}: labels {spelling!r} (row {row + 1}) and {value!r} (row {i + 1}) differ only in white"
                    " space; write them in the same way"
                )


def names_of(values: Sequence[Any]) -> list[str]:
    """Return the names of labels of one type: text unchanged, 2.0 as "2", other numbers in their shortest form."""
    floats = np.array([value for value in values if isinstance(value, float)], np.float64)
    with np.errstate(over="ignore"):
        # 0.1 in a column of 32 bits comes as 0.10000000149011612
        short = bool((floats.astype(np.float32).astype(np.float64) == floats).all())
    return [_name(value, short) for value in values]


def _name(value: Any, short: bool) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Decimal):
        text = format(value, "f")
        return (text.rstrip("0").rstrip(".") if "." in text else text).replace("-0", "0", 1 if value == 0 else 0)
    if isinstance(value, float):
        if value.is_integer() and abs(value) < _EXACT:
            return str(int(value))
        return str(np.float32(value)) if short else repr(value)
    return str(value)


def without_zeros(names: Sequence[str]) -> list[str]:
    """Return names without ".0" if all are integers written as floats, as pandas does."""
    if all(name.endswith(".0") and _INTEGER.fullmatch(name[:-2]) for name in names):
        return [name[:-2] for name in names]
    return list(names)


def are_integers(names: Iterable[str]) -> bool:
    """Return whether all names are integers in their usual form; 007, +1 and 1.0 are not."""
    return all(_INTEGER.fullmatch(name) for name in names)


def is_decimal(text: str) -> bool:
    """Return whether text is a number as programs write it; 007 and 0x10 are not."""
    return bool(_DECIMAL.fullmatch(text))


def number_in(text: str) -> Decimal | None:
    """Return the number in a text, possibly with leading zeros; None if it is not a number."""
    return Decimal(text) if is_decimal(_LEADING_ZEROS.sub("", text, count=1)) else None


def is_whole(value: Any) -> bool:
    """Return whether a number, or a number written as text, is an integer."""
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        return True
    if isinstance(value, int):
        return True
    if isinstance(value, Decimal):
        return value.is_finite() and value == value.to_integral_value()
    return float(value).is_integer()


def same_number(texts: Collection[str]) -> tuple[str, str] | None:
    """Return two texts that are the same number, such as 1.1 and 1.10; None if there are none."""
    first: dict[Hashable, str] = {}
    for text in sorted(texts):
        earlier = first.setdefault(Decimal(text), text)
        if earlier != text:
            return earlier, text
    return None


def uneven_zeros(texts: Collection[str]) -> tuple[str, str] | None:
    """Return two numbers that one program would not write together, such as 1.10 and 1.2; None if there are none.

    Programs write numbers in their shortest form or with the same number of decimals.
    """
    decimals = {text: text.partition(".")[2] for text in sorted(texts) if "." in text and "e" not in text.lower()}
    padded = next((text for text, digits in decimals.items() if len(digits) > 1 and digits.endswith("0")), None)
    if padded is None:
        return None
    other = next((text for text, digits in decimals.items() if len(digits) != len(decimals[padded])), None)
    return None if other is None else (padded, other)


def in_order(names: Collection[str], by_size: bool = False) -> list[str]:
    """Return names sorted: by value if all are integers or `by_size` is true, else as text."""
    return sorted(names, key=Decimal) if by_size or are_integers(names) else sorted(names)


def places(found: Collection[str], names: Sequence[str], codes: bool = False) -> dict[str, int]:
    """Return the index in `names` of each label.

    Args:
        found: all labels of a task.
        names: the names that were given.
        codes: whether integers are known to be indices, even if they are among the names too.

    Returns:
        the index of each name; or of "0", "1", "2", … if labels are integers that are not names themselves.
    """
    by_name = {name: i for i, name in enumerate(names)}
    if are_integers(found) and (codes or not by_name.keys() >= set(found)):
        return {str(i): i for i in range(len(names))}
    return by_name


def where_of(rows: Rows, column: str) -> str:
    """Return the beginning of messages about a column."""
    return f"{rows.where}: column {column!r}"


def listed(names: Sequence[str], most: int = 5) -> str:
    """Return the first `most` names in one line, long ones shortened, and the number of the others."""
    names = ["".join(c if c.isprintable() else "·" for c in name) for name in names]
    names = [name if len(name) <= _LONG else f"{name[:_LONG]}…" for name in names]
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{', '.join(names[:most])}{more}"


def refuse_strange(labels: Iterable[tuple[int, str]], legal: Collection[str], where: str, said: str) -> None:
    """Refuse labels that are not legal.

    Args:
        labels: the row and the name of each label.
        legal: the legal names.
        where: the file and the column.
        said: the message about an illegal label.

    Raises:
        HornbookError: a label is illegal; the message names the first one with its row, then the others.
    """
    strange: dict[str, list[int]] = {}
    for row, label in labels:
        if label not in legal:
            strange.setdefault(label, []).append(row)
    if strange:
        (first, rows), *others = strange.items()
        also = f"; the same goes for {listed([name for name, _ in others])}" if others else ""
        raise HornbookError(f"{where}: label {first[:60]!r} (row {rows[0] + 1}, {len(rows)} such rows) {said}{also}")

"""Multi-label tasks: from stored labels to 0 and 1 for each label."""

import ast
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from itertools import chain
from typing import Any

from hornbook.errors import HornbookError
from hornbook.machine.parsing import parse_json
from hornbook.machine.tables import Rows
from hornbook.tasks.names import (
    check_texts,
    in_order,
    is_missing,
    listed,
    names_of,
    one_type,
    places,
    refuse_strange,
    stored_type,
    stripped,
    where_of,
)

Lists = dict[str, list[list[Any]]]
_TRUTH = {"0": False, "1": True, "0.0": False, "1.0": True, "false": False, "true": True}
# NumPy prints lists without commas: ['a' 'b'], which Python reads as ['ab'], and [1. 0. 1.].
_ADJACENT_TEXTS = re.compile(r"""(?<=['"])\s+(?=['"])""")
_ADJACENT_NUMBERS = re.compile(r"(?<=[\w.])\s+(?=[\w.-])")


def read_label_sets(
    splits: Mapping[str, Rows],
    column: str | Sequence[str],
    separator: str | None,
    names: Sequence[str] | None,
    codes: bool = False,
) -> tuple[tuple[str, ...], dict[str, list[list[float]]], str]:
    """Return the names of the labels, 0 or 1 for each label of each row by split, and how they were read.

    Args:
        splits: the rows of each split.
        column: a column of lists, of text to split at `separator`, or of lists written as text; or several columns
            of 0 and 1, named by the labels. Lists of one length that hold only 0 and 1 are vectors with one value for
            each label.
        separator: separates the labels in a column of text.
        names: the names of the labels in order, if they are stated; integers are indices into them.
        codes: whether the source states that integers are indices into names, so that lists are never vectors.

    Returns:
        the names, [labels]; by split, 0 or 1 for each label, [rows][labels]; and a phrase for messages.

    Raises:
        HornbookError: labels are missing or not as described, not among `names`, the same in all rows of train,
            or not in train.
    """
    if not isinstance(column, str):
        sets = {split: _of_columns(rows, column) for split, rows in splits.items()}
        if names is not None:
            raise HornbookError(f"{splits['train'].where}: label_names: several columns of labels name them already")
        where, why = f"columns {', '.join(column)}", "from a column for each"
        return *_encoded(sets, splits, where, tuple(column)), why
    lists = {split: _lists(rows, column, separator) for split, rows in splits.items()}
    where = f"column {column!r}"
    why = f"separated by {separator!r}" if separator is not None else "because rows hold lists"
    if not codes and (length := _length_of_vectors(lists, names)):
        if names is not None and len(names) != length:
            raise HornbookError(
                f"{splits['train'].where}: {where}: rows hold 0 or 1 for {length} labels, but label_names has"
                f" {len(names)} names"
            )
        order = tuple(names or map(str, range(length)))
        sets = {
            split: [{name for name, given in zip(order, row, strict=True) if _truth(given)} for row in own]
            for split, own in lists.items()
        }
        why = "because rows hold 0 or 1 for each label" + ("" if names else "; set task.label_names to name them")
        return *_encoded(sets, splits, where, order), why
    sets = _named(lists, splits, column)
    found = set(chain.from_iterable(chain.from_iterable(sets.values())))
    order = tuple(names or in_order(found))
    if names is not None:
        place = places(found, names, codes)
        sets = {
            split: [{names[place[one]] if one in place else one for one in row} for row in own]
            for split, own in sets.items()
        }
    return *_encoded(sets, splits, where, order), why


def written_list(text: Any) -> list[Any] | None:
    """Return the list that a text is in the notation of JSON, Python or NumPy; None if it is not one."""
    if not looks_like_list(text):
        return None
    try:
        found = parse_json(text, "")
    except HornbookError:
        gaps = _ADJACENT_TEXTS if "'" in text or '"' in text else _ADJACENT_NUMBERS
        try:
            found = ast.literal_eval(gaps.sub(", ", text.strip()))
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            return None
    return list(found) if isinstance(found, list | tuple | set) else None


def looks_like_list(text: Any) -> bool:
    """Return whether a text has brackets around it."""
    return isinstance(text, str) and text.strip()[:1] + text.strip()[-1:] in ("[]", "()", "{}")


def are_written_lists(values: Sequence[Any]) -> bool:
    """Return whether all values that are not blank are lists written as text, see `written_list`."""
    texts = [value for value in values if not is_missing(value)]
    return bool(texts) and written_list(texts[0]) is not None and all(written_list(t) is not None for t in texts)


def _lists(rows: Rows, column: str, separator: str | None) -> list[list[Any]]:
    values = rows.column(column)
    where = where_of(rows, column)
    if separator is not None and are_written_lists(values):
        raise HornbookError(
            f"{where}: holds written lists ({str(values[0])[:40]}); set kind: multilabel and no label_separator"
        )
    found = []
    for i, value in enumerate(values):
        if separator is not None and isinstance(value, str):
            parts: Any = [part.strip() for part in value.split(separator) if part.strip()]
        else:
            parts = value if isinstance(value, list) else written_list(value)
        if not isinstance(parts, list) and is_missing(value):
            raise HornbookError(f"{where}, row {i + 1}: nothing is there; a text without any label has the list []")
        if not isinstance(parts, list):
            raise HornbookError(
                f"{where}, row {i + 1}: {repr(value)[:60]} is not a list of labels"
                f"{'' if separator is not None else '; write it as [one, two] in JSON, or set label_separator'}"
            )
        for label in parts:
            if is_missing(label) or stored_type(label) not in ("text", "number", "boolean"):
                raise HornbookError(f"{where}, row {i + 1}: {label!r} is not a label")
        found.append(parts)
    if any(map(_is_share, chain.from_iterable(found))) and len(set(map(len, found))) == 1:
        shares = next(i for i, row in enumerate(found) if any(map(_is_share, row)))
        raise HornbookError(
            f"{where}, row {shares + 1}: {str(found[shares])[:60]} looks like probabilities; write 1 for each label"
            " that the text has, else 0"
        )
    return found


def _is_share(value: Any) -> bool:
    return isinstance(value, float | Decimal) and 0 < value < 1


def _length_of_vectors(lists: Lists, names: Sequence[str] | None) -> int | None:
    """Return the number of labels if all rows hold 0 or 1 for each; None if rows hold sets of labels.

    There is no ambiguity: sets of two labels or more that are all of one size and hold only 0 and 1 are all the same.
    """
    rows = [row for own in lists.values() for row in own]
    length = len(rows[0])
    if any(len(row) != length for row in rows) or length < (1 if names and len(names) == 1 else 2):
        return None
    values = set(chain.from_iterable(rows))
    texts = {value for value in values if isinstance(value, str)}
    if texts and names is not None and texts <= set(names):
        return None
    return length if all(str(value) in ("0", "1", "0.0", "1.0", "True", "False") for value in values) else None


def _truth(value: Any) -> bool:
    return _TRUTH[str(value).lower()]


def _named(lists: Lists, splits: Mapping[str, Rows], column: str) -> dict[str, list[set[str]]]:
    """Return the set of names of each row."""
    sets = {}
    for split, own in lists.items():
        where = where_of(splits[split], column)
        labels = list(chain.from_iterable(own))
        check_texts(labels, where)
        if one_type(labels, where) == "boolean":
            raise HornbookError(f"{where}: rows hold true or false, but not all for the same number of labels")
        names = iter(names_of(stripped(labels)))
        sets[split] = [{next(names) for _ in row} for row in own]
        for i, (row, found) in enumerate(zip(own, sets[split], strict=True)):
            if len(found) < len(row) and stored_type(row[0]) == "number":
                raise HornbookError(
                    f"{where}, row {i + 1}: a list with a number twice; give the labels that a row has, or 0 or 1"
                    " for each label in lists of one length"
                )
    return sets


def _of_columns(rows: Rows, columns: Sequence[str]) -> list[set[str]]:
    found: list[set[str]] = [set() for _ in rows.column(columns[0])]
    for name in columns:
        for i, value in enumerate(rows.column(name)):
            text = str(value).strip().lower()
            if text not in _TRUTH:
                raise HornbookError(
                    f"{rows.where}: column {name!r}, row {i + 1}: {value!r} is neither 0 nor 1 (nor true nor false)"
                )
            if _TRUTH[text]:
                found[i].add(name)
    return found


def _encoded(
    sets: Mapping[str, list[set[str]]], splits: Mapping[str, Rows], where: str, names: tuple[str, ...]
) -> tuple[tuple[str, ...], dict[str, list[list[float]]]]:
    """Return the names, and 0 or 1 for each name in each row."""
    taught = set(chain.from_iterable(sets["train"]))
    for split, found in sets.items():
        for legal, said in (
            (set(names), f"is not among the named labels: {listed(names, 20)}"),
            (taught, "does not occur in train"),
        ):
            labels = ((i, label) for i, row in enumerate(found) for label in sorted(row))
            refuse_strange(labels, legal, f"{splits[split].where}: {where}", said)
    if all(labels == sets["train"][0] for labels in sets["train"]):
        raise HornbookError(
            f"{splits['train'].where}: {where}: all rows have the same labels; there is nothing to learn"
        )
    return names, {split: [[float(name in row) for name in names] for row in found] for split, found in sets.items()}

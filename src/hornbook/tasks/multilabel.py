"""Tasks whose rows have any number of labels: from what is stored to 0 and 1 for each label."""

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

from hornbook.errors import HornbookError
from hornbook.tasks.rows import Rows

Sets = dict[str, list[set[str]]]
_TRUTH = {"0": False, "1": True, "false": False, "true": True}


def read_label_sets(
    splits: Mapping[str, Rows], column: str | Sequence[str], separator: str | None, names: Sequence[str] | None
) -> tuple[tuple[str, ...], dict[str, list[list[float]]]]:
    """Return the labels' names, and for each row of each split 0 or 1 for each label.

    Args:
        splits: the rows of each split.
        column: a column of lists, or of text to be split at `separator`; or several columns of 0 and 1, whose names
            are the labels.
        separator: what stands between the labels in a column of text.
        names: the labels' names in their order, if they are stated; whole numbers count into them.

    Raises:
        HornbookError: labels are missing or not as described, not among `names`, the same in all rows of train, or
            not in train.
    """
    if isinstance(column, str):
        sets: Sets = {split: _of_column(rows, column, separator, names) for split, rows in splits.items()}
        where = f"column {column!r}"
    else:
        sets = {split: _of_columns(rows, column) for split, rows in splits.items()}
        where = f"columns {', '.join(column)}"
        if names is not None:
            raise HornbookError(f"{splits['train'].where}: label_names: several columns of labels name them already")
        names = column
    order = tuple(names or _sorted(set(chain.from_iterable(chain.from_iterable(sets.values())))))
    _check(sets, splits, where, order)
    values = {split: [[float(name in labels) for name in order] for labels in found] for split, found in sets.items()}
    return order, values


def _of_column(rows: Rows, column: str, separator: str | None, names: Sequence[str] | None) -> list[set[str]]:
    found = []
    for i, value in enumerate(rows.column(column)):
        if separator is not None and isinstance(value, str):
            value = [part.strip() for part in value.split(separator) if part.strip()]
        if not isinstance(value, list):
            raise HornbookError(
                f"{rows.where}: column {column!r}, row {i + 1}: {value!r} is no list of labels"
                f"{'' if separator is not None else '; labels in one text need label_separator'}"
            )
        labels = {_name(label, names, rows, column, i) for label in value}
        if len(labels) < len(value) and isinstance(value[0], int):
            raise HornbookError(
                f"{rows.where}: column {column!r}, row {i + 1}: a list with a number twice; lists hold the"
                " labels that a row has, not 0 or 1 for each"
            )
        found.append(labels)
    return found


def _name(label: Any, names: Sequence[str] | None, rows: Rows, column: str, row: int) -> str:
    text = str(label).strip() if isinstance(label, str | int) and not isinstance(label, bool) else ""
    if not text:
        raise HornbookError(f"{rows.where}: column {column!r}, row {row + 1}: {label!r} is no label")
    if names is None or (isinstance(label, str) and label.strip() in names):
        return text
    return names[int(text)] if text.isdecimal() and int(text) < len(names) else text


def _sorted(names: set[str]) -> list[str]:
    """Sort names; numbers by their size."""
    return sorted(names, key=int) if all(name.isdecimal() for name in names) else sorted(names)


def _of_columns(rows: Rows, columns: Sequence[str]) -> list[set[str]]:
    found: list[set[str]] = [set() for _ in rows.column(columns[0])]
    for name in columns:
        for i, value in enumerate(rows.column(name)):
            text = str(int(value) if isinstance(value, float) and value.is_integer() else value).strip().lower()
            if text not in _TRUTH:
                raise HornbookError(
                    f"{rows.where}: column {name!r}, row {i + 1}: {value!r} is neither 0 nor 1 (nor true nor false)"
                )
            if _TRUTH[text]:
                found[i].add(name)
    return found


def _check(sets: Sets, splits: Mapping[str, Rows], where: str, names: Sequence[str]) -> None:
    taught = set(chain.from_iterable(sets["train"]))
    for split, found in sets.items():
        for legal, said in (
            (set(names), f"is not among the named labels: {', '.join(names)}"),
            (taught, "does not occur in train"),
        ):
            strange = [i for i, labels in enumerate(found) if labels - legal]
            if strange:
                label = sorted(found[strange[0]] - legal)[0]
                raise HornbookError(
                    f"{splits[split].where}: {where}: label {label!r} (row {strange[0] + 1}, {len(strange)} such"
                    f" rows) {said}"
                )
    if all(labels == sets["train"][0] for labels in sets["train"]):
        raise HornbookError(
            f"{splits['train'].where}: {where}: all rows have the same labels; there is nothing to learn"
        )

"""From stored labels to class indices or scores, the same way in all splits."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Literal

from hornbook.errors import HornbookError
from hornbook.tasks.multilabel import read_label_sets
from hornbook.tasks.rows import Rows

Kind = Literal["classification", "multilabel", "regression"]
Values = list[int] | list[float] | list[list[float]]
_WHOLE = re.compile(r"[+-]?\d+")


@dataclass(frozen=True)
class Labels:
    """The labels of all splits.

    Attributes:
        kind: classes, sets of labels, or scores.
        names: the classes' names by index; empty for regression.
        values: the class index or score of each row, or its 0 or 1 for each label, by split.
    """

    kind: Kind
    names: tuple[str, ...]
    values: Mapping[str, Values]


def read_labels(
    splits: Mapping[str, Rows],
    column: str | Sequence[str],
    kind: Literal["auto", "classification", "multilabel", "regression"],
    names: Sequence[str] | None,
    separator: str | None = None,
) -> Labels:
    """Return the labels of all splits.

    Strings that are all numbers count as numbers, booleans as the classes false and true. With `auto`, lists are
    sets of labels, numbers with fractions are scores, and everything else is a class.

    Args:
        splits: the rows of each split.
        column: the column with the labels; several, of 0 and 1, are a set of labels.
        kind: classes, sets of labels, scores, or to be found out.
        names: the classes' names in their order, if they are stated.
        separator: what stands between the labels of a set, where they are one text.

    Raises:
        HornbookError: labels are missing, of mixed types, NaN, out of range, of one class only, or not in train.
    """
    several = not isinstance(column, str) or separator is not None
    if several or kind == "multilabel" or (kind == "auto" and _holds_lists(splits["train"].column(str(column)))):
        if kind not in ("auto", "multilabel"):
            raise HornbookError(
                f"{splits['train'].where}: several labels for a text are of kind multilabel, not {kind}"
            )
        return Labels("multilabel", *read_label_sets(splits, column, separator, names))
    assert isinstance(column, str)
    stored = {split: _present(rows, column) for split, rows in splits.items()}
    values = _typed(stored, splits, column)
    types = {type(value) for value in chain.from_iterable(values.values())}
    if kind == "auto":
        kind = "regression" if float in types else "classification"
    if kind == "regression":
        return Labels(kind, (), _scores(values, splits, column))
    if float in types:
        raise HornbookError(
            f"{splits['train'].where}: column {column!r} holds numbers with fractions; set kind: regression"
        )
    named, indices = _classes(values, splits, column, names)
    _check_classes(named, indices, splits, column)
    return Labels(kind, named, indices)


def _holds_lists(values: Sequence[Any]) -> bool:
    return any(isinstance(value, list) for value in values)


def _present(rows: Rows, column: str) -> list[Any]:
    """Return the stored labels, text stripped; none may be missing."""
    values = [value.strip() if isinstance(value, str) else value for value in rows.column(column)]
    missing = [i for i, value in enumerate(values) if _is_missing(value)]
    if missing:
        raise HornbookError(
            f"{rows.where}: column {column!r}: {len(missing)} of {len(values)} labels are missing or NaN"
            f" (the first in row {missing[0] + 1})"
        )
    return values


def _is_missing(value: Any) -> bool:
    if isinstance(value, str):
        return value == "" or value.lower() == "nan"
    return value is None or (isinstance(value, float) and math.isnan(value))


def _typed(stored: Mapping[str, list[Any]], splits: Mapping[str, Rows], column: str) -> dict[str, list[Any]]:
    """Return all labels as text, all as whole numbers, or all as floating-point numbers."""
    everything = list(chain.from_iterable(stored.values()))
    if all(isinstance(value, bool) for value in everything):
        return {split: [str(value).lower() for value in values] for split, values in stored.items()}
    if all(_is_number(value) for value in everything):
        convert = _whole if all(_is_whole(value) for value in everything) else float
        return {split: [convert(value) for value in values] for split, values in stored.items()}
    if all(isinstance(value, str) for value in everything):
        return dict(stored)
    kinds = sorted({type(value).__name__ for value in everything})
    raise HornbookError(
        f"{splits['train'].where}: column {column!r}: labels of the types {', '.join(kinds)};"
        " they should all be text or all be numbers"
    )


def _is_number(value: Any) -> bool:
    if isinstance(value, str):
        try:
            float(value)
        except ValueError:
            return False
        return "_" not in value
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_whole(value: Any) -> bool:
    if isinstance(value, str):
        return bool(_WHOLE.fullmatch(value)) or _is_whole(float(value))
    return isinstance(value, int) or value.is_integer()


def _whole(value: Any) -> int:
    return int(value) if isinstance(value, int) or str(value).lstrip("+-").isdigit() else int(float(value))


def _scores(
    values: Mapping[str, list[Any]], splits: Mapping[str, Rows], column: str
) -> dict[str, list[int] | list[float]]:
    for split, found in values.items():
        wrong = [i for i, value in enumerate(found) if isinstance(value, str) or not math.isfinite(value)]
        if wrong:
            raise HornbookError(
                f"{splits[split].where}: column {column!r}: {len(wrong)} of {len(found)} scores are no finite numbers"
                f" (the first in row {wrong[0] + 1}: {found[wrong[0]]!r})"
            )
    if len(set(values["train"])) < 2:
        raise HornbookError(f"{splits['train'].where}: column {column!r}: all scores are the same")
    return {split: [float(value) for value in found] for split, found in values.items()}


def _classes(
    values: Mapping[str, list[Any]], splits: Mapping[str, Rows], column: str, names: Sequence[str] | None
) -> tuple[tuple[str, ...], dict[str, list[int] | list[float]]]:
    """Return the classes' names and the index of each label in them."""
    found = sorted(set(chain.from_iterable(values.values())))
    if names is None:
        by_label = {label: i for i, label in enumerate(found)}
        names = [str(label) for label in found]
    else:
        by_label = {label: i for i, label in enumerate(range(len(names)) if isinstance(found[0], int) else names)}
    indices: dict[str, list[int] | list[float]] = {}
    for split, labels in values.items():
        unknown = [i for i, label in enumerate(labels) if label not in by_label]
        if unknown:
            raise HornbookError(
                f"{splits[split].where}: column {column!r}: label {labels[unknown[0]]!r} (row {unknown[0] + 1},"
                f" {len(unknown)} such rows) is not among the {len(names)} named labels: {', '.join(names)}"
            )
        indices[split] = [by_label[label] for label in labels]
    return tuple(names), indices


def _check_classes(
    names: Sequence[str],
    indices: Mapping[str, list[int] | list[float]],
    splits: Mapping[str, Rows],
    column: str,
) -> None:
    """Refuse a train split of one class, and labels that train does not teach."""
    taught = set(indices["train"])
    if len(taught) < 2:
        only = names[int(indices["train"][0])]
        raise HornbookError(
            f"{splits['train'].where}: column {column!r}: all {len(indices['train'])} rows have the label {only!r};"
            " a task needs two or more"
        )
    for split, labels in indices.items():
        strange = [i for i, label in enumerate(labels) if label not in taught]
        if strange:
            raise HornbookError(
                f"{splits[split].where}: column {column!r}: label {names[int(labels[strange[0]])]!r} (row"
                f" {strange[0] + 1}, {len(strange)} such rows) does not occur in train"
            )

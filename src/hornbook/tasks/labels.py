"""From stored labels to class indices, label sets or scores, in the same way for all splits."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, TypeAlias

from hornbook.errors import HornbookError
from hornbook.machine.tables import Rows
from hornbook.tasks.kinds import KINDS
from hornbook.tasks.multilabel import are_written_lists, read_label_sets
from hornbook.tasks.names import (
    are_integers,
    check_texts,
    in_order,
    is_decimal,
    is_decorated_number,
    is_missing,
    is_nan_word,
    is_whole,
    listed,
    marks_no_value,
    names_of,
    one_type,
    places,
    refuse_strange,
    same_number,
    stored_type,
    stripped,
    uneven_zeros,
    where_of,
    without_zeros,
)

Kind: TypeAlias = str
"""The name of a kind of task: a key of `hornbook.tasks.kinds.KINDS`."""
Values = list[int] | list[float] | list[list[float]]
_UNREADABLE = object()  # the value of a column that must not be used
_FEW_CLASSES = 2


@dataclass(frozen=True)
class Labels:
    """The labels of all splits.

    Attributes:
        kind: the kind of the task.
        names: the names of the labels by index; empty for regression.
        values: by split, the class index or score of each row, or 0 or 1 for each label.
        why: how the labels were read and how to change that; for the user.
    """

    kind: Kind
    names: tuple[str, ...]
    values: Mapping[str, Values]
    why: str

    def __str__(self) -> str:
        """Return one line for the user: what the labels are, and why."""
        if self.kind not in KINDS:
            return f"labels: {self.why}"
        sort = "classes" if self.kind == "classification" else "labels" if len(self.names) > 1 else "label"
        count = f", {len(self.names)} {sort} ({listed(self.names)})" if self.names else ""
        return f"labels: {self.kind}{count}, {self.why}"


def read_labels(
    splits: Mapping[str, Rows],
    column: str | Sequence[str],
    kind: str,
    names: Sequence[str] | None,
    separator: str | None = None,
    *,
    codes: bool = False,
    positive: str | None = None,
) -> Labels:
    """Return the labels of all splits.

    Classes keep the names that are written; 1 and 1.0 are one class if all labels of a split are such floats. With
    `auto`, lists are sets of labels, numbers are scores if some have fractions, and everything else is a class. Text
    is read as numbers only in formats that store nothing but text (CSV).

    Args:
        splits: the rows of each split.
        column: the column with the labels; several columns of 0 and 1 are a set of labels.
        kind: the kind of the task, or auto.
        names: the names of the labels in order, if they are stated; integers are indices into them.
        separator: separates the labels of a set that is stored as one text.
        codes: whether the source states that integers are indices into names, so that they are never names.
        positive: the class to put last if there are two; its F1 is reported.

    Returns:
        the kind, the names of the labels, the values by split, and why they are read so.

    Raises:
        HornbookError: labels are missing, of mixed types, not finite, all the same, not in train, or two different
            ones would become one.
    """
    labels = _read(splits, column, kind, names, separator, codes, positive is not None)
    return labels if positive is None else _with_last(labels, positive, splits["train"].where)


def _read(
    splits: Mapping[str, Rows],
    column: str | Sequence[str],
    kind: str,
    names: Sequence[str] | None,
    separator: str | None,
    codes: bool,
    classes: bool,
) -> Labels:
    train = splits["train"]
    lists = isinstance(column, str) and any(isinstance(value, list) for value in train.column(column))
    written = isinstance(column, str) and kind == "auto" and are_written_lists(train.column(column))
    if not isinstance(column, str) or separator is not None or lists or written or kind == "multilabel":
        if kind not in ("auto", "multilabel"):
            raise HornbookError(f"{train.where}: several labels for a text are of kind multilabel, not {kind}")
        return Labels("multilabel", *read_label_sets(splits, column, separator, names, codes))
    why = "as set by task.kind"
    stored = {split: _present(rows, column, kind, names) for split, rows in splits.items()}
    if kind == "auto":
        kind, why = "classification", "as named by task.label_names or the source"
        if names is None:
            why = "because task.positive names one"
            if not classes:
                kind, why = _found_kind(stored, splits, column)
    if not KINDS[kind].has_classes:
        return Labels(kind, (), _scores(stored, splits, column), why)
    return Labels(kind, *_classes(stored, splits, column, names, codes), why)


def without(splits: Mapping[str, Rows]) -> Labels:
    """Return the labels of texts that have none: one class for all, so that splits and samples have one stratum."""
    values: dict[str, Values] = {
        split: [0] * len(next(iter(rows.columns.values()))) for split, rows in splits.items()
    }
    return Labels("classification", ("text",), values, "none; a teacher labels the texts")


def without_labels(rows: Rows, column: str | Sequence[str], train: Rows) -> str | None:
    """Return why a split has no labels at all, as the test sets of competitions have none; None if it has any.

    Args:
        rows: the rows of the split.
        column: the column of the labels, or several.
        train: the rows of train; -1, ? and the like are labels if they occur there.

    Returns:
        the reason, for messages; None if any row has a label.
    """
    names = (column,) if isinstance(column, str) else tuple(column)
    which = " or ".join(map(repr, names))
    has = {name.casefold() for name in (*rows.columns, *rows.refused)}
    if not any(name.casefold() in has for name in names):
        return f"no column {which} (its columns are {', '.join(rows.columns)})"
    values = [one for name in names for one in _flat(rows.columns.get(name, [_UNREADABLE]))]
    known = {str(one).strip() for name in names for one in _flat(train.columns.get(name, ()))}
    if not all(is_missing(one) or (marks_no_value(one) and str(one).strip() not in known) for one in values):
        return None
    marks = sorted({str(one).strip() for one in values if not is_missing(one)} - {"nan"})
    return f"column {which} holds {listed(marks)} in all rows" if marks else f"column {which} is empty"


def _flat(values: Sequence[Any]) -> Iterator[Any]:
    """Yield values; instead of a list, its elements."""
    for value in values:
        yield from value if isinstance(value, list) else (value,)


def _present(rows: Rows, column: str, kind: str, names: Sequence[str] | None) -> list[Any]:
    """Return the stored labels, without white space around text; refuse missing ones."""
    where = where_of(rows, column)
    values = stripped(rows.column(column))
    word = [i for i, value in enumerate(values) if is_nan_word(value) and value not in (names or ())]
    if kind == "classification":
        word = []
    missing = sorted({*word, *(i for i, value in enumerate(values) if is_missing(value))})
    if missing:
        advice = "; if nan is a class, set task.kind: classification" if word and kind == "auto" else ""
        raise HornbookError(
            f"{where}: {len(missing)} of {len(values)} labels are missing or NaN"
            f" (the first in row {missing[0] + 1}){advice}"
        )
    one_type(values, where)
    return values


def _found_kind(stored: Mapping[str, list[Any]], splits: Mapping[str, Rows], column: str) -> tuple[Kind, str]:
    """Return whether labels are classes or scores, and why."""
    where = where_of(splits["train"], column)
    numbers, fraction = True, ""
    texts: set[str] = set()
    pair: tuple[str, str] | None = None
    for split, values in stored.items():
        sort = one_type(values, where_of(splits[split], column))
        own = {value for value in values if isinstance(value, str)}
        if sort not in ("number", "text") or not all(map(is_decimal, own)):
            numbers = False
            continue
        numbers = numbers and (sort == "number" or splits[split].is_text)
        texts |= own
        pair = pair or same_number(own)
        at = next((i for i, value in enumerate(values) if not is_whole(value)), None)
        if at is not None and not fraction:
            fraction = f"{names_of([values[at]])[0]} in row {at + 1}{'' if split == 'train' else f' of {split}'}"
    if not numbers:
        hint = "; if they are scores, set task.kind: regression" if fraction else ""
        return "classification", f"as they are written{hint}"
    if pair := (same_number(texts) if fraction else pair):
        raise HornbookError(
            f"{where}: {pair[0]} and {pair[1]} are the same number: set task.kind (--task-kind) to classification"
            " if each is a class of its own, to regression if they are scores"
        )
    if fraction and (pair := uneven_zeros(texts)):
        raise HornbookError(
            f"{where}: labels such as {pair[0]} and {pair[1]} may be classes or scores: set task.kind (--task-kind)"
            " to classification or regression"
        )
    if fraction:
        return "regression", (
            f"because all labels are numbers and some have fractions ({fraction}); if they are class names, set"
            " task.kind: classification"
        )
    many = len(set(chain.from_iterable(stored.values()))) > _FEW_CLASSES
    hint = "; if they are scores, set task.kind: regression" if many else ""
    return "classification", f"because all labels are whole numbers{hint}"


def _scores(stored: Mapping[str, list[Any]], splits: Mapping[str, Rows], column: str) -> dict[str, list[float]]:
    scores = {split: [_number(value) for value in values] for split, values in stored.items()}
    for split, found in scores.items():
        wrong = [i for i, value in enumerate(found) if not math.isfinite(value)]
        if wrong:
            first = str(stored[split][wrong[0]])
            advice = "; write plain numbers, such as 1234.5" if is_decorated_number(first) else ""
            raise HornbookError(
                f"{where_of(splits[split], column)}: {len(wrong)} of {len(found)} scores are not finite numbers"
                f" (the first in row {wrong[0] + 1}: {listed([first])}){advice}"
            )
    if len(set(scores["train"])) < 2:
        raise HornbookError(f"{where_of(splits['train'], column)}: all scores are the same")
    return scores


def _number(value: Any) -> float:
    """Return a stored score; NaN if it is not a number."""
    if stored_type(value) not in ("number", "text") or (isinstance(value, str) and "_" in value):
        return math.nan
    try:
        return float(value)
    except (ValueError, OverflowError):
        return math.nan


def _classes(
    stored: Mapping[str, list[Any]],
    splits: Mapping[str, Rows],
    column: str,
    given: Sequence[str] | None,
    codes: bool,
) -> tuple[tuple[str, ...], dict[str, list[int]]]:
    """Return the names of the classes, and the index of each label."""
    for rows in splits.values():
        check_texts(rows.column(column), where_of(rows, column))
    types = {split: one_type(values, where_of(splits[split], column)) for split, values in stored.items()}
    labels = _named(stored, splits, types)
    found = set(chain.from_iterable(labels.values()))
    if given is None:
        names = in_order(found, by_size=set(types.values()) == {"number"})
        by_label = {name: i for i, name in enumerate(names)}
    else:
        names = list(given)
        by_label = places(found, names, codes)
        if "boolean" in types.values() and not found <= by_label.keys():
            lower = {name.lower(): i for i, name in enumerate(names)}
            by_label = lower if found <= lower.keys() else {"false": 0, "true": 1}
    for split, own in labels.items():
        said = f"is not among the {len(names)} named labels: {listed(names, 20)}"
        if are_integers(own) and by_label.keys() != set(names):
            said += f"; whole numbers count these names from 0 to {len(names) - 1}"
        refuse_strange(enumerate(own), by_label, where_of(splits[split], column), said)
    indices = {split: [by_label[label] for label in own] for split, own in labels.items()}
    taught = {names[i] for i in set(indices["train"])}
    if len(taught) < 2:
        raise HornbookError(
            f"{where_of(splits['train'], column)}: all {len(indices['train'])} rows have the label"
            f" {next(iter(taught))[:60]!r}; a task needs two or more"
        )
    for split, own_indices in indices.items():
        labels_of = ((row, names[i]) for row, i in enumerate(own_indices))
        refuse_strange(labels_of, taught, where_of(splits[split], column), "does not occur in train")
    return tuple(names), indices


def _named(
    stored: Mapping[str, list[Any]], splits: Mapping[str, Rows], types: Mapping[str, str]
) -> dict[str, list[str]]:
    """Return the names of labels, the same ones if splits only store them in different ways."""
    named = {split: names_of(values) for split, values in stored.items()}
    # pandas writes integers as floats where a row of the table is missing, and booleans with a capital
    whole = {split: without_zeros(own) if splits[split].is_text else own for split, own in named.items()}
    if are_integers(set(chain.from_iterable(whole.values()))):
        return whole
    if "boolean" in types.values():
        lower = {split: [name.lower() for name in own] for split, own in named.items()}
        if set(chain.from_iterable(lower.values())) <= {"true", "false"}:
            return lower
    return named


def _with_last(labels: Labels, name: str, where: str) -> Labels:
    """Return labels of two classes with `name` as the last one."""
    if labels.kind != "classification" or len(labels.names) != 2:
        raise HornbookError(
            f"{where}: positive: is for a classification of two classes, but this is a {labels.kind} of"
            f" {len(labels.names)}"
        )
    if name not in labels.names:
        raise HornbookError(f"{where}: positive: no class {name!r}; the classes are {', '.join(labels.names)}")
    if name == labels.names[1]:
        return labels
    values: dict[str, Values] = {split: [1 - int(i) for i in own] for split, own in labels.values.items()}  # type: ignore[arg-type]
    return Labels(labels.kind, (labels.names[1], labels.names[0]), values, labels.why)

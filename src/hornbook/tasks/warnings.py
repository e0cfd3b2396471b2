"""Data-quality warnings: likely mistakes that may be meant. They are counted and reported; the rows are kept."""

import unicodedata
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from hornbook.machine.tables import Rows
from hornbook.tasks.kinds import KINDS
from hornbook.tasks.labels import Labels
from hornbook.tasks.multilabel import looks_like_list, written_list
from hornbook.tasks.names import is_decorated_number, is_nan_word, listed, marks_no_value, number_in
from hornbook.terms.plain import folded, has_entities, has_tags

ID_COLUMNS = ("id", "idx")
_FAR = 100  # times the interquartile range


@dataclass(frozen=True)
class DataWarning:
    """A likely mistake.

    Attributes:
        name: its name among the counts in the task's manifest.
        rows: the number of rows concerned.
        message: one line for the user.
    """

    name: str
    rows: int
    message: str


def data_warnings(
    given: Mapping[str, Rows],
    tables: Mapping[str, pa.Table],
    labels: Labels,
    score_range: tuple[float, float] | None,
    used: Collection[str | None] = (),
) -> list[DataWarning]:
    """Return warnings about repeated ids, quoted texts, HTML, odd labels and scores, contradictions, shared texts.

    Texts are compared by how they look, ignoring case (see `text_keys`); both texts of a pair count.

    Args:
        given: the rows as stored, by split.
        tables: the splits of the task: text, text_pair, label.
        labels: the labels of all splits.
        score_range: the lowest and the highest legal score, if known.
        used: the columns of texts and labels; they are not ids, whatever their names.

    Returns:
        the warnings, none for a clean task.
    """
    found = [warning for split, rows in given.items() for warning in _of_columns(split, rows, used)]
    found += _of_names(labels.names)
    scores = {split: table.column("label").to_pylist() for split, table in tables.items()}
    if score_range is not None:
        found += _out_of_range(scores, score_range)
    if not KINDS[labels.kind].has_classes:
        found += _of_scores({split: np.array(own, np.float64) for split, own in scores.items()})
    return found + _of_texts(tables)


def _of_columns(split: str, rows: Rows, used: Collection[str | None]) -> list[DataWarning]:
    """Return warnings about repeated ids and quoted fields."""
    found = []
    for column in set(ID_COLUMNS).difference(used):
        if twice := _repeated(rows.columns.get(column, ())):
            message = f"{rows.where}: column {column!r}: {twice} rows repeat the id of an earlier row; they are kept"
            found.append(DataWarning(f"{split}_repeated_ids", twice, message))
    if rows.keeps_quotes and (quoted := sum(_quoted(rows.columns.get(str(name), ())) for name in used)):
        message = (
            f"{rows.where}: {quoted} fields are in quotation marks, which are kept; if this is quoting as in CSV, set"
            " task.delimiter: tab"
        )
        found.append(DataWarning(f"{split}_quoted_fields", quoted, message))
    return found


def _of_texts(tables: Mapping[str, pa.Table]) -> list[DataWarning]:
    """Return warnings about contradictions, texts that splits share, and HTML."""
    found = []
    keys = {split: text_keys(table) for split, table in tables.items()}
    if against := _contradictions(keys["train"], tables["train"].column("label").to_pylist()):
        message = f"train: {against} rows have a text that occurs with another label too; they are kept"
        found.append(DataWarning("train_contradictions", against, message))
    train = set(keys["train"])
    for split in ("dev", "test", "dev_mismatched"):
        if shared := sum(key in train for key in keys.get(split, ())):
            message = (
                f"{split}: {shared} of {len(keys[split])} texts are in train too, so its scores are too high;"
                " they are kept"
            )
            found.append(DataWarning(f"train_in_{split}", shared, message))
    if marked := sum(map(_has_markup, tables.values())):
        of_all = sum(map(len, tables.values()))
        message = (
            f"{marked:,} of {of_all:,} rows hold HTML tags or entities (such as <br /> or &amp;): keywords leave "
            "them out, but the models read them; clean the text if they mean nothing there"
        )
        found.append(DataWarning("rows_with_markup", marked, message))
    return found


def _out_of_range(scores: Mapping[str, Sequence[float]], legal: tuple[float, float]) -> list[DataWarning]:
    found = []
    for split, own in scores.items():
        if strange := sum(not legal[0] <= score <= legal[1] for score in own):
            message = f"{split}: {strange} scores lie outside {legal[0]:g} to {legal[1]:g}; they are kept"
            found.append(DataWarning(f"{split}_scores_out_of_range", strange, message))
    return found


def _of_scores(scores: Mapping[str, NDArray[np.float64]]) -> list[DataWarning]:
    """Return warnings about scores: outliers, and splits in another unit than train."""
    found = []
    train = scores["train"]
    low, middle, high = np.quantile(train, [0.25, 0.5, 0.75])
    far = train[np.abs(train - middle) > _FAR * (high - low)]
    if len(far) and high > low:
        message = (
            f"train: {len(far)} of {len(train)} scores lie far from the others (such as {far[0]:g}; half of all lie"
            f" between {low:g} and {high:g}): if they are wrong, remove them; if not, learn the logarithm"
        )
        found.append(DataWarning("train_far_scores", len(far), message))
    for split, own in scores.items():
        outside = int(((own < train.min()) | (own > train.max())).sum())
        if 2 * outside > len(own):
            message = (
                f"{split}: {outside} of {len(own)} scores lie outside those of train ({train.min():g} to"
                f" {train.max():g}): are both in the same unit?"
            )
            found.append(DataWarning(f"{split}_scores_outside_train", outside, message))
    return found


def text_keys(table: pa.Table) -> list[tuple[str, ...]]:
    """Return a key for each row; rows with texts that look the same have the same key (see `folded`)."""
    columns = (table[name].to_pylist() for name in ("text", "text_pair"))
    return [
        tuple(" ".join(folded(text).split()) for text in row if text is not None)
        for row in zip(*columns, strict=True)
    ]


def _has_markup(table: pa.Table) -> int:
    """Return the number of rows with an HTML tag or entity in a text."""
    texts = zip(table["text"].to_pylist(), table["text_pair"].to_pylist(), strict=True)
    return sum(any(has_tags(text) or has_entities(text) for text in row if text is not None) for row in texts)


def _repeated(values: Sequence[Any]) -> int:
    given = [str(value) for value in values if value not in (None, "")]
    return len(given) - len(set(given))


def _contradictions(keys: list[tuple[str, ...]], labels: list[Any]) -> int:
    """Return the number of rows with a text that occurs with more than one label."""
    different = Counter(key for key, _ in {(key, str(label)) for key, label in zip(keys, labels, strict=True)})
    return sum(different[key] > 1 for key in keys)


def _quoted(texts: Sequence[str]) -> int:
    """Return the number of texts that are quoted as in CSV: all of them, or those with doubled quotes inside."""
    inside = [text[1:-1] for text in texts if len(text) > 1 and text[0] == text[-1] == '"']
    doubled = sum('""' in text and '"' not in text.replace('""', "") for text in inside)
    return len(inside) if inside and len(inside) == len(texts) else doubled


def _of_names(names: Sequence[str]) -> list[DataWarning]:
    """Return warnings about the names of labels, which stay separate labels."""
    found = []

    def doubt(about: str, labels: Sequence[str], message: str) -> None:
        if labels:
            # repr shows invisible characters, but not how accents are composed
            quoted = [repr(name) if unicodedata.is_normalized("NFC", name) else ascii(name) for name in labels]
            found.append(DataWarning(f"labels_{about}", len(labels), f"{message}: {listed(quoted)}"))

    looks: dict[str, list[str]] = {}
    for name in names:
        looks.setdefault(_look(name), []).append(name)
    alike = [name for same in looks.values() if len(same) > 1 for name in same]
    doubt(
        "alike", alike, "labels that look almost the same (case, spaces, signs, invisible characters) are kept apart"
    )
    times = Counter(map(number_in, names))
    same = [name for name in names if (value := number_in(name)) is not None and times[value] > 1]
    doubt("same_number", same, "labels that are the same number are kept apart")
    numbers = [name for name in names if number_in(name) is not None or is_decorated_number(name)]
    marks = [name for name in names if marks_no_value(name) and name not in numbers]
    if len(numbers) + len(marks) < len(names):
        marks = list(filter(is_nan_word, marks))
    doubt("no_value", marks, "each of these is a class; if it marks a missing value, remove its rows")
    lists = [name for name in names if looks_like_list(name)]
    if 2 * len(lists) > len(names) or any(written_list(name) for name in lists):
        advice = "if they are lists, write them as JSON and set task.kind: multilabel"
        doubt("written_lists", lists, f"each of these is one class; {advice}")
    for separator in "|;,":
        joined = [name for name in names if separator in name]
        parts = Counter(part.strip() for name in names for part in name.split(separator))
        if joined and all(parts[part.strip()] > 1 for name in joined for part in name.split(separator)):
            advice = f"if they are several labels, set task.label_separator: '{separator}'"
            doubt("joined", joined, f"each of these is one class; {advice}")
    decorated = [name for name in names if is_decorated_number(name)]
    if 2 * len(decorated) > len(names):
        advice = "if they are scores, write plain numbers, such as 1234.5"
        doubt("decorated_numbers", decorated, f"each of these is one class; {advice}")
    return found


def _look(name: str) -> str:
    """Return a name without differences that are hard to see: case, spaces, underscores, kinds of dashes."""
    seen = "".join(folded(name).replace("_", " ").split())
    return "".join("-" if unicodedata.category(c) == "Pd" else c for c in seen)

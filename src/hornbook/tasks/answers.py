"""A teacher that is a file: labels or probabilities of texts, from wherever; several rows of one text are votes."""

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from hornbook.errors import HornbookError
from hornbook.machine.tables import Rows, read_rows
from hornbook.store import Artifact, Destination, StageContext, fingerprint, make
from hornbook.tasks.fidelity import logits_of
from hornbook.tasks.kinds import CROSS_ENTROPY, KINDS
from hornbook.tasks.labels import Labels, read_labels
from hornbook.tasks.names import is_missing, listed, where_of
from hornbook.tasks.task import TEXTS

logger = logging.getLogger("hornbook")

STAGE = "answers"
VERSION = 1
TEXT, TEXT_PAIR, ID, LABEL, PROBABILITIES, WEIGHT = "text", "text_pair", "id", "label", "probabilities", "weight"
_KNOWN = (TEXT, "sentence", TEXT_PAIR, ID, LABEL, PROBABILITIES, WEIGHT)
_FILE = "answers.parquet"
_PREFIX = "probability_"
_OFF = 0.01  # how far from 1 probabilities may add up


@dataclass(frozen=True)
class Answers:
    """What a file says about texts.

    Attributes:
        kind: the kind of the task.
        labels: the names of the labels in order; empty for a regression.
        outputs: logits or scores by `text_id`, shape (labels,).
        counts: `rows`; `texts`; `votes`, texts with several rows; `contradictions`, those whose rows differ;
            `without_label`, rows that were left out.
    """

    kind: str
    labels: tuple[str, ...]
    outputs: dict[str, NDArray[np.float32]]
    counts: dict[str, int]

    def of(self, texts: pa.Table) -> NDArray[np.float32]:
        """Return the outputs on texts, NaN where the file has none.

        Args:
            texts: the columns text and text_pair.

        Returns:
            shape (rows, labels).
        """
        nothing = np.full(len(KINDS[self.kind].output_names(self.labels)), np.nan, np.float32)
        found = [self.outputs.get(one, nothing) for one in ids_of(texts)]
        return np.array(found, np.float32).reshape(len(texts), len(nothing))

    def __str__(self) -> str:
        """Return one line for the user."""
        counts = self.counts
        labels = f"{self.kind}, labels {listed(self.labels)}" if self.labels else self.kind
        parts = [f"{counts['texts']:,} texts in {counts['rows']:,} rows", labels]
        if counts["votes"]:
            parts.append(f"{counts['votes']:,} texts have several rows, which are averaged")
        if counts["contradictions"]:
            parts.append(f"{counts['contradictions']:,} of them with different labels")
        if counts["without_label"]:
            parts.append(f"{counts['without_label']:,} rows have no label and are left out")
        return "; ".join(parts)


def text_id(text: str, text_pair: str | None = None) -> str:
    """Return the id of a text or pair: 16 hexadecimal digits of its SHA-256, white space not counted."""
    parts = (text,) if text_pair is None else (text, text_pair)
    return hashlib.sha256("\x1f".join(" ".join(part.split()) for part in parts).encode()).hexdigest()[:16]


def ids_of(texts: pa.Table) -> list[str]:
    """Return the id of each row of a table with the columns text and text_pair."""
    columns = (texts[name].to_pylist() for name in (TEXT, TEXT_PAIR))
    return [text_id(*row) for row in zip(*columns, strict=True)]


def read_answers(file: Path | str, kind: str = "auto", labels: Sequence[str] = ()) -> Answers:
    """Read a file of labels.

    Columns: `text` (and `text_pair`) or `id` (of `text_id`); `label`, `probabilities` (a list in the order of the
    task's labels, or an object) or a column for each label, named as the label or `probability_LABEL`, as by
    `hornbook predict`; perhaps `weight`, 1 where a row has none. Probabilities come before labels. Rows
    of one text are averaged by their weights.

    Args:
        file: CSV, TSV, JSONL, Parquet or another table that tasks are read from.
        kind: the kind of the task; `auto` looks at the labels.
        labels: the task's labels in order; by default those of the file.

    Returns:
        the outputs by id.

    Raises:
        HornbookError: a column is missing, a label is not the task's, probabilities do not add up to 1, a weight is
            negative, or all texts have the same label.
    """
    rows = read_rows(Path(file))
    rows, left_out = _with_labels(rows)
    ids = _ids(rows)
    weights = _weights(rows, len(ids))
    given = _shares(rows, kind, labels)
    _, first, group = np.unique(np.array(ids), return_index=True, return_inverse=True)
    total = np.bincount(group, weights)
    means = np.stack([np.bincount(group, weights * column) / total for column in given.values.T], axis=1)
    task_kind = KINDS[given.kind]
    said = task_kind.predicted(logits_of(task_kind, given.values)).reshape(len(ids), -1)
    differs = (said != said[first[group]]).any(axis=1)
    counts = {
        "rows": len(ids),
        "texts": len(first),
        "votes": int((np.bincount(group) > 1).sum()),
        "contradictions": len(np.unique(group[differs])),
        "without_label": left_out,
    }
    outputs = logits_of(task_kind, means).astype(np.float32)
    named = {ids[at]: outputs[number] for number, at in enumerate(first)}
    return Answers(given.kind, given.labels, named, counts)


def answers(
    file: Path | str,
    task: Artifact,
    out: Destination,
    *,
    kind: str = "auto",
) -> Artifact:
    """Store what a file says about texts, for a task.

    Args:
        file: see `read_answers`.
        task: a prepared task, whose labels these must be; of one without labels those that its settings name.
        out: the artefact's folder.
        kind: the kind of a task without labels.

    Returns:
        the artefact, stage "answers".

    Raises:
        HornbookError: see `read_answers`.
    """

    def build(context: StageContext) -> None:
        known = kind if task.info["kind"] == TEXTS else task.info["kind"]
        found = read_answers(file, known, task.info["labels"])
        logger.info("%s: %s", file, found)
        values = pa.array(list(found.outputs.values()), pa.list_(pa.float32()))
        table = pa.table({ID: pa.array(list(found.outputs), pa.string()), "outputs": values})
        pq.write_table(table, context.path / _FILE, compression="zstd")
        context.counts = dict(found.counts)
        context.info = {"kind": found.kind, "labels": list(found.labels)}

    path = Path(file)
    if not path.is_file():
        raise HornbookError(f"{path}: no such file (teacher.file)")
    return make(
        out,
        stage=STAGE,
        version=VERSION,
        config={"kind": kind},
        inputs={"file": fingerprint([path]), "task": task.key},
        build=build,
    )


def open_answers(artifact: Artifact) -> Answers:
    """Return what `answers` stored.

    Args:
        artifact: made by `answers`.

    Returns:
        the answers, read into memory.

    Raises:
        HornbookError: the file is missing or changed.
    """
    table = pq.read_table(artifact.file(_FILE))
    outputs = np.array(table["outputs"].to_pylist(), np.float32)
    by_id = dict(zip(table[ID].to_pylist(), outputs, strict=True))
    return Answers(artifact.info["kind"], tuple(artifact.info["labels"]), by_id, dict(artifact.counts))


@dataclass(frozen=True)
class _Shares:
    """Probabilities or scores, shape (rows, labels), and what they are of."""

    kind: str
    labels: tuple[str, ...]
    values: NDArray[np.float64]


def _with_labels(rows: Rows) -> tuple[Rows, int]:
    """Return the rows that have an answer, and the number of the others."""
    column = next((name for name in (PROBABILITIES, LABEL) if name in rows.columns), None)
    if column is None:
        return rows, 0
    kept = [i for i, value in enumerate(rows.columns[column]) if not is_missing(value)]
    left_out = len(rows.columns[column]) - len(kept)
    if not kept:
        raise HornbookError(f"{where_of(rows, column)}: no row has a label")
    if not left_out:
        return rows, 0
    return replace(rows, columns={n: [own[i] for i in kept] for n, own in rows.columns.items()}), left_out


def _ids(rows: Rows) -> list[str]:
    text = next((name for name in (TEXT, "sentence") if name in rows.columns), None)
    if text is None and ID in rows.columns:
        return [str(one) for one in rows.columns[ID]]
    if text is None:
        raise HornbookError(f"{rows.where}: no column 'text' or 'id'; the columns are {', '.join(rows.columns)}")
    pairs = rows.texts(TEXT_PAIR) if TEXT_PAIR in rows.columns else [None] * len(rows.columns[text])
    return [text_id(*row) for row in zip(rows.texts(text), pairs, strict=True)]


def _weights(rows: Rows, count: int) -> NDArray[np.float64]:
    if WEIGHT not in rows.columns:
        return np.ones(count)
    stated = [1 if one in (None, "") else one for one in rows.columns[WEIGHT]]
    values = _numbers(replace(rows, columns={**rows.columns, WEIGHT: stated}), WEIGHT)
    _refuse(rows, WEIGHT, ~(values > 0) | np.isinf(values), "weights are not positive numbers")
    return values


def _shares(rows: Rows, kind: str, labels: Sequence[str]) -> _Shares:
    if kind == "regression":
        return _hard(rows, kind, labels)
    if PROBABILITIES in rows.columns:
        return _listed(rows, kind, labels)
    columns = _columns(rows, labels)
    if LABEL in rows.columns and (not columns or len(columns) < len(labels)):
        return _hard(rows, kind, labels)
    if not columns:
        raise HornbookError(
            f"{rows.where}: no column {LABEL!r} or {PROBABILITIES!r}, and none for each label"
            f"{f' ({listed(labels)})' if labels else ''}; the columns are {', '.join(rows.columns)}"
        )
    if missing := [name for name in labels if name not in columns]:
        raise HornbookError(
            f"{rows.where}: no column for the label {missing[0]!r}, but one for {next(iter(columns))!r}"
        )
    values = np.stack([_numbers(rows, column) for column in columns.values()], axis=1)
    return _checked(rows, kind, tuple(columns), values)


def _columns(rows: Rows, labels: Sequence[str]) -> dict[str, str]:
    """Return the column of each label that has one: of its name, or as `hornbook predict` names it."""
    if not labels:
        labels = [name.removeprefix(_PREFIX) for name in rows.columns if name.startswith(_PREFIX)]
        others = [name for name in rows.columns if name not in _KNOWN]
        labels = labels or ([] if LABEL in rows.columns else others)
    found = {name: next((one for one in (f"{_PREFIX}{name}", name) if one in rows.columns), None) for name in labels}
    return {name: column for name, column in found.items() if column is not None}


def _hard(rows: Rows, kind: str, labels: Sequence[str]) -> _Shares:
    """Return labels as certain probabilities, scores as they are."""
    found: Labels = read_labels({"train": rows}, LABEL, kind, labels or None)
    values = np.array(found.values["train"])
    if not KINDS[found.kind].has_classes:
        return _Shares(found.kind, (), values.astype(np.float64)[:, None])
    shares = np.eye(len(found.names))[values] if KINDS[found.kind].loss == CROSS_ENTROPY else values
    return _Shares(found.kind, found.names, shares.astype(np.float64))


def _listed(rows: Rows, kind: str, labels: Sequence[str]) -> _Shares:
    """Return probabilities that stand in lists or objects."""
    values = rows.columns[PROBABILITIES]
    where = where_of(rows, PROBABILITIES)
    names = tuple(labels)
    if isinstance(values[0], dict):
        names = names or tuple(values[0])
        if strange := [i for i, one in enumerate(values) if not isinstance(one, dict) or set(one) != set(names)]:
            raise HornbookError(
                f"{where}: {len(strange)} of {len(values)} rows do not name the labels {listed(names)} (the first in "
                f"row {strange[0] + 1})"
            )
        values = [[one[name] for name in names] for one in values]
    if not names:
        raise HornbookError(f"{where}: lists do not name their labels; name them in order in task.label_names")
    odd = [i for i, one in enumerate(values) if not isinstance(one, list) or len(one) != len(names)]
    if odd:
        raise HornbookError(
            f"{where}: {len(odd)} of {len(values)} rows are not lists of {len(names)} numbers, one for each of "
            f"{listed(names)} (the first in row {odd[0] + 1})"
        )
    return _checked(rows, kind, names, _array(values, where))


def _checked(rows: Rows, kind: str, names: tuple[str, ...], values: NDArray[np.float64]) -> _Shares:
    kind = "classification" if kind == "auto" else kind
    wrong: NDArray[np.bool_] = np.any(~((values >= 0) & (values <= 1 + _OFF)), axis=1)
    _refuse(rows, "", wrong, "rows have numbers that are not probabilities")
    if KINDS[kind].loss == CROSS_ENTROPY:
        total = values.sum(axis=1)
        wrong = np.abs(total - 1) > _OFF
        first = f"{total[int(wrong.argmax())]:.4g}"
        _refuse(rows, "", wrong, f"rows have probabilities that do not add up to 1 but to {first}")
        values = values / total[:, None]
        if len(np.unique(values.argmax(axis=1))) < 2:
            raise HornbookError(f"{rows.where}: all rows have the label {names[values[0].argmax()]!r}")
    return _Shares(kind, names, values)


def _refuse(rows: Rows, column: str, wrong: NDArray[np.bool_], what: str) -> None:
    if wrong.any():
        where = where_of(rows, column) if column else rows.where
        raise HornbookError(
            f"{where}: {int(wrong.sum())} of {len(wrong)} {what} (the first in row {int(wrong.argmax()) + 1})"
        )


def _numbers(rows: Rows, column: str) -> NDArray[np.float64]:
    return _array(rows.columns[column], where_of(rows, column))


def _array(values: list[Any], where: str) -> NDArray[np.float64]:
    try:
        return np.array(values, np.float64)
    except (TypeError, ValueError):
        raise HornbookError(f"{where}: holds something that is not a number") from None

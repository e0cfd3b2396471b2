"""The task artefact: labelled text in Parquet files, one a split, and what is known about it."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from hornbook.errors import HornbookError
from hornbook.machine.tables import Rows
from hornbook.recipe import TaskConfig
from hornbook.store import Artifact, Destination, StageContext, load, make, result_config
from hornbook.tasks.glue import GLUE, NO_TEST
from hornbook.tasks.labels import Kind, Labels, read_labels, without_labels
from hornbook.tasks.names import listed
from hornbook.tasks.sources import Source, locate
from hornbook.tasks.split import Indices, copies, sample_rows, split_rows, strata
from hornbook.tasks.warnings import DataWarning, data_warnings, text_keys

logger = logging.getLogger("hornbook")

VERSION = 2
_SPLIT_VERSION = 3  # of how a task is split that comes without dev; those of GLUE have one
_LABELS_VERSION = 1  # of how labels are read; those of GLUE are integers or scores, which never changed
# Where the data lies does not change what it is: its content counts, by the keys of the inputs.
_PLACES = ("source", "folder", "dev", "test", "subset")
# Settings that came later: tasks that do not use them keep their keys.
_LATER = ("delimiter", "positive")
# What may head the report, the default first.
_METRICS: dict[Kind, tuple[str, ...]] = {
    "classification": ("accuracy", "macro_f1", "matthews"),
    "multilabel": ("micro_f1", "macro_f1", "accuracy"),
    "regression": ("spearman", "pearson"),
}
REGRESSION = {"regression": 2}
"""The version of what is learned and reported of scores; classes and labels have none."""
_FEWEST_ROWS = 10


@dataclass(frozen=True)
class Task:
    """A finished task artefact.

    Attributes:
        name: of the task.
        kind: classification, multilabel or regression.
        labels: the classes' names by index; empty for regression.
        pair: whether a case is a pair of texts.
        metric: the headline metric: accuracy, micro_f1, matthews or spearman.
        splits: those that exist of train, dev, test, dev_mismatched.
        majority_share: the accuracy on dev of always naming its most frequent class; 0 where there are no classes.
        artifact: the folder behind it.
    """

    name: str
    kind: Kind
    labels: tuple[str, ...]
    pair: bool
    metric: str
    splits: tuple[str, ...]
    majority_share: float
    artifact: Artifact

    @property
    def key(self) -> str:
        """The artefact's content key."""
        return self.artifact.key

    def split(self, name: str) -> pa.Table:
        """Return a split: columns text (string), text_pair (string, null for single texts), label.

        The label is the class index (int64), a list of 0 or 1 for each label (float32), or the score (float64).

        Raises:
            HornbookError: the task has no such split.
        """
        if name not in self.splits:
            raise HornbookError(f"{self.artifact.path}: no split {name!r}; it has {', '.join(self.splits)}")
        return pq.read_table(self.artifact.file(f"{name}.parquet"))

    def gold(self, name: str) -> NDArray[Any]:
        """Return the gold labels of a split as an array.

        Class indices (int64) or scores (float64) of shape (rows,); in a multi-label task 0 or 1 (float32) of shape
        (rows, labels).

        Raises:
            HornbookError: the task has no such split.
        """
        labels = self.split(name)["label"]
        if self.kind != "multilabel":
            return np.asarray(labels.to_numpy())
        return np.array(labels.combine_chunks().flatten(), np.float32).reshape(-1, len(self.labels))

    def anchors(self) -> list[str]:
        """Return each distinct text of train, in order of first appearance.

        Each text of a pair is an anchor of its own (paper, section 2.1).
        """
        train = self.split("train")
        columns = [train.column("text").to_pylist()]
        if self.pair:
            columns.append(train.column("text_pair").to_pylist())
        return list(dict.fromkeys(text for row in zip(*columns, strict=True) for text in row))


def open_task(task: Artifact | Path | str) -> Task:
    """Open a finished task artefact.

    Raises:
        HornbookError: it is not one.
    """
    artifact = task if isinstance(task, Artifact) else load(task, "task")
    info = artifact.info
    return Task(
        name=info["name"],
        kind=info["kind"],
        labels=tuple(info["labels"]),
        pair=info["pair"],
        metric=info["metric"],
        splits=tuple(info["splits"]),
        majority_share=info["majority_share_of_dev"],
        artifact=artifact,
    )


def kind_version(task: Artifact) -> dict[str, int]:
    """Return what the key of a model or evaluation holds besides, by the kind of its task: `REGRESSION` or nothing.

    Of a task that is only planned the kind is known where its settings or GLUE say it.
    """
    if not task.planned:
        kind = task.info["kind"]
    else:
        config = task.manifest["config"]
        glue = None if "split" in config else GLUE.get(config["name"].removeprefix("glue/"))
        kind = glue.kind if glue and config["kind"] == "auto" else config["kind"]
    return REGRESSION if kind == "regression" else {}


def prepare(config: TaskConfig, out: Destination) -> Artifact:
    """Read labelled data, check it, split it where it comes without splits, and store it in `out`.

    Args:
        config: what and how to read.
        out: the artefact's folder.

    Returns:
        The artefact, for `open_task`: a Parquet file for each split; `info` says how it was split.

    Raises:
        HornbookError: the data is missing or wrong (file, column and row are named), or too small to split.
    """
    source = locate(config)
    own = {} if source.glue else {"split": _SPLIT_VERSION, "labels": _LABELS_VERSION}
    settings = {
        name: value
        for name, value in result_config(config).items()
        if name not in _PLACES and not (name in _LATER and value is None)
    }
    return make(
        out,
        stage="task",
        version=VERSION,
        config=settings | {"name": source.name} | own,
        inputs=source.inputs,
        build=partial(_build, config, source),
        seed=config.split_seed,
    )


def check(config: TaskConfig) -> Labels:
    """Read labelled data and check it, as `prepare` does, but store nothing; return its labels.

    Raises:
        HornbookError: as `prepare`.
    """
    source = locate(config)
    labels = _read(config, source)[1]
    _metric(config, source, labels)
    return labels


def _build(config: TaskConfig, source: Source, context: StageContext) -> None:
    tables, labels, pair, how, found = _read(config, source)
    metric = _metric(config, source, labels)
    for split, table in tables.items():
        pq.write_table(table, context.path / f"{split}.parquet", compression="zstd")
        context.counts[f"{split}_rows"] = len(table)
    context.counts |= {doubt.name: doubt.rows for doubt in found}
    context.info |= {
        "name": source.name,
        "kind": labels.kind,
        "labels": list(labels.names),
        "labels_read": str(labels),
        "pair": pair,
        "metric": metric,
        "splits": list(tables),
        "split": how,
        "majority_share_of_dev": _majority_share(tables["dev"], labels.kind),
    }


def _metric(config: TaskConfig, source: Source, labels: Labels) -> str:
    if config.metric == "auto":
        return source.glue.metric if source.glue else _METRICS[labels.kind][0]
    legal = _METRICS[labels.kind] + (("f1",) if len(labels.names) == 2 and labels.kind == "classification" else ())
    if config.metric not in legal:
        raise HornbookError(f"{source.name}: metric: {config.metric} is none of this task's: {', '.join(legal)}")
    return config.metric


def _read(
    config: TaskConfig, source: Source
) -> tuple[dict[str, pa.Table], Labels, bool, dict[str, str], list[DataWarning]]:
    """Return the splits, the labels as stored, whether texts come in pairs, where each split is from, and doubts."""
    given, left_out = _labelled(config, source, source.read())
    labels = _labels(config, source, given)
    text, text_pair = _text_columns(config, source, given["train"])
    tables = {
        split: _table(rows, text, text_pair, labels.values[split], labels.kind) for split, rows in given.items()
    }
    where = given["train"].where
    tables, how = _complete(tables, labels, config.split_seed, where)
    how |= {split: f"left out: {why}" for split, why in left_out.items() if split not in tables}
    if config.train_rows is not None and config.train_rows < len(tables["train"]):
        tables["train"] = _sample(tables["train"], labels, config.train_rows, config.split_seed, where)
        how["train"] += f", {config.train_rows} rows sampled, stratified, seed {config.split_seed}"
    if source.glue is not None:
        how["test"] = NO_TEST
    used = {text, text_pair, *([config.label] if isinstance(config.label, str) else config.label)}
    found = data_warnings(given, tables, labels, source.glue.range if source.glue else None, used)
    logger.info("%s: %s%s", source.name, labels, _positive(config, labels))
    for doubt in found:
        logger.warning("%s: %s", source.name, doubt.message)
    return tables, labels, text_pair is not None, how, found


def _labelled(
    config: TaskConfig, source: Source, given: Mapping[str, Rows]
) -> tuple[dict[str, Rows], dict[str, str]]:
    """Return the splits that have labels, and why others are left out."""
    left_out: dict[str, str] = {}
    for split in ("dev", "test"):
        if source.glue is not None or split not in given:
            continue
        why = without_labels(given[split], config.label, given["train"])
        if why is None:
            continue
        where = given[split].where
        if split == "dev" and config.dev is not None:
            raise HornbookError(f"{where}: {why}: a dev file needs labels; without dev it is cut from train")
        left_out[split] = why
        logger.warning("%s: %s: %s: the %s split has no labels and is left out", source.name, where, why, split)
    return {split: rows for split, rows in given.items() if split not in left_out}, left_out


def _positive(config: TaskConfig, labels: Labels) -> str:
    if config.metric != "f1" or len(labels.names) != 2:
        return ""
    return f"; f1 is that of {labels.names[1]!r}" + ("" if config.positive else ", set task.positive for the other")


def score_name(metric: str, labels: Sequence[str]) -> str:
    """Return what a score is called for people: f1 with its class, macro_f1 without underscore."""
    return f"f1 of {labels[1]}" if metric == "f1" else metric.replace("_", " ")


def _labels(config: TaskConfig, source: Source, given: Mapping[str, Rows]) -> Labels:
    stated = given["train"].class_names.get(config.label) if isinstance(config.label, str) else None
    known = source.glue.labels or None if source.glue else None
    kind = config.kind
    if kind == "auto" and source.glue is not None:
        kind = source.glue.kind
    names = config.label_names or known or stated
    codes = stated is not None or known is not None
    labels = read_labels(
        given, config.label, kind, names, config.label_separator, codes=codes, positive=config.positive
    )
    return replace(labels, why="as GLUE has it") if source.glue is not None else labels


def _text_columns(config: TaskConfig, source: Source, train: Rows) -> tuple[str, str | None]:
    """Return the columns of the first and the second text."""
    if source.glue is not None:
        return config.text or source.glue.text, config.text_pair or source.glue.text_pair
    if config.text is not None:
        return config.text, config.text_pair
    usual = [name for name in ("text", "sentence") if name in train.columns or name in train.refused]
    if not usual:
        raise HornbookError(
            f"{train.where}: no column 'text' or 'sentence'; say with text: which it is of {', '.join(train.columns)}"
            f"{train.hint}"
        )
    return usual[0], config.text_pair


def _table(rows: Rows, text: str, text_pair: str | None, labels: list[Any], kind: Kind) -> pa.Table:
    texts = rows.texts(text)
    pairs = rows.texts(text_pair) if text_pair else [None] * len(texts)
    types = {"classification": pa.int64(), "multilabel": pa.list_(pa.float32()), "regression": pa.float64()}
    schema = pa.schema([("text", pa.string()), ("text_pair", pa.string()), ("label", types[kind])])
    return pa.table([texts, pairs, labels], schema=schema)


def _complete(
    tables: Mapping[str, pa.Table], labels: Labels, seed: int, where: str
) -> tuple[dict[str, pa.Table], dict[str, str]]:
    """Cut dev off train where none is given, test too where neither is; say of each split where it is from."""
    how = dict.fromkeys(tables, "given")
    if "dev" in tables:
        return dict(tables), how if "test" in how else {**how, "test": "none given"}
    # Rows with the same text stay together, or dev would ask for what train has told.
    text_of_row, firsts = copies(text_keys(tables["train"]))
    groups = strata(labels.values["train"], labels.kind)[firsts]
    if len(groups) < _FEWEST_ROWS:
        raise HornbookError(
            f"{where}: {len(groups)} texts are too few to split; give {_FEWEST_ROWS} or more, or a dev file"
        )
    with_test = "test" not in tables
    parts = split_rows(groups, seed, with_test)
    shares = {"train": 80 if with_test else 90, "dev": 10, "test": 10}
    how |= {split: f"{shares[split]}% of the texts, stratified, seed {seed}" for split in parts}
    parts = _keeping_labels(parts, text_of_row, labels, where)
    cut = {split: tables["train"].filter(pa.array(np.isin(text_of_row, texts))) for split, texts in parts.items()}
    return {**tables, **cut}, how


def _keeping_labels(
    parts: Mapping[str, Indices], text_of_row: Indices, labels: Labels, where: str
) -> dict[str, Indices]:
    """Return a split of texts in which train has every label: it keeps those that only one text has, say.

    Args:
        parts: the texts of each split.
        text_of_row: the text of each row.
        labels: those of the rows.
        where: the file, for messages.
    """
    if labels.kind == "regression":
        return dict(parts)
    gold = np.array(labels.values["train"])
    rows, own = gold.nonzero() if labels.kind == "multilabel" else (np.arange(len(gold)), gold)
    text, label = np.unique([text_of_row[rows], own], axis=1)
    rare = [labels.names[i] for i in np.flatnonzero(np.bincount(label) == 1)]
    lost = np.setdiff1d(label, label[np.isin(text, parts["train"])])
    kept = text[np.isin(label, lost)]
    found = {split: np.setdiff1d(texts, kept) for split, texts in parts.items()}
    found["train"] = np.union1d(parts["train"], kept)
    if empty := next((split for split, texts in found.items() if len(texts) == 0), None):
        raise HornbookError(
            f"{where}: {len(rare)} of {len(labels.names)} labels ({listed(rare)}) have one text each, which leaves"
            f" none for {empty}; give more, or a dev file ({labels.kind} {labels.why})"
        )
    if rare:
        logger.warning(
            "%s: %d of %d labels have one text each; these stay in train, so dev and test do not show how well they"
            " are learned: %s",
            *(where, len(rare), len(labels.names), listed(rare)),
        )
    return found


def _sample(train: pa.Table, labels: Labels, rows: int, seed: int, where: str) -> pa.Table:
    """Return a stratified sample of train that still holds every label."""
    kept = sample_rows(strata(train.column("label").to_pylist(), labels.kind), rows, seed)
    sample = train.take(pa.array(kept))
    lost = np.flatnonzero((_frequencies(train, labels) > 0) & (_frequencies(sample, labels) == 0))
    if len(lost):
        names = listed([repr(labels.names[i]) for i in lost])
        raise HornbookError(f"{where}: train_rows: {rows} rows hold none of label {names}; give more")
    return sample


def _frequencies(table: pa.Table, labels: Labels) -> NDArray[np.int64]:
    """Return how many rows have each label; nothing for regression."""
    stored = table.column("label").to_pylist()
    if labels.kind == "multilabel":
        return np.asarray(np.array(stored, np.int64).reshape(-1, len(labels.names)).sum(axis=0))
    found = stored if labels.kind == "classification" else []
    return np.bincount(np.array(found, np.int64), minlength=len(labels.names))


def _majority_share(dev: pa.Table, kind: Kind) -> float:
    """Return the share of the most frequent class; 0 where there are none."""
    if kind != "classification":
        return 0.0
    return float(np.bincount(dev.column("label").to_numpy()).max() / len(dev))

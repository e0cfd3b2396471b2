"""The stage `task`: read labelled data, check it, split it, and store it."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hornbook.errors import HornbookError
from hornbook.machine.tables import Rows
from hornbook.recipe import TaskConfig
from hornbook.recipe.load import validate
from hornbook.store import Artifact, Destination, StageContext, make, result_config
from hornbook.tasks.glue import NO_TEST
from hornbook.tasks.kinds import KINDS
from hornbook.tasks.labels import Labels, read_labels, without, without_labels
from hornbook.tasks.memory import TaskData, rows_by_split, rows_key
from hornbook.tasks.sources import Source, locate
from hornbook.tasks.split import complete, sample
from hornbook.tasks.task import TEXTS
from hornbook.tasks.warnings import ID_COLUMNS, DataWarning, data_warnings

logger = logging.getLogger("hornbook")

VERSION = 2
_SPLIT_VERSION = 3  # of how a task without dev is split; GLUE tasks have one
_LABELS_VERSION = 1  # of how labels are read; those of GLUE are integers or scores, which never changed
# The location of the data does not count: its content does, by the keys of the inputs.
_PLACES = ("source", "folder", "dev", "test", "subset")
# Newer settings: tasks that do not use them keep their keys.
_LATER = ("delimiter", "positive")


def prepare(
    source: TaskConfig | TaskData | Path | str,
    out: Destination,
    *,
    dev: TaskData | Path | str | None = None,
    test: TaskData | Path | str | None = None,
    name: str | None = None,
    **settings: Any,
) -> Artifact:
    """Read labelled data, check it, split it if it comes without splits, and store it in `out`.

    >>> prepare("reviews.csv", "task", text="review", label="stars")
    >>> prepare(frame, "task", dev=other_frame, label=["praise", "blame"])
    >>> prepare({"text": texts, "label": labels}, "task", kind="regression")

    Args:
        source: settings that name the data; or a file, a folder or a name as `TaskConfig.source`; or the data itself:
            a pandas DataFrame, an Arrow table (or anything that exports one, such as a polars DataFrame), a
            `datasets.Dataset`, a mapping from column names to lists, a list of mappings, or a tuple of texts and
            labels. A `datasets.DatasetDict` or a mapping from split names to data has several splits.
        out: the artefact's folder.
        dev: the dev split, if `source` is train; by default it is cut from train.
        test: the test split, as `dev`.
        name: the task's name, for data; by default "data".
        settings: the fields of `TaskConfig`, unless `source` is one: text, text_pair, label, kind, metric, …

    Returns:
        the artefact, for `open_task`: a Parquet file for each split. The key of data depends on the content of its
        columns of texts and labels, not on its type.

    Raises:
        HornbookError: the data is missing or wrong (the message names file, column and row), or too small to split.
    """
    config, found = _located(source, dev, test, name, settings)
    own = {} if found.glue else {"split": _SPLIT_VERSION, "labels": _LABELS_VERSION}
    counted = {
        field: value
        for field, value in result_config(config).items()
        if field not in _PLACES and not (field in _LATER and value is None)
    }
    return make(
        out,
        stage="task",
        version=VERSION,
        config=counted | {"name": found.name} | own,
        inputs=found.inputs,
        build=partial(_build, config, found),
        seed=config.split_seed,
    )


def check(config: TaskConfig) -> Labels:
    """Read labelled data and check it as `prepare` does, but store nothing; return its labels.

    Args:
        config: the settings that name the data.

    Returns:
        the labels of all splits; of texts without labels one that means nothing, of kind `TEXTS`.

    Raises:
        HornbookError: as `prepare`.
    """
    source = locate(config)
    labels = _read(config, source)[1]
    if config.is_labelled:
        _metric(config, source, labels)
    return labels


def train_texts(config: TaskConfig) -> list[str]:
    """Return the texts of a task's train split, first texts only, without storing the task.

    Args:
        config: the settings that name the data.

    Returns:
        the texts.

    Raises:
        HornbookError: as `prepare`.
    """
    texts: list[str] = _read(config, locate(config))[0]["train"].column("text").to_pylist()
    return texts


def _located(
    source: TaskConfig | TaskData | Path | str,
    dev: TaskData | Path | str | None,
    test: TaskData | Path | str | None,
    name: str | None,
    settings: Mapping[str, Any],
) -> tuple[TaskConfig, Source]:
    """Return the settings of a task and its source, see `prepare`."""
    if isinstance(source, TaskConfig):
        if settings or name or dev is not None or test is not None:
            raise HornbookError("prepare: the settings are given already; change them with model_copy(update=…)")
        return source, locate(source)
    if isinstance(source, str | Path):
        if name is not None:
            raise HornbookError("prepare: name: is for data in memory; a file or folder has its own")
        places = {split: str(place) for split, place in (("dev", dev), ("test", test)) if place is not None}
        config = validate(TaskConfig, {"source": str(source), **places, **settings}, "prepare")
        return config, locate(config)
    return _in_memory(source, {"dev": dev, "test": test}, name or "data", settings)


def _in_memory(
    data: TaskData, others: Mapping[str, Any], name: str, settings: Mapping[str, Any]
) -> tuple[TaskConfig, Source]:
    given = {split: one for split, one in others.items() if one is not None}
    config = validate(TaskConfig, {"source": name, **dict.fromkeys(given, name), **settings}, "prepare")
    if unused := [field for field in ("folder", "subset", "delimiter") if getattr(config, field) is not None]:
        raise HornbookError(f"prepare: {unused[0]}: is for files only")
    rows = rows_by_split(name, data, given)
    used = (*_text_columns(config, None, rows["train"]), *_label_columns(config), *ID_COLUMNS)
    inputs = {split: rows_key(own, used) for split, own in rows.items()}
    return config, Source(name, inputs, lambda: rows)


def _build(config: TaskConfig, source: Source, context: StageContext) -> None:
    tables, labels, pair, how, found = _read(config, source)
    for split, table in tables.items():
        pq.write_table(table, context.path / f"{split}.parquet", compression="zstd")
        context.counts[f"{split}_rows"] = len(table)
    context.counts |= {doubt.name: doubt.rows for doubt in found}
    context.info |= {"name": source.name, "pair": pair, "splits": list(tables), "split": how}
    if labels.kind == TEXTS:
        named = list(config.label_names or ())
        context.info |= {"kind": TEXTS, "labels": named, "metric": "", "majority_share_of_dev": 0.0}
        return
    kind = KINDS[labels.kind]
    context.info |= {
        "kind": labels.kind,
        "labels": list(labels.names),
        "labels_read": str(labels),
        "metric": _metric(config, source, labels),
        "majority_share_of_dev": kind.majority_share(kind.gold(tables["dev"].column("label"), len(labels.names))),
    }


def _metric(config: TaskConfig, source: Source, labels: Labels) -> str:
    kind = KINDS[labels.kind]
    if config.metric == "auto":
        return source.glue.metric if source.glue else kind.default_metric
    legal = kind.headline_metrics(len(labels.names))
    if config.metric not in legal:
        raise HornbookError(f"{source.name}: metric: {config.metric} is none of this task's: {', '.join(legal)}")
    return config.metric


def _read(
    config: TaskConfig, source: Source
) -> tuple[dict[str, pa.Table], Labels, bool, dict[str, str], list[DataWarning]]:
    """Return the splits, their labels, whether rows are pairs, where each split comes from, and warnings."""
    given: Mapping[str, Rows] = source.read()
    left_out: dict[str, str] = {}
    if config.is_labelled:
        given, left_out = _labelled(config, source, given)
        labels = _labels(config, source, given)
    else:
        labels = without(given)
    text, text_pair = _text_columns(config, source, given["train"])
    tables = {
        split: _table(rows, text, text_pair, labels.values[split], labels.kind) for split, rows in given.items()
    }
    where = given["train"].where
    tables, how = complete(tables, labels, config.split_seed, where)
    how |= {split: f"left out: {why}" for split, why in left_out.items() if split not in tables}
    if config.train_rows is not None and config.train_rows < len(tables["train"]):
        tables["train"] = sample(tables["train"], labels, config.train_rows, config.split_seed, where)
        how["train"] += f", {config.train_rows} rows sampled, stratified, seed {config.split_seed}"
    if source.glue is not None:
        how["test"] = NO_TEST
    used = {text, text_pair, *_label_columns(config)}
    found = data_warnings(given, tables, labels, source.glue.range if source.glue else None, used)
    if not config.is_labelled:
        labels = replace(labels, kind=TEXTS, names=())
        nothing = {split: pa.nulls(len(table), pa.int64()) for split, table in tables.items()}
        tables = {split: table.set_column(2, "label", nothing[split]) for split, table in tables.items()}
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


def _label_columns(config: TaskConfig) -> tuple[str, ...]:
    return (config.label,) if isinstance(config.label, str) else config.label


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


def _text_columns(config: TaskConfig, source: Source | None, train: Rows) -> tuple[str, str | None]:
    """Return the columns of the first and the second text."""
    if source is not None and source.glue is not None:
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


def _table(rows: Rows, text: str, text_pair: str | None, labels: list[Any], kind: str) -> pa.Table:
    texts = rows.texts(text)
    pairs = rows.texts(text_pair) if text_pair else [None] * len(texts)
    types = {"text": pa.string(), "text_pair": pa.string(), "label": KINDS[kind].label_type}
    return pa.table([texts, pairs, labels], schema=pa.schema(types))

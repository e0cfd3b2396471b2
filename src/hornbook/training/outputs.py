"""A teacher's outputs on the task's train split and on units of a textbook: labels for students."""

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from hornbook.errors import HornbookError
from hornbook.models.source import Model, model_key, model_path
from hornbook.store import Artifact, Destination, StageContext, make
from hornbook.tasks import Task, open_task
from hornbook.tasks.answers import Answers, ids_of, open_answers
from hornbook.tasks.kinds import KINDS
from hornbook.textbook import open_textbook
from hornbook.training.taught import classifier

logger = logging.getLogger("hornbook")

STAGE = "outputs"
VERSION = 1
_TRAIN, UNITS = "train.parquet", "units.parquet"
_ALL = "all"
PLACE = "place"
"""The column of a unit's place in its textbook, from 0, where a file labels units."""


@dataclass(frozen=True)
class Outputs:
    """A teacher's outputs.

    Attributes:
        train: for the task's train split in its order, shape (rows, labels), in the order of the task's labels; NaN
            where a file has none.
        units: for units of a textbook, shape (units, labels).
        texts: the units.
        pairs: their second texts, if the task has pairs.
    """

    train: NDArray[np.float32]
    units: NDArray[np.float32]
    texts: list[str]
    pairs: list[str] | None


def teacher_outputs(
    teacher: Model,
    task: Artifact,
    out: Destination,
    *,
    textbook: Artifact | None = None,
    units: int = 0,
    max_length: int = 128,
    label_names: dict[str, str] | None = None,
    seed: int = 0,
) -> Artifact:
    """Compute a teacher's outputs on the task's train split and on random units of a textbook.

    For a task with pairs, two units make a pair.

    Args:
        teacher: a classifier: a model folder or hub name.
        task: a prepared task.
        out: the artefact's folder.
        textbook: a finished textbook, where `units` is not 0.
        units: the number of its units to label; a smaller textbook is labelled whole.
        max_length: truncate texts to this many tokens.
        label_names: maps the teacher's label names to the task's, where they differ.
        seed: the seed of the sample of units.

    Returns:
        the artefact, stage "outputs".

    Raises:
        HornbookError: the teacher is not a classifier, or its labels are not the task's; units without a textbook.
    """
    if units and textbook is None:
        raise HornbookError("adapt.textbook_units: no textbook is given to sample units from")

    def build(context: StageContext) -> None:
        _build(context, model_path(teacher), open_task(task), textbook, units, max_length, label_names, seed)

    inputs = {"teacher": model_key(teacher), "task": task.key}
    if units and textbook is not None:
        inputs["textbook"] = textbook.key
    return make(
        out,
        stage=STAGE,
        version=VERSION,
        config={"units": units, "max_length": max_length, "label_names": label_names, "seed": seed},
        inputs=inputs,
        build=build,
        seed=seed,
    )


def file_outputs(
    answers: Artifact,
    task: Artifact,
    out: Destination,
    *,
    textbook: Artifact | None = None,
    units: int | None = 0,
    seed: int = 0,
) -> Artifact:
    """Return what a file says about the task's train split and about units of a textbook; see `teacher_outputs`.

    Args:
        answers: of `tasks.answers`.
        task: a prepared task.
        out: the artefact's folder.
        textbook: a finished textbook, where `units` is not 0.
        units: the number of random units among those that the file labels; None for all of them in order.
        seed: the seed of the sample of units.

    Returns:
        the artefact, stage "outputs". Texts that the file does not label are NaN in train, and left out of the units.

    Raises:
        HornbookError: the file labels no unit of the textbook.
    """

    def build(context: StageContext) -> None:
        found, opened = open_answers(answers), open_task(task)
        train = opened.split("train").select(["text", "text_pair"])
        drawn, said = train.slice(0, 0), np.zeros((0, 0), np.float32)
        if textbook is not None and units != 0:
            drawn, said = _labelled(textbook, found)
            _report(found, opened, textbook, drawn)
            if units is not None and units < len(drawn):
                chosen = np.sort(np.random.default_rng(seed).permutation(len(drawn))[:units])
                drawn, said = drawn.take(pa.array(chosen)), said[chosen]
        _write(context, opened, found.of(train), drawn, said)
        context.info |= {"kind": found.kind, "labels": list(found.labels)}

    inputs = {"teacher": answers.key, "task": task.key}
    if textbook is not None and units != 0:
        inputs["textbook"] = textbook.key
    config = {"units": _ALL if units is None else units, "seed": seed}
    return make(out, stage=STAGE, version=VERSION, config=config, inputs=inputs, build=build, seed=seed)


def _report(answers: Answers, task: Task, textbook: Artifact, labelled: pa.Table) -> None:
    """Say how many units a file labels, and how many of its texts are nowhere; refuse a file that labels none."""
    units = textbook.counts["units"]
    if not len(labelled):
        raise HornbookError(
            f"{textbook.path}: teacher.file labels none of its {units:,} units; label some of them: "
            f"hornbook textbook sample {textbook.path} --out to-label.jsonl"
        )
    logger.info("the teacher's file labels %s of the %s units of the textbook", f"{len(labelled):,}", f"{units:,}")
    used = set(ids_of(labelled.select(["text", "text_pair"])))
    for split in task.splits:
        used |= set(ids_of(task.split(split).select(["text", "text_pair"])))
    if strange := len(answers.outputs.keys() - used):
        logger.warning(
            "%s of the %s texts of the teacher's file are neither in the textbook nor in the task; they are not used",
            f"{strange:,}",
            f"{len(answers.outputs):,}",
        )


def open_outputs(artifact: Artifact) -> Outputs:
    """Return a teacher's outputs.

    Args:
        artifact: made by `teacher_outputs`.

    Returns:
        the outputs, read into memory.

    Raises:
        HornbookError: a file is missing or changed.
    """
    train, units = (pq.read_table(artifact.file(name)) for name in (_TRAIN, UNITS))
    pairs = units["text_pair"].to_pylist() if artifact.info["pair"] else None
    return Outputs(_matrix(train), _matrix(units), units["text"].to_pylist(), pairs)


def _build(
    context: StageContext,
    path: str,
    task: Task,
    textbook: Artifact | None,
    units: int,
    max_length: int,
    label_names: dict[str, str] | None,
    seed: int,
) -> None:
    _, _, ask = classifier(path, task.labels, max_length, label_names, task.pair)
    train = task.split("train").select(["text", "text_pair"])
    outputs = task.taught("train") if task.by_teacher else ask(train)
    if doubt := KINDS[task.kind].doubt(task.gold("train"), outputs):
        logger.warning("%s, train: the teacher %s", task.name, doubt)
    drawn = _drawn(textbook, units, task.pair, seed) if textbook is not None and units else train.slice(0, 0)
    _write(context, task, outputs, drawn, ask(drawn) if len(drawn) else np.zeros((0, 0), np.float32))


def _write(
    context: StageContext, task: Task, train: NDArray[np.float32], units: pa.Table, said: NDArray[np.float32]
) -> None:
    """Write outputs on train, whose texts the task has already, and on units with their texts."""
    pq.write_table(pa.table({"outputs": _lists(train)}), context.path / _TRAIN, compression="zstd")
    pq.write_table(units.append_column("outputs", _lists(said)), context.path / UNITS, compression="zstd")
    context.counts = {"train_rows": len(train), "units": len(units)}
    context.info = {"pair": task.pair, "labels": list(task.labels)}


def _lists(values: NDArray[np.float32]) -> pa.Array:
    return pa.array(list(values), pa.list_(pa.float32()))


def _drawn(textbook: Artifact, units: int, pair: bool, seed: int) -> pa.Table:
    """Return a random sample of a textbook's units as texts, or in twos as pairs."""
    texts = [text for batch in open_textbook(textbook).batches(["text"]) for text in batch["text"].to_pylist()]
    needed = min(units * (2 if pair else 1), len(texts))
    order = np.random.default_rng(seed).permutation(len(texts))[:needed]
    first = [texts[i] for i in (order[0 : needed - needed % 2 : 2] if pair else order)]
    second = [texts[i] for i in order[1:needed:2]] if pair else [None] * len(first)
    return pa.table({"text": pa.array(first, pa.string()), "text_pair": pa.array(second, pa.string())})


def _labelled(textbook: Artifact, answers: Answers) -> tuple[pa.Table, NDArray[np.float32]]:
    """Return the units of a textbook that a file labels, with their place in it, and its outputs on them."""
    tables, outputs, start = [], [], 0
    for batch in open_textbook(textbook).batches(["text", "text_pair"]):
        table = pa.table(batch)
        said = answers.of(table)
        known = np.isfinite(said).all(axis=1)
        places = pa.array(start + np.flatnonzero(known), pa.int64())
        tables.append(table.filter(pa.array(known)).append_column(PLACE, places))
        outputs.append(said[known])
        start += len(table)
    return pa.concat_tables(tables), np.concatenate(outputs)


def _matrix(table: pa.Table) -> NDArray[np.float32]:
    rows: Any = table["outputs"].to_pylist()
    return np.array(rows, np.float32) if rows else np.zeros((0, 0), np.float32)

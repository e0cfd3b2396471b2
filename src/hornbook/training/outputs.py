"""A teacher's outputs on the task's train split and on units of a textbook: labels for students."""

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from hornbook.errors import HornbookError
from hornbook.machine.progress import progress
from hornbook.models.encode import encode
from hornbook.models.loading import label_order, load_ready_classifier
from hornbook.models.predict import best_device, predict
from hornbook.models.source import Model, model_key, model_path
from hornbook.models.tokenizers import load_tokenizer
from hornbook.store import Artifact, Destination, StageContext, make
from hornbook.tasks import Task, open_task
from hornbook.tasks.kinds import KINDS
from hornbook.textbook import open_textbook

logger = logging.getLogger("hornbook")

STAGE = "outputs"
VERSION = 1
_TRAIN, _UNITS = "train.parquet", "units.parquet"
_ROWS = 16_384


@dataclass(frozen=True)
class Outputs:
    """A teacher's outputs.

    Attributes:
        train: for the task's train split in its order, shape (rows, labels), in the order of the task's labels.
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


def open_outputs(artifact: Artifact) -> Outputs:
    """Return a teacher's outputs.

    Args:
        artifact: made by `teacher_outputs`.

    Returns:
        the outputs, read into memory.

    Raises:
        HornbookError: a file is missing or changed.
    """
    train, units = (pq.read_table(artifact.file(name)) for name in (_TRAIN, _UNITS))
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
    model, tokenizer = load_ready_classifier(path), load_tokenizer(path)
    model.to(best_device())
    columns = label_order(model.config.id2label, task.labels, label_names, path)
    train = task.split("train").select(["text", "text_pair"])
    drawn = _drawn(textbook, units, task.pair, seed) if textbook is not None and units else train.slice(0, 0)
    with progress("label texts with the teacher", len(train) + len(drawn), "texts") as counter:
        for name, table in ((_TRAIN, train), (_UNITS, drawn)):
            found = [np.zeros((0, len(columns)))]
            for start in range(0, len(table), _ROWS):
                part = table.slice(start, _ROWS)
                pairs = part["text_pair"].to_pylist() if task.pair else None
                encoded = encode(part["text"].to_pylist(), pairs, tokenizer, max_length)
                found.append(predict(model, encoded)[:, columns])
                counter.advance(len(part))
            outputs = np.concatenate(found)
            if name == _TRAIN and (doubt := KINDS[task.kind].doubt(task.gold("train"), outputs)):
                logger.warning("%s, train: the teacher %s", task.name, doubt)
            values = pa.array(list(outputs.astype(np.float32)), pa.list_(pa.float32()))
            # the task has its own texts already
            kept = pa.table({"outputs": values}) if name == _TRAIN else table.append_column("outputs", values)
            pq.write_table(kept, context.path / name, compression="zstd")
    context.counts = {"train_rows": len(train), "units": len(drawn)}
    context.info = {"pair": task.pair, "labels": list(task.labels)}


def _drawn(textbook: Artifact, units: int, pair: bool, seed: int) -> pa.Table:
    """Return a random sample of a textbook's units as texts, or in twos as pairs."""
    texts = [text for batch in open_textbook(textbook).batches(["text"]) for text in batch["text"].to_pylist()]
    needed = min(units * (2 if pair else 1), len(texts))
    order = np.random.default_rng(seed).permutation(len(texts))[:needed]
    first = [texts[i] for i in (order[0 : needed - needed % 2 : 2] if pair else order)]
    second = [texts[i] for i in order[1:needed:2]] if pair else [None] * len(first)
    return pa.table({"text": pa.array(first, pa.string()), "text_pair": pa.array(second, pa.string())})


def _matrix(table: pa.Table) -> NDArray[np.float32]:
    rows: Any = table["outputs"].to_pylist()
    return np.array(rows, np.float32) if rows else np.zeros((0, 0), np.float32)

"""The record of a classifier's outputs on a task: scores, predictions, confusions."""

import logging
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from hornbook.store import StageContext
from hornbook.tasks import Task
from hornbook.tasks.metrics import (
    ChanceCheck,
    calibration_error,
    check_against_chance,
    confusion,
    predicted,
    probabilities,
    score_doubt,
    scores,
)

logger = logging.getLogger("hornbook")


def scored_splits(task: Task) -> list[str]:
    """Return the splits on which a classifier is scored: all but train."""
    return [split for split in task.splits if split != "train"]


def record(context: StageContext, task: Task, outputs: dict[str, NDArray[Any]]) -> None:
    """Write predictions and confusions, and fill in scores, calibration and the comparison with chance.

    `predictions-SPLIT.parquet`: text, text_pair for a task of pairs, gold, predicted (names, lists of names, or
    scores) and probabilities in the order of the task's labels (not for a regression); `confusion-SPLIT.csv`, see
    `confusion`. Predictions of a regression that are doubtful as a whole (see `score_doubt`) cause a warning, which
    is kept as `info["doubt"]`.

    Args:
        context: of the stage "evaluation".
        task: what was classified.
        outputs: logits by split, shape (rows, labels).
    """
    by_split = {}
    for split, found in outputs.items():
        gold = task.gold(split)
        by_split[split] = scores(task.kind, gold, found)
        pq.write_table(
            _predictions(task, split, found), context.path / f"predictions-{split}.parquet", compression="zstd"
        )
        table = confusion(task.kind, gold, found, task.labels)
        if table is not None:
            pyarrow.csv.write_csv(table, context.path / f"confusion-{split}.csv")
    gold = task.gold("dev")
    if task.kind == "regression" and (doubt := score_doubt(gold, outputs["dev"][:, 0])):
        logger.warning("%s, dev: the model %s", task.name, doubt)
        context.info["doubt"] = doubt
    error = calibration_error(task.kind, gold, outputs["dev"])
    context.info |= {
        "task": task.name,
        "labels": list(task.labels),
        "metric": task.metric,
        "scores": by_split,
        "calibration_error": None if error is None else round(error, 6),
        "chance": _described(check_against_chance(task.kind, gold, outputs["dev"], task.metric)),
    }


def _predictions(task: Task, split: str, outputs: NDArray[Any]) -> pa.Table:
    table = task.split(split)
    columns = {"text": table["text"]}
    if task.pair:
        columns["text_pair"] = table["text_pair"]
    columns["gold"] = _named(task, task.gold(split))
    columns["predicted"] = _named(task, predicted(task.kind, outputs))
    if task.kind != "regression":
        shares = probabilities(task.kind, outputs).astype(np.float32)
        columns["probabilities"] = pa.array(list(shares), pa.list_(pa.float32()))
    return pa.table(columns)


def _named(task: Task, labels: NDArray[Any]) -> Any:
    """Return class indices as names, rows of 0 and 1 as lists of names, scores as they are."""
    if task.kind == "regression":
        return pa.array(labels.astype(np.float64))
    if task.kind == "classification":
        return pa.array([task.labels[i] for i in labels], pa.string())
    sets = [[name for name, given in zip(task.labels, row, strict=True) if given] for row in labels]
    return pa.array(sets, pa.list_(pa.string()))


def _described(check: ChanceCheck) -> dict[str, Any]:
    rounded = {name: round(getattr(check, name), 6) for name in ("score", "low", "high", "chance")}
    return {**rounded, "metric": check.metric}

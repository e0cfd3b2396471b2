"""The record of a classifier's outputs on a task: scores, predictions, confusions."""

import logging
import re
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from hornbook.store import StageContext
from hornbook.tasks import Task
from hornbook.tasks.fidelity import agreement_by_class, fidelity
from hornbook.tasks.kinds import KINDS
from hornbook.tasks.metrics import ChanceCheck
from hornbook.tasks.task import BY_TEACHER

logger = logging.getLogger("hornbook")

_FORMULA = re.compile(r"[=+\-@\t\r]")
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")
GOLD, BY_TEACHER_COLUMN = "gold", "teacher"
"""The column of predictions that holds what is right: gold labels, or what the teacher predicts."""


def scored_splits(task: Task) -> list[str]:
    """Return the splits on which a classifier is scored: all but train."""
    return [split for split in task.splits if split != "train"]


def scores(task: Task, split: str, outputs: NDArray[Any]) -> dict[str, float]:
    """Return the scores of a classifier's outputs on a split, by name.

    Args:
        task: the task.
        split: one of its splits.
        outputs: shape (rows, labels).

    Returns:
        scores against gold labels; where a teacher labelled the task, how the outputs follow it (see `fidelity`).
    """
    kind = KINDS[task.kind]
    return fidelity(kind, task.taught(split), outputs) if task.by_teacher else kind.scores(task.gold(split), outputs)


def record(context: StageContext, task: Task, outputs: dict[str, NDArray[Any]]) -> None:
    """Write predictions and confusions, and fill in scores, calibration and the comparison with chance.

    `predictions-SPLIT.parquet`: text, text_pair for a task of pairs, gold, predicted (names, lists of names, or
    scores) and probabilities in the order of the task's labels (not for a regression); `confusion-SPLIT.csv`, see
    `confusion`. Predictions of a regression that are doubtful as a whole (see `score_doubt`) cause a warning, which
    is kept as `info["doubt"]`. Where a teacher labelled the task, `gold` is called `teacher`, scores say how the
    model follows it, and `info["by_class"]` has its agreement on each class that the teacher names.

    Args:
        context: of the stage "evaluation".
        task: what was classified.
        outputs: logits by split, shape (rows, labels).
    """
    kind, by_split = KINDS[task.kind], {}
    for split, found in outputs.items():
        gold = task.gold(split)
        by_split[split] = scores(task, split, found)
        pq.write_table(
            _predictions(task, split, found), context.path / f"predictions-{split}.parquet", compression="zstd"
        )
        table = kind.confusion(gold, found, task.labels)
        if table is not None and task.by_teacher:
            table = table.rename_columns([_gold_name(task) if name == GOLD else name for name in table.column_names])
        if table is not None:
            pyarrow.csv.write_csv(_no_formulas(table), context.path / f"confusion-{split}.csv")
    context.info |= {
        "task": task.name,
        "labels": list(task.labels),
        "metric": task.metric,
        "scores": by_split,
    }
    if task.by_teacher:
        by_class = {
            split: dict(zip(task.labels, agreement_by_class(kind, task.gold(split), found), strict=True))
            for split, found in outputs.items()
            if kind.has_classes
        }
        context.info |= {BY_TEACHER: True, "by_class": by_class, "calibration_error": None}
        return
    gold = task.gold("dev")
    if doubt := kind.doubt(gold, outputs["dev"]):
        logger.warning("%s, dev: the model %s", task.name, doubt)
        context.info["doubt"] = doubt
    error = kind.calibration_error(gold, outputs["dev"])
    context.info |= {
        "calibration_error": None if error is None else round(error, 6),
        "chance": _described(kind.check_against_chance(gold, outputs["dev"], task.metric)),
    }


def _predictions(task: Task, split: str, outputs: NDArray[Any]) -> pa.Table:
    table = task.split(split)
    columns = {"text": table["text"]}
    if task.pair:
        columns["text_pair"] = table["text_pair"]
    kind = KINDS[task.kind]
    columns[_gold_name(task)] = kind.named(task.gold(split), task.labels)
    columns["predicted"] = kind.named(kind.predicted(outputs), task.labels)
    if kind.has_classes:
        shares = kind.probabilities(outputs).astype(np.float32)
        columns["probabilities"] = pa.array(list(shares), pa.list_(pa.float32()))
    return pa.table(columns)


def _no_formulas(table: pa.Table) -> pa.Table:
    """Put an apostrophe before names that a spreadsheet would take for formulas, as OWASP advises for CSV."""
    names, *counts = table.columns
    cells = pa.array([_cell(name) for name in names.to_pylist()], pa.string())
    return pa.table([cells, *counts], names=[_cell(name) for name in table.column_names])


def _cell(name: str) -> str:
    return f"'{name}" if _FORMULA.match(name) and not _NUMBER.fullmatch(name) else name


def _gold_name(task: Task) -> str:
    """Return the name of the column of what is right: gold labels, or what the teacher predicts."""
    return BY_TEACHER_COLUMN if task.by_teacher else GOLD


def _described(check: ChanceCheck) -> dict[str, Any]:
    rounded = {name: round(getattr(check, name), 6) for name in ("score", "low", "high", "chance")}
    return {**rounded, "metric": check.metric}

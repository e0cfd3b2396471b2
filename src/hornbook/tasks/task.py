"""The task artefact: labelled text in Parquet files, one per split, and what is known about it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from hornbook.errors import HornbookError
from hornbook.store import Artifact, load
from hornbook.tasks.glue import GLUE
from hornbook.tasks.kinds import KINDS

TEXTS = "texts"
"""The kind of a task without labels, until a teacher labels it."""
BY_TEACHER = "by_teacher"
"""The entry of a task's and an evaluation's info that says whether labels are a teacher's."""


@dataclass(frozen=True)
class Task:
    """A finished task artefact.

    Attributes:
        name: the task's name.
        kind: classification, multilabel or regression: a key of `KINDS`; or `TEXTS`.
        labels: the names of the labels, in order; empty for regression.
        pair: whether each row has two texts.
        metric: the headline metric: one of `hornbook.metrics.NAMES`.
        splits: those of train, dev, test, dev_mismatched that exist.
        majority_share: the accuracy on dev of always predicting its most frequent class; 0 without classes.
        by_teacher: whether the labels are a teacher's, so that scores say how a model follows it.
        artifact: the folder behind it.
    """

    name: str
    kind: str
    labels: tuple[str, ...]
    pair: bool
    metric: str
    splits: tuple[str, ...]
    majority_share: float
    artifact: Artifact
    by_teacher: bool = False

    @property
    def key(self) -> str:
        """The artefact's content key."""
        return self.artifact.key

    def split(self, name: str) -> pa.Table:
        """Return a split: columns text (string), text_pair (string, null for single texts), label.

        The label is the class index (int64), a list of 0 or 1 for each label (float32), or the score (float64).

        Args:
            name: one of `splits`.

        Returns:
            the table, a row for each example.

        Raises:
            HornbookError: the task has no such split.
        """
        if name not in self.splits:
            raise HornbookError(f"{self.artifact.path}: no split {name!r}; it has {', '.join(self.splits)}")
        return pq.read_table(self.artifact.file(f"{name}.parquet"))

    def gold(self, name: str) -> NDArray[Any]:
        """Return the gold labels of a split as an array.

        Class indices (int64) or scores (float64), shape (rows,); in a multi-label task 0 or 1 (float32), shape (rows,
        labels).

        Args:
            name: one of `splits`.

        Returns:
            the labels, in row order.

        Raises:
            HornbookError: the task has no such split.
        """
        return KINDS[self.kind].gold(self.split(name)["label"], len(self.labels))

    def taught(self, name: str) -> NDArray[np.float32]:
        """Return the teacher's outputs on a split of a task that a teacher labelled.

        Args:
            name: one of `splits`.

        Returns:
            logits or scores, shape (rows, labels).

        Raises:
            HornbookError: the task has no such split.
        """
        return np.array(self.split(name)["outputs"].to_pylist(), np.float32)

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

    Args:
        task: the artefact or its folder.

    Returns:
        the task; its splits are read when asked for.

    Raises:
        HornbookError: there is no finished task.
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
        by_teacher=info.get(BY_TEACHER, False),
    )


def kind_version(task: Artifact) -> dict[str, int]:
    """Return what the key of a model or evaluation contains in addition, by the kind of its task.

    The kind of a task that is only planned is known if its settings or GLUE state it.

    Args:
        task: a prepared or planned task.

    Returns:
        a version by name; empty for classification.

    Raises:
        HornbookError: the task has no labels.
    """
    if not task.planned:
        kind = task.info["kind"]
        if kind == TEXTS:
            raise HornbookError(
                f"{task.path}: a task without labels; a recipe labels it by its teacher (teacher.kind: ready or file)"
            )
    else:
        config = task.manifest["config"]
        glue = None if "split" in config else GLUE.get(config["name"].removeprefix("glue/"))
        kind = glue.kind if glue and config["kind"] == "auto" else config["kind"]
    return dict(KINDS[kind].key) if kind in KINDS else {}


def score_name(metric: str, labels: Sequence[str]) -> str:
    """Return the name of a score for people: f1 with its class, macro_f1 without an underscore."""
    return f"f1 of {labels[1]}" if metric == "f1" else metric.replace("_", " ")

"""The kinds of task: all that depends on whether a text has one class, a set of labels, or a score.

A kind is an entry in `KINDS` and in `hornbook.metrics.METRICS`; a kind with a loss of its own also needs that loss in
`training/labels.py` and an estimator in `evaluation/tfidf_baseline.py`.
"""

import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from hornbook.metrics import METRICS, is_constant, metrics_of, score_of
from hornbook.tasks.metrics import (
    ChanceCheck,
    accuracy_check,
    balanced_check,
    correlation_check,
    expected_calibration_error,
    labels_check,
    score_doubt,
)

logger = logging.getLogger("hornbook")

Indices = np.ndarray[tuple[int], np.dtype[np.int64]]
CROSS_ENTROPY, BINARY_CROSS_ENTROPY, SQUARED_ERROR = "cross_entropy", "binary_cross_entropy", "squared_error"
_BINS = 10  # strata of scores


class TaskKind(ABC):
    """A kind of task.

    In the methods `gold` is a split's labels as an array: class indices or scores, shape (rows,); for several labels
    0 or 1, shape (rows, labels). `outputs` are a model's logits, shape (rows, labels), or scores, shape (rows, 1).

    Attributes:
        name: the value of `kind` in manifests and settings.
        loss: the loss of gold labels: `CROSS_ENTROPY`, `BINARY_CROSS_ENTROPY` or `SQUARED_ERROR`.
        problem_type: the name of that loss in a Hugging Face configuration.
        label_type: the Arrow type of the label column.
        has_classes: whether labels have names, which may be weighted.
        is_standardised: whether labels are learned at mean 0 and deviation 1, see `models.scale`.
        key: what the keys of models and evaluations of this kind contain in addition.
    """

    name: ClassVar[str]
    loss: ClassVar[str]
    problem_type: ClassVar[str]
    label_type: ClassVar[pa.DataType]
    has_classes: ClassVar[bool] = True
    is_standardised: ClassVar[bool] = False
    key: ClassVar[Mapping[str, int]] = {}

    @property
    def default_metric(self) -> str:
        """The metric of a task that names none."""
        return next(iter(METRICS[self.name]))

    def headline_metrics(self, labels: int) -> tuple[str, ...]:
        """Return the metrics that a task with this many labels may choose."""
        return tuple(name for name in metrics_of(self.name, labels) if not METRICS[self.name][name].is_error)

    def output_names(self, labels: Sequence[str]) -> tuple[str, ...]:
        """Return the names of a classifier's outputs."""
        return tuple(labels)

    @abstractmethod
    def gold(self, column: pa.ChunkedArray, labels: int) -> NDArray[Any]:
        """Return a label column as an array, see the class."""

    @abstractmethod
    def strata(self, labels: Sequence[Any]) -> Indices:
        """Return the stratum of each row, for splits and samples."""

    @abstractmethod
    def labels_of_rows(self, gold: NDArray[Any]) -> tuple[Indices, Indices]:
        """Return each pair of a row and a label that it has, as two arrays of one length."""

    @abstractmethod
    def predicted(self, outputs: NDArray[Any]) -> NDArray[Any]:
        """Return what outputs predict, shaped as `gold`."""

    @abstractmethod
    def probabilities(self, outputs: NDArray[Any]) -> NDArray[np.float64]:
        """Return probabilities, shaped as `outputs`; scores stay as they are."""

    @abstractmethod
    def named(self, values: NDArray[Any], labels: Sequence[str]) -> pa.Array:
        """Return gold labels or predictions for people: names, lists of names, or scores."""

    @abstractmethod
    def unnamed(self, values: Sequence[Any], labels: Sequence[str]) -> list[Any]:
        """Return what `named` made into names, as lists shaped as `gold`."""

    @abstractmethod
    def texts(self, column: pa.ChunkedArray, labels: Sequence[str]) -> pa.Array:
        """Return a label column as one text a row."""

    def scores(self, gold: NDArray[Any], outputs: NDArray[Any]) -> dict[str, float]:
        """Return the scores of a model's outputs, by name of the metric."""
        found = self.predicted(outputs)
        return {name: score_of(self.name, name, gold, found) for name in metrics_of(self.name, outputs.shape[1])}

    def calibration_error(self, gold: NDArray[Any], outputs: NDArray[Any]) -> float | None:
        """Return the expected calibration error; None where outputs are not probabilities.

        With several labels every label of every example is a prediction.
        """
        confidence = self._confidence(self.probabilities(outputs)).ravel()
        return expected_calibration_error(confidence, (self.predicted(outputs) == gold).ravel())

    def _confidence(self, shares: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the probability of what is predicted."""
        return np.asarray(shares.max(axis=1))

    @abstractmethod
    def confusion(self, gold: NDArray[Any], outputs: NDArray[Any], labels: Sequence[str]) -> pa.Table | None:
        """Return which labels are predicted for which; None where there are no labels."""

    @abstractmethod
    def check_against_chance(self, gold: NDArray[Any], outputs: NDArray[Any], metric: str) -> ChanceCheck:
        """Compare a model with the best constant answer.

        Args:
            gold: see the class.
            outputs: see the class.
            metric: the task's metric.

        Returns:
            the model's score with its 95% interval, and the score of that answer.
        """

    def majority_share(self, gold: NDArray[Any]) -> float:
        """Return the accuracy of always predicting the most frequent class; 0 where there are no classes."""
        return 0.0

    def doubt(self, gold: NDArray[Any], outputs: NDArray[Any]) -> str | None:
        """Return what is wrong with predictions as a whole; None if nothing is."""
        return None


class _Classification(TaskKind):
    """Each text has one class."""

    name = "classification"
    loss = CROSS_ENTROPY
    problem_type = "single_label_classification"
    label_type = pa.int64()

    def gold(self, column: pa.ChunkedArray, labels: int) -> NDArray[Any]:
        return np.asarray(column.to_numpy())

    def strata(self, labels: Sequence[Any]) -> Indices:
        return np.asarray(labels, dtype=np.int64)

    def labels_of_rows(self, gold: NDArray[Any]) -> tuple[Indices, Indices]:
        return np.arange(len(gold)), np.asarray(gold, np.int64)

    def predicted(self, outputs: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(outputs.argmax(axis=1))

    def probabilities(self, outputs: NDArray[Any]) -> NDArray[np.float64]:
        from scipy.special import softmax

        return np.asarray(softmax(outputs, axis=1), np.float64)

    def named(self, values: NDArray[Any], labels: Sequence[str]) -> pa.Array:
        return pa.array([labels[i] for i in values], pa.string())

    def unnamed(self, values: Sequence[Any], labels: Sequence[str]) -> list[Any]:
        index = {label: number for number, label in enumerate(labels)}
        return [index[label] for label in values]

    def texts(self, column: pa.ChunkedArray, labels: Sequence[str]) -> pa.Array:
        return pa.array(labels, pa.string()).take(column.combine_chunks())

    def confusion(self, gold: NDArray[Any], outputs: NDArray[Any], labels: Sequence[str]) -> pa.Table:
        """Return a row for each gold class with the number of examples for each predicted class."""
        table = np.zeros((len(labels), len(labels)), np.int64)
        np.add.at(table, (gold, self.predicted(outputs)), 1)
        return pa.table([list(labels), *table.T], names=["gold", *labels])

    def check_against_chance(self, gold: NDArray[Any], outputs: NDArray[Any], metric: str) -> ChanceCheck:
        """Compare accuracy with the majority class's; under another metric, balanced accuracy."""
        return (accuracy_check if metric == "accuracy" else balanced_check)(gold, self.predicted(outputs))

    def majority_share(self, gold: NDArray[Any]) -> float:
        return float(np.bincount(gold).max() / len(gold))


class _Multilabel(TaskKind):
    """Each text has any number of labels."""

    name = "multilabel"
    loss = BINARY_CROSS_ENTROPY
    problem_type = "multi_label_classification"
    label_type = pa.list_(pa.float32())

    def gold(self, column: pa.ChunkedArray, labels: int) -> NDArray[Any]:
        return np.array(column.combine_chunks().flatten(), np.float32).reshape(-1, labels)

    def strata(self, labels: Sequence[Any]) -> Indices:
        """Return the rarest label of each row, counted from 1; 0 for a row without labels."""
        present = np.asarray(labels, dtype=np.int64)
        frequency = np.where(present == 1, present.sum(axis=0), len(present) + 1)
        return np.where(present.any(axis=1), frequency.argmin(axis=1) + 1, 0)

    def labels_of_rows(self, gold: NDArray[Any]) -> tuple[Indices, Indices]:
        rows, labels = gold.nonzero()
        return rows, labels

    def predicted(self, outputs: NDArray[Any]) -> NDArray[Any]:
        """Return 1 for each label with a probability above one half, else 0."""
        return (outputs > 0).astype(np.int64)

    def probabilities(self, outputs: NDArray[Any]) -> NDArray[np.float64]:
        from scipy.special import expit

        return np.asarray(expit(outputs), np.float64)

    def named(self, values: NDArray[Any], labels: Sequence[str]) -> pa.Array:
        sets = [[name for name, given in zip(labels, row, strict=True) if given] for row in values]
        return pa.array(sets, pa.list_(pa.string()))

    def unnamed(self, values: Sequence[Any], labels: Sequence[str]) -> list[Any]:
        return [[int(label in chosen) for label in labels] for chosen in values]

    def texts(self, column: pa.ChunkedArray, labels: Sequence[str]) -> pa.Array:
        sets = self.named(np.array(column.to_pylist()).reshape(-1, len(labels)), labels).to_pylist()
        return pa.array([",".join(names) for names in sets], pa.string())

    def _confidence(self, shares: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.maximum(shares, 1 - shares)

    def confusion(self, gold: NDArray[Any], outputs: NDArray[Any], labels: Sequence[str]) -> pa.Table:
        """Return a row for each label with its true and false positives and negatives."""
        found = self.predicted(outputs)
        counts = {
            f"{'true' if right else 'false'}_{'positives' if said else 'negatives'}": (
                ((found == said) & ((gold == found) == right)).sum(axis=0)
            )
            for said in (1, 0)
            for right in (True, False)
        }
        return pa.table({"label": list(labels), **counts})

    def check_against_chance(self, gold: NDArray[Any], outputs: NDArray[Any], metric: str) -> ChanceCheck:
        return labels_check(gold, self.predicted(outputs))


class _Regression(TaskKind):
    """Each text has a score, in any unit."""

    name = "regression"
    loss = SQUARED_ERROR
    problem_type = "regression"
    label_type = pa.float64()
    has_classes = False
    is_standardised = True
    key: ClassVar[Mapping[str, int]] = {"regression": 2}

    def output_names(self, labels: Sequence[str]) -> tuple[str, ...]:
        return ("score",)

    def gold(self, column: pa.ChunkedArray, labels: int) -> NDArray[Any]:
        return np.asarray(column.to_numpy())

    def strata(self, labels: Sequence[Any]) -> Indices:
        """Return the decile of each score."""
        ranks = np.empty(len(labels), dtype=np.int64)
        ranks[np.argsort(np.asarray(labels), kind="stable")] = np.arange(len(labels))
        return ranks * _BINS // len(labels)

    def labels_of_rows(self, gold: NDArray[Any]) -> tuple[Indices, Indices]:
        nothing = np.zeros(0, np.int64)
        return nothing, nothing

    def predicted(self, outputs: NDArray[Any]) -> NDArray[Any]:
        return outputs[:, 0]

    def probabilities(self, outputs: NDArray[Any]) -> NDArray[np.float64]:
        return np.asarray(outputs, np.float64)

    def named(self, values: NDArray[Any], labels: Sequence[str]) -> pa.Array:
        return pa.array(values.astype(np.float64))

    def unnamed(self, values: Sequence[Any], labels: Sequence[str]) -> list[Any]:
        return list(values)

    def texts(self, column: pa.ChunkedArray, labels: Sequence[str]) -> pa.Array:
        return pc.cast(column, pa.string()).combine_chunks()

    def scores(self, gold: NDArray[Any], outputs: NDArray[Any]) -> dict[str, float]:
        """Return the scores, and warn where a correlation is undefined and counts as 0."""
        if is_constant(gold) or is_constant(outputs[:, 0]):
            what = "scores" if is_constant(gold) else "predictions"
            logger.warning("all %s are the same: their correlation is undefined and counts as 0", what)
        return super().scores(gold, outputs)

    def calibration_error(self, gold: NDArray[Any], outputs: NDArray[Any]) -> None:
        return None

    def confusion(self, gold: NDArray[Any], outputs: NDArray[Any], labels: Sequence[str]) -> None:
        return None

    def check_against_chance(self, gold: NDArray[Any], outputs: NDArray[Any], metric: str) -> ChanceCheck:
        return correlation_check(gold, outputs[:, 0])

    def doubt(self, gold: NDArray[Any], outputs: NDArray[Any]) -> str | None:
        return score_doubt(gold, outputs[:, 0])


KINDS: dict[str, TaskKind] = {one.name: one for one in (_Classification(), _Multilabel(), _Regression())}
"""The kinds of task by name."""


def kind_of_problem(problem_type: str | None, outputs: int) -> TaskKind:
    """Return the kind of task of a Hugging Face classifier.

    Args:
        problem_type: from its configuration, None if it states none.
        outputs: the number of its outputs.

    Returns:
        the kind that states this problem type; without one, regression for one output, else classification.
    """
    stated = next((kind for kind in KINDS.values() if kind.problem_type == problem_type), None)
    return stated or KINDS["regression" if outputs == 1 else "classification"]

"""Scores of predictions against gold labels: one table of metrics for each kind of task.

GLUE's metrics (Wang et al. 2019, table 1), macro-F1, micro-F1, and errors in the unit of the scores. To add a metric,
add an entry to `METRICS`: settings, evaluation and reports take their names from there.
"""

# Imported with the settings, so NumPy and what is heavier is imported when a score is computed.
from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray


@dataclass(frozen=True)
class Metric:
    """How predictions are scored.

    Attributes:
        score: takes gold labels and predictions, see `hornbook.tasks.kinds.TaskKind.predicted`.
        of_two_classes: whether it is defined for two classes only.
        is_error: whether it is an error in the unit of the scores: lower is better, and it cannot select a model.
    """

    score: Callable[[NDArray[Any], NDArray[Any]], float]
    of_two_classes: bool = False
    is_error: bool = False


def is_constant(values: NDArray[Any]) -> bool:
    """Return whether all values are the same, so that their correlation with others is undefined."""
    return len(values) < 2 or bool(values.max() - values.min() == 0)


def _accuracy(gold: NDArray[Any], predicted: NDArray[Any]) -> float:
    from sklearn.metrics import accuracy_score

    return float(accuracy_score(gold, predicted))


def _f1(average: str) -> Callable[[NDArray[Any], NDArray[Any]], float]:
    def score(gold: NDArray[Any], predicted: NDArray[Any]) -> float:
        from sklearn.metrics import f1_score

        return float(f1_score(gold, predicted, average=average, zero_division=0.0))

    return score


def _matthews(gold: NDArray[Any], predicted: NDArray[Any]) -> float:
    from sklearn.metrics import matthews_corrcoef

    return float(matthews_corrcoef(gold, predicted))


def _micro_f1_of_labels(gold: NDArray[Any], predicted: NDArray[Any]) -> float:
    right, named = _counts_of_labels(gold, predicted)
    return float(2 * right.sum() / max(named.sum(), 1))


def _macro_f1_of_labels(gold: NDArray[Any], predicted: NDArray[Any]) -> float:
    right, named = _counts_of_labels(gold, predicted)
    return float((2 * right / named.clip(1)).mean())


def _counts_of_labels(gold: NDArray[Any], predicted: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return for each label its true positives, and how often it is given plus how often it is predicted.

    scikit-learn takes a single column of labels for two classes, which makes micro-F1 another figure.
    """
    return (gold * predicted).sum(axis=0), (gold + predicted).sum(axis=0)


def _exact_match(gold: NDArray[Any], predicted: NDArray[Any]) -> float:
    return float((gold == predicted).all(axis=1).mean())


def _correlation(name: str) -> Callable[[NDArray[Any], NDArray[Any]], float]:
    def score(gold: NDArray[Any], predicted: NDArray[Any]) -> float:
        from scipy import stats

        if is_constant(gold) or is_constant(predicted):
            return 0.0
        return float(getattr(stats, name)(gold, predicted).statistic)

    return score


def _mean_absolute_error(gold: NDArray[Any], predicted: NDArray[Any]) -> float:
    return float(abs(predicted - gold).mean())


def _root_mean_square_error(gold: NDArray[Any], predicted: NDArray[Any]) -> float:
    return math.sqrt(((predicted - gold) ** 2).mean())


METRICS: dict[str, dict[str, Metric]] = {
    "classification": {
        "accuracy": Metric(_accuracy),
        "macro_f1": Metric(_f1("macro")),
        "matthews": Metric(_matthews),
        "f1": Metric(_f1("binary"), of_two_classes=True),
    },
    "multilabel": {
        "micro_f1": Metric(_micro_f1_of_labels),
        "macro_f1": Metric(_macro_f1_of_labels),
        "accuracy": Metric(_exact_match),
    },
    "regression": {
        "spearman": Metric(_correlation("spearmanr")),
        "pearson": Metric(_correlation("pearsonr")),
        "mae": Metric(_mean_absolute_error, is_error=True),
        "rmse": Metric(_root_mean_square_error, is_error=True),
    },
}
"""By kind of task and name; the first of a kind is its default. Reports have them in this order."""

FIDELITY: dict[str, dict[str, Metric]] = {
    "classification": {"agreement": Metric(_accuracy)},
    "multilabel": {"agreement": Metric(_exact_match)},
    "regression": {
        "correlation": Metric(_correlation("pearsonr")),
        "mean_difference": Metric(_mean_absolute_error, is_error=True),
    },
}
"""How predictions follow a teacher's where no gold labels are known; the first of a kind is its headline."""
KL = "kl"
"""The mean divergence of probabilities from a teacher's in nats: of outputs, see `hornbook.tasks.fidelity`."""

NAMES = tuple(
    dict.fromkeys(name for metrics in METRICS.values() for name, one in metrics.items() if not one.is_error)
)
"""The metrics that a task may choose."""

ERRORS = {"mae": "MAE", "rmse": "RMSE", "mean_difference": "mean difference", KL: "KL"}
"""What is better when lower, and its name: errors in the unit of the scores, divergences in nats."""


def is_fidelity(metric: str) -> bool:
    """Return whether a metric says how predictions follow a teacher's, not how right they are."""
    return any(metric in measures for measures in FIDELITY.values())


def metrics_of(kind: str, classes: int) -> tuple[str, ...]:
    """Return the metrics that are defined for a task, the default first."""
    return tuple(name for name, one in METRICS[kind].items() if classes == 2 or not one.of_two_classes)


def score_of(kind: str, metric: str, gold: NDArray[Any], predicted: NDArray[Any]) -> float:
    """Return one score of predictions.

    Args:
        kind: the task's kind.
        metric: one of the kind's metrics, or of its measures of fidelity.
        gold: class indices or scores, shape (examples,); for several labels 0 or 1, shape (examples, labels).
        predicted: what a model predicts, shaped as `gold`.

    Returns:
        the score; an undefined correlation (all scores or predictions are the same) counts as 0.
    """
    return {**METRICS[kind], **FIDELITY[kind]}[metric].score(gold, predicted)

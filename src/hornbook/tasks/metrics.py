"""The scores of a task: GLUE's for GLUE tasks, else accuracy and macro-F1, micro- and macro-F1, or Spearman and
Pearson (facts, 5) with errors in the scores' own unit; how well probabilities are calibrated; and what knowing
nothing would score."""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from hornbook.tasks.labels import Kind

logger = logging.getLogger("hornbook")

Z95 = 1.959963984540054
_RESAMPLES = 1000
ERRORS = {"mae": "MAE", "rmse": "RMSE"}
"""Errors in the unit of the scores, by name: no percentages, and lower is better."""
_NEARLY_CONSTANT = 0.01  # of the spread of the gold scores


def classification_scores(gold: NDArray[np.int64], predicted: NDArray[np.int64], classes: int) -> dict[str, float]:
    """Return accuracy, macro-F1 and Matthews correlation, and F1 of class 1 where there are two classes.

    Args:
        gold: class indices, shape (examples,).
        predicted: the same shape.
        classes: how many there are.
    """
    metrics = ("accuracy", "macro_f1", "matthews", *(("f1",) if classes == 2 else ()))
    return {metric: score_of("classification", metric, gold, predicted) for metric in metrics}


def regression_scores(gold: NDArray[np.float64], predicted: NDArray[np.float64]) -> dict[str, float]:
    """Return Spearman and Pearson correlation, and the mean absolute and the root mean square error.

    The errors are in the unit of the scores. Undefined correlations (a constant side) count as 0, and a line says so.
    """
    if _constant(gold) or _constant(predicted):
        what = "scores" if _constant(gold) else "predictions"
        logger.warning("all %s are the same: their correlation is undefined and counts as 0", what)
    return {metric: score_of("regression", metric, gold, predicted) for metric in ("spearman", "pearson", *ERRORS)}


def score_doubt(gold: NDArray[np.float64], predicted: NDArray[np.float64]) -> str | None:
    """Return in words what is wrong with a regression's predictions as a whole; None where nothing is.

    They are (nearly) constant, or further from the scores than the scores' mean is.
    """
    if _constant(gold):
        return None
    around = f"the scores are {gold.mean():.4g} ± {gold.std():.3g}"
    if _spread(predicted) < _NEARLY_CONSTANT * _spread(gold):
        nearly = "" if np.ptp(predicted) == 0 else "nearly "
        return (
            f"predicts {nearly}{np.median(predicted):.4g} for every text ({around}): it learned nothing of use; "
            "train it longer or with a higher learning rate, and look at the labels"
        )
    if worse_than_the_mean(gold, predicted):
        return (
            f"predicts {np.mean(predicted):.4g} ± {np.std(predicted):.3g}, but {around}: its mean absolute error "
            f"({score_of('regression', 'mae', gold, predicted):.4g}) is larger than that of always saying the "
            "mean; are its scores in another unit, or was it trained too little?"
        )
    return None


def worse_than_the_mean(gold: NDArray[np.float64], predicted: NDArray[np.float64]) -> bool:
    """Return whether always saying the mean of the scores has the smaller mean absolute error."""
    return bool(np.abs(predicted - gold).mean() > np.abs(gold - gold.mean()).mean())


def _spread(values: NDArray[np.float64]) -> float:
    """Return the range of the middle four fifths, which a single value far away does not change; else of all."""
    low, high = np.quantile(values, [0.1, 0.9])
    return float(high - low) or float(np.ptp(values))


def _constant(values: NDArray[np.float64]) -> bool:
    return len(values) < 2 or bool(np.ptp(values) == 0)


def multilabel_scores(gold: NDArray[Any], predicted: NDArray[Any]) -> dict[str, float]:
    """Return micro-F1, macro-F1 (0 for a label that nobody names), and accuracy: the share of examples all right.

    Args:
        gold: 0 or 1, shape (examples, labels).
        predicted: the same shape.
    """
    # scikit-learn takes a single column of labels for two classes, and micro-F1 is another figure then
    right, named = (gold * predicted).sum(axis=0), (gold + predicted).sum(axis=0)
    return {
        "micro_f1": float(2 * right.sum() / max(named.sum(), 1)),
        "macro_f1": float((2 * right / np.maximum(named, 1)).mean()),
        "accuracy": float((gold == predicted).all(axis=1).mean()),
    }


def scores(kind: Kind, gold: NDArray[Any], outputs: NDArray[Any]) -> dict[str, float]:
    """Return the scores of a model's outputs.

    Args:
        kind: of the task.
        gold: see `Task.gold`.
        outputs: logits, shape (examples, labels), or (examples, 1) for regression.
    """
    return scores_of(kind, gold, predicted(kind, outputs), outputs.shape[1])


def scores_of(kind: Kind, gold: NDArray[Any], found: NDArray[Any], classes: int) -> dict[str, float]:
    """Return the scores of what a model predicts (see `predicted`); `classes` says how many there are."""
    if kind == "regression":
        return regression_scores(gold, found)
    if kind == "multilabel":
        return multilabel_scores(gold, found)
    return classification_scores(gold, found, classes)


def score_of(kind: Kind, metric: str, gold: NDArray[Any], found: NDArray[Any]) -> float:
    """Return one of the scores of what a model predicts (see `predicted`); an undefined correlation counts as 0."""
    if kind == "multilabel":
        return multilabel_scores(gold, found)[metric]
    if metric in ERRORS:
        distance = np.abs(found - gold)
        return float(distance.mean() if metric == "mae" else np.sqrt((distance**2).mean()))
    if kind == "regression":
        from scipy.stats import pearsonr, spearmanr

        if _constant(gold) or _constant(found):
            return 0.0
        return float((spearmanr if metric == "spearman" else pearsonr)(gold, found).statistic)
    from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

    if metric == "accuracy":
        return float(accuracy_score(gold, found))
    if metric == "matthews":
        return float(matthews_corrcoef(gold, found))
    average = "macro" if metric == "macro_f1" else "binary"
    return float(f1_score(gold, found, average=average, zero_division=0.0))


def predicted(kind: Kind, outputs: NDArray[Any]) -> NDArray[Any]:
    """Return what outputs predict: class indices or scores of shape (examples,), or 0 and 1 for each label.

    In multi-label tasks a label is predicted where its probability is above one half.
    """
    if kind == "regression":
        return outputs[:, 0]
    return (outputs > 0).astype(np.int64) if kind == "multilabel" else outputs.argmax(axis=1)


def probabilities(kind: Kind, outputs: NDArray[Any]) -> NDArray[np.float64]:
    """Return the probabilities of classes or labels, shaped as the outputs; scores stay as they are."""
    from scipy.special import expit, softmax

    if kind == "regression":
        return np.asarray(outputs, np.float64)
    return np.asarray(expit(outputs) if kind == "multilabel" else softmax(outputs, axis=1), np.float64)


def calibration_error(kind: Kind, gold: NDArray[Any], outputs: NDArray[Any], bins: int = 15) -> float | None:
    """Return the expected calibration error (Guo et al. 2017, section 2); None for regression.

    Predictions are sorted by their confidence into bins of equal width; the error is the mean distance between
    confidence and accuracy in a bin, weighted by its predictions. In multi-label tasks every label of every example
    is a prediction.

    Args:
        kind: of the task.
        gold: see `Task.gold`.
        outputs: logits, shape (examples, labels).
        bins: how many.
    """
    if kind == "regression":
        return None
    shares = probabilities(kind, outputs)
    right = (predicted(kind, outputs) == gold).ravel()
    confidence = np.maximum(shares, 1 - shares).ravel() if kind == "multilabel" else shares.max(axis=1)
    place = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    distance = np.bincount(place, weights=right - confidence, minlength=bins)
    return float(np.abs(distance).sum() / len(confidence))


def confusion(kind: Kind, gold: NDArray[Any], outputs: NDArray[Any], labels: Sequence[str]) -> pa.Table | None:
    """Return which labels are taken for which; None for regression.

    Args:
        kind: of the task.
        gold: see `Task.gold`.
        outputs: logits, shape (examples, labels).
        labels: their names.

    Returns:
        a row for each gold class with the number of examples for each predicted class; in multi-label tasks a row for
        each label with its true and false positives and negatives.
    """
    if kind == "regression":
        return None
    found = predicted(kind, outputs)
    if kind == "multilabel":
        counts = {
            f"{'true' if right else 'false'}_{'positives' if said else 'negatives'}": (
                ((found == said) & ((gold == found) == right)).sum(axis=0)
            )
            for said in (1, 0)
            for right in (True, False)
        }
        return pa.table({"label": list(labels), **counts})
    table = np.zeros((len(labels), len(labels)), np.int64)
    np.add.at(table, (gold, found), 1)
    return pa.table([list(labels), *table.T], names=["gold", *labels])


@dataclass(frozen=True)
class ChanceCheck:
    """Whether a model is better than knowing nothing.

    Attributes:
        score: accuracy, balanced accuracy, micro-F1, or Spearman correlation.
        low: lower end of its 95% interval.
        high: upper end of it.
        chance: the majority class's accuracy, one share for each class, the best micro-F1 of naming the same labels
            every time, or 0.
        metric: which of the scores it is.
    """

    score: float
    low: float
    high: float
    chance: float
    metric: str

    @property
    def passed(self) -> bool:
        """Whether the whole interval lies above chance."""
        return self.low > self.chance


def check_against_chance(
    kind: Kind, gold: NDArray[Any], outputs: NDArray[Any], metric: str = "accuracy"
) -> ChanceCheck:
    """Compare accuracy with the majority class's, micro-F1 with that of constant labels, or a correlation with 0.

    Where the task's metric is not accuracy, the mean recall of the classes takes its place: of a label that two in a
    hundred have, no model is clearly more accurate than naming the other every time.

    The interval is Wilson's for accuracy, and square-and-add of the classes' for their mean (Newcombe 1998), Fisher's
    for a correlation, and for micro-F1 that of 1,000 resamples of the examples.

    Args:
        kind: of the task.
        gold: see `Task.gold`.
        outputs: logits, shape (examples, labels).
        metric: of the task.
    """
    n = len(gold)
    if kind == "regression":
        score = score_of(kind, "spearman", gold, outputs[:, 0])
        centre = math.atanh(min(max(score, -0.999999), 0.999999))
        half = Z95 / math.sqrt(max(n - 3, 1))
        return ChanceCheck(score, math.tanh(centre - half), math.tanh(centre + half), 0.0, "Spearman")
    found = predicted(kind, outputs)
    if kind == "multilabel":
        return _multilabel_check(gold, found)
    if metric != "accuracy":
        return _balanced_check(gold, found)
    score = float((found == gold).mean())
    _, counts = np.unique(gold, return_counts=True)
    low, high = wilson_interval(score, n)
    return ChanceCheck(score, low, high, float(counts.max() / n), "accuracy")


def _balanced_check(gold: NDArray[Any], found: NDArray[Any]) -> ChanceCheck:
    classes, counts = np.unique(gold, return_counts=True)
    recall = np.array([(found[gold == one] == one).mean() for one in classes])
    ends = np.array([wilson_interval(share, n) for share, n in zip(recall, counts, strict=True)])
    below, above = np.sqrt(((ends.T - recall) ** 2).sum(axis=1)) / len(classes)
    score = float(recall.mean())
    return ChanceCheck(score, score - float(below), score + float(above), 1 / len(classes), "balanced accuracy")


def _multilabel_check(gold: NDArray[Any], found: NDArray[Any]) -> ChanceCheck:
    gold = gold.astype(np.int64)
    # Of each example: labels that are right, and the denominator of F1: labels predicted and labels given.
    right, said = (gold * found).sum(axis=1), (gold + found).sum(axis=1)
    # Examples with the same two counts are alike: a resample is how often each such group is drawn.
    groups, sizes = np.unique(np.stack([right, said]), axis=1, return_counts=True)
    drawn = np.random.default_rng(0).multinomial(len(gold), sizes / len(gold), _RESAMPLES)
    resampled_right, resampled_said = groups @ drawn.T
    low, high = np.quantile(2 * resampled_right / np.maximum(resampled_said, 1), [0.025, 0.975])
    frequent = np.cumsum(-np.sort(-gold.sum(axis=0)))  # examples that the m most frequent labels are right about
    constant = 2 * frequent / (len(gold) * np.arange(1, gold.shape[1] + 1) + gold.sum())
    score = 2 * right.sum() / max(said.sum(), 1)
    return ChanceCheck(float(score), float(low), float(high), float(constant.max()), "micro-F1")


def wilson_interval(share: float, n: int) -> tuple[float, float]:
    """Return the 95% interval of a share seen in `n` examples (Wilson 1927)."""
    z2 = Z95**2
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return centre - half, centre + half

"""Comparison with chance, calibration of probabilities, and doubts about predicted scores."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hornbook.metrics import is_constant, score_of

Z95 = 1.959963984540054
_RESAMPLES = 1000
_NEARLY_CONSTANT = 0.01  # of the spread of the gold scores


def score_doubt(gold: NDArray[np.float64], predicted: NDArray[np.float64]) -> str | None:
    """Return what is wrong with a regression's predictions as a whole; None if nothing is.

    They are (nearly) constant, or further from the scores than the mean of the scores is.
    """
    if is_constant(gold):
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
            f"({score_of('regression', 'mae', gold, predicted):.4g}) is larger than that of always predicting the "
            "mean; are its scores in another unit, or was it trained too little?"
        )
    return None


def worse_than_the_mean(gold: NDArray[np.float64], predicted: NDArray[np.float64]) -> bool:
    """Return whether always predicting the mean of the scores has a smaller mean absolute error."""
    return bool(np.abs(predicted - gold).mean() > np.abs(gold - gold.mean()).mean())


def _spread(values: NDArray[np.float64]) -> float:
    """Return the range of the middle 80%, which a single outlier does not change; if that is 0, of all."""
    low, high = np.quantile(values, [0.1, 0.9])
    return float(high - low) or float(np.ptp(values))


def expected_calibration_error(confidence: NDArray[Any], right: NDArray[Any], bins: int = 15) -> float:
    """Return the expected calibration error (Guo et al. 2017, section 2).

    Predictions are sorted by confidence into bins of equal width. The error is the mean distance between confidence
    and accuracy in a bin, weighted by the number of predictions in it.

    Args:
        confidence: the probability of each prediction, shape (predictions,).
        right: whether each is right, shape (predictions,).
        bins: the number of bins.

    Returns:
        the error, 0 to 1.
    """
    place = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    distance = np.bincount(place, weights=right - confidence, minlength=bins)
    return float(np.abs(distance).sum() / len(confidence))


@dataclass(frozen=True)
class ChanceCheck:
    """Whether a model is better than a constant answer.

    Attributes:
        score: accuracy, balanced accuracy, micro-F1, or Spearman correlation.
        low: the lower end of its 95% interval.
        high: the upper end.
        chance: the majority class's accuracy, one share for each class, the best micro-F1 of a constant set of
            labels, or 0.
        metric: the name of the score.
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


def accuracy_check(gold: NDArray[Any], predicted: NDArray[Any]) -> ChanceCheck:
    """Compare accuracy with the majority class's; the interval is Wilson's.

    Args:
        gold: class indices, shape (examples,).
        predicted: the same shape.

    Returns:
        accuracy, and the majority class's share as chance.
    """
    score = float((predicted == gold).mean())
    _, counts = np.unique(gold, return_counts=True)
    low, high = wilson_interval(score, len(gold))
    return ChanceCheck(score, low, high, float(counts.max() / len(gold)), "accuracy")


def balanced_check(gold: NDArray[Any], predicted: NDArray[Any]) -> ChanceCheck:
    """Compare the mean recall of the classes with one share for each class.

    For rare labels: no model is clearly more accurate than never predicting a label that 2% have. The interval
    combines those of the classes by square-and-add (Newcombe 1998).

    Args:
        gold: class indices, shape (examples,).
        predicted: the same shape.

    Returns:
        balanced accuracy, and 1 / classes as chance.
    """
    classes, counts = np.unique(gold, return_counts=True)
    recall = np.array([(predicted[gold == one] == one).mean() for one in classes])
    ends = np.array([wilson_interval(share, n) for share, n in zip(recall, counts, strict=True)])
    below, above = np.sqrt(((ends.T - recall) ** 2).sum(axis=1)) / len(classes)
    score = float(recall.mean())
    return ChanceCheck(score, score - float(below), score + float(above), 1 / len(classes), "balanced accuracy")


def labels_check(gold: NDArray[Any], predicted: NDArray[Any]) -> ChanceCheck:
    """Compare micro-F1 with that of the best constant set of labels; the interval is of resampled examples.

    Args:
        gold: 0 or 1, shape (examples, labels).
        predicted: the same shape.

    Returns:
        micro-F1, and that of the best constant set as chance.
    """
    gold = gold.astype(np.int64)
    # For each example: the labels that are right, and the denominator of F1: labels predicted plus labels given.
    right, named = (gold * predicted).sum(axis=1), (gold + predicted).sum(axis=1)
    # Examples with the same two counts are alike: a resample is how often each such group is drawn.
    groups, sizes = np.unique(np.stack([right, named]), axis=1, return_counts=True)
    drawn = np.random.default_rng(0).multinomial(len(gold), sizes / len(gold), _RESAMPLES)
    resampled_right, resampled_named = groups @ drawn.T
    low, high = np.quantile(2 * resampled_right / np.maximum(resampled_named, 1), [0.025, 0.975])
    frequent = np.cumsum(-np.sort(-gold.sum(axis=0)))  # right answers of the m most frequent labels
    constant = 2 * frequent / (len(gold) * np.arange(1, gold.shape[1] + 1) + gold.sum())
    score = 2 * right.sum() / max(named.sum(), 1)
    return ChanceCheck(float(score), float(low), float(high), float(constant.max()), "micro-F1")


def correlation_check(gold: NDArray[Any], predicted: NDArray[Any]) -> ChanceCheck:
    """Compare the Spearman correlation with 0; the interval is Fisher's.

    Args:
        gold: scores, shape (examples,).
        predicted: the same shape.

    Returns:
        the correlation, and 0 as chance.
    """
    score = score_of("regression", "spearman", gold, predicted)
    centre = math.atanh(min(max(score, -0.999999), 0.999999))
    half = Z95 / math.sqrt(max(len(gold) - 3, 1))
    return ChanceCheck(score, math.tanh(centre - half), math.tanh(centre + half), 0.0, "Spearman")


def wilson_interval(share: float, n: int) -> tuple[float, float]:
    """Return the 95% interval of a share seen in `n` examples (Wilson 1927)."""
    z2 = Z95**2
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return centre - half, centre + half

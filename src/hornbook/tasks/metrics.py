"""The scores of a task: GLUE's for GLUE tasks, else accuracy and macro-F1, or Spearman and Pearson (facts, 5)."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Z95 = 1.959963984540054


def classification_scores(gold: NDArray[np.int64], predicted: NDArray[np.int64]) -> dict[str, float]:
    """Return accuracy, macro-F1 and Matthews correlation, and F1 of class 1 where there are two classes.

    Args:
        gold: class indices, shape (examples,).
        predicted: the same shape.
    """
    from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

    scores = {
        "accuracy": float(accuracy_score(gold, predicted)),
        "macro_f1": float(f1_score(gold, predicted, average="macro", zero_division=0.0)),
        "matthews": float(matthews_corrcoef(gold, predicted)),
    }
    if set(np.unique(gold)) | set(np.unique(predicted)) <= {0, 1}:
        scores["f1"] = float(f1_score(gold, predicted, zero_division=0.0))
    return scores


def regression_scores(gold: NDArray[np.float64], predicted: NDArray[np.float64]) -> dict[str, float]:
    """Return Spearman and Pearson correlation; undefined ones (a constant side) count as 0."""
    from scipy.stats import pearsonr, spearmanr

    if len(gold) < 2 or np.ptp(gold) == 0 or np.ptp(predicted) == 0:
        return {"spearman": 0.0, "pearson": 0.0}
    return {
        "spearman": float(spearmanr(gold, predicted).statistic),
        "pearson": float(pearsonr(gold, predicted).statistic),
    }


def scores(kind: str, gold: NDArray[np.float64], outputs: NDArray[np.float64]) -> dict[str, float]:
    """Return the scores of a model's outputs.

    Args:
        kind: "classification" or "regression".
        gold: labels, shape (examples,).
        outputs: logits, shape (examples, classes), or (examples, 1) for regression.
    """
    if kind == "regression":
        return regression_scores(gold, outputs[:, 0])
    return classification_scores(gold.astype(np.int64), outputs.argmax(axis=1))


@dataclass(frozen=True)
class ChanceCheck:
    """Whether a model is better than knowing nothing.

    Attributes:
        score: accuracy, or Spearman correlation.
        low: lower end of its 95% interval.
        high: upper end of it.
        chance: the majority class's accuracy, or 0.
        metric: which of the two scores it is.
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


def check_against_chance(kind: str, gold: NDArray[np.float64], measured: Mapping[str, float]) -> ChanceCheck:
    """Compare accuracy with the majority class's, or a correlation with 0.

    The interval is Wilson's for accuracy and Fisher's for a correlation.
    """
    n = len(gold)
    if kind == "regression":
        score = measured["spearman"]
        centre = math.atanh(min(max(score, -0.999999), 0.999999))
        half = Z95 / math.sqrt(max(n - 3, 1))
        return ChanceCheck(score, math.tanh(centre - half), math.tanh(centre + half), 0.0, "Spearman")
    score = measured["accuracy"]
    _, counts = np.unique(gold, return_counts=True)
    low, high = wilson_interval(score, n)
    return ChanceCheck(score, low, high, float(counts.max() / n), "accuracy")


def wilson_interval(share: float, n: int) -> tuple[float, float]:
    """Return the 95% interval of a share seen in `n` examples (Wilson 1927)."""
    z2 = Z95**2
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return centre - half, centre + half

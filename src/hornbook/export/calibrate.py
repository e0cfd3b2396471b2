"""A temperature for probabilities, and what confidence is worth."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hornbook.export.gate import Sample
from hornbook.tasks.kinds import BINARY_CROSS_ENTROPY, TaskKind

_THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99)
# Outside, a dev split is too small or too easy to say anything.
_LOWEST, _HIGHEST = 0.1, 10.0


def calibration(kind: TaskKind, asked: Sequence[Sample]) -> dict[str, Any] | None:
    """Return a temperature fitted on dev and what it changes there; None without gold labels or classes.

    Args:
        kind: what the outputs mean.
        asked: the samples of the gate.

    Returns:
        `temperature`, `examples`, the expected calibration error before and after (`error_before`, `error_after`),
        and for one label a text `thresholds`, see `thresholds`. All on the examples it was fitted on.
    """
    dev = next((one for one in asked if one.gold is not None), None)
    if dev is None or dev.gold is None or dev.by_teacher or not kind.has_classes:
        return None
    logits = dev.outputs[:, dev.columns]
    temperature = fit_temperature(kind, logits, dev.gold)
    found: dict[str, Any] = {
        "temperature": temperature,
        "examples": len(logits),
        "error_before": kind.calibration_error(dev.gold, logits),
        "error_after": kind.calibration_error(dev.gold, logits / temperature),
    }
    if kind.name == "classification":
        found["thresholds"] = thresholds(kind, kind.probabilities(logits / temperature), dev.gold)
    return found


def fit_temperature(kind: TaskKind, logits: NDArray[np.float64], gold: NDArray[Any]) -> float:
    """Return the temperature that makes gold labels most likely (Guo et al. 2017, section 4.2).

    Args:
        kind: the task's kind, which has classes.
        logits: shape (examples, labels).
        gold: gold labels as the kind has them.

    Returns:
        what logits are divided by before they become probabilities, 0.1 to 10.
    """
    from scipy.optimize import minimize_scalar

    found = minimize_scalar(
        lambda log: loss(kind, logits / np.exp(log), gold),
        bounds=(np.log(_LOWEST), np.log(_HIGHEST)),
        method="bounded",
        options={"xatol": 1e-6},
    )
    return float(np.exp(found.x))


def loss(kind: TaskKind, logits: NDArray[np.float64], gold: NDArray[Any]) -> float:
    """Return the mean negative log likelihood of gold labels."""
    from scipy.special import log_softmax

    if kind.loss == BINARY_CROSS_ENTROPY:
        return float(np.logaddexp(0, np.where(gold > 0, -logits, logits)).mean())
    return float(-log_softmax(logits, axis=1)[np.arange(len(gold)), gold].mean())


def thresholds(
    kind: TaskKind, probabilities: NDArray[np.float64], gold: NDArray[np.int64]
) -> list[dict[str, float | None]]:
    """Return how many examples are answered, and how well, where only confident answers are given.

    Args:
        kind: classification.
        probabilities: shape (examples, labels).
        gold: class indices.

    Returns:
        for each threshold of the highest probability the share answered, and its accuracy (None without answers).
    """
    confidence, right = probabilities.max(axis=1), kind.predicted(probabilities) == gold
    rows: list[dict[str, float | None]] = []
    for threshold in (0.0, *(one for one in _THRESHOLDS if one > 1 / probabilities.shape[1])):
        answered = confidence >= threshold
        accuracy = float(right[answered].mean()) if answered.any() else None
        rows.append({"threshold": threshold, "answered": float(answered.mean()), "accuracy": accuracy})
    return rows

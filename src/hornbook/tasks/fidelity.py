"""How a model's outputs follow a teacher's: agreement and divergence, where no gold labels are known."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hornbook.metrics import FIDELITY, KL, score_of
from hornbook.tasks.kinds import BINARY_CROSS_ENTROPY, CROSS_ENTROPY, TaskKind

_CERTAIN = 1e-6


def fidelity(kind: TaskKind, taught: NDArray[Any], outputs: NDArray[Any]) -> dict[str, float]:
    """Return how a model's outputs follow a teacher's, by name; the first is the headline.

    Args:
        kind: what the outputs mean.
        taught: the teacher's outputs, shape (rows, labels).
        outputs: the model's, of the same shape.

    Returns:
        agreement (the share of rows with the same answer) and mean KL(teacher || model) in nats; of scores the
        correlation (Pearson) and the mean absolute difference.
    """
    wanted, found = kind.predicted(taught), kind.predicted(outputs)
    scores = {name: score_of(kind.name, name, wanted, found) for name in FIDELITY[kind.name]}
    return {**scores, KL: float(divergence(kind, taught, outputs).mean())} if kind.has_classes else scores


def divergence(kind: TaskKind, taught: NDArray[Any], outputs: NDArray[Any]) -> NDArray[np.float64]:
    """Return KL(teacher || model) of each row in nats; of several labels the mean over labels.

    Args:
        kind: what the outputs mean.
        taught: the teacher's logits, shape (rows, labels).
        outputs: the model's, of the same shape.

    Returns:
        shape (rows,).
    """
    wanted, found = _log_shares(kind, taught), _log_shares(kind, outputs)
    each = (np.exp(wanted) * (wanted - found)).sum(axis=-1)
    return np.asarray(each.reshape(len(taught), -1).mean(axis=1))


def agreement_by_class(kind: TaskKind, taught: NDArray[Any], outputs: NDArray[Any]) -> list[float | None]:
    """Return for each label the share of the rows with it that a model gives it too.

    Args:
        kind: what the outputs mean; with classes.
        taught: what the teacher predicts, shaped as gold labels.
        outputs: the model's logits, shape (rows, labels).

    Returns:
        a share for each label, None for one that the teacher never predicts.
    """
    labels = outputs.shape[1]
    named, found = _flags(kind, taught, labels), _flags(kind, kind.predicted(outputs), labels)
    counts, both = named.sum(axis=0), (named & found).sum(axis=0)
    return [float(hit / count) if count else None for hit, count in zip(both, counts, strict=True)]


def logits_of(kind: TaskKind, shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return logits with these probabilities; certainty is limited to one in a million. Scores stay as they are.

    Args:
        kind: what the outputs mean.
        shares: probabilities or scores, shape (rows, labels).

    Returns:
        the same shape.
    """
    from scipy.special import logit

    if kind.loss == CROSS_ENTROPY:
        return np.log(np.maximum(shares, _CERTAIN))
    if kind.loss == BINARY_CROSS_ENTROPY:
        return np.asarray(logit(np.clip(shares, _CERTAIN, 1 - _CERTAIN)))
    return shares


def _log_shares(kind: TaskKind, outputs: NDArray[Any]) -> NDArray[np.float64]:
    """Return log probabilities along the last axis: of classes, or of each label's absence and presence."""
    from scipy.special import log_expit, log_softmax

    values = outputs.astype(np.float64)
    if kind.loss == BINARY_CROSS_ENTROPY:
        return np.stack([log_expit(-values), log_expit(values)], axis=-1)
    return np.asarray(log_softmax(values, axis=1))


def _flags(kind: TaskKind, values: NDArray[Any], labels: int) -> NDArray[np.bool_]:
    """Return whether each row has each label, shape (rows, labels)."""
    flags = np.zeros((len(values), labels), bool)
    flags[kind.labels_of_rows(values)] = True
    return flags

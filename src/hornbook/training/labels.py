"""Losses of a classifier against gold labels or another classifier's outputs."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hornbook.errors import HornbookError
from hornbook.tasks.kinds import BINARY_CROSS_ENTROPY, CROSS_ENTROPY, KINDS, SQUARED_ERROR
from hornbook.tasks.labels import Kind


def gold_loss(kind: Kind, outputs: Tensor, gold: Tensor) -> Tensor:
    """Return cross-entropy, binary cross-entropy of each label, or squared error, without averaging.

    Args:
        kind: the kind of the task.
        outputs: logits, shape (sequences, labels); one column for a regression.
        gold: class indices or scores, shape (sequences,); for multi-label tasks 0 or 1, shape (sequences, labels).

    Returns:
        shape (sequences,), or (sequences, labels) for multi-label tasks.
    """
    if KINDS[kind].loss == CROSS_ENTROPY:
        return nn.functional.cross_entropy(outputs, gold, reduction="none")
    if KINDS[kind].loss == BINARY_CROSS_ENTROPY:
        return nn.functional.binary_cross_entropy_with_logits(outputs, gold, reduction="none")
    return nn.functional.mse_loss(outputs[:, 0], gold, reduction="none")


def soft_loss(kind: Kind, outputs: Tensor, expected: Tensor, temperature: float) -> Tensor:
    """Return the divergence of outputs from a teacher's (Hinton et al. 2015, section 2).

    KL(teacher || student) of the softened outputs, times the squared temperature, so that gradients keep their size.
    It is the soft cross-entropy less the teacher's entropy, which does not depend on the student. In multi-label
    tasks each label is a binary choice, averaged over labels; in a regression it is the squared error.

    Args:
        kind: the kind of the task.
        outputs: logits, shape (sequences, labels).
        expected: the teacher's, of the same shape.
        temperature: divides both.

    Returns:
        shape (sequences,).
    """
    if KINDS[kind].loss == SQUARED_ERROR:
        return (outputs - expected).square().mean(dim=-1)
    found, wanted = _log_shares(kind, outputs / temperature), _log_shares(kind, expected / temperature)
    divergence = (wanted.exp() * (wanted - found)).sum(dim=-1)
    if KINDS[kind].loss == BINARY_CROSS_ENTROPY:
        divergence = divergence.mean(dim=-1)
    return divergence * temperature**2


def _log_shares(kind: Kind, logits: Tensor) -> Tensor:
    """Return log probabilities of classes, or of each label's absence and presence."""
    if KINDS[kind].loss == BINARY_CROSS_ENTROPY:
        logsigmoid = nn.functional.logsigmoid
        return torch.stack([logsigmoid(-logits), logsigmoid(logits)], dim=-1)
    return torch.log_softmax(logits, dim=-1)


def balanced_weights(kind: Kind, gold: NDArray[Any], labels: int) -> NDArray[np.float32]:
    """Return a weight for each gold label so that all classes have the same total weight (mean 1).

    Args:
        kind: the kind of the task.
        gold: as in `gold_loss`, of the whole train split.
        labels: the number of labels.

    Returns:
        the shape of `gold`.

    Raises:
        HornbookError: the task is a regression.
    """
    if not KINDS[kind].has_classes:
        raise HornbookError("class_weights: a regression has no classes; set it to none")
    if KINDS[kind].loss == CROSS_ENTROPY:
        counts = np.bincount(gold, minlength=labels)
        weights = len(gold) / (np.count_nonzero(counts) * np.maximum(counts, 1))
        return np.asarray(weights[gold], np.float32)
    present = gold.mean(axis=0, keepdims=True)
    share = np.where(gold == 1, present, 1 - present)
    # a weight does not help with a label that all rows or none have
    both = (present > 0) & (present < 1)
    return np.where(both, 0.5 / share, 1.0).astype(np.float32)

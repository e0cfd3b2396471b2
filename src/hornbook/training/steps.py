"""Which sequences make an optimiser step: a function of lengths, batch, seed and step alone."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from hornbook.models.encode import Batch, Encoded

# Sequences are sorted by length within windows of this many steps: long enough that little is padded,
# short enough that steps of all lengths follow each other in random order.
WINDOW_STEPS = 64


def epoch_steps(lengths: NDArray[np.int64], batch: int, seed: int, epoch: int) -> list[NDArray[np.int64]]:
    """Return the steps of one pass over the data: for each, the indices of its sequences.

    The data is shuffled, cut into windows, each window sorted by length, cut into steps and shuffled again.

    Args:
        lengths: tokens of each sequence, shape (sequences,).
        batch: sequences in a step; the last step may have fewer.
        seed: of the order.
        epoch: which pass, from 0.
    """
    random = np.random.default_rng([seed, epoch])
    order = random.permutation(len(lengths))
    steps: list[NDArray[np.int64]] = []
    for start in range(0, len(order), WINDOW_STEPS * batch):
        window = order[start : start + WINDOW_STEPS * batch]
        window = window[np.argsort(lengths[window], kind="stable")]
        cut = [window[i : i + batch] for i in range(0, len(window), batch)]
        steps += [cut[i] for i in random.permutation(len(cut))]
    return steps


class StepPlan:
    """The steps of a whole training.

    Attributes:
        count: the number of steps.
        tokens: the tokens of all of them, padding not counted.
        per_epoch: steps of one pass.
    """

    def __init__(
        self,
        lengths: NDArray[np.int64],
        batch: int,
        seed: int,
        *,
        epochs: int | None = None,
        tokens: int | None = None,
        steps: int | None = None,
    ) -> None:
        """Plan the steps up to the first budget given: `epochs`, `steps` or `tokens` (the step that reaches it)."""
        self.per_epoch = -(-len(lengths) // batch)
        self._epoch = lru_cache(maxsize=2)(lambda epoch: epoch_steps(lengths, batch, seed, epoch))
        if epochs is not None:
            steps = epochs * self.per_epoch
        self.count = self.tokens = 0
        while (self.count < steps) if steps is not None else (self.tokens < (tokens or 0)):
            self.tokens += int(lengths[self.indices(self.count)].sum())
            self.count += 1

    def indices(self, step: int) -> NDArray[np.int64]:
        """Return the indices of the sequences of a step."""
        epoch, within = divmod(step, self.per_epoch)
        return self._epoch(epoch)[within]


class StepDataset(Dataset[Batch]):
    """One item is the batch of one optimiser step."""

    def __init__(self, encoded: Encoded, plan: StepPlan, labels: NDArray[Any] | None = None) -> None:
        """Draw from `encoded` (and `labels`, one a sequence) as `plan` says."""
        self.encoded, self.plan, self.labels = encoded, plan, labels

    def __len__(self) -> int:
        """Return the number of steps."""
        return self.plan.count

    def __getitem__(self, step: int) -> Batch:
        """Return the tensors of a step, padded to its longest sequence."""
        indices = self.plan.indices(step)
        batch = self.encoded.batch(indices)
        if self.labels is not None:
            batch["labels"] = torch.from_numpy(self.labels[indices])
        return batch


def only(items: Sequence[Batch]) -> Batch:
    """Return the one item there is: a step comes out of the dataset whole, so nothing is left to collate."""
    (item,) = items
    return item

"""The sequences and micro-batches of each optimiser step: a function of lengths, settings, seed and step."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from hornbook.models.encode import Batch, Encoded

# Sequences are sorted by length within windows of this many steps: long enough for little padding, short enough to
# mix steps of all lengths in random order.
WINDOW_STEPS = 256


def epoch_steps(lengths: NDArray[np.int64], batch: int, seed: int, epoch: int) -> list[NDArray[np.int64]]:
    """Return the steps of one pass over the data: for each, the indices of its sequences.

    The data is shuffled, cut into windows, each window sorted by length, cut into steps and shuffled again.

    Args:
        lengths: tokens of each sequence, shape (sequences,).
        batch: sequences in a step; the last step may have fewer.
        seed: the seed of the order.
        epoch: the number of the pass, from 0.

    Returns:
        an int64 array for each step, shape (sequences in the step,).
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
    """The steps of a whole training, up to a budget in passes, steps or tokens.

    Args:
        lengths: tokens of each sequence, shape (sequences,).
        batch: sequences in a step.
        seed: the seed of the order.
        epochs: passes over the data; takes precedence over `steps`.
        tokens: stop after the step that reaches this many tokens, padding not counted.
        steps: the number of steps; takes precedence over `tokens`.

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


class MicroBatch(NamedTuple):
    """The part of a step that one forward and backward pass computes.

    Attributes:
        weight: its fraction of the step's sequences (times the number of processes, whose gradients are averaged).
        batch: its tensors, padded to its own longest sequence.
    """

    weight: float
    batch: Batch


def micro_batches(indices: NDArray[np.int64], lengths: NDArray[np.int64], max_tokens: int) -> list[NDArray[np.int64]]:
    """Cut a step into micro-batches of sequences of similar length.

    Args:
        indices: the sequences of the step, shape (sequences,).
        lengths: tokens of each sequence of the data, shape (all sequences,).
        max_tokens: the most tokens in a micro-batch, padding counted; a longer sequence goes alone.

    Returns:
        the indices of each micro-batch's sequences, the longest first.
    """
    ordered = indices[np.argsort(-lengths[indices], kind="stable")]
    cuts: list[NDArray[np.int64]] = []
    while len(ordered):
        count = max(1, max_tokens // int(lengths[ordered[0]]))
        cuts.append(ordered[:count])
        ordered = ordered[count:]
    return cuts


class Rows(Protocol):
    """Something with a row for each sequence."""

    def __getitem__(self, indices: NDArray[np.int64], /) -> NDArray[Any]:
        """Return the rows of some sequences."""


class StepDataset(Dataset[list[MicroBatch]]):
    """A dataset with one item per optimiser step, cut into micro-batches.

    Args:
        encoded: the sequences.
        plan: the sequences of each step.
        columns: further tensors of a batch, by name: what has one row for each sequence.
        max_tokens: the most tokens in a micro-batch, padding counted.
        process: the number of this process, from 0; it takes every `processes`-th sequence of a step.
        processes: the number of processes.
    """

    def __init__(
        self,
        encoded: Encoded,
        plan: StepPlan,
        columns: Mapping[str, Rows] | None = None,
        *,
        max_tokens: int,
        process: int = 0,
        processes: int = 1,
    ) -> None:
        self.encoded, self.plan, self.columns = encoded, plan, columns or {}
        self.max_tokens, self.process, self.processes = max_tokens, process, processes

    def __len__(self) -> int:
        """Return the number of steps."""
        return self.plan.count

    def __getitem__(self, step: int) -> list[MicroBatch]:
        """Return the micro-batches of a step, this process's share."""
        lengths = self.encoded.lengths
        whole = self.plan.indices(step)
        ordered = whole[np.argsort(-lengths[whole], kind="stable")]
        share = ordered[self.process :: self.processes]
        if not len(share):  # fewer sequences than processes: take part with weight 0
            return [MicroBatch(0.0, self._batch(ordered[:1]))]
        return [
            MicroBatch(self.processes * len(part) / len(whole), self._batch(part))
            for part in micro_batches(share, lengths, self.max_tokens)
        ]

    def tokens(self, step: int) -> int:
        """Return the tokens of a step in all processes, padding not counted."""
        return int(self.encoded.lengths[self.plan.indices(step)].sum())

    def _batch(self, indices: NDArray[np.int64]) -> Batch:
        batch = self.encoded.batch(indices)
        return batch | {name: torch.from_numpy(values[indices]) for name, values in self.columns.items()}


def unwrap_step(items: Sequence[list[MicroBatch]]) -> list[MicroBatch]:
    """Return the only item: the dataset gives whole steps, so there is nothing to collate."""
    (item,) = items
    return item

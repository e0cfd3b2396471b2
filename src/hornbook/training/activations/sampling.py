"""The part of a textbook that all seeds read when its teacher is asked once."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from hornbook.recipe import DistilConfig
from hornbook.store import Artifact


def sample_of(config: DistilConfig, tokens: Artifact) -> dict[str, int]:
    """Return how much of a textbook a distillation reads, for the key: nothing where it reads all.

    Args:
        config: the budget.
        tokens: the textbook's token ids; while they are only planned, a budget counts as less than one pass.

    Returns:
        arguments of `sample`.
    """
    has = {"tokens": None, "sequences": None} if tokens.planned else tokens.counts
    if config.budget == "epochs":
        return {}
    name = "tokens" if config.budget == "tokens" else "sequences"
    asked = config.tokens if name == "tokens" else (config.steps or 0) * config.batch
    assert asked is not None
    whole = has[name]
    return {} if whole is not None and whole <= asked else {name: asked}


def sample(
    lengths: NDArray[np.int64], *, tokens: int | None = None, sequences: int | None = None
) -> NDArray[np.int64]:
    """Return the sequences that every seed reads: all, or the first of one fixed random order.

    Args:
        lengths: tokens of each sequence of the textbook, shape (all sequences,).
        tokens: take sequences until they have this many tokens.
        sequences: take this many sequences.

    Returns:
        their indices, ascending.
    """
    order = np.random.default_rng(0).permutation(len(lengths))
    if tokens is not None:
        sequences = 1 + int(np.searchsorted(np.cumsum(lengths[order]), tokens))
    return np.sort(order[:sequences])


def tokens_read(counts: Mapping[str, int], sample: Mapping[str, int]) -> int:
    """Return how many tokens a sample of a textbook has, about."""
    if "sequences" in sample:
        return round(counts["tokens"] * sample["sequences"] / counts["sequences"])
    return min(sample.get("tokens", counts["tokens"]), counts["tokens"])

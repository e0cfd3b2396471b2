"""Which pieces texts use, and which of them to keep."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hornbook.models.vocabulary.trim import plain_backend


def count_pieces(texts: Iterable[Sequence[str]], tokenizer: Any) -> NDArray[np.int64]:
    """Count how often each piece occurs in texts, which are read whole, without special tokens.

    Args:
        texts: batches of texts.
        tokenizer: a fast tokenizer; not changed.

    Returns:
        the number of occurrences of each id, shape (ids,).
    """
    backend = plain_backend(tokenizer)
    counts = np.zeros(max(backend.get_vocab().values()) + 1, np.int64)
    for batch in texts:
        encoded = backend.encode_batch_fast(batch, add_special_tokens=False)
        ids = np.fromiter((i for encoding in encoded for i in encoding.ids), np.int64)
        counts += np.bincount(ids, minlength=len(counts))
    return counts


def mixed_share(counts: Sequence[NDArray[np.int64]], weights: Sequence[float]) -> NDArray[np.float64]:
    """Return the share of each piece in a mixture of texts.

    Args:
        counts: occurrences of each id in each of several collections of texts, as from `count_pieces`.
        weights: the weight of each collection, whatever its size.

    Returns:
        shares that add up to 1, shape (ids,).
    """
    shares = [count / max(count.sum(), 1) for count in counts]
    return np.average(shares, axis=0, weights=weights)


def most_frequent(shares: NDArray[np.float64], coverage: float) -> NDArray[np.int64]:
    """Return the fewest pieces that make up some share of the text.

    Args:
        shares: the share of each id, as from `mixed_share`.
        coverage: the share that they make up together, from 0 to 1.

    Returns:
        ids that occur, the most frequent first; of equally frequent ones the lower id.
    """
    order = np.argsort(-shares, kind="stable")[: np.count_nonzero(shares)]
    # Rounding may leave the sum a little below 1.
    reached = np.cumsum(shares[order]) < coverage - 1e-12
    return order[: np.count_nonzero(reached) + 1]

"""How rich text is, and how near to other text: Distinct-n and the overlap of vocabularies (facts, section 6)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hornbook.terms.stop_words import STOP_WORDS
from hornbook.textbook.inspect.words import Vocabulary, Words

TOP_WORDS = 5_000
SAMPLES = 5
_UNITS_AT_ONCE = 100_000


@dataclass(frozen=True)
class Distinct:
    """Distinct-n of a text: its distinct n-grams over all its n-grams, in percent.

    Attributes:
        mean: over samples of the text.
        spread: standard deviation over them, 0 where the text is its own only sample.
    """

    mean: float
    spread: float


def distinct(words: Words, unigrams: int, largest: int = 2, samples: int = SAMPLES, seed: int = 0) -> list[Distinct]:
    """Return Distinct-1 to Distinct-`largest` on samples of about as many words.

    Figures of texts of different sizes cannot be compared: more text repeats more. So whole units are drawn at random
    until they have `unigrams` words.

    Args:
        words: of the text.
        unigrams: the size of a sample; a smaller text is taken whole.
        largest: n, at most 3.
        samples: how many are drawn.
        seed: of the samples.
    """
    if unigrams >= words.words:
        samples = 1
    lengths = words.lengths
    found = []
    for number in range(samples):
        order = np.random.default_rng([seed, number]).permutation(len(lengths))
        drawn = order[: int(np.searchsorted(np.cumsum(lengths[order]), unigrams)) + 1]
        ids = _gather(words, np.sort(drawn))
        found.append([_share(ids, n) for n in range(1, largest + 1)])
    table = 100 * np.array(found)
    return [
        Distinct(float(mean), float(spread))
        for mean, spread in zip(table.mean(axis=0), table.std(axis=0), strict=True)
    ]


def overlap(all_words: Sequence[Words], vocabulary: Vocabulary, top: int = TOP_WORDS) -> NDArray[np.float64]:
    """Return the percentage of words that the most frequent ones of every two texts have in common, [texts, texts].

    As Gururangan et al. 2020; stop words are left out. A text of fewer words is compared with as many of the other's.

    Args:
        all_words: of each text, numbered by one vocabulary.
        vocabulary: that one.
        top: how many words of each.
    """
    stop = vocabulary.numbers(STOP_WORDS)
    places = vocabulary.places()
    frequent = [_most_frequent(words.counts, stop, places, top) for words in all_words]
    matrix = np.zeros((len(frequent), len(frequent)))
    for i, one in enumerate(frequent):
        for j, other in enumerate(frequent):
            size = min(len(one), len(other))
            common = np.intersect1d(one[:size], other[:size], assume_unique=True)
            matrix[i, j] = 100 * len(common) / size if size else 0.0
    return matrix


def _most_frequent(
    counts: NDArray[np.int64], stop: NDArray[np.int64], places: NDArray[np.uint64], top: int
) -> NDArray[np.int64]:
    counts = counts.copy()
    counts[stop[stop < len(counts)]] = 0
    # Of equally frequent ones the same in all texts, whichever comes first.
    order = np.lexsort((places[: len(counts)], -counts))[:top]
    return order[counts[order] > 0]


def _gather(words: Words, units: NDArray[np.int64]) -> NDArray[np.int32]:
    if len(units) == len(words.starts) - 1:
        return words.ids
    parts = []
    for first in range(0, len(units), _UNITS_AT_ONCE):
        some = units[first : first + _UNITS_AT_ONCE]
        starts, sizes = words.starts[some], words.starts[some + 1] - words.starts[some]
        begin = np.cumsum(sizes) - sizes
        parts.append(words.ids[np.repeat(starts - begin, sizes) + np.arange(int(sizes.sum()))])
    return np.concatenate(parts)


def _share(ids: NDArray[np.int32], n: int) -> float:
    """Return the share of distinct n-grams; none goes over the end of a text."""
    whole = np.ones(len(ids) - n + 1, bool)
    for i in range(n):
        whole &= ids[i : len(ids) - n + 1 + i] != 0
    # Three words of a vocabulary of two million fit into 63 bits.
    keys, base = np.zeros(int(whole.sum()), np.int64), int(ids.max(initial=0)) + 1
    for i in range(n):
        keys = keys * base + ids[i : len(ids) - n + 1 + i][whole]
    return len(np.unique(keys)) / len(keys) if len(keys) else 0.0

"""Lexical diversity and vocabulary overlap of texts.

Distinct-n (Li et al. 2016; the paper's Table 3), and the share of common frequent words (Gururangan et al. 2020; the
paper's Figure 3).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hornbook.languages import ENGLISH
from hornbook.terms.stop_words import stop_words
from hornbook.textbook.inspect.words import Vocabulary, Words

TOP_WORDS = 5_000
SAMPLES = 5
_BATCH_UNITS = 100_000


@dataclass(frozen=True)
class Distinct:
    """Distinct-n of a text: distinct n-grams over all n-grams, in percent.

    Attributes:
        mean: the mean over samples of the text.
        spread: the standard deviation over the samples; 0 if the only sample is the whole text.
    """

    mean: float
    spread: float


def distinct(words: Words, unigrams: int, largest: int = 2, samples: int = SAMPLES, seed: int = 0) -> list[Distinct]:
    """Return Distinct-1 to Distinct-`largest` on samples of equal size.

    Figures of texts of different sizes are not comparable: longer text repeats more. So units are sampled until they
    have `unigrams` words.

    Args:
        words: the words of the text.
        unigrams: the size of a sample in words; a smaller text is used whole.
        largest: the largest n, at most 3.
        samples: the number of samples.
        seed: the random seed.

    Returns:
        One result for each n from 1.
    """
    if unigrams >= words.words:
        samples = 1
    lengths = words.lengths
    shares = []
    for number in range(samples):
        order = np.random.default_rng([seed, number]).permutation(len(lengths))
        drawn = order[: int(np.searchsorted(np.cumsum(lengths[order]), unigrams)) + 1]
        ids = _gather(words, np.sort(drawn))
        shares.append([_share(ids, n) for n in range(1, largest + 1)])
    table = 100 * np.array(shares)
    return [
        Distinct(float(mean), float(spread))
        for mean, spread in zip(table.mean(axis=0), table.std(axis=0), strict=True)
    ]


def overlap(
    all_words: Sequence[Words], vocabulary: Vocabulary, top: int = TOP_WORDS, languages: Iterable[str] = (ENGLISH,)
) -> NDArray[np.float64]:
    """Return the percentage of the most frequent words that each two texts share.

    As Gururangan et al. 2020, without stop words. A text with fewer words is compared with as many of the other's.

    Args:
        all_words: the words of each text, numbered by one vocabulary.
        vocabulary: the vocabulary.
        top: the number of most frequent words.
        languages: those of the texts, for the stop words.

    Returns:
        Percentages from 0 to 100, float64, [texts, texts]; symmetric.
    """
    stop = vocabulary.numbers(frozenset().union(*map(stop_words, languages)))
    hashes = vocabulary.hashes()
    frequent = [_most_frequent(words.counts, stop, hashes, top) for words in all_words]
    matrix = np.zeros((len(frequent), len(frequent)))
    for i, one in enumerate(frequent):
        for j, other in enumerate(frequent):
            size = min(len(one), len(other))
            common = np.intersect1d(one[:size], other[:size], assume_unique=True)
            matrix[i, j] = 100 * len(common) / size if size else 0.0
    return matrix


def _most_frequent(
    counts: NDArray[np.int64], stop: NDArray[np.int64], hashes: NDArray[np.uint64], top: int
) -> NDArray[np.int64]:
    counts = counts.copy()
    counts[stop[stop < len(counts)]] = 0
    # Ties are broken by hash: the same in all texts.
    order = np.lexsort((hashes[: len(counts)], -counts))[:top]
    return order[counts[order] > 0]


def _gather(words: Words, units: NDArray[np.int64]) -> NDArray[np.int32]:
    if len(units) == len(words.starts) - 1:
        return words.ids
    parts = []
    for first in range(0, len(units), _BATCH_UNITS):
        some = units[first : first + _BATCH_UNITS]
        starts, sizes = words.starts[some], words.starts[some + 1] - words.starts[some]
        begin = np.cumsum(sizes) - sizes
        parts.append(words.ids[np.repeat(starts - begin, sizes) + np.arange(int(sizes.sum()))])
    return np.concatenate(parts)


def _share(ids: NDArray[np.int32], n: int) -> float:
    """Return the fraction of distinct n-grams; n-grams do not cross the end of a text."""
    whole = np.ones(len(ids) - n + 1, bool)
    for i in range(n):
        whole &= ids[i : len(ids) - n + 1 + i] != 0
    # Three words of a vocabulary of two million fit into 63 bits.
    keys, base = np.zeros(int(whole.sum()), np.int64), int(ids.max(initial=0)) + 1
    for i in range(n):
        keys = keys * base + ids[i : len(ids) - n + 1 + i][whole]
    return len(np.unique(keys)) / len(keys) if len(keys) else 0.0

"""Importance resampling: units whose n-grams are likelier in the task than in the corpus (DSIR, Xie et al. 2023).

N-grams of up to `ngrams` words are counted in `buckets` hash buckets, once in the task's training texts and once in
the units that can be sampled. The log weight of a unit is the sum over its n-grams of log p(bucket | task) -
log p(bucket | corpus), with p = (count + 1) / (total count + buckets). Units are sampled without replacement with
probabilities proportional to their weights: Gumbel noise is added to the log weights, and the largest are taken.

As in the original, a weight is a sum over a unit, not a mean. The original weighs chunks of equal length; for
sentences this does no harm: most n-grams of most units lower the weight, so a long unit gains nothing by its length,
and the sample follows the length of the task's texts (docs/log.md). Divided by the length, weights would be small
beside the noise, and the sample nearly uniform.

Other differences from the original: words are those of `hornbook.terms`, without punctuation; 1 is added to every
count, where its script adds 1e-8 to every probability, so an n-gram that a small task lacks does not decide alone;
all units are counted, not the first billion n-grams; there is no minimum length, since the corpus has one.
"""

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
import xxhash
from numpy.typing import NDArray

from hornbook.errors import HornbookError
from hornbook.index.sequences import sequences
from hornbook.recipe import ImportanceConfig
from hornbook.store import StageContext
from hornbook.tasks import Task
from hornbook.terms.plain import plain
from hornbook.textbook import store
from hornbook.textbook.kind import Materials, TextbookKind
from hornbook.textbook.sampling import (
    BATCH_UNITS,
    PAGE_UNITS,
    candidate_units,
    corpus_batches,
    sample_size,
    size_unit,
    take_until,
)

# The fraction of the golden ratio: odd, and without a pattern in its bits.
_FACTOR = np.uint64(0x9E3779B97F4A7C15)
_SHIFT = np.uint64(29)


def build(config: ImportanceConfig, materials: Materials, context: StageContext) -> Iterator[pa.Table]:
    """Sample units without replacement by their weights and yield them by ascending id.

    The score of a unit is its log weight. Memory: 40 bytes per unit of the corpus. Each text of a pair counts as one
    text of the task.

    Counts: `task_texts`; `tokens` or `bytes` if the size is set in these. Info: `kl_reduction`, in nats: the KL
    divergence of the corpus's distribution over buckets from the task's, minus that of the sample (Xie et al. 2023).

    Args:
        config: the settings.
        materials: the corpus, the task, and a textbook to match in size.
        context: the stage; gets the counts.

    Yields:
        Tables of `store.SCHEMA`.

    Raises:
        HornbookError: the task's texts have no word, the corpus lacks one of the sources, or it has too few units.
    """
    corpus, task = materials.corpus, materials.task
    ids, sizes = candidate_units(corpus, config)
    target_size = sample_size(config, corpus, sizes, materials.size)
    texts = _texts_of(task)
    target = counted((texts.slice(start, BATCH_UNITS) for start in range(0, len(texts), BATCH_UNITS)), config)
    if not target.any():
        raise HornbookError(f"{task.artifact.path}: its training texts have no word to count")
    counting = corpus_batches(corpus, config, ["text"], "Counting n-grams")
    raw = counted((batch.column("text") for batch in counting), config)
    ratios = log_ratios(target, raw)
    weighing = corpus_batches(corpus, config, ["text"], "Weighing units")
    weights = np.concatenate([log_weights(batch.column("text"), ratios, config.ngrams) for batch in weighing])
    rows = draw(weights, sizes, target_size, config.seed)
    context.counts["task_texts"] = len(texts)
    if unit := size_unit(config):
        context.counts[unit] = int(sizes[rows].sum())
    sampled = np.zeros_like(raw)
    for start in range(0, len(rows), PAGE_UNITS):
        page = rows[start : start + PAGE_UNITS]
        table = corpus.texts(ids[page])
        sampled += counted(table.column("text").chunks, config)
        yield store.table_of(table, score=pa.array(weights[page]))
    context.info["kl_reduction"] = float(log_ratios(sampled, raw) @ (target / target.sum()))


def counted(texts: Iterable[pa.StringArray], config: ImportanceConfig) -> NDArray[np.int64]:
    """Return the number of n-grams of the texts in each bucket, [buckets]."""
    counts = np.zeros(config.buckets, np.int64)
    for batch in texts:
        for _, buckets in hashed(batch, config.ngrams, config.buckets):
            counts += np.bincount(buckets, minlength=config.buckets)
    return counts


def log_ratios(target: NDArray[np.int64], raw: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return log p(bucket | target) - log p(bucket | raw) from the counts of both, [buckets]."""
    target_logs, raw_logs = (np.log((counts + 1) / (counts.sum() + len(counts))) for counts in (target, raw))
    return np.asarray(target_logs - raw_logs)


def log_weights(texts: pa.StringArray, ratios: NDArray[np.float64], ngrams: int) -> NDArray[np.float64]:
    """Return the log weight of each text: the sum of the log ratios of its n-grams, [texts]."""
    weights = np.zeros(len(texts))
    for owners, buckets in hashed(texts, ngrams, len(ratios)):
        # bincount adds in order, so the sum is the same on every machine.
        weights += np.bincount(owners, ratios[buckets], len(texts))
    return weights


def draw(weights: NDArray[np.float64], sizes: NDArray[np.int64], target: int, seed: int) -> NDArray[np.int64]:
    """Return the rows of a weighted sample without replacement, in ascending order, as few as reach a total size.

    Rows are drawn one after another, each with a probability proportional to exp(log weight) among the remaining
    rows: that is the order of log weights plus Gumbel noise (Kool et al. 2019). A smaller sample is part of a larger
    one.

    Args:
        weights: the log weight of each row, [rows].
        sizes: the size of each row, [rows].
        target: the total size to reach, at most the sum of `sizes`.
        seed: the random seed of the noise.

    Returns:
        Row numbers, int64, [drawn rows].
    """
    perturbed = weights + np.random.default_rng(seed).gumbel(size=len(weights))
    return take_until(np.argsort(-perturbed, kind="stable"), sizes, target)


def hashed(texts: pa.StringArray, ngrams: int, buckets: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Yield the n-grams of texts, for each n from 1 to `ngrams`: the row of the text and the bucket of each.

    The code of a word is its xxh3_64. The code of a longer n-gram is (code of all words but the last, its high bits
    mixed into the low ones) * `_FACTOR` + code of the last, modulo 2^64. The bucket is the code modulo `buckets`: the
    same on every machine.
    """
    found = sequences(texts)
    words = found.words.cast(pa.binary()).to_pylist()
    last = np.fromiter(map(xxhash.xxh3_64_intdigest, words), np.uint64, len(words))[found.places]
    owner = np.repeat(np.arange(len(texts)), np.diff(found.ends, prepend=0))
    codes, owners = last, owner
    for size in range(1, ngrams + 1):
        if size > 1:
            # The n-gram that starts at each word, and the text of its last word.
            codes = (codes[:-1] ^ (codes[:-1] >> _SHIFT)) * _FACTOR + last[size - 1 :]
            owners = owner[size - 1 :]
        inside = owner[: len(codes)] == owners
        yield owners[inside], (codes[inside] % np.uint64(buckets)).astype(np.int64)


def _texts_of(task: Task) -> pa.StringArray:
    """Return the training texts, duplicates included, as they are compared with units."""
    train = task.split("train")
    columns = ["text", "text_pair"] if task.pair else ["text"]
    return pa.array([plain(text) for column in columns for text in train.column(column).to_pylist()], pa.string())


KIND = TextbookKind(ImportanceConfig, build, needs=("corpus", "task"))

"""Importance resampling: units whose n-grams are likelier in the task than in the corpus (Xie et al. 2023, DSIR).

Words, and runs of up to `ngrams` of them, are counted in `buckets` places by a hash, once in the task's training
texts and once in the units that can be drawn. A unit's log weight is the sum over its n-grams of
log p(bucket | task) - log p(bucket | corpus), with p = (count + 1) / (all counts + buckets). Units are drawn without
replacement with probabilities in proportion to their weights: the log weights are perturbed by Gumbel noise, and the
largest are taken.

A weight is a sum over a unit, not a mean, as in the original, which weighs chunks of one length. Over sentences that
does no harm: most n-grams of most units count against them, so long units gain nothing by length alone, and the draw
follows the length of the task's texts (docs/log.md). Divided by its length, a unit's weight would be small beside the
noise, and the sample nearly uniform.

Other differences to the original: words are those of `hornbook.terms`, without punctuation; one is added to every
count, where its script adds 1e-8 to every probability, so that an n-gram that a small task lacks does not decide
alone; all units are counted, not the first billion n-grams; units are no shorter than the corpus allows, so there is
no other lower bound.
"""

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
import xxhash
from numpy.typing import NDArray

from hornbook.corpus import Corpus
from hornbook.errors import HornbookError
from hornbook.index.sequences import sequences
from hornbook.recipe import ImportanceConfig
from hornbook.store import StageContext
from hornbook.tasks import Task
from hornbook.terms.plain import plain
from hornbook.textbook import store
from hornbook.textbook.kinds.general import (
    BATCH_UNITS,
    PAGE_UNITS,
    batches,
    beginning,
    candidates,
    measured_in,
    wanted,
)

# The fraction of the golden ratio: odd, and without a pattern in its bits.
_FACTOR = np.uint64(0x9E3779B97F4A7C15)
_SHIFT = np.uint64(29)


def units(
    config: ImportanceConfig, corpus: Corpus, task: Task, size: int | None, context: StageContext
) -> Iterator[pa.Table]:
    """Draw units without replacement, the likelier the larger their weights, and yield them by rising id.

    Their score is their log weight. Memory: 40 bytes a unit of the corpus.

    Args:
        config: how large the sample is, from which sources, by which n-grams, with which seed.
        corpus: what is sampled.
        task: whose training texts the sample is to be like; each text of a pair is one.
        size: units to draw where `config` names no size.
        work: what is known of the textbook. Counts: task_texts, and where they set the size tokens or bytes. Info:
            kl_reduction: by how much nearer the drawn units are to the task than the corpus is, in nats (the paper's
            KL reduction: the divergence of the corpus's distribution over buckets from the task's, less that of the
            drawn units').

    Raises:
        HornbookError: the task's texts have no word, there is no such source, or the sample is larger than what it
            is drawn from.
    """
    ids, sizes = candidates(corpus, config)
    target_size = wanted(config, corpus, sizes, size)
    texts = _texts_of(task)
    target = counted((texts.slice(start, BATCH_UNITS) for start in range(0, len(texts), BATCH_UNITS)), config)
    if not target.any():
        raise HornbookError(f"{task.artifact.path}: its training texts have no word to count")
    raw = counted((batch.column("text") for batch in batches(corpus, config, ["text"], "Counting n-grams")), config)
    ratios = log_ratios(target, raw)
    weighed = (batch.column("text") for batch in batches(corpus, config, ["text"], "Weighing units"))
    weights = np.concatenate([log_weights(texts, ratios, config.ngrams) for texts in weighed])
    drawn = draw(weights, sizes, target_size, config.seed)
    context.counts["task_texts"] = len(texts)
    if measure := measured_in(config):
        context.counts[measure] = int(sizes[drawn].sum())
    selected = np.zeros_like(raw)
    for start in range(0, len(drawn), PAGE_UNITS):
        page = drawn[start : start + PAGE_UNITS]
        table = corpus.texts(ids[page])
        selected += counted(table.column("text").chunks, config)
        yield store.table_of(table, score=pa.array(weights[page]))
    context.info["kl_reduction"] = float(log_ratios(selected, raw) @ (target / target.sum()))


def counted(texts: Iterable[pa.StringArray], config: ImportanceConfig) -> NDArray[np.int64]:
    """Return how often n-grams of the texts fall into each bucket, [buckets]."""
    counts = np.zeros(config.buckets, np.int64)
    for batch in texts:
        for _, found in hashed(batch, config.ngrams, config.buckets):
            counts += np.bincount(found, minlength=config.buckets)
    return counts


def log_ratios(target: NDArray[np.int64], raw: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return for each bucket how much likelier it is in the target, as a difference of logs, [buckets]."""
    likely, common = (np.log((counts + 1) / (counts.sum() + len(counts))) for counts in (target, raw))
    return np.asarray(likely - common)


def log_weights(texts: pa.StringArray, ratios: NDArray[np.float64], ngrams: int) -> NDArray[np.float64]:
    """Return the log weight of each text: the sum of the log ratios of its n-grams, [texts]."""
    weights = np.zeros(len(texts))
    for owners, found in hashed(texts, ngrams, len(ratios)):
        # Adds one after the other, so that the sum is the same on every machine.
        weights += np.bincount(owners, ratios[found], len(texts))
    return weights


def draw(weights: NDArray[np.float64], sizes: NDArray[np.int64], wanted: int, seed: int) -> NDArray[np.int64]:
    """Return the rows of a sample without replacement, rising: the fewest whose sizes reach `wanted`.

    Rows are drawn one after another, each with a probability in proportion to exp(log weight) among those that are
    left, which is the order of log weights with Gumbel noise (Kool et al. 2019). So a smaller sample is part of a
    larger one.

    Args:
        weights: the log weight of each row, [rows].
        sizes: the size of each row, [rows].
        wanted: the sum of sizes to reach; not more than there is.
        seed: of the noise.
    """
    perturbed = weights + np.random.default_rng(seed).gumbel(size=len(weights))
    return beginning(np.argsort(-perturbed, kind="stable"), sizes, wanted)


def hashed(texts: pa.StringArray, ngrams: int, buckets: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Yield, for words and then for runs of 2 to `ngrams` of them, the text and the bucket of each.

    A word's code is its xxh3_64, that of a run (code of all but the last, its high bits mixed into the low ones) *
    `_FACTOR` + code of the last, modulo 2^64; the bucket is the code modulo `buckets`. So it is the same on every
    machine.
    """
    found = sequences(texts)
    words = found.words.cast(pa.binary()).to_pylist()
    last = np.fromiter(map(xxhash.xxh3_64_intdigest, words), np.uint64, len(words))[found.places]
    owner = np.repeat(np.arange(len(texts)), np.diff(found.ends, prepend=0))
    codes, owners = last, owner
    for size in range(1, ngrams + 1):
        if size > 1:
            # The run from each word on, and whether its last word is still of the same text.
            codes = (codes[:-1] ^ (codes[:-1] >> _SHIFT)) * _FACTOR + last[size - 1 :]
            owners = owner[size - 1 :]
        inside = owner[: len(codes)] == owners
        yield owners[inside], (codes[inside] % np.uint64(buckets)).astype(np.int64)


def _texts_of(task: Task) -> pa.StringArray:
    """Return every text of train as it is compared with units, as often as it stands there."""
    train = task.split("train")
    columns = ["text", "text_pair"] if task.pair else ["text"]
    return pa.array([plain(text) for column in columns for text in train.column(column).to_pylist()], pa.string())

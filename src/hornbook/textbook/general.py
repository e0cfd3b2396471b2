"""The general textbook: a uniform seeded sample of the corpus."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from hornbook.artifact import Work
from hornbook.corpus import Corpus
from hornbook.errors import HornbookError
from hornbook.progress import progress
from hornbook.recipe import GeneralConfig
from hornbook.terms.words import tokens
from hornbook.textbook import store

PAGE_UNITS = 100_000


def draw(sizes: NDArray[np.int64], wanted: int, seed: int) -> NDArray[np.int64]:
    """Return the rows of a uniform sample without replacement, rising: the fewest whose sizes reach `wanted`.

    The sample is the beginning of a random order of all rows, so a smaller one is part of a larger one.

    Args:
        sizes: the size of each row, [rows].
        wanted: the sum of sizes to reach; not more than there is.
        seed: of the order.
    """
    order = np.random.default_rng(seed).permutation(len(sizes))
    return np.sort(order[: np.searchsorted(np.cumsum(sizes[order]), wanted) + 1])


def build(config: GeneralConfig, corpus: Corpus, size: int | None, work: Work) -> None:
    """Draw units without replacement and write them by rising id.

    Args:
        config: how large the sample is, from which sources, with which seed.
        corpus: what is sampled.
        size: units to draw where `config` names no size.
        work: where the textbook is written and what is known of it.

    Raises:
        HornbookError: there is no such source, or the sample is larger than what it is drawn from.
    """
    if unknown := sorted(set(config.sources or ()) - set(corpus.sources)):
        known = ", ".join(corpus.sources)
        raise HornbookError(f"{corpus.artifact.path}: no source {', '.join(unknown)}; its sources are {known}")
    ids, sizes = _candidates(corpus, config)
    by_tokens = config.tokens is not None
    wanted = config.tokens or config.units or size or 0
    there = int(sizes.sum())
    if wanted > there:
        part = f" in {', '.join(config.sources)}" if config.sources else ""
        what = "tokens" if by_tokens else "units"
        raise HornbookError(f"{corpus.artifact.path}: has {there:,} {what}{part}, too few for a sample of {wanted:,}")
    drawn = draw(sizes, wanted, config.seed)
    units = store.write(work.path, _pages(corpus, ids[drawn]))
    work.counts.update(units=units, corpus_units=corpus.units)
    if by_tokens:
        work.counts["tokens"] = int(sizes[drawn].sum())
    work.info.update(kind=config.kind, share=units / corpus.units)


def _candidates(corpus: Corpus, config: GeneralConfig) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the ids of the units of the wanted sources, and for each what it adds to the sample's size.

    That is its tokens where the sample is one of tokens, else 1.
    """
    ids, sizes = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    columns = ["unit", "source"] if config.tokens is None else ["unit", "source", "text"]
    with progress("Sampling", corpus.units) as counter:
        for batch in corpus.batches(columns):
            counter.advance(batch.num_rows)
            if config.sources:
                batch = batch.filter(pc.is_in(batch.column("source"), pa.array(config.sources)))
            ids.append(batch.column("unit").to_numpy())
            if config.tokens is None:
                sizes.append(np.ones(batch.num_rows, np.int64))
            else:
                texts = batch.column("text").to_pylist()
                sizes.append(np.fromiter((len(tokens(text)) for text in texts), np.int64, len(texts)))
    return np.concatenate(ids), np.concatenate(sizes)


def _pages(corpus: Corpus, ids: NDArray[np.int64]) -> Iterator[pa.Table]:
    for start in range(0, len(ids), PAGE_UNITS):
        yield store.table_of(corpus.texts(ids[start : start + PAGE_UNITS]))

"""The general textbook: a uniform seeded sample of the corpus."""

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from hornbook.corpus import Corpus
from hornbook.errors import HornbookError
from hornbook.machine.progress import progress
from hornbook.recipe import GeneralConfig, SampleConfig
from hornbook.store import StageContext
from hornbook.terms.words import tokens
from hornbook.textbook import store

PAGE_UNITS = 100_000
BATCH_UNITS = 16_384


def draw(sizes: NDArray[np.int64], wanted: int, seed: int) -> NDArray[np.int64]:
    """Return the rows of a uniform sample without replacement, rising: the fewest whose sizes reach `wanted`.

    The sample is the beginning of a random order of all rows, so a smaller one is part of a larger one.

    Args:
        sizes: the size of each row, [rows].
        wanted: the sum of sizes to reach; not more than there is.
        seed: of the order.
    """
    return beginning(np.random.default_rng(seed).permutation(len(sizes)), sizes, wanted)


def beginning(order: NDArray[np.int64], sizes: NDArray[np.int64], wanted: int) -> NDArray[np.int64]:
    """Return the first rows of an order, the fewest whose sizes reach `wanted`, rising."""
    return np.sort(order[: np.searchsorted(np.cumsum(sizes[order]), wanted) + 1])


def units(config: GeneralConfig, corpus: Corpus, size: int | None, context: StageContext) -> Iterator[pa.Table]:
    """Draw units without replacement and yield them by rising id.

    Args:
        config: how large the sample is, from which sources, with which seed.
        corpus: what is sampled.
        size: units to draw where `config` names no size.
        work: what is known of the textbook; counts, where they set the size: tokens, bytes.

    Raises:
        HornbookError: there is no such source, or the sample is larger than what it is drawn from.
    """
    ids, sizes = candidates(corpus, config)
    drawn = draw(sizes, wanted(config, corpus, sizes, size), config.seed)
    if measure := measured_in(config):
        context.counts[measure] = int(sizes[drawn].sum())
    yield from pages(corpus, ids[drawn])


def wanted(config: SampleConfig, corpus: Corpus, sizes: NDArray[np.int64], size: int | None) -> int:
    """Return the size of a sample of the units with these sizes: what is set, else `size` units.

    Raises:
        HornbookError: there is less.
    """
    measure = measured_in(config) or "units"
    wanted, there = getattr(config, measure) or size or 0, int(sizes.sum())
    if wanted > there:
        part = f" in {', '.join(config.sources)}" if config.sources else ""
        raise HornbookError(
            f"{corpus.artifact.path}: has {there:,} {measure}{part}, too few for a sample of {wanted:,}"
        )
    return wanted


def measured_in(config: SampleConfig) -> str | None:
    """Return what measures the sample's size other than its units: `tokens`, `bytes` or None."""
    return "tokens" if config.tokens is not None else "bytes" if config.bytes is not None else None


def candidates(corpus: Corpus, config: SampleConfig) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the ids of the units of the wanted sources, and for each what it adds to the sample's size.

    Raises:
        HornbookError: there is no such source.
    """
    if unknown := sorted(set(config.sources or ()) - set(corpus.sources)):
        known = ", ".join(corpus.sources)
        raise HornbookError(f"{corpus.artifact.path}: no source {', '.join(unknown)}; its sources are {known}")
    measure = measured_in(config)
    ids, sizes = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for batch in batches(corpus, config, ["unit", *(["text"] if measure else [])], "Sampling"):
        ids.append(batch.column("unit").to_numpy())
        if measure == "tokens":
            texts = batch.column("text").to_pylist()
            sizes.append(np.fromiter((len(tokens(text)) for text in texts), np.int64, len(texts)))
        elif measure == "bytes":
            sizes.append(pc.binary_length(batch.column("text")).to_numpy().astype(np.int64))
        else:
            sizes.append(np.ones(batch.num_rows, np.int64))
    return np.concatenate(ids), np.concatenate(sizes)


def batches(corpus: Corpus, config: SampleConfig, columns: Sequence[str], doing: str) -> Iterator[pa.RecordBatch]:
    """Stream the units of the wanted sources in the order of their ids, and show progress as `doing`."""
    with progress(doing, corpus.units) as counter:
        for batch in corpus.batches([*columns, "source"], BATCH_UNITS):
            counter.advance(batch.num_rows)
            if config.sources:
                batch = batch.filter(pc.is_in(batch.column("source"), pa.array(config.sources)))
            yield batch


def pages(corpus: Corpus, ids: NDArray[np.int64]) -> Iterator[pa.Table]:
    """Yield the units with these rising ids."""
    for start in range(0, len(ids), PAGE_UNITS):
        yield store.table_of(corpus.texts(ids[start : start + PAGE_UNITS]))

"""Sampling units of a corpus to a size in units, tokens or bytes."""

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from hornbook.corpus import Corpus
from hornbook.errors import HornbookError
from hornbook.machine.progress import progress
from hornbook.recipe import SampleConfig
from hornbook.terms.words import tokens
from hornbook.textbook.store import table_of

PAGE_UNITS = 100_000
BATCH_UNITS = 16_384


def take_until(order: NDArray[np.int64], sizes: NDArray[np.int64], target: int) -> NDArray[np.int64]:
    """Return the first rows of an order, as few as reach a total size, in ascending order.

    Args:
        order: a permutation of the rows, [rows].
        sizes: the size of each row, [rows].
        target: the total size to reach, at most the sum of `sizes`.

    Returns:
        Row numbers, int64, [taken rows].
    """
    return np.sort(order[: np.searchsorted(np.cumsum(sizes[order]), target) + 1])


def sample_size(config: SampleConfig, corpus: Corpus, sizes: NDArray[np.int64], units: int | None) -> int:
    """Return the total size of a sample, in the unit of `size_unit`.

    Args:
        config: the size and the sources.
        corpus: the corpus, for messages.
        sizes: the size of each candidate, [candidates].
        units: the number of units where the settings set no size.

    Returns:
        The size: units, tokens or bytes.

    Raises:
        HornbookError: the candidates are fewer than that.
    """
    unit = size_unit(config) or "units"
    target, available = getattr(config, unit) or units or 0, int(sizes.sum())
    if target > available:
        part = f" in {', '.join(config.sources)}" if config.sources else ""
        raise HornbookError(
            f"{corpus.artifact.path}: has {available:,} {unit}{part}, too few for a sample of {target:,}"
        )
    return target


def size_unit(config: SampleConfig) -> str | None:
    """Return `tokens` or `bytes` if the sample's size is set in these, else None."""
    return "tokens" if config.tokens is not None else "bytes" if config.bytes is not None else None


def candidate_units(corpus: Corpus, config: SampleConfig) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the ids and sizes of the units that can be sampled.

    Args:
        corpus: the corpus.
        config: the sources, and the unit of the size.

    Returns:
        (ids, sizes), both int64, [candidates]; a size is 1, tokens or bytes (see `size_unit`).

    Raises:
        HornbookError: the corpus lacks one of the sources.
    """
    if unknown := sorted(set(config.sources or ()) - set(corpus.sources)):
        known = ", ".join(corpus.sources)
        raise HornbookError(f"{corpus.artifact.path}: no source {', '.join(unknown)}; its sources are {known}")
    unit = size_unit(config)
    ids, sizes = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for batch in corpus_batches(corpus, config, ["unit", *(["text"] if unit else [])], "Sampling"):
        ids.append(batch.column("unit").to_numpy())
        if unit == "tokens":
            texts = batch.column("text").to_pylist()
            sizes.append(np.fromiter((len(tokens(text)) for text in texts), np.int64, len(texts)))
        elif unit == "bytes":
            sizes.append(pc.binary_length(batch.column("text")).to_numpy().astype(np.int64))
        else:
            sizes.append(np.ones(batch.num_rows, np.int64))
    return np.concatenate(ids), np.concatenate(sizes)


def corpus_batches(
    corpus: Corpus, config: SampleConfig, columns: Sequence[str], title: str
) -> Iterator[pa.RecordBatch]:
    """Stream the units of the sampled sources by ascending id, with a progress bar titled `title`."""
    with progress(title, corpus.units) as counter:
        for batch in corpus.batches([*columns, "source"], BATCH_UNITS):
            counter.advance(batch.num_rows)
            if config.sources:
                batch = batch.filter(pc.is_in(batch.column("source"), pa.array(config.sources)))
            yield batch


def unit_tables(corpus: Corpus, ids: NDArray[np.int64]) -> Iterator[pa.Table]:
    """Yield the units with these ids, which ascend, as tables of a textbook."""
    for start in range(0, len(ids), PAGE_UNITS):
        yield table_of(corpus.texts(ids[start : start + PAGE_UNITS]))

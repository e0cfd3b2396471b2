"""What a worker does with a shard, here or on another machine: count the queries' terms, or search for hits."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Protocol

import numpy as np
import pyarrow as pa
import xxhash
from numpy.typing import NDArray

from hornbook.errors import HornbookError
from hornbook.index.layout import Block, InvertedIndex
from hornbook.kernels import kernel
from hornbook.machine.arrow import text_buffers
from hornbook.retrieval import reference
from hornbook.retrieval.bm25 import Queries, RaggedHits, Statistics


class Shard(Protocol):
    """A shard of a corpus, here or elsewhere."""

    @property
    def name(self) -> str: ...  # noqa: D102

    def open(self) -> InvertedIndex:
        """Return its inverted index."""


class CachedShard:
    """An open shard that remembers the last terms looked up in it."""

    def __init__(self, shard: Shard) -> None:
        self.name = shard.name
        self._index = shard.open()
        self._last: tuple[pa.StringArray, NDArray[np.int32]] | None = None

    def open(self) -> InvertedIndex:
        """Return its inverted index."""
        return self._index

    def term_ids(self, terms: pa.StringArray) -> NDArray[np.int32]:
        """Return `term_ids` of its dictionary."""
        if self._last is None or self._last[0] is not terms:
            self._last = terms, term_ids(terms, self._index.dictionary)
        return self._last[1]


@dataclass(frozen=True)
class Plan:
    """What every shard is searched for.

    Attributes:
        queries: their terms, and the number of hits for each.
        idf: idf of each term, [terms] float64.
        mean_length: mean number of terms in a unit of the whole corpus.
        thresholds: score that a hit of each query must reach, [queries] float64.
        k1: saturation of term frequency.
        b: normalisation by unit length.
        threads: threads per shard; they do not change the result.
        postings_per_unit: for the progress display only, see `Statistics.postings_per_unit`.
    """

    queries: Queries
    idf: NDArray[np.float64]
    mean_length: float
    thresholds: NDArray[np.float64]
    k1: float
    b: float
    threads: int
    postings_per_unit: float = 0.0

    @cached_property
    def key(self) -> str:
        """Hash of everything that can change the result."""
        digest = xxhash.xxh3_128(repr((self.mean_length, self.k1, self.b)).encode())
        queries = self.queries
        for array in (queries.starts, queries.indices, queries.counts, queries.k, self.idf, self.thresholds):
            digest.update(array.tobytes() + b"\0")
        digest.update("\0".join(queries.terms.to_pylist()).encode())
        return digest.hexdigest()


@dataclass(frozen=True)
class ShardHits:
    """Hits in parts of a corpus.

    Attributes:
        hits: the hits.
        units: number of units that were searched.
    """

    hits: RaggedHits
    units: int


@dataclass(frozen=True)
class ShardStatistics:
    """What shards add to the statistics of the corpus.

    Attributes:
        statistics: their own statistics.
        sample_sizes: number of units in the sample of each.
    """

    statistics: Statistics
    sample_sizes: Sequence[int]


# Blocks of a shard: its sample, the others, or all.
SAMPLE, REST, ALL = slice(1), slice(1, None), slice(None)
Part = tuple[Shard, slice]


def term_ids(terms: pa.StringArray, dictionary: pa.StringArray) -> NDArray[np.int32]:
    """Return the position of each term in a dictionary, -1 where it is missing, [terms]; both must be sorted."""
    return kernel(reference.look_up)(*text_buffers(terms), *text_buffers(dictionary))


def count(queries: Queries) -> Callable[[Shard], ShardStatistics]:
    """Return a function that counts the queries' terms in a shard. It reads the dictionary and the lengths only.

    The function raises HornbookError where the shard's index is damaged.
    """

    def count_shard(shard: Shard) -> ShardStatistics:
        with _naming(shard):
            index, ids = _open(queries, shard)
            for block in index.blocks:
                reference.length_counts(block)
            present = index.frequency[ids[ids >= 0]]
            if np.any((present < 0) | (present > index.units)):
                raise ValueError("the frequency of a term contradicts the number of units")
            frequency = np.zeros(len(ids), np.int64)
            frequency[ids >= 0] = present
            return ShardStatistics(Statistics(index.units, index.length, frequency), [index.sampled])

    return count_shard


def search(plan: Plan) -> Callable[[Sequence[Part]], ShardHits]:
    """Return a function that searches parts of a corpus for hits of each query, unordered.

    It finds at least those of the query's k best units in the whole corpus that lie in the parts and reach the
    threshold. The k-th best score so far raises the threshold for the parts that follow, so their results may leave
    out other units. The function raises HornbookError where a shard's index is damaged.
    """
    queries, names = plan.queries, [field.name for field in fields(Block)]
    parameters = (plan.k1, plan.b, plan.mean_length, plan.threads)
    engine = kernel(reference.Search)(
        queries.starts, queries.indices, queries.counts, plan.idf, queries.k, plan.thresholds, *parameters
    )

    def search_parts(parts: Sequence[Part]) -> ShardHits:
        units = 0
        for shard, chosen in parts:
            with _naming(shard):
                index, ids = _open(queries, shard)
                blocks = index.blocks[chosen]
                units += sum(len(block.units) for block in blocks)
                engine.add([kernel(Block)(*(getattr(block, name) for name in names)) for block in blocks], ids)
        return ShardHits(RaggedHits(*engine.hits()), units)

    return search_parts


def _open(queries: Queries, shard: Shard) -> tuple[InvertedIndex, NDArray[np.int32]]:
    """Return a shard's index, and the ids of the queries' terms in it."""
    if isinstance(shard, CachedShard):
        return shard.open(), shard.term_ids(queries.terms)
    index = shard.open()
    return index, term_ids(queries.terms, index.dictionary)


@contextmanager
def _naming(shard: Shard) -> Iterator[None]:
    """Turn what the kernels raise about damaged arrays into an error that names the shard."""
    try:
        yield
    except (ValueError, IndexError) as error:
        raise HornbookError(f"{shard.name}: its index is damaged ({error}); build the corpus again") from None

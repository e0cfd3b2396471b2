"""One shard gone over with all queries: what every worker does, on this machine or on another."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Protocol

import numpy as np
import pyarrow as pa
import xxhash
from numpy.typing import NDArray

from hornbook import kernels
from hornbook.index.layout import Block, InvertedIndex
from hornbook.machine.arrow import text_buffers
from hornbook.retrieval import reference
from hornbook.retrieval.bm25 import Found, Queries, Statistics


class Shard(Protocol):
    """A shard of a corpus, here or elsewhere."""

    @property
    def name(self) -> str: ...  # noqa: D102

    def open(self) -> InvertedIndex:
        """Return its terms."""


class AtHand:
    """An open shard, in which the same terms are looked up once."""

    def __init__(self, shard: Shard) -> None:
        self.name = shard.name
        self._inverted = shard.open()
        self._known: tuple[pa.StringArray, NDArray[np.int32]] | None = None

    def open(self) -> InvertedIndex:
        """Return its terms."""
        return self._inverted

    def ids(self, terms: pa.StringArray) -> NDArray[np.int32]:
        """Return what `look_up` does."""
        if self._known is None or self._known[0] is not terms:
            self._known = terms, look_up(terms, self._inverted.dictionary)
        return self._known[1]


@dataclass(frozen=True)
class Plan:
    """All that a shard is asked.

    Attributes:
        queries: their terms, and how many hits each wants at most.
        idf: the weight of each term, [terms] float64.
        mean_length: terms in a unit of the whole corpus, on average.
        bars: for each query a score below which no unit is wanted, [queries] float64.
        k1: saturation of term frequency.
        b: normalisation by unit length.
        threads: how many; does not change the answer.
        postings: how many pairs of one of the queries and one of its terms a unit holds, on average; told, not used.
    """

    queries: Queries
    idf: NDArray[np.float64]
    mean_length: float
    bars: NDArray[np.float64]
    k1: float
    b: float
    threads: int
    postings: float = 0.0

    @cached_property
    def key(self) -> str:
        """A key of everything that can change the answer."""
        digest = xxhash.xxh3_128(repr((self.mean_length, self.k1, self.b)).encode())
        queries = self.queries
        for array in (queries.starts, queries.places, queries.counts, queries.k, self.idf, self.bars):
            digest.update(array.tobytes() + b"\0")
        digest.update("\0".join(queries.terms.to_pylist()).encode())
        return digest.hexdigest()


@dataclass(frozen=True)
class Answer:
    """What a shard holds for the queries.

    Attributes:
        found: the hits.
        units: how many units were gone over.
    """

    found: Found
    units: int


@dataclass(frozen=True)
class Counted:
    """What shards add to the statistics, and how many units of each are its sample."""

    statistics: Statistics
    sampled: Sequence[int]


def look_up(terms: pa.StringArray, dictionary: pa.StringArray) -> NDArray[np.int32]:
    """Return for each term its place in a dictionary, -1 where it is not there, [terms]; both rise."""
    compiled = kernels.compiled()
    if compiled is None:
        return reference.look_up(terms, dictionary)
    ids: NDArray[np.int32] = compiled.look_up(*text_buffers(terms), *text_buffers(dictionary))
    return ids


def _open(queries: Queries, shard: Shard) -> tuple[InvertedIndex, NDArray[np.int32]]:
    """Return a shard's terms, and which of them are those of the queries."""
    if isinstance(shard, AtHand):
        return shard.open(), shard.ids(queries.terms)
    opened = shard.open()
    return opened, look_up(queries.terms, opened.dictionary)


def count(queries: Queries) -> Callable[[Shard], Counted]:
    """Return what tells what a shard adds to the statistics of the corpus; only its dictionary is read."""

    def there(shard: Shard) -> Counted:
        opened, ids = _open(queries, shard)
        frequency = np.zeros(len(ids), np.int64)
        frequency[ids >= 0] = opened.frequency[ids[ids >= 0]]
        return Counted(Statistics(opened.units, opened.length, frequency), [opened.sampled])

    return there


# Which blocks of a shard: its sample, what is not in it, or both.
SAMPLE, REST, ALL = slice(1), slice(1, None), slice(None)
Part = tuple[Shard, slice]


def search(plan: Plan) -> Callable[[Sequence[Part]], Answer]:
    """Return what tells the best units of parts of a corpus for each query, in no order.

    These are at least those of the query's k best in the whole corpus that lie there and reach its bar. What is found
    in one part raises the bars for those that follow: their answers leave out what k units before were better than.
    """
    compiled, queries, names = kernels.compiled(), plan.queries, [field.name for field in fields(Block)]
    arguments = (queries.starts, queries.places, queries.counts, plan.idf, queries.k, plan.bars)
    scoring = (plan.k1, plan.b, plan.mean_length)
    engine = (
        reference.Search(*arguments, *scoring)
        if compiled is None
        else compiled.Search(*arguments, *scoring, plan.threads)
    )

    def there(parts: Sequence[Part]) -> Answer:
        units = 0
        for shard, chosen in parts:
            opened, ids = _open(queries, shard)
            blocks = opened.blocks[chosen]
            units += sum(len(block.units) for block in blocks)
            if compiled is not None:
                blocks = [compiled.Block(*(getattr(block, name) for name in names)) for block in blocks]
            engine.add(blocks, ids)
        return Answer(Found(*engine.hits()), units)

    return there

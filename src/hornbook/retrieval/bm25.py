"""BM25 as Lucene scores it: what many queries ask, what is known of the corpus, and what is found.

Score of a unit for a query, summed over the query's terms in alphabetical order, each as often as the query
holds it: idf * tf / (tf + k1 * (1 - b + b * length / mean length)), with
idf = ln(1 + (N - df + 0.5) / (df + 0.5)). All in float64. N counts empty units too.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from hornbook.terms import Analysis


@dataclass(frozen=True)
class Queries:
    """The terms of many queries.

    Attributes:
        terms: every term of a query once, in the order of its bytes, [terms].
        starts: where each query starts in `places` and `counts`, and where the last ends, [queries + 1] uint64.
        places: the terms of each query in turn, rising, as places in `terms`, uint32.
        counts: how often the query holds each, uint32.
        k: how many hits each query wants, [queries] uint32.
    """

    terms: pa.StringArray
    starts: NDArray[np.uint64]
    places: NDArray[np.uint32]
    counts: NDArray[np.uint32]
    k: NDArray[np.uint32]

    def __len__(self) -> int:
        return len(self.k)

    @classmethod
    def of(
        cls,
        queries: Sequence[Sequence[str]],
        k: NDArray[np.uint32],
        analysis: Analysis = Analysis(),  # noqa: B008
    ) -> "Queries":
        """Return the terms of queries, given as words, of which each has its k."""
        sizes = np.array([len(query) for query in queries], np.int64)
        words = pa.array(list(chain.from_iterable(queries)), pa.string()).dictionary_encode()
        # Several words may be one term.
        found = pa.array(analysis.terms(words.dictionary.to_pylist()), pa.string()).dictionary_encode()
        rank = pc.array_sort_indices(found.dictionary).to_numpy()
        place_of_term = np.empty(len(rank), np.int64)
        place_of_term[rank] = np.arange(len(rank))
        place_of_word = np.full(len(found), -1)
        known = found.indices.is_valid().to_numpy(zero_copy_only=False)
        place_of_word[known] = place_of_term[found.indices.drop_null().to_numpy()]
        places = place_of_word[words.indices.to_numpy()]
        owners = np.repeat(np.arange(len(queries)), sizes)[places >= 0]
        # By query, then term: so every score is summed in one order, and ties are ties on every machine.
        pairs, counts = np.unique(owners * len(rank) + places[places >= 0], return_counts=True)
        owner, places = np.divmod(pairs, max(len(rank), 1))
        starts = np.concatenate([[0], np.cumsum(np.bincount(owner, minlength=len(queries)))]).astype(np.uint64)
        return cls(found.dictionary.take(rank), starts, places.astype(np.uint32), counts.astype(np.uint32), k)

    def some(self, chosen: NDArray[np.int64]) -> tuple["Queries", NDArray[np.int64]]:
        """Return only the queries with these numbers, rising, and which of the terms are theirs."""
        ends = self.starts.astype(np.int64)
        sizes = ends[1:] - ends[:-1]
        kept = np.isin(np.repeat(np.arange(len(self)), sizes), chosen)
        starts = np.concatenate([[0], np.cumsum(sizes[chosen])]).astype(np.uint64)
        theirs, places = np.unique(self.places[kept].astype(np.int64), return_inverse=True)
        terms = self.terms.take(pa.array(theirs))
        return Queries(terms, starts, places.astype(np.uint32), self.counts[kept], self.k[chosen]), theirs

    def wanting(self, k: NDArray[np.uint32]) -> "Queries":
        """Return the same queries with other numbers of hits wanted, [queries]."""
        return replace(self, k=k)


@dataclass(frozen=True)
class Statistics:
    """What BM25 needs to know of a whole corpus; those of its parts add up.

    Attributes:
        units: how many units it has.
        length: how many terms all its units have together.
        frequency: in how many units each term of the queries stands, [terms] int64.
    """

    units: int
    length: int
    frequency: NDArray[np.int64]

    @property
    def mean_length(self) -> float:
        """Terms in a unit, on average."""
        return self.length / self.units if self.units else 0.0

    @cached_property
    def idf(self) -> NDArray[np.float64]:
        """The weight of each term, [terms]."""
        # `math.log`, for NumPy's is another in the last bit on some processors.
        found, places = np.unique(self.frequency, return_inverse=True)
        weights = [math.log(1 + (self.units - df + 0.5) / (df + 0.5)) for df in found.tolist()]
        return np.array(weights, np.float64)[places]

    def postings(self, queries: Queries) -> float:
        """Return how many pairs of one of the queries and one of its terms a unit holds, on average."""
        return float(self.frequency[queries.places].sum()) / self.units

    def __add__(self, other: "Statistics") -> "Statistics":
        """Return the statistics of both parts together; they must share the terms."""
        return Statistics(self.units + other.units, self.length + other.length, self.frequency + other.frequency)


@dataclass(frozen=True)
class Found:
    """The hits of queries one after another; once merged score descending, equal scores by unit id ascending.

    Where they are filled up, each query has k of them, those that are not there with unit -1 and score -inf.

    Attributes:
        starts: where those of each query start, and where the last end, [queries + 1] uint64.
        units: their unit ids, [hits] int64.
        scores: their BM25 scores, [hits] float64.
    """

    starts: NDArray[np.uint64]
    units: NDArray[np.int64]
    scores: NDArray[np.float64]

    @property
    def counts(self) -> NDArray[np.int64]:
        """How many hits each query has, [queries]."""
        ends = self.starts.astype(np.int64)
        return ends[1:] - ends[:-1]


@dataclass(frozen=True)
class Hits:
    """The best units of each query: score descending, equal scores by unit id ascending.

    Attributes:
        units: unit ids, [queries, k] int64, padded with -1 where fewer than k units match.
        scores: their BM25 scores, [queries, k] float64, padded with -inf.

    The order of ties matters beyond retrieval: of units with equal texts `textbook.kinds.contextualized` keeps only
    the lowest id, which is right only because lower ids rank first.
    """

    units: NDArray[np.int64]
    scores: NDArray[np.float64]

    def cut(self, k: int) -> "Hits":
        """Return what retrieval with this smaller k would have found."""
        return Hits(self.units[:, :k], self.scores[:, :k])

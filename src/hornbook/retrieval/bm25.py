"""BM25 in Lucene's form: queries, statistics of the corpus, hits.

The score of a unit for a query is a sum over the query's terms in alphabetical order, each as often as the query has
it: idf * tf / (tf + k1 * (1 - b + b * length / mean length)), with idf = ln(1 + (N - df + 0.5) / (df + 0.5)), all in
float64. N counts empty units too.

This is BM25 of Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond" (2009, section 3.4),
with two changes of Lucene: 1 + inside the logarithm, so that every idf is positive, and no factor k1 + 1, which
changes no order.
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
    """The terms of many queries, as a sparse matrix by rows.

    Attributes:
        terms: distinct terms of all queries, in the order of their bytes, [terms].
        starts: start of each query in `indices` and `counts`, and the end of the last, [queries + 1] uint64.
        indices: each query's terms as indices into `terms`, rising, uint32.
        counts: how often the query has each of them, uint32.
        k: number of hits for each query, [queries] uint32.
    """

    terms: pa.StringArray
    starts: NDArray[np.uint64]
    indices: NDArray[np.uint32]
    counts: NDArray[np.uint32]
    k: NDArray[np.uint32]

    def __len__(self) -> int:
        return len(self.k)

    @classmethod
    def from_words(
        cls,
        queries: Sequence[Sequence[str]],
        k: NDArray[np.uint32],
        analysis: Analysis = Analysis(),  # noqa: B008
    ) -> "Queries":
        """Return queries given as words.

        Args:
            queries: the words of each query.
            k: number of hits for each, [queries] uint32.
            analysis: turns words into terms.

        Returns:
            the queries; words without a term, such as stop words, are left out.
        """
        sizes = np.array([len(query) for query in queries], np.int64)
        words = pa.array(list(chain.from_iterable(queries)), pa.string()).dictionary_encode()
        # Several words may give one term, and some give none.
        terms = pa.array(analysis.terms(words.dictionary.to_pylist()), pa.string()).dictionary_encode()
        order = pc.array_sort_indices(terms.dictionary).to_numpy()
        index_of_term = np.empty(len(order), np.int64)
        index_of_term[order] = np.arange(len(order))
        index_of_word = np.full(len(terms), -1)
        has_term = terms.indices.is_valid().to_numpy(zero_copy_only=False)
        index_of_word[has_term] = index_of_term[terms.indices.drop_null().to_numpy()]
        indices = index_of_word[words.indices.to_numpy()]
        owners = np.repeat(np.arange(len(queries)), sizes)[indices >= 0]
        # By query, then term: every score is summed in one order, so ties are ties on every machine.
        pairs, counts = np.unique(owners * len(order) + indices[indices >= 0], return_counts=True)
        owner, indices = np.divmod(pairs, max(len(order), 1))
        starts = np.concatenate([[0], np.cumsum(np.bincount(owner, minlength=len(queries)))]).astype(np.uint64)
        return cls(terms.dictionary.take(order), starts, indices.astype(np.uint32), counts.astype(np.uint32), k)

    def select(self, chosen: NDArray[np.int64]) -> tuple["Queries", NDArray[np.int64]]:
        """Return some of the queries.

        Args:
            chosen: their numbers, rising.

        Returns:
            The queries, and which of `terms` are theirs.
        """
        ends = self.starts.astype(np.int64)
        sizes = ends[1:] - ends[:-1]
        mask = np.isin(np.repeat(np.arange(len(self)), sizes), chosen)
        starts = np.concatenate([[0], np.cumsum(sizes[chosen])]).astype(np.uint64)
        used, indices = np.unique(self.indices[mask].astype(np.int64), return_inverse=True)
        terms = self.terms.take(pa.array(used))
        return Queries(terms, starts, indices.astype(np.uint32), self.counts[mask], self.k[chosen]), used

    def with_k(self, k: NDArray[np.uint32]) -> "Queries":
        """Return the same queries with a new number of hits for each, [queries] uint32."""
        return replace(self, k=k)


@dataclass(frozen=True)
class Statistics:
    """What BM25 needs to know about a whole corpus. Statistics of its parts add up.

    Attributes:
        units: number of units.
        length: number of terms in all units.
        frequency: number of units that have each term of the queries, [terms] int64.
    """

    units: int
    length: int
    frequency: NDArray[np.int64]

    @property
    def mean_length(self) -> float:
        """Mean number of terms in a unit."""
        return self.length / self.units if self.units else 0.0

    @cached_property
    def idf(self) -> NDArray[np.float64]:
        """The idf of each term, [terms]."""
        # `math.log`: NumPy's differs in the last bit on some processors.
        frequency, places = np.unique(self.frequency, return_inverse=True)
        weights = [math.log(1 + (self.units - df + 0.5) / (df + 0.5)) for df in frequency.tolist()]
        return np.array(weights, np.float64)[places]

    def postings_per_unit(self, queries: Queries) -> float:
        """Return the mean number of pairs of a query and one of its terms that a unit has."""
        return float(self.frequency[queries.indices].sum()) / self.units

    def __add__(self, other: "Statistics") -> "Statistics":
        """Return the statistics of both parts; they must be about the same terms."""
        return Statistics(self.units + other.units, self.length + other.length, self.frequency + other.frequency)


@dataclass(frozen=True)
class RaggedHits:
    """Hits of many queries, query after query; their number may differ by query.

    After a merge they are ordered: score descending, equal scores by unit id ascending. Padded, each query has k of
    them, the missing ones with unit -1 and score -inf.

    Attributes:
        starts: start of each query's hits, and the end of the last, [queries + 1] uint64.
        units: unit ids, [hits] int64.
        scores: BM25 scores, [hits] float64.
    """

    starts: NDArray[np.uint64]
    units: NDArray[np.int64]
    scores: NDArray[np.float64]

    @property
    def counts(self) -> NDArray[np.int64]:
        """Number of hits of each query, [queries]."""
        ends = self.starts.astype(np.int64)
        return ends[1:] - ends[:-1]


@dataclass(frozen=True)
class Hits:
    """The best units for each query: score descending, equal scores by unit id ascending.

    Attributes:
        units: unit ids, [queries, k] int64, padded with -1 where fewer than k units match.
        scores: BM25 scores, [queries, k] float64, padded with -inf.

    The order of ties matters beyond retrieval: of units with equal texts `textbook.kinds.contextualized` keeps only
    the lowest id, which is right only because lower ids rank first.
    """

    units: NDArray[np.int64]
    scores: NDArray[np.float64]

    def cut(self, k: int) -> "Hits":
        """Return the first k hits of each query: what a retrieval with this smaller k returns."""
        return Hits(self.units[:, :k], self.scores[:, :k])

"""BM25 as Lucene scores it, for many queries at once, over a corpus that is streamed and never indexed.

Score of a unit for a query, summed over the query's terms in alphabetical order, each as often as the query
holds it: idf * tf / (tf + k1 * (1 - b + b * length / mean length)), with
idf = ln(1 + (N - df + 0.5) / (df + 0.5)). All in float64. N counts empty units too.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from hornbook.errors import HornbookError
from hornbook.progress import progress
from hornbook.retrieval.words import END, terms_of_all

BATCH_UNITS = 65_536
_UNKNOWN = -1
_END_CODE = -2


class Units(Protocol):
    """A corpus that can be streamed again and again."""

    def batches(self, columns: Sequence[str], batch_units: int) -> Iterator[pa.RecordBatch]:
        """Return these columns from the start, unit ids ascending, in batches of at most `batch_units`."""


@dataclass(frozen=True)
class Statistics:
    """What BM25 needs to know of a whole corpus; those of its parts add up.

    Attributes:
        units: how many units it has.
        terms: how many terms all its units have together.
        document_frequency: in how many units each term of the vocabulary stands, [vocabulary] int64.
    """

    units: int
    terms: int
    document_frequency: NDArray[np.int64]

    @property
    def mean_length(self) -> float:
        """Terms in a unit, on average."""
        return self.terms / self.units if self.units else 0.0

    def __add__(self, other: "Statistics") -> "Statistics":
        """Return the statistics of both parts together; they must share the vocabulary."""
        together = self.document_frequency + other.document_frequency
        return Statistics(self.units + other.units, self.terms + other.terms, together)


@dataclass(frozen=True)
class Hits:
    """The best units of each query: score descending, equal scores by unit id ascending.

    Attributes:
        units: unit ids, [queries, k] int64, padded with -1 where fewer than k units match.
        scores: their BM25 scores, [queries, k] float64, padded with -inf.
    """

    units: NDArray[np.int64]
    scores: NDArray[np.float64]

    def cut(self, k: int) -> "Hits":
        """Return what retrieval with this smaller k would have found."""
        return Hits(self.units[:, :k], self.scores[:, :k])


@dataclass(frozen=True)
class _Inverted:
    """A batch of n units by term: the postings of term t are `rows[starts[t]:starts[t + 1]]`, ascending."""

    units: NDArray[np.int64]
    lengths: NDArray[np.int64]
    starts: NDArray[np.int64]
    terms: NDArray[np.int64]
    rows: NDArray[np.int64]
    frequencies: NDArray[np.int64]


def statistics(batches: Iterable[pa.RecordBatch], vocabulary: Mapping[str, int]) -> Statistics:
    """Count units, terms, and the units that hold each term of a vocabulary, in one pass.

    Args:
        batches: batches with the columns `unit` (int64) and `text` (string).
        vocabulary: the place of each term, 0 to its size less one.
    """
    codes = _codes(vocabulary)
    total = Statistics(0, 0, np.zeros(len(vocabulary), np.int64))
    with progress("Counting terms") as counter:
        for batch in batches:
            part = _invert(batch, codes)
            total += Statistics(batch.num_rows, int(part.lengths.sum()), np.diff(part.starts))
            counter.advance(batch.num_rows)
    return total


def retrieve(
    corpus: Units,
    queries: Sequence[Sequence[str]],
    k: int,
    k1: float = 1.2,
    b: float = 0.75,
    batch_units: int = BATCH_UNITS,
) -> Hits:
    """Return the k best units of each query, exactly; a unit that holds no term of a query is no hit of it.

    The corpus is read twice: for its statistics, and past all queries. Memory: one batch of units and
    queries x k x 16 bytes. The result does not depend on `batch_units`.

    Args:
        corpus: what is searched.
        queries: the terms of each query; a repeated term counts as often as it is there.
        k: hits of a query.
        k1: saturation of term frequency.
        b: normalisation by unit length, 0 to 1.
        batch_units: units that are scored at a time.

    Raises:
        HornbookError: k is below 1.
    """
    if k < 1:
        raise HornbookError(f"k is {k}, but a query needs room for at least one hit")
    vocabulary = {term: place for place, term in enumerate(sorted({t for query in queries for t in query}))}
    columns = ["unit", "text"]
    known = statistics(corpus.batches(columns, batch_units), vocabulary)
    idf = _idf(known)
    # Sorted, so that every score is summed in one order and ties are ties on every machine.
    wanted = [sorted(Counter(vocabulary[term] for term in query).items()) for query in queries]
    hits = Hits(np.full((len(queries), k), -1, np.int64), np.full((len(queries), k), -np.inf))
    codes, last = _codes(vocabulary), -1
    with progress("Retrieving", known.units) as counter:
        for batch in corpus.batches(columns, batch_units):
            part = _invert(batch, codes)
            if batch.num_rows and (part.units[0] <= last or (np.diff(part.units) <= 0).any()):
                raise ValueError("unit ids must ascend")
            saturation = k1 * (1 - b + b * part.lengths / known.mean_length) if known.terms else part.lengths
            impacts = idf[part.terms] * part.frequencies / (part.frequencies + saturation[part.rows])
            _improve(hits, part, impacts, wanted)
            last = int(part.units[-1]) if batch.num_rows else last
            counter.advance(batch.num_rows)
    return hits


def _codes(vocabulary: Mapping[str, int]) -> dict[str, int]:
    return {**vocabulary, END: _END_CODE}


def _idf(known: Statistics) -> NDArray[np.float64]:
    frequencies = known.document_frequency.tolist()
    return np.array([math.log(1 + (known.units - df + 0.5) / (df + 0.5)) for df in frequencies], np.float64)


def _invert(batch: pa.RecordBatch, codes: Mapping[str, int]) -> _Inverted:
    """Return the postings of the vocabulary's terms in a batch, by term, then row."""
    stream = terms_of_all(batch.column("text").to_pylist())
    coded = np.fromiter(map(codes.get, stream, repeat(_UNKNOWN)), np.int64, len(stream))
    ends = np.flatnonzero(coded == _END_CODE)
    lengths = np.diff(ends, prepend=-1) - 1
    places = np.flatnonzero(coded >= 0)
    count = max(batch.num_rows, 1)
    keys, frequencies = np.unique(coded[places] * count + np.searchsorted(ends, places), return_counts=True)
    terms, rows = np.divmod(keys, count)
    starts = np.concatenate([[0], np.cumsum(np.bincount(terms, minlength=len(codes) - 1))])
    units = batch.column("unit").to_numpy()
    return _Inverted(units, lengths, starts, terms, rows, frequencies)


def _improve(
    hits: Hits, part: _Inverted, impacts: NDArray[np.float64], wanted: Sequence[Sequence[tuple[int, int]]]
) -> None:
    """Let the units of a batch into the hits of every query for which they are good enough."""
    starts = part.starts.tolist()
    for query, weighted in enumerate(wanted):
        held = [(starts[t], starts[t + 1], count) for t, count in weighted if starts[t] < starts[t + 1]]
        if not held:
            continue
        rows = np.concatenate([part.rows[start:end] for start, end, _ in held])
        weights = [impacts[start:end] if count == 1 else count * impacts[start:end] for start, end, count in held]
        # `bincount` adds the weights of a row one after another: the order of the terms.
        scores = np.asarray(np.bincount(rows, np.concatenate(weights), len(part.units)), np.float64)
        # Later units lose ties, so once the hits are full only a higher score gets in.
        good = np.flatnonzero(scores > max(hits.scores[query, -1], 0.0))
        if good.size:
            _merge(hits, query, part.units[good], scores[good])


def _merge(hits: Hits, query: int, units: NDArray[np.int64], scores: NDArray[np.float64]) -> None:
    """Merge the hits of a query with higher unit ids, given in ascending order."""
    k = hits.units.shape[1]
    if len(scores) > k:
        enough = np.flatnonzero(scores >= np.partition(scores, -k)[-k])
        units, scores = units[enough], scores[enough]
    units = np.concatenate([hits.units[query], units])
    scores = np.concatenate([hits.scores[query], scores])
    # Equal scores stand in the order of their ids already, and a stable sort leaves them so.
    order = np.argsort(-scores, kind="stable")[:k]
    hits.units[query], hits.scores[query] = units[order], scores[order]

"""The best units of a corpus for very many queries: exact, and the same for every division into shards.

All queries are known before the corpus is read, so the corpus is streamed past them:

1. Statistics: the queries' terms are looked up in each shard's dictionary, and their counts added up.
2. Sample: the first block of every shard is searched. For each query the sample yields a threshold that its true k-th
   score almost surely exceeds.
3. Search: the rest of every shard is searched for units that reach the thresholds, and the hits are merged.
4. A query with fewer than k hits above its threshold is searched again without it. So thresholds save work and change
   no result.

Where shards are searched one after another, earlier hits raise the thresholds too. The result of a shard may leave
out what such a threshold excludes, but never a hit: so results are kept when a run dies, and shards can be searched
anywhere in any order.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from itertools import pairwise, starmap
from operator import add
from pathlib import Path
from typing import Protocol

import numpy as np
import psutil
from numpy.typing import NDArray

from hornbook.errors import HornbookError
from hornbook.machine.load import cores
from hornbook.machine.progress import Counter, progress
from hornbook.retrieval.bm25 import Hits, Queries, RaggedHits, Statistics
from hornbook.retrieval.cache import AnswerCache, batches, merge
from hornbook.retrieval.executor import LOCAL, Executor
from hornbook.retrieval.shard import ALL, REST, SAMPLE, CachedShard, Part, Plan, Shard, ShardStatistics, count
from hornbook.terms import Analysis

# The threshold is so low that the k-th hit exceeds it by this many standard deviations of a random sample.
_DEVIATIONS = 3
_HIT_BYTES = 16


class Corpus(Protocol):
    """A corpus that can be searched; `hornbook.corpus.open_corpus` returns one."""

    @property
    def analysis(self) -> Analysis: ...  # noqa: D102

    def inverted(self, keep_open: int, /) -> Sequence[Shard]:
        """Return its shards; the first `keep_open` stay open."""


@dataclass(frozen=True)
class Request:
    """The queries of one task.

    Attributes:
        queries: the words of each; a repeated word counts as often as it occurs.
        k: number of hits for each.
    """

    queries: Sequence[Sequence[str]]
    k: int


def retrieve(
    corpus: Corpus,
    queries: Sequence[Sequence[str]],
    k: int,
    k1: float = 1.2,
    b: float = 0.75,
    *,
    threads: int | None = None,
    executor: Executor = LOCAL,
    cache: Path | None = None,
) -> Hits:
    """Return the k best units of a corpus for each query by BM25, exactly.

    A unit without any term of a query is no hit of it. `retrieve_all` does the same for several tasks in one pass.

    Args:
        corpus: the corpus, as `open_corpus` returns it.
        queries: the words of each query, such as `keywords_of_all` returns.
        k: number of hits for each query.
        k1: saturation of term frequency, at least 0.
        b: normalisation by unit length, 0 to 1.
        threads: threads that search a shard; one per core by default.
        executor: where shards are searched; this process by default.
        cache: folder for the results of shards; results of an earlier run there are used.

    Returns:
        Unit ids and scores, [queries, k] each, best first, padded with -1 and -inf.

    Raises:
        HornbookError: k, k1 or b is out of range, the hits do not fit into memory, or a shard is damaged.
    """
    return retrieve_all(corpus, [Request(queries, k)], k1, b, threads=threads, executor=executor, cache=cache)[0]


def retrieve_all(
    corpus: Corpus,
    requests: Sequence[Request],
    k1: float = 1.2,
    b: float = 0.75,
    *,
    threads: int | None = None,
    executor: Executor = LOCAL,
    cache: Path | None = None,
) -> list[Hits]:
    """Return the best units for the queries of several tasks, in one pass over the corpus.

    Memory: the hits (queries x k x 16 bytes, four times over during a merge) and one shard. The result does not
    depend on the shards, the threads or the executor.

    Args:
        corpus: the corpus, as `open_corpus` returns it.
        requests: the queries of each task, and how many hits they want.
        k1: saturation of term frequency, at least 0.
        b: normalisation by unit length, 0 to 1.
        threads: threads that search a shard; one per core by default.
        executor: where shards are searched; this process by default.
        cache: folder for the results of shards; results of an earlier run there are used.

    Returns:
        The hits of each request.

    Raises:
        HornbookError: k, k1 or b is out of range, the hits do not fit into memory, or a shard is damaged.
    """
    _check(requests, k1, b)
    sizes = [len(request.queries) for request in requests]
    k = np.repeat(np.array([request.k for request in requests], np.uint32), sizes)
    words = [query for request in requests for query in request.queries]
    queries = Queries.from_words(words, k, corpus.analysis)
    shards = corpus.inverted(executor.keep_open)
    shards = [*map(CachedShard, shards[: executor.keep_open]), *shards[executor.keep_open :]]
    hits = _search_corpus(shards, queries, k1, b, AnswerCache(cache, executor, threads or cores()))
    ends = np.cumsum([0, *(len(request.queries) * request.k for request in requests)]).tolist()
    spans = zip(starmap(slice, pairwise(ends)), requests, strict=True)
    return [
        Hits(hits.units[span].reshape(-1, request.k), hits.scores[span].reshape(-1, request.k))
        for span, request in spans
    ]


def add_up(_: Queries, parts: Sequence[ShardStatistics]) -> ShardStatistics:
    """Return the statistics of several shards as one."""
    statistics = reduce(add, (part.statistics for part in parts))
    return ShardStatistics(statistics, [size for part in parts for size in part.sample_sizes])


def _search_corpus(shards: Sequence[Shard], queries: Queries, k1: float, b: float, cache: AnswerCache) -> RaggedHits:
    """Return the best units for each query, padded."""
    total, sizes = Statistics(0, 0, np.zeros(len(queries.terms), np.int64)), list[int]()
    for part in cache.executor(count, queries, shards, add_up):
        total += part.statistics
        sizes += part.sample_sizes
    threads = cache.executor.threads or cache.threads
    if not total.length or not len(queries):
        return merge(queries, [], threads, padded=True)
    none, postings = np.zeros(len(queries)), total.postings_per_unit(queries)
    plan = Plan(queries, total.idf, total.mean_length, none, k1, b, threads, postings)
    sampled = [shard for shard, size in zip(shards, sizes, strict=True) if size]
    thresholds, best = _search_samples(plan, sampled, sum(sizes) / total.units, sum(sizes), cache)
    rest: list[Part] = [(shard, REST if size else ALL) for shard, size in zip(shards, sizes, strict=True)]
    with progress("Retrieving", total.units - sum(sizes)) as counter:
        parts = _collect(replace(plan, thresholds=thresholds), [[part] for part in rest], cache, counter, best)
    hits = merge(queries, parts, cache.threads, padded=True)
    # The sample's hits are complete above the threshold, but not those equal to it.
    short = np.flatnonzero((thresholds > 0) & ~(_kth_scores(queries, hits) > thresholds))
    if len(short):
        _search_again(plan, shards, short, hits, total, cache)
    return hits


def _search_samples(
    plan: Plan, shards: Sequence[Shard], share: float, units: int, cache: AnswerCache
) -> tuple[NDArray[np.float64], list[RaggedHits]]:
    """Search the samples of shards, `share` of all units.

    Returns:
        For each query a score that k units are likely to reach, 0 where too few units of the sample match to tell,
        [queries]; and the hits of the sample above it.
    """
    if not shards:
        return np.zeros(len(plan.queries)), []
    expected = plan.queries.k * share
    queries = plan.queries.with_k(np.ceil(expected + _DEVIATIONS * np.sqrt(expected) + 1).astype(np.uint32))
    with progress("Sampling", units) as counter:
        groups = _groups([(shard, SAMPLE) for shard in shards], cache.executor.parallelism)
        hits = merge(queries, _collect(replace(plan, queries=queries), groups, cache, counter), cache.threads)
    return _kth_scores(queries, hits), [hits]


def _search_again(
    plan: Plan,
    shards: Sequence[Shard],
    short: NDArray[np.int64],
    hits: RaggedHits,
    total: Statistics,
    cache: AnswerCache,
) -> None:
    """Search again without thresholds for the queries that came back short (rising), and patch their hits."""
    with progress(f"Retrieving again for {len(short):,} of {len(plan.queries):,} queries", total.units) as counter:
        queries, terms = plan.queries.select(short)
        statistics = replace(total, frequency=total.frequency[terms])
        none, postings = np.zeros(len(short)), statistics.postings_per_unit(queries)
        again = replace(plan, queries=queries, idf=statistics.idf, thresholds=none, postings_per_unit=postings)
        groups = _groups([(shard, ALL) for shard in shards], cache.executor.parallelism)
        parts = _collect(again, groups, cache, counter)
    patch = merge(queries, parts, cache.threads, padded=True)
    for query, span in zip(short.tolist(), pairwise(patch.starts.tolist()), strict=True):
        old, new = slice(int(hits.starts[query]), int(hits.starts[query + 1])), slice(*span)
        hits.units[old], hits.scores[old] = patch.units[new], patch.scores[new]


def _kth_scores(queries: Queries, hits: RaggedHits) -> NDArray[np.float64]:
    """Return the score of each query's k-th hit, 0 where there are fewer, [queries]."""
    full = hits.counts == queries.k
    scores = np.zeros(len(queries))
    scores[full] = hits.scores[hits.starts[1:][full] - np.uint64(1)]
    return scores


def _groups(parts: Sequence[Part], count: int) -> list[Sequence[Part]]:
    """Return neighbouring parts in `count` groups; in a group, earlier hits raise the thresholds of later parts."""
    return batches(parts, -(-len(parts) // count))


def _collect(
    plan: Plan,
    groups: Sequence[Sequence[Part]],
    cache: AnswerCache,
    counter: Counter,
    earlier: Sequence[RaggedHits] = (),
) -> list[RaggedHits]:
    """Return the hits of groups of parts and earlier hits, to be merged; many are merged on the way."""
    collected, most = list(earlier), 2 * int(plan.queries.k.sum())
    started, units = time.monotonic(), 0
    for part in cache.search(plan, groups):
        collected.append(part.hits)
        # A start takes half as much as a hit; where there are very many shards, each has few hits but all the starts.
        if sum(len(hits.units) + len(hits.starts) // 2 for hits in collected) > most:
            collected = [merge(plan.queries, collected, cache.threads)]
        units += part.units
        rate = units * plan.postings_per_unit / (time.monotonic() - started)
        counter.advance(part.units, f"{rate / 1e6:,.0f} M postings/s")
    return collected


def _check(requests: Sequence[Request], k1: float, b: float) -> None:
    """Refuse settings out of range, and hits that do not fit into memory."""
    for request in requests:
        if request.k < 1:
            raise HornbookError(f"k is {request.k}; set it to at least 1")
    if not (0 <= k1 < math.inf and 0 <= b <= 1):
        raise HornbookError(f"BM25: k1 is {k1} and b is {b}; k1 must be at least 0, b from 0 to 1")
    hits = sum(len(request.queries) * request.k for request in requests)
    needed, free = 4 * _HIT_BYTES * hits, psutil.virtual_memory().available
    if needed > free:
        most = max(requests, key=lambda request: len(request.queries) * request.k)
        raise HornbookError(
            f"retrieval: {hits:,} hits ({len(most.queries):,} queries x k = {most.k:,}) need "
            f"{math.ceil(needed / 1e9)} GB of memory, {free / 1e9:.0f} GB are free; lower k or take fewer anchors"
        )

"""The best units of a corpus for very many queries: exact, and the same however the corpus is cut into shards.

All queries are known before the corpus is read, so it is streamed past them and never indexed as a whole:

1. Statistics: the queries' terms are looked up in the dictionary of each shard, and the counts added up.
2. A sample: the first block of every shard is searched. What many enough of its units reach is, for each query, a
   bar that its k-th hit will hardly fall short of.
3. The rest of every shard is searched for units that reach the bars, and what is found is merged.
4. A query that found fewer than k units above its bar is searched again without it. So the bars save work and change
   nothing.

Where shards are searched one after another, what was found before raises the bars too. A shard's answer may leave out
what such a bar keeps out, never a hit: so it can be kept when a run dies, and shards can be searched anywhere in any
order.
"""

import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from itertools import pairwise, starmap
from operator import add
from pathlib import Path
from typing import Any, Protocol, TypeVar
from zipfile import BadZipFile

import numpy as np
import psutil
import xxhash
from numpy.typing import NDArray

from hornbook import kernels
from hornbook.errors import HornbookError
from hornbook.machine.load import cores
from hornbook.machine.progress import Counter, progress
from hornbook.retrieval import reference
from hornbook.retrieval.bm25 import Found, Hits, Queries, Statistics
from hornbook.retrieval.shard import ALL, REST, SAMPLE, Answer, AtHand, Counted, Part, Plan, Shard, count, search
from hornbook.terms import Analysis

# The bar is set so low that this many standard deviations of a random sample separate it from the k-th hit.
_DEVIATIONS = 3
_HIT_BYTES = 16

Item = TypeVar("Item")
Result = TypeVar("Result")


class Corpus(Protocol):
    """What can be searched."""

    @property
    def analysis(self) -> Analysis: ...  # noqa: D102

    def inverted(self, at_hand: int) -> Sequence[Shard]:
        """Return its shards, of which so many, the first, stay open."""


class Executor(Protocol):
    """A map over parts of a corpus.

    Attributes:
        width: how many parts are worked on at once.
        threads: how many work on a part, None for as many as are asked for.
        joined: how many results are joined to one where they were found, before they come here.
        at_hand: how many shards, the first, stay open while others are searched.
    """

    @property
    def width(self) -> int: ...  # noqa: D102
    @property
    def threads(self) -> int | None: ...  # noqa: D102
    @property
    def joined(self) -> int: ...  # noqa: D102
    @property
    def at_hand(self) -> int: ...  # noqa: D102

    def __call__(
        self,
        work: Callable[[Any], Callable[[Item], Result]],
        shared: Any,
        items: Sequence[Item],
        join: Callable[[Any, Sequence[Result]], Result] | None = None,
    ) -> Iterator[Result]:
        """Yield `work(shared)(item)` for each item, in the order of the items.

        With `join`, those of each `joined` neighbours come as one: `join(shared, results)`.
        """


class LocalExecutor:
    """A map over parts of a corpus one by one, in this process."""

    width = joined = 1
    threads = None
    at_hand = 12  # some 50 MB each, mapped

    def __call__(
        self,
        work: Callable[[Any], Callable[[Item], Result]],
        shared: Any,
        items: Sequence[Item],
        join: Callable[[Any, Sequence[Result]], Result] | None = None,
    ) -> Iterator[Result]:
        """Yield `work(shared)(item)` for each item; what the work learns of one is for the next."""
        return map(work(shared), items)


LOCAL = LocalExecutor()


@dataclass(frozen=True)
class Request:
    """The queries of one task.

    Attributes:
        queries: the words of each; a repeated one counts as often as it is there.
        k: how many hits each wants.
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
    keep: Path | None = None,
) -> Hits:
    """Return the k best units of each query, exactly; a unit that holds no term of a query is no hit of it.

    See `retrieve_all`, which does the same for several tasks at once.
    """
    return retrieve_all(corpus, [Request(queries, k)], k1, b, threads=threads, executor=executor, keep=keep)[0]


def retrieve_all(
    corpus: Corpus,
    requests: Sequence[Request],
    k1: float = 1.2,
    b: float = 0.75,
    *,
    threads: int | None = None,
    executor: Executor = LOCAL,
    keep: Path | None = None,
) -> list[Hits]:
    """Return the best units for the queries of several tasks, in one pass over the corpus.

    Memory: the hits (queries x k x 16 bytes, four times over while they are merged) and one shard. The result hangs
    on neither the shards nor the threads.

    Args:
        corpus: what is searched.
        requests: the queries of each task, and how many hits they want.
        k1: saturation of term frequency.
        b: normalisation by unit length, 0 to 1.
        threads: how many search a shard; by default one a core.
        executor: where shards are searched.
        keep: a folder for the answers of shards; those that an earlier run left there are used.

    Returns:
        The hits of each request.

    Raises:
        HornbookError: a k is below 1, or the hits do not fit into memory.
    """
    for request in requests:
        if request.k < 1:
            raise HornbookError(f"k is {request.k}, but a query needs room for at least one hit")
    _check_memory(requests)
    sizes = [len(request.queries) for request in requests]
    k = np.repeat(np.array([request.k for request in requests], np.uint32), sizes)
    words = [query for request in requests for query in request.queries]
    queries = Queries.of(words, k, corpus.analysis)
    shards = corpus.inverted(executor.at_hand)
    shards = [*map(AtHand, shards[: executor.at_hand]), *shards[executor.at_hand :]]
    found = _retrieve(shards, queries, k1, b, _Kept(keep, executor, threads or cores()))
    ends = np.cumsum([0, *(len(request.queries) * request.k for request in requests)]).tolist()
    spans = zip(starmap(slice, pairwise(ends)), requests, strict=True)
    return [
        Hits(found.units[span].reshape(-1, request.k), found.scores[span].reshape(-1, request.k))
        for span, request in spans
    ]


def _retrieve(shards: Sequence[Shard], queries: Queries, k1: float, b: float, kept: "_Kept") -> Found:
    """Return the best units for each query, filled up."""
    known, samples = Statistics(0, 0, np.zeros(len(queries.terms), np.int64)), list[int]()
    for counted in kept.executor(count, queries, shards, add_up):
        known += counted.statistics
        samples += counted.sampled
    threads = kept.executor.threads or kept.threads
    if not known.length or not len(queries):
        return merge(queries.k, [], threads, filled=True)
    bars, postings = np.zeros(len(queries)), known.postings(queries)
    plan = Plan(queries, known.idf, known.mean_length, bars, k1, b, threads, postings)
    sampled = [shard for shard, size in zip(shards, samples, strict=True) if size]
    bars, best = _sample(plan, sampled, sum(samples) / known.units, sum(samples), kept)
    rest: list[Part] = [(shard, REST if size else ALL) for shard, size in zip(shards, samples, strict=True)]
    with progress("Retrieving", known.units - sum(samples)) as counter:
        found = _search(replace(plan, bars=bars), [[part] for part in rest], kept, counter, best)
    merged = merge(queries.k, found, kept.threads, filled=True)
    # Of the sample all is there that is above a bar, but not all that equals it.
    short = np.flatnonzero((bars > 0) & ~(_kth(queries, merged) > bars))
    if len(short):
        _search_again(plan, shards, short, merged, known, kept)
    return merged


def _sample(
    plan: Plan, shards: Sequence[Shard], share: float, units: int, kept: "_Kept"
) -> tuple[NDArray[np.float64], list[Found]]:
    """Search samples of shards, `share` of all units.

    Returns:
        For each query a score that k units are likely to reach, 0 where too few hold its terms to say, [queries], and
        those units of the sample that are above it.
    """
    if not shards:
        return np.zeros(len(plan.queries)), []
    expected = plan.queries.k * share
    some = plan.queries.wanting(np.ceil(expected + _DEVIATIONS * np.sqrt(expected) + 1).astype(np.uint32))
    with progress("Sampling", units) as counter:
        parts: list[Part] = [(shard, SAMPLE) for shard in shards]
        asked = replace(plan, queries=some, bars=np.zeros(len(some)))
        found = merge(some.k, _search(asked, _groups(parts, kept.executor.width), kept, counter), kept.threads)
    return _kth(some, found), [found]


def _search_again(
    plan: Plan, shards: Sequence[Shard], short: NDArray[np.int64], merged: Found, known: Statistics, kept: "_Kept"
) -> None:
    """Search everything for some queries, rising, whose bars were too high, and mend what was merged for them."""
    with progress(f"Retrieving again for {len(short):,} of {len(plan.queries):,} queries", known.units) as counter:
        some, terms = plan.queries.some(short)
        theirs = replace(known, frequency=known.frequency[terms])
        bars, postings = np.zeros(len(short)), theirs.postings(some)
        again = replace(plan, queries=some, idf=theirs.idf, bars=bars, postings=postings)
        parts: list[Part] = [(shard, ALL) for shard in shards]
        found = _search(again, _groups(parts, kept.executor.width), kept, counter)
    mended = merge(some.k, found, kept.threads, filled=True)
    for query, span in zip(short.tolist(), pairwise(mended.starts.tolist()), strict=True):
        old, new = slice(int(merged.starts[query]), int(merged.starts[query + 1])), slice(*span)
        merged.units[old], merged.scores[old] = mended.units[new], mended.scores[new]


def _kth(queries: Queries, found: Found) -> NDArray[np.float64]:
    """Return for each query the score of its k-th hit, 0 where there are fewer."""
    full = found.counts == queries.k
    scores = np.zeros(len(queries))
    scores[full] = found.scores[found.starts[1:][full] - np.uint64(1)]
    return scores


def _groups(parts: Sequence[Part], count: int) -> list[Sequence[Part]]:
    """Return neighbouring parts in `count` groups: within one, what is found first spares work on what follows."""
    return _runs(parts, -(-len(parts) // count))


def _runs(items: Sequence[Item], size: int) -> list[Sequence[Item]]:
    return [items[first : first + size] for first in range(0, len(items), size)]


def _search(
    plan: Plan, groups: Sequence[Sequence[Part]], kept: "_Kept", counter: Counter, known: Sequence[Found] = ()
) -> list[Found]:
    """Return the best units of parts of a corpus for each query, and those that are known already, to be merged."""
    found, most = list(known), 2 * int(plan.queries.k.sum())
    started, units = time.monotonic(), 0
    for answer in kept.search(plan, groups):
        found.append(answer.found)
        # A start is half as large as a hit; of very many shards each holds few hits but all the starts.
        if sum(len(part.units) + len(part.starts) // 2 for part in found) > most:
            found = [merge(plan.queries.k, found, kept.threads)]
        units += answer.units
        rate = units * plan.postings / (time.monotonic() - started)
        counter.advance(answer.units, f"{rate / 1e6:,.0f} M postings/s")
    return found


def add_up(_: Queries, counted: Sequence[Counted]) -> Counted:
    """Return what several shards add to the statistics as one."""
    statistics = reduce(add, (one.statistics for one in counted))
    return Counted(statistics, [size for one in counted for size in one.sampled])


def join(plan: Plan, answers: Sequence[Answer]) -> Answer:
    """Return the answers of several parts of a corpus as one: no more hits than each query wants."""
    found = merge(plan.queries.k, [answer.found for answer in answers], plan.threads)
    return Answer(found, sum(answer.units for answer in answers))


def merge(k: NDArray[np.uint32], parts: Sequence[Found], threads: int, *, filled: bool = False) -> Found:
    """Return the k best of the hits that were found for each query in several places, filled up to k if asked."""
    compiled = kernels.compiled()
    if compiled is None:
        return reference.merge(k, parts, filled)
    return Found(*compiled.merge(k, [(part.starts, part.units, part.scores) for part in parts], filled, threads))


@dataclass(frozen=True)
class _Kept:
    """The answers of shards, kept in a folder while a run is not finished; `threads` merge them."""

    folder: Path | None
    executor: Executor
    threads: int

    def search(self, plan: Plan, groups: Sequence[Sequence[Part]]) -> Iterator[Answer]:
        """Yield the answers of the groups, as many in one as the spread joins; those first that are there already."""
        if self.folder is None:
            yield from self.executor(search, plan, groups, join)
            return
        joined = _runs(groups, self.executor.joined)
        missing = []
        for several in joined:
            path = self._path(plan, several)
            if (answer := _read(path)) is None:
                missing.append((several, path))
            else:
                yield answer
        # Only the last few can be fewer than the spread joins, so what is missing is joined as it was.
        answers = self.executor(search, plan, [group for several, _ in missing for group in several], join)
        for (_, path), answer in zip(missing, answers, strict=True):
            _write(path, answer)
            yield answer

    def _path(self, plan: Plan, groups: Sequence[Sequence[Part]]) -> Path:
        assert self.folder is not None
        names = repr([(shard.name, blocks) for group in groups for shard, blocks in group])
        return self.folder / f"{plan.key}-{xxhash.xxh3_64_hexdigest(names.encode())}.npz"


def _write(path: Path, answer: Answer) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    with temporary.open("wb") as file:
        found = answer.found
        np.savez(file, starts=found.starts, units=found.units, scores=found.scores, about=[answer.units])
    temporary.replace(path)


def _read(path: Path) -> Answer | None:
    """Return an answer that was kept; None where there is none, or the power went before the disk had it."""
    try:
        with np.load(path) as kept:
            return Answer(Found(kept["starts"], kept["units"], kept["scores"]), *kept["about"].tolist())
    except (OSError, EOFError, KeyError, TypeError, ValueError, BadZipFile):
        return None


def _check_memory(requests: Sequence[Request]) -> None:
    hits = sum(len(request.queries) * request.k for request in requests)
    needed, free = 4 * _HIT_BYTES * hits, psutil.virtual_memory().available
    if needed > free:
        most = max(requests, key=lambda request: len(request.queries) * request.k)
        raise HornbookError(
            f"retrieval: {hits:,} hits ({len(most.queries):,} queries x k = {most.k:,}) need "
            f"{math.ceil(needed / 1e9)} GB of memory, {free / 1e9:.0f} GB are free; lower k or take fewer anchors"
        )

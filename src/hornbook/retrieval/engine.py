"""The best units of a corpus for very many queries: exact, and the same however the corpus is cut into shards.

All queries are known before the corpus is read, so it is streamed past them and never indexed as a whole:

1. Statistics: the queries' terms are looked up in the dictionary of each shard, and the counts added up.
2. A sample: the first block of every shard is searched. What many enough of its units reach is, for each query, a
   bar that its k-th hit will hardly fall short of.
3. Every shard is searched for units that reach the bars, and what is found is merged.
4. A query that found fewer than k units is searched again without its bar. So the bars save work and change nothing.

Where shards are searched one after another, what was found before raises the bars too. A shard's answer may leave out
what such a bar keeps out, never a hit: so it can be kept when a run dies, and shards can be searched anywhere in any
order.
"""

import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial, reduce
from itertools import pairwise
from operator import add
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import psutil
import xxhash
from numpy.typing import NDArray

from hornbook.core import core
from hornbook.corpus.parallel import cores
from hornbook.errors import HornbookError
from hornbook.progress import Counter, progress
from hornbook.retrieval import reference
from hornbook.retrieval.bm25 import Found, Hits, Queries, Statistics
from hornbook.retrieval.shard import Answer, Counted, Part, Plan, Shard, count, search
from hornbook.terms import Analysis

# The bar is set so low that this many standard deviations of a random sample separate it from the k-th hit.
_DEVIATIONS = 3
# A bar that lets through so many times the units that are wanted spares too little; tuned, any is right.
_SAYS_LITTLE = 4
_HIT_BYTES = 16

Item = TypeVar("Item")
Result = TypeVar("Result")


class Corpus(Protocol):
    """What can be searched."""

    @property
    def analysis(self) -> Analysis: ...  # noqa: D102

    def inverted(self) -> Sequence[Shard]:
        """Return its shards."""


class Spread(Protocol):
    """A map over parts of a corpus.

    Attributes:
        width: how many parts are worked on at once.
        threads: how many work on a part, None for as many as are asked for.
        joined: how many results are joined to one where they were found, before they come here.
    """

    @property
    def width(self) -> int: ...  # noqa: D102
    @property
    def threads(self) -> int | None: ...  # noqa: D102
    @property
    def joined(self) -> int: ...  # noqa: D102

    def __call__(
        self,
        function: Callable[[Any, Item], Result],
        shared: Any,
        items: Sequence[Item],
        join: Callable[[Any, Sequence[Result]], Result] | None = None,
    ) -> Iterator[Result]:
        """Yield `function(shared, item)` for each item, in the order of the items.

        With `join`, those of each `joined` neighbours come as one: `join(shared, results)`.
        """


class Here:
    """A map over parts of a corpus one by one, in this process."""

    width = joined = 1
    threads = None

    def __call__(
        self,
        function: Callable[[Any, Item], Result],
        shared: Any,
        items: Sequence[Item],
        join: Callable[[Any, Sequence[Result]], Result] | None = None,
    ) -> Iterator[Result]:
        """Yield `function(shared, item)` for each item."""
        return map(partial(function, shared), items)


HERE = Here()


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
    spread: Spread = HERE,
    keep: Path | None = None,
) -> Hits:
    """Return the k best units of each query, exactly; a unit that holds no term of a query is no hit of it.

    See `retrieve_all`, which does the same for several tasks at once.
    """
    return retrieve_all(corpus, [Request(queries, k)], k1, b, threads=threads, spread=spread, keep=keep)[0]


def retrieve_all(
    corpus: Corpus,
    requests: Sequence[Request],
    k1: float = 1.2,
    b: float = 0.75,
    *,
    threads: int | None = None,
    spread: Spread = HERE,
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
        spread: where shards are searched.
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
    words = [corpus.analysis.query(query) for request in requests for query in request.queries]
    queries = Queries.of(words, k)
    found = _retrieve(corpus.inverted(), queries, k1, b, _Kept(keep, spread, threads or cores()))
    ends = np.cumsum([0, *sizes]).tolist()
    spans = zip(pairwise(ends), requests, strict=True)
    return [Hits.of(found, first, last, request.k) for (first, last), request in spans]


def _retrieve(shards: Sequence[Shard], queries: Queries, k1: float, b: float, kept: "_Kept") -> Found:
    known, samples = Statistics(0, 0, np.zeros(len(queries.terms), np.int64)), list[int]()
    for counted in kept.spread(count, queries, shards, add_up):
        known += counted.statistics
        samples += counted.sampled
    threads = kept.spread.threads or kept.threads
    plan = Plan(queries, known.idf, known.mean_length, np.zeros(len(queries)), k1, b, threads)
    if not known.length or not len(queries):
        return merge(queries.k, [], threads)
    plan = replace(plan, bars=_bars(plan, shards, samples, known.units, kept))
    with progress("Retrieving", known.units) as counter:
        found = _search(plan, [[(shard, None)] for shard in shards], kept, counter)
    short = np.flatnonzero((found.counts < queries.k) & (plan.bars > 0))
    if not len(short):
        return found
    with progress(f"Retrieving again for {len(short):,} of {len(queries):,} queries", known.units) as counter:
        some, terms = queries.some(short)
        again = replace(plan, queries=some, idf=plan.idf[terms], bars=np.zeros(len(short)))
        full = _search(again, _groups([(shard, None) for shard in shards], kept.spread.width), kept, counter)
    return _replace(found, short, full)


def _bars(
    plan: Plan, shards: Sequence[Shard], samples: Sequence[int], units: int, kept: "_Kept"
) -> NDArray[np.float64]:
    """Return for each query a score that k units are likely to reach, 0 where the sample says nothing."""
    bars = np.zeros(len(plan.queries))
    parts: list[Part] = [(shard, [0]) for shard, size in zip(shards, samples, strict=True) if size]
    if not parts:
        return bars
    expected = plan.queries.k * (sum(samples) / units)
    wanted = np.ceil(expected + _DEVIATIONS * np.sqrt(expected) + 1).astype(np.uint32)
    # Of a small k a sample says little: less than is soon known where shards are searched one after another.
    if (wanted > (_SAYS_LITTLE if kept.spread.width == 1 else len(shards)) * expected).all():
        return bars
    with progress("Sampling") as counter:
        sampled = replace(plan, queries=plan.queries.wanting(wanted))
        found = _search(sampled, _groups(parts, kept.spread.width), kept, counter)
    reached = found.counts == wanted
    bars[reached] = found.scores[found.starts[1:][reached] - np.uint64(1)]
    return bars


def _groups(parts: Sequence[Part], count: int) -> list[Sequence[Part]]:
    """Return neighbouring parts in `count` groups: within one, what is found first spares work on what follows."""
    return _runs(parts, -(-len(parts) // count))


def _runs(items: Sequence[Item], size: int) -> list[Sequence[Item]]:
    return [items[first : first + size] for first in range(0, len(items), size)]


def _search(plan: Plan, groups: Sequence[Sequence[Part]], kept: "_Kept", counter: Counter) -> Found:
    found, waiting = merge(plan.queries.k, [], kept.threads), list[Found]()
    # Where no bars are known, what is merged early raises them early.
    most = int(plan.queries.k.sum()) * (2 if plan.bars.any() else 1)
    started, postings = time.monotonic(), 0
    for answer in kept.search(plan, groups):
        waiting.append(answer.found)
        # A start is half as large as a hit; of very many shards each holds few hits but all the starts.
        if sum(len(part.units) + len(part.starts) // 2 for part in waiting) > most:
            found, waiting = merge(plan.queries.k, [found, *waiting], kept.threads), []
            _raise(plan, found)
        postings += answer.postings
        counter.advance(answer.units, f"{postings / (time.monotonic() - started) / 1e6:,.0f} M postings/s")
    return merge(plan.queries.k, [found, *waiting], kept.threads)


def _raise(plan: Plan, found: Found) -> None:
    """Raise the bars, for those who search in this process from now on, to what k units reach that were found."""
    full = found.counts == plan.queries.k
    kth = found.scores[found.starts[1:][full] - np.uint64(1)]
    plan.bars[full] = np.maximum(plan.bars[full], kth)


def add_up(_: Queries, counted: Sequence[Counted]) -> Counted:
    """Return what several shards add to the statistics as one."""
    statistics = reduce(add, (one.statistics for one in counted))
    return Counted(statistics, [size for one in counted for size in one.sampled])


def join(plan: Plan, answers: Sequence[Answer]) -> Answer:
    """Return the answers of several parts of a corpus as one: no more hits than each query wants."""
    found = merge(plan.queries.k, [answer.found for answer in answers], plan.threads)
    return Answer(found, sum(answer.units for answer in answers), sum(answer.postings for answer in answers))


def merge(k: NDArray[np.uint32], parts: Sequence[Found], threads: int) -> Found:
    """Return the k best of the hits that were found for each query in several places."""
    compiled = core()
    if compiled is None:
        return reference.merge(k, parts)
    return Found(*compiled.merge(k, [(part.starts, part.units, part.scores) for part in parts], threads))


def _replace(found: Found, chosen: NDArray[np.int64], other: Found) -> Found:
    """Return the hits, those of the chosen queries, rising, taken from `other`, which holds only theirs."""
    counts, starts, ours = found.counts, found.starts.tolist(), other.starts.tolist()
    counts[chosen] = other.counts
    units, scores, last = list[NDArray[np.int64]](), list[NDArray[np.float64]](), 0
    for number, query in enumerate(chosen.tolist()):
        kept, new = slice(last, starts[query]), slice(ours[number], ours[number + 1])
        units += [found.units[kept], other.units[new]]
        scores += [found.scores[kept], other.scores[new]]
        last = starts[query + 1]
    ends = np.concatenate([[0], np.cumsum(counts)]).astype(np.uint64)
    return Found(ends, np.concatenate([*units, found.units[last:]]), np.concatenate([*scores, found.scores[last:]]))


@dataclass(frozen=True)
class _Kept:
    """The answers of shards, kept in a folder while a run is not finished; `threads` merge them."""

    folder: Path | None
    spread: Spread
    threads: int

    def search(self, plan: Plan, groups: Sequence[Sequence[Part]]) -> Iterator[Answer]:
        """Yield the answers of the groups, as many in one as the spread joins; those first that are there already."""
        if self.folder is None:
            yield from self.spread(search, plan, groups, join)
            return
        joined = _runs(groups, self.spread.joined)
        paths = [self._path(plan, several) for several in joined]
        yield from (_read(path) for path in paths if path.is_file())
        # Only the last few can be fewer than the spread joins, so what is missing is joined as it was.
        missing = [(several, path) for several, path in zip(joined, paths, strict=True) if not path.is_file()]
        answers = self.spread(search, plan, [group for several, _ in missing for group in several], join)
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
        np.savez(
            file, starts=found.starts, units=found.units, scores=found.scores, about=[answer.units, answer.postings]
        )
    temporary.replace(path)


def _read(path: Path) -> Answer:
    with np.load(path) as kept:
        return Answer(Found(kept["starts"], kept["units"], kept["scores"]), *kept["about"].tolist())


def _check_memory(requests: Sequence[Request]) -> None:
    hits = sum(len(request.queries) * request.k for request in requests)
    needed, free = 4 * _HIT_BYTES * hits, psutil.virtual_memory().available
    if needed > free:
        most = max(requests, key=lambda request: len(request.queries) * request.k)
        raise HornbookError(
            f"retrieval: {hits:,} hits ({len(most.queries):,} queries x k = {most.k:,}) need "
            f"{math.ceil(needed / 1e9)} GB of memory, {free / 1e9:.0f} GB are free; lower k or take fewer anchors"
        )

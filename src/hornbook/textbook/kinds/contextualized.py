"""The contextualized textbook: what BM25 finds in the corpus for each anchor of the task (paper, section 2.1)."""

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial

import numpy as np
import pyarrow as pa
import xxhash
from numpy.typing import NDArray

from hornbook.corpus import Corpus
from hornbook.errors import HornbookError
from hornbook.recipe import ContextualizedConfig, RetrievedConfig
from hornbook.retrieval import LOCAL, Executor, Hits, keywords_of_all, retrieve
from hornbook.store import StageContext
from hornbook.tasks import Task
from hornbook.textbook import store
from hornbook.textbook.store import Textbook

logger = logging.getLogger("hornbook")

PAGE_UNITS = 100_000
# Of all anchors together, while k is sought: a hit takes 16 bytes, and merging as much again twice.
MOST_HITS = 1 << 25


@dataclass(frozen=True)
class Drawn:
    """The distinct units that queries drew, by rising unit id; all arrays have shape [units].

    Attributes:
        units: unit ids, int64.
        rank: the best rank over the queries, from 1, int32.
        score: the best score over the queries, float64.
        queries: how many queries drew the unit, int32.
    """

    units: NDArray[np.int64]
    rank: NDArray[np.int32]
    score: NDArray[np.float64]
    queries: NDArray[np.int32]


def merge(hits: Hits) -> Drawn:
    """Return each unit of the hits once."""
    queries = len(hits.units)
    # All first hits, then all second hits …: the first place where a unit stands tells its best rank.
    flat = hits.units.T.ravel()
    order = np.argsort(flat, kind="stable")[np.count_nonzero(flat < 0) :]
    ids = flat[order]
    starts = np.flatnonzero(np.diff(ids, prepend=-1))
    rank = order[starts] // max(queries, 1) + 1
    score = np.maximum.reduceat(hits.scores.T.ravel()[order], starts) if len(ids) else np.empty(0)
    drawn_by = np.diff(starts, append=len(ids))
    return Drawn(ids[starts], rank.astype(np.int32), score, drawn_by.astype(np.int32))


def smallest_k(drawn: Drawn, target: int) -> int:
    """Return the smallest k whose retrieval draws `target` distinct units, or as many as there are."""
    reached = min(target, len(drawn.rank))
    return int(np.partition(drawn.rank, reached - 1)[reached - 1])


def build(
    config: ContextualizedConfig,
    corpus: Corpus,
    task: Task,
    context: StageContext,
    write: Callable[[Iterator[pa.Table]], int],
    executor: Executor = LOCAL,
) -> int:
    """Retrieve, merge, and write the units by rising id, each text once.

    Args:
        config: how many units are drawn, by which keywords and scores.
        corpus: what they are drawn from.
        task: whose anchors draw them.
        work: what is known of the textbook. Counts: those of `draw`, and duplicates (distinct units dropped for their
            text). Info: unique_over_retrieved.
        write: writes the units, and returns how many it wrote.
        executor: where shards are searched.

    Returns:
        how many units were written.

    Raises:
        HornbookError: see `draw`.
    """
    drawn = merge(draw(config, corpus, task, context, executor))
    units = write(_pages(corpus, drawn, context.counts))
    context.info["unique_over_retrieved"] = units / context.counts["retrieved"]
    logger.info(
        "contextualized textbook: %s units, %.1f%% of the corpus, %.2f unique of retrieved",
        f"{units:,}",
        100 * units / corpus.units,
        context.info["unique_over_retrieved"],
    )
    return units


def draw(
    config: RetrievedConfig,
    corpus: Corpus,
    task: Task,
    context: StageContext,
    executor: Executor = LOCAL,
    least: int = 1,
) -> Hits:
    """Return what each anchor draws from the corpus; of anchors that have a keyword.

    What a shard answered is kept under `resume/` while the textbook is not finished.

    Args:
        config: how many units are drawn, by which keywords and scores.
        corpus: what they are drawn from.
        task: whose anchors draw them.
        work: what is known of the textbook. Counts: k, anchors, anchors_without_keywords,
            anchors_with_unseen_keywords (no hit), anchors_with_fewer_hits (than k, those without a hit among them),
            retrieved.
        executor: where shards are searched.
        least: the smallest k that `auto` picks.

    Raises:
        HornbookError: the task has no text, k is larger than the corpus, no anchor has a keyword, or no unit holds
            one.
    """
    anchors = task.anchors()
    if not anchors:
        raise HornbookError(f"{task.artifact.path}: has no training text, so no anchors to retrieve for")
    if config.k != "auto" and config.k > corpus.units:
        where = f"{corpus.artifact.path}: has {corpus.units:,} units"
        raise HornbookError(f"{where}, too few for k = {config.k:,}; lower k or set it to auto")
    queries = [query for query in keywords_of_all(anchors, config.keywords, config.phrases) if query]
    if not queries:
        raise HornbookError(
            f"none of the {len(anchors):,} anchors has a keyword left without stop words; nothing can be retrieved"
        )
    search = partial(retrieve, executor=executor, cache=context.resume / "retrieval")
    k, hits = _retrieve(config, corpus, queries, search, least)
    found = (hits.units >= 0).sum(axis=1)
    if not found.any():
        context.discard_resume_state()
        raise HornbookError(
            f"{corpus.artifact.path}: no unit holds a keyword of the {len(anchors):,} anchors; "
            "is this corpus in the task's language?"
        )
    without, unseen = len(anchors) - len(queries), int((found == 0).sum())
    fewer = int((found < k).sum())
    context.counts.update(
        k=k,
        anchors=len(anchors),
        anchors_without_keywords=without,
        anchors_with_unseen_keywords=unseen,
        anchors_with_fewer_hits=fewer,
        retrieved=int(found.sum()),
    )
    logger.info(
        "%s of %s anchors drew k = %s units; %s have no keyword, the keywords of %s are not in the corpus, "
        "those of %s are in fewer than k units",
        f"{len(queries) - fewer:,}",
        f"{len(anchors):,}",
        f"{k:,}",
        f"{without:,}",
        f"{unseen:,}",
        f"{fewer - unseen:,}",
    )
    return hits


def top(book: Textbook, proportion: float) -> Iterator[pa.Table]:
    """Yield the top share of a contextualized textbook: best ranks first, then best scores, then lowest unit ids.

    Args:
        book: the whole.
        proportion: the share of its units, rounded up.
    """
    keys = pa.Table.from_batches(book.batches(["rank", "score", "unit"]))
    rank, score, unit = (keys.column(name).to_numpy() for name in ("rank", "score", "unit"))
    kept = np.zeros(len(keys), bool)
    # As the share is written: 0.07 * 100 is a little over 7 in binary.
    share = math.ceil(Decimal(str(proportion)) * len(keys))
    kept[np.lexsort((unit, -score, rank))[:share]] = True
    start = 0
    for batch in book.batches():
        yield pa.Table.from_batches([batch]).filter(pa.array(kept[start : start + batch.num_rows]))
        start += batch.num_rows


def _retrieve(
    config: RetrievedConfig,
    corpus: Corpus,
    queries: Sequence[Sequence[str]],
    retrieve: Callable[..., Hits],
    least: int,
) -> tuple[int, Hits]:
    """Return k and the hits; for `auto` the smallest k that draws the wanted share of the corpus."""
    if config.k != "auto":
        return config.k, retrieve(corpus, queries, config.k, config.k1, config.b)
    target = min(max(math.ceil(config.share * corpus.units), config.min_units), corpus.units)
    most = max(1, min(corpus.units, MOST_HITS // len(queries)))
    # A quarter of the hits is distinct in nearly every task; where it is less, the guess is doubled.
    guess = min(most, max(10, math.ceil(4 * target / len(queries))))
    while True:
        hits = retrieve(corpus, queries, guess, config.k1, config.b)
        drawn = merge(hits)
        if len(drawn.units) >= target or guess == most or (hits.units[:, -1] < 0).all():
            break
        guess = min(most, 2 * guess)
    if len(drawn.units) < target:
        logger.warning(
            "k: auto found only %s of the %s units wanted: the anchors draw no more",
            f"{len(drawn.units):,}",
            f"{target:,}",
        )
    k = max(least, smallest_k(drawn, target) if len(drawn.units) else 1)
    return k, hits.cut(k)


def _pages(corpus: Corpus, drawn: Drawn, counts: dict[str, int]) -> Iterator[pa.Table]:
    """Yield the units with their text, by rising id; the first of those with the same text; others are counted.

    Nothing has to be merged from the units left out: a unit with the same text has the same score for every
    query and ranks below the first, so whatever query drew it drew the first too, at a better rank.
    """
    seen: set[bytes] = set()
    counts["duplicates"] = 0
    for start in range(0, len(drawn.units), PAGE_UNITS):
        page = slice(start, start + PAGE_UNITS)
        table = corpus.texts(drawn.units[page])
        new = []
        for text in table.column("text").to_pylist():
            digest = xxhash.xxh3_128_digest(text.encode())
            new.append(digest not in seen)
            seen.add(digest)
        counts["duplicates"] += new.count(False)
        yield store.table_of(
            table,
            rank=pa.array(drawn.rank[page]),
            score=pa.array(drawn.score[page]),
            anchors=pa.array(drawn.queries[page]),
        ).filter(pa.array(new))

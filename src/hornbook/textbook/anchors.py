"""Retrieval for a task's anchors: shared by the kinds of textbook that are made of its hits."""

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from hornbook.corpus import Corpus
from hornbook.errors import HornbookError
from hornbook.recipe import RetrievedConfig
from hornbook.retrieval import Hits, keywords_of_all, retrieve
from hornbook.store import StageContext
from hornbook.terms.detection import SAMPLE, shares
from hornbook.textbook.kind import Materials

logger = logging.getLogger("hornbook")

# Cap on hits over all anchors while k is searched: a hit takes 16 bytes, and 32 more while hits are merged.
MAX_HITS = 1 << 25


@dataclass(frozen=True)
class DistinctUnits:
    """The distinct units among hits, by ascending unit id; all arrays have shape [units].

    Attributes:
        units: unit ids, int64.
        rank: the best rank over all queries, from 1, int32.
        score: the best score over all queries, float64.
        queries: the number of queries that retrieved the unit, int32.
    """

    units: NDArray[np.int64]
    rank: NDArray[np.int32]
    score: NDArray[np.float64]
    queries: NDArray[np.int32]


def distinct_units(hits: Hits) -> DistinctUnits:
    """Return each unit of the hits once."""
    queries = len(hits.units)
    # All first hits, then all second hits, and so on: a unit's first position gives its best rank.
    flat = hits.units.T.ravel()
    order = np.argsort(flat, kind="stable")[np.count_nonzero(flat < 0) :]
    ids = flat[order]
    starts = np.flatnonzero(np.diff(ids, prepend=-1))
    rank = order[starts] // max(queries, 1) + 1
    score = np.maximum.reduceat(hits.scores.T.ravel()[order], starts) if len(ids) else np.empty(0)
    retrieved_by = np.diff(starts, append=len(ids))
    return DistinctUnits(ids[starts], rank.astype(np.int32), score, retrieved_by.astype(np.int32))


def smallest_k(distinct: DistinctUnits, target: int) -> int:
    """Return the smallest k that retrieves `target` distinct units, or all of them if there are fewer."""
    reached = min(target, len(distinct.rank))
    return int(np.partition(distinct.rank, reached - 1)[reached - 1])


def retrieve_for_anchors(
    config: RetrievedConfig, materials: Materials, context: StageContext, min_k: int = 1
) -> Hits:
    """Return the hits of each anchor that has a keyword.

    The results of each shard are kept under `resume/` until the textbook is finished. Counts: k, anchors,
    anchors_without_keywords, anchors_with_unseen_keywords (without a hit), anchors_with_fewer_hits (than k, including
    those without a hit), retrieved.

    Args:
        config: the number of hits, the keywords and the scores.
        materials: the corpus and the task.
        context: the stage.
        min_k: the smallest k that `auto` may pick.

    Returns:
        Units and BM25 scores: a row for each anchor with a keyword, in the anchors' order, k columns.

    Raises:
        HornbookError: the task has no text, k is larger than the corpus, no anchor has a keyword, or no unit contains
            one.
    """
    corpus, task = materials.corpus, materials.task
    anchors = task.anchors()
    if not anchors:
        raise HornbookError(f"{task.artifact.path}: has no training text, so no anchors to retrieve for")
    if config.k != "auto" and config.k > corpus.units:
        where = f"{corpus.artifact.path}: has {corpus.units:,} units"
        raise HornbookError(f"{where}, too few for k = {config.k:,}; lower k or set it to auto")
    _warn_of_language(anchors, corpus.language)
    found = keywords_of_all(anchors, config.keywords, config.phrases, corpus.language)
    queries = [query for query in found if query]
    if not queries:
        raise HornbookError(
            f"none of the {len(anchors):,} anchors has a keyword other than stop words; nothing can be retrieved"
        )
    search = partial(retrieve, executor=materials.executor, cache=context.resume / "retrieval")
    k, hits = _retrieve(config, corpus, queries, search, min_k)
    if not (hits.units >= 0).any():
        context.discard_resume_state()
        raise HornbookError(
            f"{corpus.artifact.path}: no unit contains a keyword of the {len(anchors):,} anchors; "
            "is this corpus in the task's language?"
        )
    _count(context, k, hits, len(anchors))
    return hits


def _warn_of_language(anchors: Sequence[str], language: str) -> None:
    """Warn if the anchors have many more stop words of another language than of the corpus's."""
    found = shares(anchors[:SAMPLE])
    for best, share in found.most_common(1):
        if share > 2 * found[language]:
            logger.warning(
                "the task's texts seem to be %s (%.0f%% of the words are its stop words), but the corpus is for %s; "
                "set terms.language to %s",
                *(best, 100 * share, language, best),
            )


def _count(context: StageContext, k: int, hits: Hits, anchors: int) -> None:
    found = (hits.units >= 0).sum(axis=1)
    without, unseen, fewer = anchors - len(hits.units), int((found == 0).sum()), int((found < k).sum())
    context.counts.update(
        k=k,
        anchors=anchors,
        anchors_without_keywords=without,
        anchors_with_unseen_keywords=unseen,
        anchors_with_fewer_hits=fewer,
        retrieved=int(found.sum()),
    )
    logger.info(
        "%s of %s anchors retrieved k = %s units; %s have no keyword; the keywords of %s are not in the corpus, "
        "those of %s are in fewer than k units",
        f"{len(hits.units) - fewer:,}",
        f"{anchors:,}",
        f"{k:,}",
        f"{without:,}",
        f"{unseen:,}",
        f"{fewer - unseen:,}",
    )


def _retrieve(
    config: RetrievedConfig,
    corpus: Corpus,
    queries: Sequence[Sequence[str]],
    search: Callable[..., Hits],
    min_k: int,
) -> tuple[int, Hits]:
    """Return k and the hits; for `auto` the smallest k that retrieves the target share of the corpus."""
    if config.k != "auto":
        return config.k, search(corpus, queries, config.k, config.k1, config.b)
    target = min(max(math.ceil(config.share * corpus.units), config.min_units), corpus.units)
    max_k = max(1, min(corpus.units, MAX_HITS // len(queries)))
    # In nearly every task at least a quarter of the hits is distinct; otherwise the guess is doubled.
    guess = min(max_k, max(10, math.ceil(4 * target / len(queries))))
    while True:
        hits = search(corpus, queries, guess, config.k1, config.b)
        distinct = distinct_units(hits)
        if len(distinct.units) >= target or guess == max_k or (hits.units[:, -1] < 0).all():
            break
        guess = min(max_k, 2 * guess)
    if len(distinct.units) < target:
        logger.warning(
            "k: auto: the anchors retrieve only %s units; the target is %s",
            f"{len(distinct.units):,}",
            f"{target:,}",
        )
    k = max(min_k, smallest_k(distinct, target) if len(distinct.units) else 1)
    return k, hits.cut(k)

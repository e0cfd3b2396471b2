"""The contextualized textbook: the units that BM25 retrieves for each anchor of the task (paper, section 2.1)."""

import logging
from collections.abc import Iterator

import pyarrow as pa
import xxhash

from hornbook.recipe import ContextualizedConfig
from hornbook.store import StageContext
from hornbook.textbook.anchors import distinct_units, retrieve_for_anchors
from hornbook.textbook.kind import Materials, TextbookKind
from hornbook.textbook.store import table_of

logger = logging.getLogger("hornbook")

PAGE_UNITS = 100_000


def build(config: ContextualizedConfig, materials: Materials, context: StageContext) -> Iterator[pa.Table]:
    """Retrieve, merge, and yield the units by ascending id, each text once.

    `proportion` is ignored here: `top` applies it to the finished whole.

    Counts: those of `retrieve_for_anchors`, and `duplicates`: distinct units dropped because of their text.

    Only the first of units with the same text is kept. Nothing of the others has to be merged into it: they have the
    same score for every query, so a query that retrieved another one retrieved the first too, at a better rank.

    Args:
        config: the settings.
        materials: the corpus and the task.
        context: the stage; gets the counts.

    Yields:
        Tables of `store.SCHEMA`.

    Raises:
        HornbookError: see `retrieve_for_anchors`.
    """
    corpus = materials.corpus
    distinct = distinct_units(retrieve_for_anchors(config, materials, context))
    seen: set[bytes] = set()
    context.counts["duplicates"] = 0
    for start in range(0, len(distinct.units), PAGE_UNITS):
        page = slice(start, start + PAGE_UNITS)
        table = corpus.texts(distinct.units[page])
        new = []
        # Right only because equal scores rank lower ids first (see `retrieval.Hits`): a later unit with the same text
        # cannot have a better rank or more anchors than the first.
        for text in table.column("text").to_pylist():
            digest = xxhash.xxh3_128_digest(text.encode())
            new.append(digest not in seen)
            seen.add(digest)
        context.counts["duplicates"] += new.count(False)
        yield table_of(
            table,
            rank=pa.array(distinct.rank[page]),
            score=pa.array(distinct.score[page]),
            anchors=pa.array(distinct.queries[page]),
        ).filter(pa.array(new))


def finish(context: StageContext) -> None:
    """Add to the info `unique_over_retrieved`: the units over all hits."""
    units = context.counts["units"]
    context.info["unique_over_retrieved"] = units / context.counts["retrieved"]
    logger.info(
        "contextualized textbook: %s units, %.1f%% of the corpus, %.2f unique of retrieved",
        f"{units:,}",
        100 * context.info["share"],
        context.info["unique_over_retrieved"],
    )


KIND = TextbookKind(ContextualizedConfig, build, needs=("corpus", "task"), finish=finish)

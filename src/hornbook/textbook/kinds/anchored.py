"""Each anchor beside its own hits: a contextualized textbook for sentence-pair tasks.

The paper retrieves single sentences for these tasks too (section 2.1). A text of the task beside a unit that it
retrieved is read as the task's pairs are: on one subject, alike in some words, mostly of different meanings
(docs/results/projected.md).
"""

import logging
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hornbook.recipe import AnchoredConfig
from hornbook.retrieval import keywords_of_all
from hornbook.store import StageContext
from hornbook.textbook.anchors import retrieve_for_anchors
from hornbook.textbook.kind import Materials, TextbookKind
from hornbook.textbook.kinds.related import mapped_units
from hornbook.textbook.store import table_of

logger = logging.getLogger("hornbook")

PAGE_PAIRS = 100_000


def build(config: AnchoredConfig, materials: Materials, context: StageContext) -> Iterator[pa.Table]:
    """Retrieve, and yield each anchor beside each of its hits: all first hits, then all second ones, and so on.

    Counts: those of `retrieve_for_anchors`, and `duplicates`: pairs dropped because both texts are equal. Info:
    `share`: the fraction of the corpus that is in a pair.

    Args:
        config: the settings.
        materials: the corpus and the task.
        context: the stage; gets the counts.

    Yields:
        Tables of `store.SCHEMA`; the first text is the task's, `unit`, `source`, `rank` and `score` are those of the
        second.

    Raises:
        HornbookError: see `retrieve_for_anchors`.
    """
    corpus, anchors = materials.corpus, materials.task.anchors()
    hits = retrieve_for_anchors(config, materials, context)
    queries = keywords_of_all(anchors, config.keywords, config.phrases, corpus.language)
    texts = pa.array([anchor for anchor, query in zip(anchors, queries, strict=True) if query], pa.large_string())
    ids = np.unique(hits.units[hits.units >= 0])
    context.counts["duplicates"] = 0
    context.info["share"] = len(ids) / corpus.units
    pairs = np.count_nonzero(hits.units >= 0)
    logger.info("anchored textbook: %s pairs with %s units", f"{pairs:,}", f"{len(ids):,}")
    with TemporaryDirectory(prefix="units-", dir=context.path) as folder:
        table = mapped_units(corpus, ids, Path(folder) / "units.arrow")
        for column in range(hits.units.shape[1]):
            found = np.flatnonzero(hits.units[:, column] >= 0)
            for start in range(0, len(found), PAGE_PAIRS):
                rows = found[start : start + PAGE_PAIRS]
                second = table.take(np.searchsorted(ids, hits.units[rows, column]))
                first = texts.take(pa.array(rows))
                page = table_of(
                    second.set_column(second.column_names.index("text"), "text", first),
                    text_pair=second.column("text"),
                    rank=pa.array(np.full(len(rows), column + 1, np.int32)),
                    score=pa.array(hits.scores[rows, column]),
                )
                differ = pc.not_equal(first, second.column("text"))
                context.counts["duplicates"] += len(rows) - pc.sum(differ).as_py()
                yield page.filter(differ)


KIND = TextbookKind(AnchoredConfig, build, needs=("corpus", "task"))

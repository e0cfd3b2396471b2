"""Pairs of units that the same anchor draws: a contextualized textbook for tasks of pairs.

The paper draws single sentences for its pair tasks too. A student of these never sees two texts at once; one of pairs
by chance learns that they have nothing to do with each other (docs/results/laptop-table2.md).
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import xxhash
from numpy.typing import NDArray

from hornbook.corpus import Corpus
from hornbook.recipe import RelatedConfig
from hornbook.retrieval import LOCAL, Executor, Hits
from hornbook.store import StageContext
from hornbook.tasks import Task
from hornbook.textbook import store
from hornbook.textbook.kinds import contextualized

logger = logging.getLogger("hornbook")

PAGE_PAIRS = 100_000
# A table of many texts has more than 2 GB, which strings of this type can have together.
_UNITS = pa.schema([("unit", pa.int64()), ("text", pa.large_string()), ("source", pa.string())])


@dataclass(frozen=True)
class Pairs:
    """Distinct pairs of units, by the lower unit id, then the higher; all arrays have shape [pairs].

    Attributes:
        units: the unit ids of the better hit, int64.
        others: those of the hit after it, int64.
        rank: the better one's best rank over the queries that drew the pair, from 1, int32.
        score: its score there, float64.
    """

    units: NDArray[np.int64]
    others: NDArray[np.int64]
    rank: NDArray[np.int32]
    score: NDArray[np.float64]


def side_by_side(hits: Hits) -> Pairs:
    """Return the first and the second hit of each query, the third and the fourth, and so on; equal pairs once."""
    queries, even = len(hits.units), hits.units.shape[1] // 2 * 2
    # All first pairs, then all second pairs …: the first place where a pair stands is that of its best rank.
    units, others = (hits.units[:, start:even:2].T.ravel() for start in (0, 1))
    low, high = np.minimum(units, others), np.maximum(units, others)
    order = np.lexsort((high, low))[np.count_nonzero(others < 0) :]
    new = (np.diff(low[order], prepend=-1) != 0) | (np.diff(high[order], prepend=-1) != 0)
    chosen = order[new]
    rank = (2 * (chosen // max(queries, 1)) + 1).astype(np.int32)
    return Pairs(units[chosen], others[chosen], rank, hits.scores[:, 0:even:2].T.ravel()[chosen])


def pairs(
    config: RelatedConfig, corpus: Corpus, task: Task, context: StageContext, executor: Executor = LOCAL
) -> Iterator[pa.Table]:
    """Retrieve, and yield the hits of each anchor two and two, each pair of texts once.

    Args:
        config: how many units are drawn, by which keywords and scores.
        corpus: what they are drawn from.
        task: whose anchors draw them.
        work: what is known of the textbook. Counts: those of `contextualized.draw`, and duplicates (distinct pairs
            dropped for their texts, or because both have the same). Info: share (of the corpus that is in a pair).
        executor: where shards are searched.

    Raises:
        HornbookError: see `contextualized.draw`.
    """
    found = side_by_side(contextualized.draw(config, corpus, task, context, executor, least=2))
    ids = np.unique(np.concatenate([found.units, found.others]))
    context.counts["duplicates"] = 0
    context.info["share"] = len(ids) / corpus.units
    logger.info(
        "related textbook: %s pairs of %s units, %.1f%% of the corpus",
        f"{len(found.units):,}",
        f"{len(ids):,}",
        100 * context.info["share"],
    )
    seen: set[bytes] = set()
    with TemporaryDirectory(prefix="units-", dir=context.path) as folder:
        table = _kept(corpus, ids, Path(folder) / "units.arrow")
        for start in range(0, len(found.units), PAGE_PAIRS):
            page = slice(start, start + PAGE_PAIRS)
            first = table.take(np.searchsorted(ids, found.units[page]))
            second = table.column("text").take(np.searchsorted(ids, found.others[page]))
            new = []
            for texts in zip(first.column("text").to_pylist(), second.to_pylist(), strict=True):
                digest = xxhash.xxh3_128_digest("\0".join(sorted(texts)).encode())
                new.append(texts[0] != texts[1] and digest not in seen)
                seen.add(digest)
            context.counts["duplicates"] += new.count(False)
            ranks, scores = pa.array(found.rank[page]), pa.array(found.score[page])
            yield store.table_of(first, text_pair=second, rank=ranks, score=scores).filter(pa.array(new))


def _kept(corpus: Corpus, ids: NDArray[np.int64], path: Path) -> pa.Table:
    """Return units of the corpus, written to a file that is mapped into memory: pairs take them in any order."""
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, _UNITS) as writer:
        for start in range(0, len(ids), contextualized.PAGE_UNITS):
            writer.write_table(corpus.texts(ids[start : start + contextualized.PAGE_UNITS]).cast(_UNITS))
    return pa.ipc.open_file(pa.memory_map(str(path))).read_all()

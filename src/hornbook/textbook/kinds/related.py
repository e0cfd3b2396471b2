"""Pairs of units that the same anchor retrieves: a contextualized textbook for sentence-pair tasks.

The paper retrieves single sentences for these tasks too. A student distilled on those never sees two texts
at once; one distilled on random pairs learns that the two texts are unrelated (docs/results/laptop-table2.md).
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
from hornbook.retrieval import Hits
from hornbook.store import StageContext
from hornbook.textbook.anchors import retrieve_for_anchors
from hornbook.textbook.kind import Materials, TextbookKind
from hornbook.textbook.store import table_of

logger = logging.getLogger("hornbook")

PAGE_PAIRS = 100_000
PAGE_UNITS = 100_000
# Large strings: the texts of one table can exceed the 2 GB that `string` holds.
_UNITS = pa.schema([("unit", pa.int64()), ("text", pa.large_string()), ("source", pa.string())])


@dataclass(frozen=True)
class Pairs:
    """Distinct pairs of units, sorted by the lower unit id, then the higher; all arrays have shape [pairs].

    Attributes:
        units: unit ids of the better hit, int64.
        others: unit ids of the next hit, int64.
        rank: the best rank of the better hit over all queries that retrieved the pair, from 1, int32.
        score: its score at that rank, float64.
    """

    units: NDArray[np.int64]
    others: NDArray[np.int64]
    rank: NDArray[np.int32]
    score: NDArray[np.float64]


def pair_hits(hits: Hits) -> Pairs:
    """Pair the first and second hit of each query, the third and fourth, and so on; each distinct pair once."""
    queries, even = len(hits.units), hits.units.shape[1] // 2 * 2
    # All first pairs, then all second pairs, and so on: a pair's first position gives its best rank.
    units, others = (hits.units[:, start:even:2].T.ravel() for start in (0, 1))
    low, high = np.minimum(units, others), np.maximum(units, others)
    order = np.lexsort((high, low))[np.count_nonzero(others < 0) :]
    new = (np.diff(low[order], prepend=-1) != 0) | (np.diff(high[order], prepend=-1) != 0)
    chosen = order[new]
    rank = (2 * (chosen // max(queries, 1)) + 1).astype(np.int32)
    return Pairs(units[chosen], others[chosen], rank, hits.scores[:, 0:even:2].T.ravel()[chosen])


def build(config: RelatedConfig, materials: Materials, context: StageContext) -> Iterator[pa.Table]:
    """Retrieve, and yield the hits of each anchor in pairs, each pair of texts once.

    Counts: those of `retrieve_for_anchors`, and `duplicates`: distinct pairs dropped because of their texts, or
    because both texts are equal. Info: `share`: the fraction of the corpus that is in a pair.

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
    pairs = pair_hits(retrieve_for_anchors(config, materials, context, min_k=2))
    ids = np.unique(np.concatenate([pairs.units, pairs.others]))
    context.counts["duplicates"] = 0
    context.info["share"] = len(ids) / corpus.units
    logger.info(
        "related textbook: %s pairs of %s units, %.1f%% of the corpus",
        f"{len(pairs.units):,}",
        f"{len(ids):,}",
        100 * context.info["share"],
    )
    seen: set[bytes] = set()
    with TemporaryDirectory(prefix="units-", dir=context.path) as folder:
        table = mapped_units(corpus, ids, Path(folder) / "units.arrow")
        for start in range(0, len(pairs.units), PAGE_PAIRS):
            page = slice(start, start + PAGE_PAIRS)
            first = table.take(np.searchsorted(ids, pairs.units[page]))
            second = table.column("text").take(np.searchsorted(ids, pairs.others[page]))
            new = []
            for texts in zip(first.column("text").to_pylist(), second.to_pylist(), strict=True):
                digest = xxhash.xxh3_128_digest("\0".join(sorted(texts)).encode())
                new.append(texts[0] != texts[1] and digest not in seen)
                seen.add(digest)
            context.counts["duplicates"] += new.count(False)
            ranks, scores = pa.array(pairs.rank[page]), pa.array(pairs.score[page])
            yield table_of(first, text_pair=second, rank=ranks, score=scores).filter(pa.array(new))


def mapped_units(corpus: Corpus, ids: NDArray[np.int64], path: Path) -> pa.Table:
    """Write units of the corpus to a file and map it into memory: pairs take units in any order.

    Args:
        corpus: the corpus.
        ids: the units, ascending.
        path: the file to write.

    Returns:
        a table with `unit`, `text` and `source`, a row for each id.
    """
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, _UNITS) as writer:
        for start in range(0, len(ids), PAGE_UNITS):
            writer.write_table(corpus.texts(ids[start : start + PAGE_UNITS]).cast(_UNITS))
    return pa.ipc.open_file(pa.memory_map(str(path))).read_all()


KIND = TextbookKind(RelatedConfig, build, needs=("corpus", "task"))

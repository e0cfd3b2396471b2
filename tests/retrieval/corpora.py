"""Corpora in memory, and BM25 by its definition."""

import math
from collections import Counter
from typing import Any

import pyarrow as pa

from hornbook.index.build import invert
from hornbook.index.files import OpenShard
from hornbook.terms import Analysis, terms


class Listed:
    """A corpus in memory, with gaps between its unit ids, in shards and blocks of some units."""

    def __init__(self, texts, ids=None, shard_units=1000, block_units=1000, analysis=Analysis()):  # noqa: B008
        self.ids = list(ids or range(3, 3 + 2 * len(texts), 2))
        self.texts, self.analysis, self.shards = list(texts), analysis, []
        for start in range(0, len(texts), shard_units):
            part = slice(start, start + shard_units)
            columns: dict[str, Any] = {"unit": pa.array(self.ids[part], pa.int64())}
            batch = pa.record_batch({**columns, "text": pa.array(self.texts[part], pa.string())})
            # Two batches, of which the second does not start at the beginning of its buffers.
            batches = [batch.slice(0, len(batch) // 2), batch.slice(len(batch) // 2)]
            self.shards.append(OpenShard(f"shard-{start}", invert(batches, analysis, block_units)))

    def inverted(self, keep_open=0):
        return self.shards


def naive(corpus, queries, k, k1=1.2, b=0.75):
    """Score every query against every unit, in float64, and list the k best (unit, score) of each."""
    units = [Counter(corpus.analysis.query(terms(text))) for text in corpus.texts]
    lengths = [unit.total() for unit in units]
    mean = sum(lengths) / max(len(units), 1)
    frequency = Counter(term for unit in units for term in unit)
    found = []
    for query in queries:
        scored = []
        counts = sorted(Counter(corpus.analysis.query(query)).items())
        for i, unit, length in zip(corpus.ids, units, lengths, strict=True):
            score = 0.0
            for term, count in counts:
                if tf := unit[term]:
                    idf = math.log(1 + (len(units) - frequency[term] + 0.5) / (frequency[term] + 0.5))
                    score += count * (idf * tf / (tf + k1 * (1 - b + b * length / mean)))
            if score > 0:
                scored.append((-score, i))
        found.append([(i, -score) for score, i in sorted(scored)[:k]])
    return found


def listed(hits):
    """Return the (unit, score) of each query."""
    return [
        [(unit, score) for unit, score in zip(units, scores, strict=True) if unit >= 0]
        for units, scores in zip(hits.units.tolist(), hits.scores.tolist(), strict=True)
    ]

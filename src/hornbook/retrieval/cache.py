"""Hits of parts of a corpus, kept in a folder until the run is finished: a run that died goes on from them."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xxhash

from hornbook.errors import HornbookError
from hornbook.kernels import kernel
from hornbook.machine.parsing import read_arrays
from hornbook.retrieval import reference
from hornbook.retrieval.bm25 import Queries, RaggedHits
from hornbook.retrieval.executor import Executor, Item
from hornbook.retrieval.shard import Part, Plan, ShardHits, search


@dataclass(frozen=True)
class AnswerCache:
    """An executor with a memory on disk.

    Attributes:
        folder: where results are kept; None to keep none.
        executor: searches what is not there.
        threads: threads that merge.
    """

    folder: Path | None
    executor: Executor
    threads: int

    def search(self, plan: Plan, groups: Sequence[Sequence[Part]]) -> Iterator[ShardHits]:
        """Yield the hits of groups of parts, `executor.join_size` groups at a time, the cached ones first."""
        if self.folder is None:
            yield from self.executor(search, plan, groups, join)
            return
        missing = []
        for batch in batches(groups, self.executor.join_size):
            path = self._path(plan, batch)
            if (hits := _read(path, plan.queries)) is None:
                missing.append((batch, path))
            else:
                yield hits
        # Only the last batch can be smaller than the others, so the executor joins the missing ones as they were.
        found = self.executor(search, plan, [group for batch, _ in missing for group in batch], join)
        for (_, path), hits in zip(missing, found, strict=True):
            _write(path, hits)
            yield hits

    def _path(self, plan: Plan, groups: Sequence[Sequence[Part]]) -> Path:
        assert self.folder is not None
        names = repr([(shard.name, blocks) for group in groups for shard, blocks in group])
        return self.folder / f"{plan.key}-{xxhash.xxh3_64_hexdigest(names.encode())}.npz"


def batches(items: Sequence[Item], size: int) -> list[Sequence[Item]]:
    """Return neighbouring items in batches of a size; the last may be smaller."""
    return [items[first : first + size] for first in range(0, len(items), size)]


def join(plan: Plan, parts: Sequence[ShardHits]) -> ShardHits:
    """Return the hits of several parts as one, at most k for each query."""
    hits = merge(plan.queries, [part.hits for part in parts], plan.threads)
    return ShardHits(hits, sum(part.units for part in parts))


def merge(queries: Queries, parts: Sequence[RaggedHits], threads: int, *, padded: bool = False) -> RaggedHits:
    """Return the k best hits of each query over several parts, best first; with `padded`, k for each."""
    arrays = [(part.starts, part.units, part.scores) for part in parts]
    return RaggedHits(*kernel(reference.merge)(queries.k, arrays, padded, threads))


def _write(path: Path, found: ShardHits) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    with temporary.open("wb") as file:
        hits = found.hits
        np.savez(file, starts=hits.starts, units=hits.units, scores=hits.scores, about=[found.units])
    temporary.replace(path)


def _read(path: Path, queries: Queries) -> ShardHits | None:
    """Return cached hits; None where there are none, or the machine stopped before the disk had them all."""
    try:
        arrays = read_arrays(path)
        found = ShardHits(RaggedHits(arrays["starts"], arrays["units"], arrays["scores"]), *arrays["about"].tolist())
    except (HornbookError, KeyError, TypeError):
        return None
    return found if len(found.hits.starts) == len(queries) + 1 else None

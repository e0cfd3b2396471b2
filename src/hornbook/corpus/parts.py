"""The first pass of a build: batches of documents are cut to units, stored in temporary files, the parts."""

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from hornbook.corpus.cutting import Limits, cut_documents
from hornbook.corpus.deduplicate import hash_texts
from hornbook.corpus.sources import Documents
from hornbook.machine.memory import peak_memory
from hornbook.terms.plain import has_tags


@dataclass(frozen=True)
class Part:
    """A file of units. Their ids, before de-duplication, are `units` numbers from `first` on."""

    path: Path
    first: int
    units: int


@dataclass(frozen=True)
class CutBatch:
    """What a worker returns for a batch of documents.

    Attributes:
        counts: documents, bytes, units and words; units and words that were dropped; units with HTML tags.
        hashes: see `hash_texts`, [units, 2].
        peak: see `process_peak`.
    """

    counts: Counter[str]
    hashes: npt.NDArray[np.uint64]
    peak: tuple[int, int]


def cut_batch(limits: Limits, job: tuple[Path, Documents]) -> CutBatch:
    """Cut a batch of documents to units and write those of legal length to a part's file."""
    path, batch = job
    units = cut_documents(batch.texts, limits)
    counts = Counter(
        documents=len(batch.texts),
        bytes=pc.sum(pc.binary_length(batch.texts)).as_py() or 0,
        units=len(units.texts),
        too_short=units.too_short,
        too_long=units.too_long,
        words=int(units.words.sum()),
        words_too_short=units.words_too_short,
        words_too_long=units.words_too_long,
        tagged=sum(map(has_tags, units.texts.filter(pc.match_substring(units.texts, "<")).to_pylist())),
    )
    source = (
        pa.repeat(batch.sources, len(units.texts))
        if isinstance(batch.sources, str)
        else batch.sources.take(pa.array(units.documents))
    )
    table = pa.table({"text": units.texts, "source": source, "words": units.words})
    # One thread: the process may have been forked, and there is one process per core.
    options = pa.ipc.IpcWriteOptions(compression="lz4", use_threads=False)
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema, options=options) as writer:
        writer.write_table(table)
    return CutBatch(counts, hash_texts(units.texts), process_peak())


def read_part(part: Part, rows: npt.NDArray[np.int64], first: int) -> pa.Table:
    """Read some rows of a part.

    Args:
        part: the part.
        rows: rising row numbers, [rows].
        first: the id of the first unit of all parts.

    Returns:
        A table with `text`, `source`, `words` and `unit` (the id).
    """
    options = pa.ipc.IpcReadOptions(use_threads=False)
    with pa.OSFile(str(part.path)) as file:
        table = pa.ipc.open_file(file, options=options).read_all()
    if len(rows) < part.units:
        table = table.take(pa.array(rows))
    return table.append_column("unit", pa.array(first + part.first + rows))


def process_peak() -> tuple[int, int]:
    """Return this process's id and its peak memory in kilobytes."""
    return os.getpid(), peak_memory()

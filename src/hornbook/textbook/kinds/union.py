"""The union of textbooks: their units shuffled together, without duplicates.

Out of core: units are written to files of `PAGE_UNITS` by their position in the shuffled order, then each file is
sorted on its own. Memory: about 60 bytes per unit, and one page.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from hornbook.corpus.deduplicate import hash_texts
from hornbook.machine.progress import progress
from hornbook.recipe import UnionConfig
from hornbook.store import StageContext
from hornbook.textbook.kind import Materials, TextbookKind
from hornbook.textbook.store import SCHEMA, Textbook

PAGE_UNITS = 100_000
_TEXTS = ("text", "text_pair")
_PAGE = SCHEMA.append(pa.field("position", pa.int64()))


def build(config: UnionConfig, materials: Materials, context: StageContext) -> Iterator[pa.Table]:
    """Yield the units of all textbooks in a random order.

    Only the first of units with the same texts is kept, in the order of the textbooks. Counts: `duplicates`: the
    units dropped.

    Args:
        config: the settings.
        materials: the textbooks.
        context: the stage; gets the counts.

    Yields:
        Tables of `store.SCHEMA`.
    """
    books = materials.books
    kept = _first_of_equals(np.concatenate([_hashes(batch) for book in books for batch in book.batches(_TEXTS)]))
    order = np.random.default_rng(config.seed).permutation(int(kept.sum()))
    positions = np.full(len(kept), -1)
    positions[np.flatnonzero(kept)[order]] = np.arange(len(order))
    context.counts["duplicates"] = len(kept) - len(order)
    with TemporaryDirectory(prefix="pages-", dir=context.path) as folder:
        pages = [Path(folder) / f"{number:06d}.arrow" for number in range(-(-len(order) // PAGE_UNITS))]
        _write_pages(books, positions, pages)
        for page in pages:
            with pa.OSFile(str(page)) as file:
                yield pa.ipc.open_file(file).read_all().sort_by("position").select(SCHEMA.names)


def _hashes(batch: pa.RecordBatch) -> NDArray[np.uint64]:
    """Return the hashes of the texts of each unit, [units, 2]."""
    return hash_texts(pc.binary_join_element_wise(batch["text"], pc.fill_null(batch["text_pair"], ""), "\0"))


def _first_of_equals(hashes: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Return whether each row is the first of its equals, [rows]."""
    order = np.lexsort((hashes[:, 1], hashes[:, 0]))
    kept = np.ones(len(hashes), bool)
    kept[order[1:]] = (hashes[order[1:]] != hashes[order[:-1]]).any(axis=1)
    return kept


def _write_pages(books: Sequence[Textbook], positions: NDArray[np.int64], pages: Sequence[Path]) -> None:
    """Write each unit that has a position (not -1) to the page of that position."""
    options = pa.ipc.IpcWriteOptions(compression="lz4")
    with ExitStack() as files, progress("Shuffling", len(positions)) as counter:
        writers = [files.enter_context(pa.ipc.new_file(str(page), _PAGE, options=options)) for page in pages]
        start = 0
        for batch in (batch for book in books for batch in book.batches()):
            own = positions[start : start + batch.num_rows]
            start += batch.num_rows
            table = pa.Table.from_batches([batch]).append_column("position", pa.array(own))
            for page in np.unique(own[own >= 0] // PAGE_UNITS).tolist():
                writers[page].write_table(table.filter(pa.array(own // PAGE_UNITS == page)).cast(_PAGE))
            counter.advance(batch.num_rows)


KIND = TextbookKind(UnionConfig, build, needs=("books",))

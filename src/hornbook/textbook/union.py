"""The union of textbooks: their units shuffled together, each once."""

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import xxhash

from hornbook.artifact import Work
from hornbook.recipe import UnionConfig
from hornbook.textbook.store import Textbook

PAGE_UNITS = 100_000


def units(config: UnionConfig, books: Sequence[Textbook], work: Work) -> Iterator[pa.Table]:
    """Yield the units of all textbooks in a seeded random order.

    Of units with the same texts only the first is kept, in the order of the textbooks; the others are counted as
    `duplicates`.
    """
    seen: set[bytes] = set()
    tables = []
    read = 0
    for book in books:
        for batch in book.batches():
            digests = [
                _digest(*texts)
                for texts in zip(batch["text"].to_pylist(), batch["text_pair"].to_pylist(), strict=True)
            ]
            new = []
            for digest in digests:
                new.append(digest not in seen)
                seen.add(digest)
            tables.append(pa.Table.from_batches([batch]).filter(pa.array(new)))
            read += batch.num_rows
    whole = pa.concat_tables(tables).combine_chunks()
    work.counts["duplicates"] = read - len(whole)
    order = np.random.default_rng(config.seed).permutation(len(whole))
    for start in range(0, len(order), PAGE_UNITS):
        yield whole.take(pa.array(order[start : start + PAGE_UNITS]))


def _digest(text: str, text_pair: str | None) -> bytes:
    return xxhash.xxh3_128_digest(f"{text}\0{text_pair or ''}".encode())

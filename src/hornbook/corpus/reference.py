"""The reference of the compiled core's `cut_units`: documents to units of legal length, in Python."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from hornbook.corpus.rules import from_tables
from hornbook.corpus.units import Unit, count_words, cut, cut_long
from hornbook.machine.arrow import text_buffers, texts_of

# Offsets and bytes of the units, their words, their documents; numbers of units too short and too long, and of words
# dropped with either; the documents that are left to the caller.
CutUnits = tuple[
    NDArray[np.int32], NDArray[np.uint8], NDArray[np.int32], NDArray[np.int32], int, int, int, int, NDArray[np.int32]
]


def cut_units(
    offsets: NDArray[np.int32],
    data: NDArray[np.uint8],
    unit: Unit,
    chunk_words: int,
    min_words: int,
    max_words: int,
    cut_long_units: bool,
    kinds: NDArray[np.uint16],
    lists: Mapping[str, int],
) -> CutUnits:
    """Cut documents to units.

    Args:
        offsets: where documents end, see `text_buffers`, [documents + 1].
        data: their bytes in UTF-8.
        unit: see `Limits`, as what follows.
        chunk_words: maximum words in a chunk.
        min_words: minimum words in a unit.
        max_words: maximum words in a unit.
        cut_long_units: whether longer units are cut, not dropped.
        kinds: see `rules.kinds`.
        lists: see `rules.lists`.

    Returns:
        See `CutUnits`. Here no document is left to the caller.
    """
    rules = from_tables(kinds, lists)
    texts: list[str] = []
    words: list[int] = []
    documents: list[int] = []
    too_short = too_long = words_too_short = words_too_long = 0
    for number, document in enumerate(texts_of(offsets, data).to_pylist()):
        for whole in cut(document, unit, chunk_words, rules):
            is_long = count_words(whole) > max_words
            too_long += is_long
            for text in cut_long(whole, max_words) if is_long and cut_long_units else [whole]:
                count = count_words(text)
                if count > max_words:
                    words_too_long += count
                elif count < min_words:
                    too_short += 1
                    words_too_short += count
                else:
                    texts.append(text)
                    words.append(count)
                    documents.append(number)
    return (
        *text_buffers(pa.array(texts, pa.string())),
        np.array(words, np.int32),
        np.array(documents, np.int32),
        too_short,
        too_long,
        words_too_short,
        words_too_long,
        np.empty(0, np.int32),
    )

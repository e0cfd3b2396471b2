"""Many documents to units at once, by the rules of `units`."""

from collections.abc import Callable
from dataclasses import astuple, dataclass, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from hornbook.corpus import reference
from hornbook.corpus.rules import kinds, lists
from hornbook.corpus.units import Unit
from hornbook.kernels import kernel
from hornbook.languages import ENGLISH
from hornbook.machine.arrow import text_buffers, texts_of


@dataclass(frozen=True)
class Units:
    """The units of some documents.

    Attributes:
        texts: units of legal length, in order, [units].
        words: number of words in each, [units] int32.
        documents: index of the document that each is from, [units] int32.
        too_short: number of units that were too short.
        too_long: number of units that were too long, and were cut or dropped.
        words_too_short: words in the units that were too short.
        words_too_long: words in the units that were too long and dropped.
    """

    texts: pa.StringArray
    words: NDArray[np.int32]
    documents: NDArray[np.int32]
    too_short: int
    too_long: int
    words_too_short: int
    words_too_long: int


@dataclass(frozen=True)
class Limits:
    """How documents are cut.

    Attributes:
        unit: see `units.cut`.
        chunk_words: maximum words in a chunk.
        min_words: minimum words in a unit; shorter ones are dropped.
        max_words: maximum words in a unit.
        cut_long: whether longer units are cut into pieces of `max_words` words, or dropped.
        language: the language, for the ends of sentences.
    """

    unit: Unit
    chunk_words: int
    min_words: int
    max_words: int
    cut_long: bool = True
    language: str = ENGLISH


def cut_documents(documents: pa.StringArray, limits: Limits) -> Units:
    """Cut documents to normalised units.

    Args:
        documents: text as it is in the source, null for an empty one; see `units.cut`.
        limits: how to cut.

    Returns:
        the units of legal length in the order of the documents, and the counts of what was dropped.
    """
    if documents.null_count:
        documents = documents.fill_null("")
    found, left = _cut(kernel(reference.cut_units), documents, limits)
    if not len(left):
        return found
    others, _ = _cut(reference.cut_units, documents.take(pa.array(left)), limits)
    return _merge(found, replace(others, documents=left[others.documents]))


def _cut(
    cut_units: Callable[..., reference.CutUnits], documents: pa.StringArray, limits: Limits
) -> tuple[Units, NDArray[np.int32]]:
    """Return the units of documents, and the indices of the documents that are left to the reference."""
    *counts, language = astuple(limits)
    arguments = (*text_buffers(documents), *counts, kinds(language), lists(language))
    offsets, data, words, numbers, short, long, words_short, words_long, left = cut_units(*arguments)
    return Units(texts_of(offsets, data), words, numbers, short, long, words_short, words_long), left


def _merge(some: Units, others: Units) -> Units:
    """Return the units of two sets of documents in the order of the documents."""
    documents = np.concatenate([some.documents, others.documents])
    order = np.argsort(documents, kind="stable")
    return Units(
        pa.concat_arrays([some.texts, others.texts]).take(pa.array(order)),
        np.concatenate([some.words, others.words])[order],
        documents[order],
        some.too_short + others.too_short,
        some.too_long + others.too_long,
        some.words_too_short + others.words_too_short,
        some.words_too_long + others.words_too_long,
    )

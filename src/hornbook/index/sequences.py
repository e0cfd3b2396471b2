"""The terms of texts in their order, as numbers: what n-grams are counted from."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from hornbook.core import core
from hornbook.machine.arrow import text_buffers, texts_of
from hornbook.terms import terms
from hornbook.terms.characters import tables


@dataclass(frozen=True)
class Sequences:
    """The terms of texts.

    Attributes:
        words: every term once, in the order of its bytes, [words].
        ends: where the terms of each text end in `places`, [texts] int64.
        places: the terms of the texts in turn, as places in `words`, [terms] uint32.
    """

    words: pa.StringArray
    ends: NDArray[np.int64]
    places: NDArray[np.uint32]


def sequences(texts: pa.StringArray) -> Sequences:
    """Return the terms of texts: the words of `hornbook.terms`, none stemmed or left out."""
    compiled = core()
    if compiled is None:
        return _slowly(texts)
    held: Any = compiled.UnitTerms(*tables())
    for row in held.add(*text_buffers(texts)):
        held.put(row, terms(texts[row].as_py()))
    words = texts_of(*held.vocabulary())
    return Sequences(words, *held.sequences())


def _slowly(texts: pa.StringArray) -> Sequences:
    found = [terms(text) for text in texts.to_pylist()]
    words = sorted({word for text in found for word in text})
    place_of = {word: place for place, word in enumerate(words)}
    places = np.array([place_of[word] for text in found for word in text], np.uint32)
    return Sequences(pa.array(words, pa.string()), np.cumsum([len(text) for text in found], dtype=np.int64), places)

"""The terms of texts in order, as numbers: the input for counting n-grams."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from hornbook.index import reference
from hornbook.kernels import kernel
from hornbook.machine.arrow import text_buffers, texts_of
from hornbook.terms import terms
from hornbook.terms.characters import tables


@dataclass(frozen=True)
class Sequences:
    """The terms of texts.

    Attributes:
        words: every term once, in the order of its bytes, [words].
        ends: end of each text's terms in `places`, [texts] int64.
        places: the terms of the texts one after another, as positions in `words`, [terms] uint32.
    """

    words: pa.StringArray
    ends: NDArray[np.int64]
    places: NDArray[np.uint32]


def sequences(texts: pa.StringArray) -> Sequences:
    """Return the terms of texts, neither stemmed nor filtered; see `hornbook.terms.terms`."""
    unit_terms = kernel(reference.UnitTerms)(*tables())
    for row in unit_terms.add(*text_buffers(texts)):
        unit_terms.put(row, terms(texts[row].as_py()))
    words = texts_of(*unit_terms.vocabulary())
    return Sequences(words, *unit_terms.sequences())

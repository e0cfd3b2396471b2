"""Many documents to units at once, by the rules of `units`."""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import astuple, dataclass, replace
from functools import cache

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from hornbook.corpus import reference, units
from hornbook.corpus.units import Unit
from hornbook.kernels import kernel
from hornbook.machine.arrow import text_buffers, texts_of
from hornbook.terms.plain import UNSEEN

# The core knows the characters below; documents with others are cut by the reference.
_SIZE = 0x20000
# Bits of a character's kind, as in core/text/sentences.h.
_SPACE, _UNSEEN, _UNUSUAL, _END, _CLOSING, _OPENING, _BEGINS, _LETTER, _DIGIT, _JOINT, _CAPITAL = (
    1 << i for i in range(11)
)
_RULES = (
    units.TITLES,
    units.NUMBERED,
    units.UNCERTAIN,
    units.BEGINNERS,
    units.SUFFIXES,
    units.SUBJECTS,
    units.LABELLED,
)
# Hangul vowels and final consonants: they join the syllable before them, though it does not decompose into two.
_JAMO = "\u1161-\u1175\u11a8-\u11c2"


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
    """

    unit: Unit
    chunk_words: int
    min_words: int
    max_words: int
    cut_long: bool = True


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
    arguments = (*text_buffers(documents), *astuple(limits), kinds(), rules())
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


@cache
def rules() -> dict[str, int]:
    """Return for each word the lists of `_RULES` that hold it, one bit each."""
    return {
        word: sum((word in words) << bit for bit, words in enumerate(_RULES)) for word in frozenset().union(*_RULES)
    }


@cache
def kinds() -> NDArray[np.uint16]:
    """Return the kind of every character, as bits of core/text/sentences.h, [`_SIZE`] uint16.

    A character is unusual if text that contains it may not be in composed form (NFC): if a normal form changes it, or
    it can move behind or combine with the character before it (Unicode Standard Annex 15, section 9).
    """
    characters = "".join(map(chr, range(_SIZE)))
    table = np.zeros(_SIZE, np.uint16)
    classes = (
        (r"\s", _SPACE),
        (UNSEEN, _UNSEEN),
        (f"[{_JAMO}]", _UNUSUAL),
        (f"[{re.escape(units.ENDS)}]", _END),
        (f"[{re.escape(units.CLOSING)}]", _CLOSING),
        (f"[{re.escape(units.OPENING)}]", _OPENING),
        (f"[{re.escape(units.SIGNS)}]", _BEGINS),
        (units.LETTER, _LETTER | _BEGINS),
        (r"\d", _DIGIT | _BEGINS),
        (f"[{re.escape(units.JOINTS)}]", _JOINT),
    )
    for pattern, kind in classes:
        for run in re.finditer(f"{pattern}+", characters):
            table[slice(*run.span())] |= kind
    for code, character in enumerate(characters):
        if character.islower():
            table[code] &= ~np.uint16(_BEGINS)
        if character.istitle():
            table[code] |= _CAPITAL
        parts = unicodedata.decomposition(character).split()
        if len(parts) == 2 and not parts[0].startswith("<"):
            table[int(parts[1], 16)] |= _UNUSUAL
        if unicodedata.combining(character) or unicodedata.normalize("NFC", character) != character:
            table[code] |= _UNUSUAL
    return table

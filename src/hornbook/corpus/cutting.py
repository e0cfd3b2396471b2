"""Many documents to units at once: what `units` defines, compiled."""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from hornbook.core import core
from hornbook.corpus import units
from hornbook.corpus.arrow import text_buffers, texts_of
from hornbook.corpus.units import Unit, count_words, cut
from hornbook.terms.plain import UNSEEN

# Characters beyond are left to Python.
_SIZE = 0x20000
# The bits of a character's kind, as in core/units.cpp.
_SPACE, _UNSEEN, _UNUSUAL, _END, _CLOSING, _OPENING, _BEGINS, _LETTER, _DIGIT, _JOINT = (1 << i for i in range(10))
_RULES = (units.TITLES, units.NUMBERED, units.UNCERTAIN, units.BEGINNERS)
# Vowels and last consonants of Hangul: they join the syllable before them, though it is not made of two characters.
_JAMO = "\u1161-\u1175\u11a8-\u11c2"


@dataclass(frozen=True)
class Units:
    """The units of some documents.

    Attributes:
        texts: those of legal length, in order, [units].
        words: how many words each has, [units] int32.
        documents: the number of the document that each is from, [units] int32.
        too_short: how many were shorter.
        too_long: how many were longer.
    """

    texts: pa.StringArray
    words: NDArray[np.int32]
    documents: NDArray[np.int32]
    too_short: int
    too_long: int


def cut_documents(documents: pa.StringArray, unit: Unit, chunk_words: int, min_words: int, max_words: int) -> Units:
    """Return the normalised units of documents that have from `min_words` to `max_words` words.

    Args:
        documents: as they stand in the source, possibly null; see `units.cut`.
        unit: see `units.cut`.
        chunk_words: words in a chunk at most.
        min_words: of a unit, at least.
        max_words: of a unit, at most.
    """
    if documents.null_count:
        documents = documents.fill_null("")
    compiled = core()
    if compiled is None:
        return cut_slowly(enumerate(documents.to_pylist()), unit, chunk_words, min_words, max_words)
    done = compiled.cut_units(*text_buffers(documents), unit, chunk_words, min_words, max_words, kinds(), rules())
    offsets, data, *rest, beyond = done
    fast = Units(texts_of(offsets, data), *rest)
    if not len(beyond):
        return fast
    left = zip(beyond.tolist(), documents.take(pa.array(beyond)).to_pylist(), strict=True)
    return _merged(fast, cut_slowly(left, unit, chunk_words, min_words, max_words))


def cut_slowly(
    documents: Iterable[tuple[int, str]], unit: Unit, chunk_words: int, min_words: int, max_words: int
) -> Units:
    """Do what `cut_documents` does, for numbered documents, in Python: the definition."""
    found = [(text, number) for number, document in documents for text in cut(document, unit, chunk_words)]
    words = np.array([count_words(text) for text, _ in found], np.int32)
    legal = np.flatnonzero((words >= min_words) & (words <= max_words))
    return Units(
        pa.array([found[i][0] for i in legal], pa.string()),
        words[legal],
        np.array([found[i][1] for i in legal], np.int32),
        int((words < min_words).sum()),
        int((words > max_words).sum()),
    )


def _merged(some: Units, others: Units) -> Units:
    """Return the units of different documents in the order of their documents."""
    documents = np.concatenate([some.documents, others.documents])
    order = np.argsort(documents, kind="stable")
    return Units(
        pa.concat_arrays([some.texts, others.texts]).take(pa.array(order)),
        np.concatenate([some.words, others.words])[order],
        documents[order],
        some.too_short + others.too_short,
        some.too_long + others.too_long,
    )


@cache
def rules() -> dict[str, int]:
    """Return which lists a word stands in, one bit each: titles, numbered, uncertain, beginners."""
    return {
        word: sum((word in words) << bit for bit, words in enumerate(_RULES)) for word in frozenset().union(*_RULES)
    }


@cache
def kinds() -> NDArray[np.uint16]:
    """Return what every character can be in a text, bits of core/units.cpp, [`_SIZE`] uint16.

    It is unusual where text with it is not sure to be in composed form (NFC): where a normal form changes it, or it
    can move behind or join the character before it (Unicode Standard Annex 15, section 9).
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
        parts = unicodedata.decomposition(character).split()
        if len(parts) == 2 and not parts[0].startswith("<"):
            table[int(parts[1], 16)] |= _UNUSUAL
        if unicodedata.combining(character) or unicodedata.normalize("NFC", character) != character:
            table[code] |= _UNUSUAL
    return table

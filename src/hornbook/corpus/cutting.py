"""Many documents to units at once: what `units` defines, compiled."""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import astuple, dataclass
from functools import cache

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from hornbook.core import core
from hornbook.corpus import units
from hornbook.corpus.units import Unit, count_words, cut, cut_long
from hornbook.machine.arrow import text_buffers, texts_of
from hornbook.terms.plain import UNSEEN

# Characters beyond are left to Python.
_SIZE = 0x20000
# The bits of a character's kind, as in core/units.cpp.
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
        too_long: how many were longer, and were cut or dropped.
        words_too_short: words of those that were shorter.
        words_too_long: words of those that were longer and dropped.
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
        chunk_words: words in a chunk at most.
        min_words: of a unit, at least; shorter ones are dropped.
        max_words: of a unit, at most.
        cut_long: whether longer units are cut to pieces of `max_words` words, or dropped.
    """

    unit: Unit
    chunk_words: int
    min_words: int
    max_words: int
    cut_long: bool = True


def cut_documents(documents: pa.StringArray, limits: Limits) -> Units:
    """Return the normalised units of documents.

    Args:
        documents: as they stand in the source, possibly null; see `units.cut`.
        limits: how they are cut.
    """
    if documents.null_count:
        documents = documents.fill_null("")
    compiled = core()
    if compiled is None:
        return cut_slowly(enumerate(documents.to_pylist()), limits)
    done = compiled.cut_units(*text_buffers(documents), *astuple(limits), kinds(), rules())
    offsets, data, *rest, beyond = done
    fast = Units(texts_of(offsets, data), *rest)
    if not len(beyond):
        return fast
    left = zip(beyond.tolist(), documents.take(pa.array(beyond)).to_pylist(), strict=True)
    return _merged(fast, cut_slowly(left, limits))


def cut_slowly(documents: Iterable[tuple[int, str]], limits: Limits) -> Units:
    """Do what `cut_documents` does, for numbered documents, in Python: the definition."""
    texts: list[str] = []
    words: list[int] = []
    numbers: list[int] = []
    too_short = too_long = words_too_short = words_too_long = 0
    for number, document in documents:
        for whole in cut(document, limits.unit, limits.chunk_words):
            is_long = count_words(whole) > limits.max_words
            too_long += is_long
            for text in cut_long(whole, limits.max_words) if is_long and limits.cut_long else [whole]:
                count = count_words(text)
                if count > limits.max_words:
                    words_too_long += count
                elif count < limits.min_words:
                    too_short += 1
                    words_too_short += count
                else:
                    texts.append(text)
                    words.append(count)
                    numbers.append(number)
    return Units(
        pa.array(texts, pa.string()),
        np.array(words, np.int32),
        np.array(numbers, np.int32),
        too_short,
        too_long,
        words_too_short,
        words_too_long,
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
        some.words_too_short + others.words_too_short,
        some.words_too_long + others.words_too_long,
    )


@cache
def rules() -> dict[str, int]:
    """Return which lists a word stands in, one bit each, in the order of `_RULES`."""
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
        if character.istitle():
            table[code] |= _CAPITAL
        parts = unicodedata.decomposition(character).split()
        if len(parts) == 2 and not parts[0].startswith("<"):
            table[int(parts[1], 16)] |= _UNUSUAL
        if unicodedata.combining(character) or unicodedata.normalize("NFC", character) != character:
            table[code] |= _UNUSUAL
    return table

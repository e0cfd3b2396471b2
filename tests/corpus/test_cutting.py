import random
import unicodedata

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hornbook.corpus import rules
from hornbook.corpus.cutting import Limits, cut_documents
from hornbook.corpus.units import cut
from hornbook.languages import LANGUAGES
from hornbook.machine.arrow import text_buffers
from hornbook.terms.plain import normalise

_core = pytest.importorskip("hornbook._core", reason="the compiled core is missing")

KINDS = ["sentence", "line", "chunk"]
LISTED = sorted(rules.lists())
# What a text is made of: words that rules ask for, in any case, and signs; joined with nothing between them.
WORDS = st.sampled_from(
    [*LISTED, "cat", "a.b", "4", "17", "²", "٣", "Ⅷ", "é", "Éric", "ǆ", "x_y", "_", "ª", "中", "😀"]
)
WORD = st.builds(lambda word, change: change(word), WORDS, st.sampled_from([str, str.title, str.upper]))
SIGN = st.sampled_from([*".!?…\"'”’)]»“‘([«¿¡$£-–—/,_", ". ", ". ", ". ", ".) ", '." ', ' "', "...", ".."])
BLANK = st.sampled_from([" ", " ", " ", "  ", "\n", "\n\n", "\n \n", "\r\n", "\t", "\x1c", "\x85", "\xa0", "\u2003"])
ODD = st.sampled_from(
    "\x00\x7f\xad\u200b\u2060\ufeff\u0301\u0327\u212a\u2126\u1100\u1161\u11a8\uac00\u0958\U00020000ßİıΣ"
)
ITEM = st.sampled_from(
    ["good.This ", "is!I ", "a. ", "b. The", "iv. ", "1.2. ", "1994)", "vitamin C. ", "Yahoo! Inc. "]
)
PROSE = st.lists(st.one_of(WORD, SIGN, BLANK, BLANK, ITEM), max_size=40).map("".join)
# Lower-case writing with capitals inside its sentences, and some that begin one.
CHAT_WORD = st.sampled_from(
    ["we left", "it", "my iPad", "Rome", "ⅷ", "ⓐ", "ǅ", "5", "中", "I", "I’ll", "I,", "Then", "vs"]
)
CHAT_SIGN = st.sampled_from(
    [" ", " ", ". ", ". ", ".", '." ', ' "', "… ", "... ", " . ", ' . " ', " (", "! ", "?) ", "'"]
)
CHAT = st.lists(st.one_of(CHAT_WORD, CHAT_SIGN), max_size=30).map("".join)
ODD_PROSE = st.lists(st.one_of(WORD, SIGN, BLANK, ODD), max_size=25).map("".join)
# Halves of surrogate pairs cannot be in Arrow texts.
ANY = st.text(st.characters(exclude_categories=["Cs"]))
DOCUMENTS = st.lists(st.one_of(st.none(), PROSE, PROSE.map(str.lower), CHAT, ODD_PROSE, ANY), max_size=6)


def slow_units(documents, limits):
    """The texts, their words and their documents; of others, how many units and words."""
    legal, short, long, dropped = [], [], 0, 0
    for number, document in enumerate(documents):
        for unit in cut(document or "", limits.unit, limits.chunk_words, rules.rules_of(limits.language)):
            words = unit.split()
            if len(words) > limits.max_words:
                long += 1
                if not limits.cut_long:
                    dropped += len(words)
                    continue
            while True:
                first, words = words[: limits.max_words], words[limits.max_words :]
                if len(first) < limits.min_words:
                    short.append(len(first))
                else:
                    legal.append((" ".join(first), len(first), number))
                if not words:
                    break
    return legal, (len(short), long, sum(short), dropped)


def as_rows(units):
    assert (units.words.dtype, units.documents.dtype, units.texts.type) == (np.int32, np.int32, pa.string())
    units.texts.validate(full=True)
    rows = zip(units.texts.to_pylist(), units.words.tolist(), units.documents.tolist(), strict=True)
    return list(rows), (units.too_short, units.too_long, units.words_too_short, units.words_too_long)


def beyond(texts):
    """Return which texts the compiled core leaves to Python."""
    buffers = text_buffers(pa.array(texts, pa.string()))
    return _core.cut_units(*buffers, "line", 1, 0, 1, True, rules.kinds(), rules.lists())[-1].tolist()


@given(DOCUMENTS, st.sampled_from(KINDS), st.integers(1, 9), st.integers(0, 3), st.integers(1, 12), st.booleans())
def test_units_are_what_the_slow_one_says(as_reference, documents, unit, chunk_words, min_words, extra, cut_long):
    limits = Limits(unit, chunk_words, min_words, min_words + extra, cut_long)
    expected = slow_units(documents, limits)
    texts = pa.array(documents, pa.string())
    assert as_rows(cut_documents(texts, limits)) == expected
    assert as_rows(as_reference(cut_documents, texts, limits)) == expected


@given(st.one_of(PROSE, CHAT))
def test_prose_without_odd_characters_is_not_left_to_python(text):
    assert not beyond([text])


def test_every_character_in_every_place(as_reference):
    characters = [chr(c) for c in range(0x21000) if not 0xD800 <= c < 0xE000]
    documents = pa.array(
        [
            f"One {c}. Two{c} So.{c} {c}Go {c}. {c}{c} Mr{c}Dr. A{c}.B. The{c} (No{c}. 4 {c}\n{c}\n{c} V. {c}5"
            for c in characters
        ]
    )
    fast = cut_documents(documents, Limits("sentence", 9, 0, 99))
    slow = as_reference(cut_documents, documents, Limits("sentence", 9, 0, 99))
    assert fast.texts.equals(slow.texts)
    np.testing.assert_array_equal(fast.words, slow.words)
    np.testing.assert_array_equal(fast.documents, slow.documents)


def test_ordinary_letters_are_done_and_composed():
    assert beyond(["“Él est naïf…” – Ærøskøbing, ‘Łódź’, Αθήνα, Москва, 東京, 한국 😀", "cafe\u0301"]) == [1]
    characters = [chr(c) for c in range(0x20000) if not 0xD800 <= c < 0xE000]
    left = [characters[i] for i in beyond(characters)]
    assert set(left) >= {c for c in characters if not unicodedata.is_normalized("NFC", f"a{c}")}
    assert len(left) < 0.03 * len(characters)


def test_text_is_lower_case_where_no_sentence_begins_with_a_capital():
    documents = pa.array(
        ["i love my iPhone. it works well. I use it in Paris. no regrets.", "my iPad. Ok. it works."]
    )
    units = cut_documents(documents, Limits("sentence", 9, 1, 9))
    sentences = [
        "i love my iPhone.",
        "it works well.",
        "I use it in Paris.",
        "no regrets.",
        "my iPad.",
        "Ok. it works.",
    ]
    assert units.texts.to_pylist() == sentences


def test_slices_and_nulls():
    documents = pa.array(["Not this one.", "One is.", None, "Cafe\u0301 two. Three.", "Not that one."])[1:4]
    units = cut_documents(documents, Limits("sentence", 9, 1, 9))
    assert units.texts.to_pylist() == ["One is.", "Café two.", "Three."]
    assert (units.documents.tolist(), units.too_short) == ([0, 2, 2], 1)
    assert len(cut_documents(pa.array([], pa.string()), Limits("chunk", 9, 1, 9)).texts) == 0


def test_without_the_compiled_core_the_units_are_the_same(monkeypatch):
    draw = random.Random(0)
    documents = pa.array([" ".join(draw.choices([*LISTED, "One.", "two.", "\n\n", "Mr."], k=200)) for _ in range(40)])
    fast = [as_rows(cut_documents(documents, Limits(unit, 30, 2, 25))) for unit in KINDS]
    monkeypatch.setenv("HORNBOOK_KERNELS", "reference")
    assert [as_rows(cut_documents(documents, Limits(unit, 30, 2, 25))) for unit in KINDS] == fast


def test_lists_are_looked_up_as_they_are_written():
    assert all(word.isascii() and word == word.lower() == normalise(word) for word in rules.lists())
    for language in LANGUAGES:
        assert all(word == rules.lower(word) == normalise(word) for word in rules.lists(language)), language


@st.composite
def prose_of(draw, language):
    """Draw text of a language's abbreviations, function words, end marks and quotation marks."""
    spoken = rules.rules_of(language)
    word = st.builds(
        lambda one, change: change(one),
        st.sampled_from([*sorted(rules.lists(language)), "Éric", "3", "21", "1990", "x", "Дом", "है", "Ελλάδα"]),
        st.sampled_from([str, str.capitalize, str.upper, str.lower]),
    )
    sign = st.sampled_from([*spoken.ends, *spoken.closing, *spoken.opening, ". ", ". ", "! ", "-", "..."])
    return draw(st.lists(st.one_of(word, sign, st.sampled_from(" \n")), max_size=40).map("".join))


@given(st.data(), st.sampled_from(sorted(LANGUAGES)))
def test_every_language_is_cut_as_the_slow_one_says(as_reference, data, language):
    texts = pa.array(data.draw(st.lists(prose_of(language), max_size=4)), pa.string())
    limits = Limits("sentence", 9, 0, 99, language=language)
    expected = slow_units(texts.to_pylist(), limits)
    assert as_rows(cut_documents(texts, limits)) == expected
    assert as_rows(as_reference(cut_documents, texts, limits)) == expected

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hornbook.index.layout import Block
from hornbook.machine.arrow import text_buffers, texts_of
from hornbook.terms.characters import SIZE, tables
from hornbook.terms.words import terms

_core = pytest.importorskip("hornbook._core")

ODD = "aZz1٣²_'’.,:;·‧-\u0301\u00ad\u200d\u200bΣςİßẞǅ\u212a\u212bიᲐ𐐀𝟘日😀\U00020000\0\x1c\x85\u00a0\u2028 \n"


def buffers(texts):
    return text_buffers(pa.array(texts, pa.string()))


def vocabulary(unit_terms):
    return texts_of(*unit_terms.vocabulary()).to_pylist()


def unit_counts(unit_terms, units):
    """How often each unit holds each term."""
    words = vocabulary(unit_terms)
    order, *rest = unit_terms.block(np.arange(units), np.arange(len(words), dtype=np.int32), len(words))
    block = Block(order, *rest)
    counts = [Counter() for _ in range(units)]
    for term, of_term in block.rows():
        for row in of_term:
            counts[order[row]][words[term]] = 1
    of_each = np.split(block.repeat_rows, block.repeat_ends), np.split(block.repeat_counts, block.repeat_ends)
    for term, of_term, how_often in zip(block.repeat_terms, *of_each, strict=False):
        for row, count in zip(of_term, how_often, strict=True):
            counts[order[row]][words[term]] = int(count)
    return counts


def unusual(text):
    return any(len(c.lower()) != 1 or c == "Σ" or ord(c) >= SIZE for c in text)


@given(st.lists(st.one_of(st.text(), st.text(ODD, max_size=30)), min_size=1, max_size=8))
def test_the_core_finds_the_terms_of_the_regular_expression(texts):
    held = _core.UnitTerms(*tables())
    rows = held.add(*buffers(texts))
    assert rows == [row for row, text in enumerate(texts) if unusual(text)]
    for row in rows:
        held.put(row, terms(texts[row]))
    assert vocabulary(held) == sorted({term for text in texts for term in terms(text)})
    assert unit_counts(held, len(texts)) == [Counter(terms(text)) for text in texts]


def test_many_terms_of_any_length_are_told_apart():
    # Short ones by all their bytes, long ones by a hash first; more than there is room for at the start.
    words = [f"{number:x}" for number in range(60_000)] + [
        f"{'x' * (number % 23)}{number}y" for number in range(60_000)
    ]
    words += ["a" * length for length in range(1, 70)] + ["ab" * length for length in range(1, 40)]
    held = _core.UnitTerms(*tables())
    half = len(words) // 2
    for some in (words[:half], words[half:], words):
        assert held.add(*buffers([" ".join(some[start : start + 9]) for start in range(0, len(some), 9)])) == []
    assert vocabulary(held) == sorted(set(words))


def test_tables_say_what_a_character_is_and_its_lower_case():
    kinds, lower = tables()
    assert kinds.shape == lower.shape == (SIZE,)
    assert [kinds[ord(c)] for c in "aé_7²\u0301 'Σİ-"] == [1, 1, 4, 2, 1, 8, 64, 48, 128, 128, 0]
    assert [chr(lower[ord(c)]) for c in "aÉ_\u212aǅ日"] == ["a", "é", "_", "k", "ǆ", "日"]

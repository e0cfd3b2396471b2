"""The core checks what it is given: sizes and offsets are refused, and no bytes make it read beyond its arrays."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hornbook.corpus import cutting
from hornbook.machine.arrow import text_buffers
from hornbook.terms.characters import tables
from hornbook.terms.stop_words import STOP_WORDS

_core = pytest.importorskip("hornbook._core", reason="the compiled core is missing")

# Lead and continuation bytes of UTF-8 in any order, with letters, marks and spaces between them.
BYTES = st.lists(
    st.one_of(
        st.sampled_from([b"\xc3", b"\xe0", b"\xe2\x80", b"\xf0\x9f", b"\x80", b"\xff", "é".encode(), "😀".encode()]),
        st.sampled_from([b"a", b"The", b"Mr", b"4", b" ", b". ", b"\n\n", b"&", b"'", b"good.This "]),
    ),
    max_size=12,
).map(b"".join)
UNITS = st.sampled_from(["sentence", "line", "chunk"])


def buffers(texts: list[bytes]):
    """Return texts of any bytes as `text_buffers`; the data ends with the last text."""
    offsets = np.cumsum([0, *map(len, texts)]).astype(np.int32)
    return offsets, np.frombuffer(b"".join(texts), np.uint8).copy()


def keywords():
    return _core.Keywords(*tables(), *text_buffers(pa.array(sorted(STOP_WORDS), pa.string())))


def cut(offsets, data, unit="sentence", kinds=None):
    return _core.cut_units(
        offsets, data, unit, 3, 1, 2, True, cutting.kinds() if kinds is None else kinds, cutting.rules()
    )


def rises_within(offsets, data):
    return offsets[0] == 0 and np.all(np.diff(offsets) >= 0) and offsets[-1] == len(data)


@given(st.lists(BYTES, min_size=1, max_size=4), UNITS)
def test_any_bytes_are_read_within_their_bounds(texts, unit):
    offsets, data, words, documents, *_, left = cut(*buffers(texts), unit)
    assert rises_within(offsets, data)
    assert len(words) == len(documents) == len(offsets) - 1
    assert not set(documents.tolist()) & set(left.tolist())
    held = _core.UnitTerms(*tables())
    rows = held.add(*buffers(texts))
    assert rises_within(*held.vocabulary())
    ends, _ = held.sequences()
    assert len(ends) == len(texts)
    assert all(ends[row] == (ends[row - 1] if row else 0) for row in rows)
    for best in (0, 2):
        text_ends, term_offsets, terms, unusual = keywords().of(*buffers(texts), best)
        assert rises_within(term_offsets, terms)
        assert set(unusual) == set(rows)
        assert text_ends[-1] == len(term_offsets) - 1


@pytest.mark.parametrize("cut_off", ["é", "…", "😀"])
def test_a_character_that_is_cut_off_is_left_to_python(cut_off):
    for size in range(1, len(cut_off.encode())):
        texts = [b"a " + cut_off.encode()[:size]]
        assert cut(*buffers(texts))[-1].tolist() == [0]
        assert _core.UnitTerms(*tables()).add(*buffers(texts)) == [0]
        assert keywords().of(*buffers(texts), 1)[-1] == [0]


@pytest.mark.parametrize("offsets", [[0, 2, 1], [-1, 2], [0, 4], [1, 0], [2_000_000_000, 2_000_000_000]])
def test_offsets_that_do_not_rise_within_the_data_are_refused(offsets):
    offsets, data = np.array(offsets, np.int32), np.frombuffer(b"abc", np.uint8)
    for call in (_core.UnitTerms(*tables()).add, lambda *arrays: keywords().of(*arrays, 1), cut):
        with pytest.raises(ValueError, match="offsets of texts do not rise"):
            call(offsets, data)
    with pytest.raises(ValueError, match="offsets of texts do not rise"):
        _core.Keywords(*tables(), offsets, data)


def test_no_texts_are_no_units():
    empty = np.empty(0, np.int32), np.empty(0, np.uint8)
    assert cut(*empty)[0].tolist() == [0]
    assert _core.UnitTerms(*tables()).add(*empty) == []


def test_tables_of_characters_must_fit():
    kinds, lower = tables()
    for wrong in ((kinds[:-1], lower), (kinds[:100], lower[:100]), (kinds[:200], np.full(200, 200, np.uint32))):
        with pytest.raises(ValueError, match="tables of characters"):
            _core.UnitTerms(*wrong)
    with pytest.raises(ValueError, match="unknown unit"):
        cut(*buffers([b"a"]), kinds=cutting.kinds()[:100])
    with pytest.raises(ValueError, match="unknown unit"):
        cut(*buffers([b"a"]), "page")


@pytest.mark.parametrize(
    ("chosen", "term_ids", "terms", "error"),
    [
        ([], [0, 1], 2, ValueError),
        ([0], [0], 2, ValueError),
        ([0], [0, 2], 2, ValueError),
        ([0], [0, 1], 2**40, ValueError),
        ([0], [0, 1], 3, ValueError),
        ([2], [0, 1], 2, IndexError),
        ([-1], [0, 1], 2, IndexError),
    ],
)
def test_a_block_of_what_is_not_there_is_refused(chosen, term_ids, terms, error):
    held = _core.UnitTerms(*tables())
    held.add(*buffers([b"a b", b"b"]))
    arguments = np.array(chosen, np.int64), np.array(term_ids, np.int32), terms
    with pytest.raises(ValueError, match="call vocabulary"):
        held.block(*arguments)
    held.vocabulary()
    with pytest.raises(error):
        held.block(*arguments)
    assert held.block(np.array([1]), np.array([0, -1], np.int32), 1)[0].tolist() == [0]
    # A new term is not in the vocabulary yet.
    held.add(*buffers([b"c"]))
    for call in (held.sequences, lambda: held.block(np.array([0]), np.array([0, 1], np.int32), 2)):
        with pytest.raises(ValueError, match="call vocabulary"):
            call()
    with pytest.raises(IndexError):
        held.put(3, ["d"])

"""What is worth labelling: near all anchors first, no near-repeats, where a student is unsure."""

import json

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hornbook import corpus, textbook
from hornbook.errors import HornbookError
from hornbook.recipe import CorpusConfig, GeneralConfig
from hornbook.tasks.answers import text_id
from hornbook.tasks.kinds import KINDS
from hornbook.textbook.store import table_of
from hornbook.textbook.to_label import _margin, distinct, in_order, plain_form, sample_to_label

ROWS = st.lists(
    st.tuples(
        st.sampled_from(["a b", "A  b!", "a b 3", "c", "c d", "12", "13"]),
        st.one_of(st.none(), st.integers(1, 3)),
        st.floats(0, 9),
    ),
    min_size=1,
    max_size=20,
)


def units(rows):
    texts, ranks, scores = zip(*rows, strict=True)
    return table_of(pa.table({"text": texts}), rank=pa.array(ranks, pa.int32()), score=pa.array(scores, pa.float64()))


@given(ROWS)
def test_near_units_of_all_anchors_come_first(rows):
    table = units(rows)
    order = in_order(table, 0).tolist()
    assert sorted(order) == list(range(len(rows)))
    keys = [(rows[i][1], -rows[i][2]) for i in order if rows[i][1] is not None]
    assert keys == sorted(keys)
    assert all(rows[i][1] is None for i in order[len(keys) :])
    assert order == in_order(table, 0).tolist()


@given(ROWS)
def test_the_first_of_near_repeats_is_kept(rows):
    table, order = units(rows), np.arange(len(rows))
    kept, seen = [], []
    for i, (text, _, _) in enumerate(rows):  # slow and obvious
        if plain_form(text) not in seen:
            seen.append(plain_form(text))
            kept.append(i)
    assert list(distinct(table, order)) == kept


def test_numbers_and_punctuation_make_no_new_text():
    assert plain_form("Rated 3 of 5, again!") == plain_form("rated 4 of 5 again")
    assert plain_form("not good") != plain_form("good")
    assert plain_form("12") != plain_form("13")  # a text of numbers alone stays itself


def test_the_least_sure_has_the_smallest_margin():
    assert _margin(KINDS["classification"], np.array([[0.2, 0.8], [0.45, 0.55]])) == pytest.approx([0.6, 0.1])
    assert _margin(KINDS["multilabel"], np.array([[0.9, 0.5], [0.9, 0.1]])) == pytest.approx([0, 0.8])


def test_a_file_to_label(tmp_path, general_text):
    units_ = corpus.build(CorpusConfig(sources=(str(general_text),)), tmp_path / "corpus")
    book = textbook.build(GeneralConfig(units=60), corpus=units_, out=tmp_path / "book")
    out = tmp_path / "to-label.jsonl"
    assert sample_to_label(book, 20, out) == 20
    lines = [json.loads(line) for line in out.read_text("utf-8").splitlines()]
    assert [line["id"] for line in lines] == [text_id(line["text"]) for line in lines]
    assert len({plain_form(line["text"]) for line in lines}) == 20
    sample_to_label(book, 20, tmp_path / "again.jsonl")
    assert (tmp_path / "again.jsonl").read_bytes() == out.read_bytes()
    with pytest.raises(HornbookError, match="exists already"):
        sample_to_label(book, 20, out)

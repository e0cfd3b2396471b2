import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hornbook.errors import HornbookError
from hornbook.recipe import ContextualizedConfig, GeneralConfig
from hornbook.terms.words import tokens
from hornbook.textbook import build, open_textbook, sampling
from hornbook.textbook.kinds.general import draw

TEXTS = [f"sentence {i}" + " and more, yet" * (i % 4) for i in range(100)]
SOURCES = ["books"] * 60 + ["news"] * 40


def rows(artifact):
    return pa.Table.from_batches(open_textbook(artifact).batches()).to_pylist()


@pytest.fixture
def corpus(make_corpus):
    return make_corpus(TEXTS, SOURCES)


def test_a_sample_of_units_by_rising_id(corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(sampling, "PAGE_UNITS", 7)
    artifact = build(GeneralConfig(units=30), corpus=corpus, out=tmp_path / "book")
    found = rows(artifact)
    ids = [row["unit"] for row in found]
    assert len(set(ids)) == 30
    assert ids == sorted(ids)
    for row in found:
        number = (row["unit"] - 1) // 2
        expected = dict.fromkeys(("text_pair", "label", "rank", "score", "anchors"))
        assert row == expected | {"text": TEXTS[number], "source": SOURCES[number], "unit": row["unit"]}
    assert artifact.counts == {"units": 30, "corpus_units": 100}
    assert artifact.info == {"kind": "general", "task": None, "contamination": "not checked", "share": 0.3}
    assert artifact.manifest["seed"] == 0


def test_the_seed_decides(corpus, tmp_path):
    books = [
        build(GeneralConfig(units=30, seed=seed), corpus=corpus, out=tmp_path / name)
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    ]
    assert books[0].manifest == books[1].manifest
    assert rows(books[0]) != rows(books[2])


def test_only_named_sources(corpus, tmp_path):
    artifact = build(GeneralConfig(units=40, sources=("news",)), corpus=corpus, out=tmp_path / "book")
    assert [row["text"] for row in rows(artifact)] == TEXTS[60:]


def test_a_sample_of_tokens_is_the_shortest_that_reaches_them(corpus, tmp_path):
    artifact = build(GeneralConfig(tokens=200), corpus=corpus, out=tmp_path / "book")
    counts = [len(tokens(row["text"])) for row in rows(artifact)]
    assert sum(counts) == artifact.counts["tokens"]
    assert 200 <= sum(counts) < 200 + max(counts)
    # One mark and three words for each "and more, yet", two for "sentence" and its number.
    everything = sum(2 + 4 * (i % 4) for i in range(100))
    whole = build(GeneralConfig(tokens=everything), corpus=corpus, out=tmp_path / "whole")
    assert whole.counts["units"] == 100


def test_as_large_as_another_textbook(corpus, make_task, tmp_path):
    task = make_task(["more sentence", "news"])
    drawn = build(ContextualizedConfig(k=23), corpus=corpus, task=task, out=tmp_path / "drawn")
    artifact = build(GeneralConfig(), corpus=corpus, like=drawn, out=tmp_path / "book")
    assert len(rows(artifact)) == drawn.counts["units"] == 23
    assert artifact.manifest["inputs"] == {"corpus": corpus.key, "like": drawn.key}
    # A size of its own wins, and then the other textbook is no input.
    own = build(GeneralConfig(units=5), corpus=corpus, like=drawn, out=tmp_path / "own")
    assert own.counts["units"] == 5
    assert own.manifest["inputs"] == {"corpus": corpus.key}


@given(st.lists(st.integers(1, 9), min_size=1, max_size=30), st.data())
def test_draw_takes_the_beginning_of_a_random_order(sizes, data):
    sizes = np.array(sizes)
    wanted = data.draw(st.integers(1, int(sizes.sum())))
    drawn = draw(sizes, wanted, 3)
    assert (np.diff(drawn) > 0).all()
    assert wanted <= sizes[drawn].sum() < wanted + sizes.max()
    smaller = draw(sizes, data.draw(st.integers(1, wanted)), 3)
    assert set(smaller) <= set(drawn)


def test_draw_is_uniform():
    times = np.bincount(np.concatenate([draw(np.ones(20, np.int64), 5, seed) for seed in range(2000)]))
    # Each of 20 rows is drawn 500 times on average, with a standard deviation of 19.4.
    assert abs(times - 500).max() < 5 * 19.4


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"units": 101}, "has 100 units, too few for a sample of 101"),
        ({"units": 41, "sources": ("news",)}, "has 40 units in news, too few for a sample of 41"),
        ({"tokens": 10_000}, "has 800 tokens, too few for a sample of 10,000"),
        ({"units": 1, "sources": ("news", "wiki")}, "no source wiki; its sources are books, news"),
        ({}, "needs a size"),
    ],
)
def test_what_cannot_be_sampled_is_refused(corpus, tmp_path, settings, message):
    with pytest.raises(HornbookError, match=message) as raised:
        build(GeneralConfig(**settings), corpus=corpus, out=tmp_path / "book")
    assert "\n" not in str(raised.value)
    assert not list(tmp_path.glob("*book*"))

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hornbook.corpus import open_corpus
from hornbook.errors import HornbookError
from hornbook.recipe import RelatedConfig, validate
from hornbook.retrieval import Hits, retrieve
from hornbook.retrieval.rake import keywords
from hornbook.textbook import build, open_textbook
from hornbook.textbook.kinds import related

WORDS = ["film", "story", "actor", "music", "plot", "scene", "voice", "camera", "laugh", "tear"]


def texts_of(count, seed, most=5):
    random = np.random.default_rng(seed)
    return [" ".join(random.choice(WORDS, random.integers(1, most))) for _ in range(count)]


def rows(artifact):
    return pa.Table.from_batches(open_textbook(artifact).batches()).to_pylist()


def paired_by_hand(hits):
    """Pairs of unit ids with the best rank and its score, query by query, hit by hit."""
    best = {}
    for units, scores in zip(hits.units.tolist(), hits.scores.tolist(), strict=True):
        for place in range(0, len(units) - 1, 2):
            one, other = units[place : place + 2]
            if other < 0:
                continue
            pair = tuple(sorted((one, other)))
            if pair not in best or place + 1 < best[pair][2]:
                best[pair] = (one, other, place + 1, scores[place])
    return [best[pair] for pair in sorted(best)]


@st.composite
def some_hits(draw):
    queries, k = draw(st.integers(0, 6)), draw(st.integers(1, 7))
    units = np.full((queries, k), -1)
    for row in units:
        count = draw(st.integers(0, k))
        row[:count] = draw(st.permutations(range(10)))[:count]
    scores = np.sort(np.random.default_rng(queries * k).random((queries, k)))[:, ::-1]
    return Hits(units, np.where(units < 0, -np.inf, scores))


@given(some_hits())
def test_neighbouring_hits_make_pairs_each_once(hits):
    found = related.pair_hits(hits)
    assert list(zip(found.units, found.others, found.rank, found.score, strict=True)) == paired_by_hand(hits)


@pytest.mark.parametrize("k", [2, 5, 40])
def test_rows_are_the_pairs_of_each_anchor(make_corpus, make_task, tmp_path, monkeypatch, k):
    monkeypatch.setattr(related, "PAGE_PAIRS", 5)
    monkeypatch.setattr(related, "PAGE_UNITS", 7)
    corpus = make_corpus(texts_of(120, seed=0))
    anchors = [*texts_of(8, seed=1), "it is what it is"]
    artifact = build(RelatedConfig(k=k), corpus=corpus, task=make_task(anchors), out=tmp_path / "book")
    opened = open_corpus(corpus)
    hits = retrieve(opened, [query for anchor in anchors if (query := keywords(anchor))], k)
    units = {row["unit"]: row for row in pa.Table.from_batches(opened.batches()).to_pylist()}
    expected, seen, ids = [], set(), set()
    for one, other, rank, score in paired_by_hand(hits):
        text, pair = units[one]["text"], units[other]["text"]
        ids |= {one, other}
        if text != pair and frozenset((text, pair)) not in seen:
            seen.add(frozenset((text, pair)))
            about = {"source": units[one]["source"], "unit": one, "rank": rank, "score": score}
            expected.append({"text": text, "text_pair": pair, "label": None, **about, "anchors": None})
    assert rows(artifact) == expected
    assert artifact.counts["units"] == len(expected)
    assert artifact.counts["units"] + artifact.counts["duplicates"] == len(paired_by_hand(hits))
    assert artifact.counts["k"] == k
    assert artifact.info["share"] == len(ids) / 120
    assert not list((tmp_path / "book").glob("units-*"))


def test_a_pair_with_a_dev_text_is_removed(make_corpus, make_labelled, tmp_path):
    corpus, labels = make_corpus(["Music!", "film music", "rain"]), ["good", "bad"]
    task = make_labelled(
        {"text": ["film music", "unheard"], "label": labels}, {"text": ["music", "x"], "label": labels}
    )
    kept = build(RelatedConfig(k=2, contamination="keep"), corpus=corpus, task=task, out=tmp_path / "kept")
    assert [(row["text"], row["text_pair"]) for row in rows(kept)] == [("film music", "Music!")]
    assert kept.counts["contaminated"] == 1
    with pytest.raises(HornbookError, match="all 1 units contain dev or test texts of the task"):
        build(RelatedConfig(k=2), corpus=corpus, task=task, out=tmp_path / "removed")


def test_auto_draws_at_least_two_for_each_anchor(make_corpus, make_task, tmp_path):
    config = RelatedConfig(k="auto", share=0.0, min_units=1)
    corpus, task = make_corpus(texts_of(60, seed=2)), make_task(texts_of(5, seed=3))
    assert build(config, corpus=corpus, task=task, out=tmp_path / "book").counts["k"] == 2


def test_one_unit_makes_no_pair(make_corpus, make_task, tmp_path):
    with pytest.raises(HornbookError, match="greater than or equal to 2"):
        validate(RelatedConfig, {"k": 1}, "recipe")
    corpus, task = make_corpus(["film", "music"]), make_task(["film", "music"])
    with pytest.raises(HornbookError, match="no unit is left"):
        build(RelatedConfig(k=2), corpus=corpus, task=task, out=tmp_path / "book")

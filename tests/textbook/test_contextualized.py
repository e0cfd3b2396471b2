import math
from collections import defaultdict

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hornbook.corpus import open_corpus
from hornbook.errors import HornbookError
from hornbook.recipe import ContextualizedConfig
from hornbook.retrieval import Hits, retrieve
from hornbook.retrieval.rake import keywords
from hornbook.textbook import anchors as anchors_module
from hornbook.textbook import build, open_textbook
from hornbook.textbook.anchors import distinct_units, smallest_k
from hornbook.textbook.kinds import contextualized

WORDS = ["film", "story", "actor", "music", "plot", "scene", "voice", "camera", "laugh", "tear", "hero", "night"]


def texts_of(count, seed, most=8):
    random = np.random.default_rng(seed)
    return [" ".join(random.choice(WORDS, random.integers(1, most))) for _ in range(count)]


def rows(artifact):
    return pa.Table.from_batches(open_textbook(artifact).batches()).to_pylist()


def drawn_by_hand(corpus, anchors, k):
    """Units with best rank, best score and number of anchors, counted hit by hit; equal texts kept once."""
    hits = retrieve(open_corpus(corpus), [q for a in anchors if (q := keywords(a))], k)
    best = defaultdict(list)
    for units, scores in zip(hits.units.tolist(), hits.scores.tolist(), strict=True):
        for rank, (unit, score) in enumerate(zip(units, scores, strict=True), start=1):
            if unit >= 0:
                best[unit].append((rank, score))
    units = pa.Table.from_batches(open_corpus(corpus).batches()).to_pylist()
    by_text = {}
    for row in units:
        if row["unit"] in best:
            by_text.setdefault(row["text"], []).append(row)
    expected = []
    for first, *others in by_text.values():
        found = [best[row["unit"]] for row in (first, *others)]
        expected.append(
            {
                "text": first["text"],
                "text_pair": None,
                "label": None,
                "source": first["source"],
                "unit": first["unit"],
                "rank": min(rank for hits_of in found for rank, _ in hits_of),
                "score": max(score for hits_of in found for _, score in hits_of),
                "anchors": max(map(len, found)),
            }
        )
    return expected


@pytest.mark.parametrize("k", [1, 5, 40])
def test_rows_are_the_merged_hits_each_text_once(make_corpus, make_task, tmp_path, monkeypatch, k):
    monkeypatch.setattr(contextualized, "PAGE_UNITS", 7)
    corpus = make_corpus(texts_of(120, seed=0, most=4))
    anchors = [*texts_of(8, seed=1), "it is what it is"]
    artifact = build(ContextualizedConfig(k=k), corpus=corpus, task=make_task(anchors), out=tmp_path / "book")
    assert rows(artifact) == drawn_by_hand(corpus, anchors, k)
    assert artifact.counts["duplicates"] > 0 or k == 1
    assert artifact.counts["units"] + artifact.counts["duplicates"] <= artifact.counts["retrieved"] <= 9 * k


@pytest.mark.parametrize("k", [1, 2, 3, 5, 8])
def test_of_equal_texts_the_lowest_id_of_the_corpus_is_kept_with_the_best_rank_and_all_anchors(
    make_corpus, make_task, tmp_path, k
):
    """Holds only while retrieval ranks lower ids first among equal scores; k cuts through the ties."""
    texts = ["film music", "a song", "film music", "film music of a song", "a song", "film music", "a song"] * 2
    anchors = ["film music", "a song", "film song"]
    corpus, task = make_corpus(texts, shard_units=4), make_task(anchors)
    hits = retrieve(open_corpus(corpus), [keywords(anchor) for anchor in anchors], k)
    for units, scores in zip(hits.units.tolist(), hits.scores.tolist(), strict=True):
        assert sorted(zip([-score for score in scores], units, strict=True)) == list(
            zip([-score for score in scores], units, strict=True)
        )
    artifact = build(ContextualizedConfig(k=k), corpus=corpus, task=task, out=tmp_path / "book")
    text_of = {1 + 2 * i: text for i, text in enumerate(texts)}
    for row in rows(artifact):
        assert row["unit"] == 1 + 2 * texts.index(row["text"])
        ranks = [[text_of.get(unit) for unit in units] for units in hits.units.tolist()]
        with_text = [units.index(row["text"]) + 1 for units in ranks if row["text"] in units]
        assert (row["rank"], row["anchors"]) == (min(with_text), len(with_text))


def test_what_is_counted(make_corpus, make_task, tmp_path):
    corpus = make_corpus(["good film", "bad film", "a song", "film music"])
    task = make_task(["film", "a song", "of the", "unheard words", "film"])
    artifact = build(ContextualizedConfig(k=2), corpus=corpus, task=task, out=tmp_path / "book")
    assert artifact.counts == {
        "units": 3,
        "k": 2,
        "anchors": 4,
        "anchors_without_keywords": 1,
        "anchors_with_unseen_keywords": 1,
        "anchors_with_fewer_hits": 2,
        "retrieved": 3,
        "duplicates": 0,
        "contaminated": 0,
        "corpus_units": 4,
    }
    assert artifact.info == {
        "kind": "contextualized",
        "task": task.key,
        "contamination": "removed",
        "share": 0.75,
        "unique_over_retrieved": 1.0,
    }
    book = open_textbook(tmp_path / "book")
    assert (book.kind, book.units, book.key) == ("contextualized", 3, artifact.key)
    assert [row["unit"] for row in rows(artifact)] == [1, 3, 5]


def test_settings_of_keywords_and_scores_reach_the_retrieval(make_corpus, make_task, tmp_path):
    texts = ["red wine", "white bread", "red white", "wine and bread and wine"]
    corpus, task = make_corpus(texts), make_task(["bread, old red wine and white", "and"])
    config = ContextualizedConfig(k=4, k1=0.5, b=0.1, phrases=2)
    artifact = build(config, corpus=corpus, task=task, out=tmp_path / "book")
    # The phrases are old red wine (score 9), white and bread (1 each): the second best is last in the alphabet.
    hits = retrieve(open_corpus(corpus), [["old", "red", "wine", "white"]], 4, 0.5, 0.1)
    found = {row["unit"]: row["score"] for row in rows(artifact)}
    assert found == dict(zip(hits.units[0].tolist(), hits.scores[0].tolist(), strict=True))


def test_all_content_words_can_make_the_query(make_corpus, make_task, tmp_path):
    corpus = make_corpus(["red wine", "white bread", "green tea", "old town", "cold water"])
    task = make_task(["the red one, a bread and the tea, the tea", "of the"])
    config = ContextualizedConfig(k=5, keywords="all", phrases=1)
    artifact = build(config, corpus=corpus, task=task, out=tmp_path / "book")
    hits = retrieve(open_corpus(corpus), [["red", "bread", "tea", "tea"]], 5)
    found = {row["unit"]: row["score"] for row in rows(artifact)}
    assert found == {u: s for u, s in zip(hits.units[0].tolist(), hits.scores[0].tolist(), strict=True) if u >= 0}
    assert len(found) == 3


@pytest.mark.parametrize(("share", "min_units"), [(0.1, 1), (0.5, 1), (0.01, 90), (0.0, 1), (1.0, 1), (0.1, 10_000)])
@pytest.mark.parametrize("anchors", [3, 60])
def test_auto_picks_the_smallest_k_that_reaches_the_share(
    make_corpus, make_task, tmp_path, share, min_units, anchors
):
    corpus = make_corpus(texts_of(200, seed=2))
    anchors = texts_of(anchors, seed=3)
    auto = ContextualizedConfig(share=share, min_units=min_units)
    artifact = build(auto, corpus=corpus, task=make_task(anchors), out=tmp_path / "auto")
    queries = [keywords(anchor) for anchor in dict.fromkeys(anchors)]
    wanted = min(max(math.ceil(share * 200), min_units), 200)
    found = retrieve(open_corpus(corpus), queries, 200).units
    sizes = [len(set(found[:, :k].ravel().tolist()) - {-1}) for k in range(1, 201)]
    k = 1 + next(i for i, size in enumerate(sizes) if size >= min(wanted, max(sizes)))
    assert artifact.counts["k"] == k
    fixed = build(ContextualizedConfig(k=k), corpus=corpus, task=make_task(anchors), out=tmp_path / "fixed")
    assert rows(artifact) == rows(fixed)
    assert artifact.counts == fixed.counts


def test_auto_stays_within_its_memory(make_corpus, make_task, tmp_path, monkeypatch):
    corpus, task = make_corpus(texts_of(200, seed=2)), make_task(["film", "music"])
    monkeypatch.setattr(anchors_module, "MAX_HITS", 2 * 13)
    artifact = build(ContextualizedConfig(share=1), corpus=corpus, task=task, out=tmp_path / "book")
    assert artifact.counts["k"] == 13


def test_result_does_not_depend_on_the_shards(make_corpus, make_task, tmp_path):
    texts, task = texts_of(90, seed=4), make_task(texts_of(6, seed=5))
    books = []
    for shard_units in (7, 90):
        corpus = make_corpus(texts, shard_units=shard_units)
        artifact = build(ContextualizedConfig(k=9), corpus=corpus, task=task, out=tmp_path / f"book{shard_units}")
        books.append(artifact.manifest)
    assert books[0] == books[1]


@given(
    st.integers(1, 6).flatmap(
        lambda k: st.lists(st.lists(st.integers(0, 15), max_size=k, unique=True).map(lambda u: (u, k)), max_size=6)
    )
)
def test_merge_equals_counting_hit_by_hit(found):
    k = found[0][1] if found else 1
    units = np.array([u + [-1] * (k - len(u)) for u, _ in found], np.int64).reshape(-1, k)
    scores = np.where(units < 0, -np.inf, 10.0 - np.arange(k) - units / 100)
    best = defaultdict(list)
    for query, rank in zip(*np.nonzero(units >= 0), strict=True):
        best[int(units[query, rank])].append((rank + 1, scores[query, rank]))
    drawn = distinct_units(Hits(units, scores))
    assert drawn.units.tolist() == sorted(best)
    assert drawn.rank.tolist() == [min(r for r, _ in best[u]) for u in sorted(best)]
    assert drawn.score.tolist() == [max(s for _, s in best[u]) for u in sorted(best)]
    assert drawn.queries.tolist() == [len(best[u]) for u in sorted(best)]
    if best:
        for target in (1, 3, 99):
            reached = min(target, len(best))
            assert smallest_k(drawn, target) == next(r for r in range(1, 9) if (drawn.rank <= r).sum() >= reached)


@pytest.mark.parametrize(
    ("k", "anchors", "message"),
    [
        (5, ["film", "song"], "has 4 units, too few for k = 5; lower k"),
        (2, ["of the", "it is"], "none of the 2 anchors has a keyword"),
        (2, ["unheard", "words"], "no unit contains a keyword"),
        ("auto", ["unheard", "words"], "no unit contains a keyword"),
    ],
)
def test_what_cannot_be_retrieved_is_refused(make_corpus, make_task, tmp_path, k, anchors, message):
    corpus = make_corpus(["good film", "bad film", "a song", "film music"])
    with pytest.raises(HornbookError, match=message) as raised:
        build(ContextualizedConfig(k=k), corpus=corpus, task=make_task(anchors), out=tmp_path / "book")
    assert "\n" not in str(raised.value)
    assert not list(tmp_path.glob("*book*"))
    assert not list(tmp_path.glob(".book*"))


def test_a_task_is_needed(make_corpus, tmp_path):
    with pytest.raises(HornbookError, match="needs a task"):
        build(ContextualizedConfig(), corpus=make_corpus(["a film"]), out=tmp_path / "book")

"""Importance resampling against a reference that weighs one unit at a time."""

import math
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from hornbook.errors import HornbookError
from hornbook.recipe import ImportanceConfig
from hornbook.tasks import open_task
from hornbook.terms import terms
from hornbook.textbook import build, open_textbook, sampling
from hornbook.textbook.kinds import importance
from hornbook.textbook.kinds.importance import counted, draw, log_ratios, log_weights

WORDS = ["film", "story", "actor", "music", "plot", "the", "a", "Don't", "3.14", "ΣΊΣΥΦΟΣ"]
TEXTS = st.lists(st.lists(st.sampled_from(WORDS), max_size=8).map(" ".join), max_size=12)


def config(**settings):
    return ImportanceConfig(**{"units": 1, "buckets": 50, **settings})


def buckets_by_hand(text, ngrams, buckets):
    """Count the buckets of a text's n-grams, one n-gram at a time."""
    words = terms(text)
    found = Counter()
    for size in range(1, ngrams + 1):
        for start in range(len(words) - size + 1):
            code = 0
            for place, word in enumerate(words[start : start + size]):
                own = xxhash.xxh3_64_intdigest(word.encode())
                code = own if not place else ((code ^ (code >> 29)) * 0x9E3779B97F4A7C15 + own) % 2**64
            found[code % buckets] += 1
    return found


def weights_by_hand(units, texts, ngrams, buckets):
    """The log weight of each unit, one n-gram at a time."""
    in_task = sum((buckets_by_hand(text, ngrams, buckets) for text in texts), Counter())
    in_corpus = sum((buckets_by_hand(unit, ngrams, buckets) for unit in units), Counter())

    def log_p(counts, bucket):
        return math.log((counts[bucket] + 1) / (counts.total() + buckets))

    return [
        math.fsum(
            count * (log_p(in_task, bucket) - log_p(in_corpus, bucket))
            for bucket, count in buckets_by_hand(unit, ngrams, buckets).items()
        )
        for unit in units
    ]


@given(texts=TEXTS, ngrams=st.integers(1, 4), buckets=st.sampled_from([2, 7, 64, 10_000]))
def test_n_grams_are_counted_as_one_by_one(texts, ngrams, buckets):
    found = counted([pa.array(texts, pa.string())], config(ngrams=ngrams, buckets=buckets))
    expected = sum((buckets_by_hand(text, ngrams, buckets) for text in texts), Counter())
    assert {bucket: count for bucket, count in enumerate(found.tolist()) if count} == dict(expected)


@given(units=TEXTS, texts=TEXTS, ngrams=st.integers(1, 3), buckets=st.sampled_from([2, 64, 10_000]))
def test_weights_are_those_of_one_unit_at_a_time(units, texts, ngrams, buckets):
    settings = config(ngrams=ngrams, buckets=buckets)
    held, wanted = pa.array(units, pa.string()), pa.array(texts, pa.string())
    ratios = log_ratios(counted([wanted], settings), counted([held], settings))
    assert log_weights(held, ratios, ngrams) == pytest.approx(weights_by_hand(units, texts, ngrams, buckets))


def test_a_hash_is_the_same_on_every_machine():
    found = counted([pa.array(["good film"])], config(buckets=10_000))
    assert np.flatnonzero(found).tolist() == [512, 5177, 8441]


@given(st.lists(st.integers(1, 9), min_size=1, max_size=30), st.data())
def test_draw_takes_the_fewest_that_reach_the_size(sizes, data):
    sizes = np.array(sizes)
    weights = np.array(data.draw(st.lists(st.floats(-30, 30), min_size=len(sizes), max_size=len(sizes))))
    wanted = data.draw(st.integers(1, int(sizes.sum())))
    drawn = draw(weights, sizes, wanted, 3)
    assert (np.diff(drawn) > 0).all()
    assert wanted <= sizes[drawn].sum() < wanted + sizes.max()
    smaller = draw(weights, sizes, data.draw(st.integers(1, wanted)), 3)
    assert set(smaller) <= set(drawn)


def test_rows_are_drawn_in_proportion_to_their_weights():
    weights = np.log([1.0, 2.0, 3.0, 4.0])
    first = np.bincount([draw(weights, np.ones(4, np.int64), 1, seed)[0] for seed in range(4000)], minlength=4)
    expected = np.array([400, 800, 1200, 1600])
    assert (np.abs(first - expected) < 5 * np.sqrt(expected * (1 - expected / 4000))).all()
    # Without replacement: the second is drawn among those that are left.
    pairs = Counter(tuple(draw(weights, np.ones(4, np.int64), 2, seed).tolist()) for seed in range(4000))
    heaviest = 4000 * (0.4 * 3 / 6 + 0.3 * 4 / 7)
    assert abs(pairs[2, 3] - heaviest) < 5 * math.sqrt(heaviest)


def made_up(count, words, seed):
    random = np.random.default_rng(seed)
    return [" ".join(random.choice(words, random.integers(4, 9))) for _ in range(count)]


FILMS = ["film", "plot", "actor", "scene", "dull", "great", "the", "a"]
OTHERS = ["engine", "river", "market", "treaty", "rain", "north", "the", "a"]
UNITS = [*made_up(60, FILMS, 0), *made_up(240, OTHERS, 1)]


@pytest.fixture
def task(make_task):
    return make_task(made_up(40, FILMS, 2))


def rows(artifact):
    return pa.Table.from_batches(open_textbook(artifact).batches()).to_pylist()


def test_units_of_the_tasks_distribution_are_drawn(make_corpus, task, tmp_path):
    sources = ["films"] * 60 + ["others"] * 240
    artifact = build(config(units=50), corpus=make_corpus(UNITS, sources), task=task, out=tmp_path / "book")
    found = rows(artifact)
    assert len(found) == 50
    assert [row["unit"] for row in found] == sorted({row["unit"] for row in found})
    # A uniform sample would hold 10 of them, give or take 2.6.
    assert sum(row["source"] == "films" for row in found) > 45
    weights = dict(zip(UNITS, weights_by_hand(UNITS, texts_of(task), 2, 50), strict=True))
    assert all(row["score"] == pytest.approx(weights[row["text"]]) for row in found)
    assert min(weights[unit] for unit in UNITS[:60]) > np.median([weights[unit] for unit in UNITS[60:]])
    assert {row["rank"] for row in found} == {row["anchors"] for row in found} == {None}
    assert artifact.counts == {"task_texts": 40, "contaminated": 0, "units": 50, "corpus_units": 300}
    assert artifact.info["kind"] == "importance"
    assert artifact.manifest["seed"] == 0


def texts_of(task):
    return open_task(task).split("train").column("text").to_pylist()


def test_the_divergence_that_is_won(make_corpus, task, tmp_path):
    artifact = build(config(units=50), corpus=make_corpus(UNITS), task=task, out=tmp_path / "book")
    counts = [
        sum((buckets_by_hand(text, 2, 50) for text in texts), Counter())
        for texts in (texts_of(task), UNITS, [row["text"] for row in rows(artifact)])
    ]
    p = [counts[0][bucket] / counts[0].total() for bucket in range(50)]
    raw, selected = ([(c[bucket] + 1) / (c.total() + 50) for bucket in range(50)] for c in counts[1:])

    def divergence(q):
        return math.fsum(a * math.log(a / b) for a, b in zip(p, q, strict=True) if a)

    assert artifact.info["kl_reduction"] == pytest.approx(divergence(raw) - divergence(selected))
    assert artifact.info["kl_reduction"] > 0.3


def test_pages_shards_and_runs_do_not_change_the_sample(make_corpus, task, tmp_path, monkeypatch):
    manifests = []
    for name, shard_units, batch in (("a", 300, 10_000), ("b", 7, 5), ("c", 7, 5)):
        monkeypatch.setattr(importance, "PAGE_UNITS", batch)
        monkeypatch.setattr(importance, "BATCH_UNITS", batch)
        monkeypatch.setattr(sampling, "BATCH_UNITS", batch)
        corpus = make_corpus(UNITS, shard_units=shard_units)
        manifests.append(build(config(units=50), corpus=corpus, task=task, out=tmp_path / name).manifest)
    assert manifests[0] == manifests[1] == manifests[2]
    other = build(config(units=50, seed=1), corpus=corpus, task=task, out=tmp_path / "other")
    assert [row["unit"] for row in rows(other)] != [row["unit"] for row in rows(tmp_path / "a")]


def test_sizes_and_sources(make_corpus, task, tmp_path):
    corpus = make_corpus(UNITS, ["films"] * 60 + ["others"] * 240)
    by_bytes = build(config(units=None, bytes=900), corpus=corpus, task=task, out=tmp_path / "bytes")
    sizes = [len(row["text"].encode()) for row in rows(by_bytes)]
    assert sum(sizes) == by_bytes.counts["bytes"]
    assert 900 <= sum(sizes) < 900 + max(sizes)
    # What cannot be drawn does not count as the corpus's distribution either.
    others = build(config(units=9, sources=("others",)), corpus=corpus, task=task, out=tmp_path / "others")
    weights = dict(zip(UNITS[60:], weights_by_hand(UNITS[60:], texts_of(task), 2, 50), strict=True))
    assert {row["source"] for row in rows(others)} == {"others"}
    assert all(row["score"] == pytest.approx(weights[row["text"]]) for row in rows(others))
    like = build(config(units=None), corpus=corpus, task=task, like=by_bytes, out=tmp_path / "like")
    assert like.counts["units"] == by_bytes.counts["units"]
    assert set(like.manifest["inputs"]) == {"corpus", "task", "like"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"units": 301}, "has 300 units, too few for a sample of 301"),
        ({"sources": ("news",)}, "no source news; its sources are books"),
        ({"units": None}, "an importance textbook needs a size"),
    ],
)
def test_what_cannot_be_drawn_is_refused(make_corpus, task, tmp_path, settings, message):
    with pytest.raises(HornbookError, match=message):
        build(config(**settings), corpus=make_corpus(UNITS), task=task, out=tmp_path / "book")
    assert not list(tmp_path.glob("*book*"))


def test_a_task_without_words_is_refused(make_corpus, make_task, tmp_path):
    with pytest.raises(HornbookError, match="its training texts have no word to count"):
        build(config(), corpus=make_corpus(UNITS), task=make_task(["?", "!", "?!"]), out=tmp_path / "book")

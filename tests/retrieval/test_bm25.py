import math
from collections import Counter
from functools import reduce
from operator import add

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hornbook.errors import HornbookError
from hornbook.retrieval.bm25 import retrieve, statistics
from hornbook.terms.words import terms


class Listed:
    """A corpus in memory, with gaps between its unit ids."""

    def __init__(self, texts, ids=None):
        self.table = pa.table({"unit": pa.array(ids or range(3, 3 + 2 * len(texts), 2), pa.int64()), "text": texts})
        self.table = self.table.cast(pa.schema([("unit", pa.int64()), ("text", pa.string())]))

    def batches(self, columns, batch_units):
        yield from self.table.select(columns).to_batches(batch_units)


def naive(corpus, queries, k, k1, b):
    """BM25 by its definition: every query against every unit, in float64."""
    ids = corpus.table.column("unit").to_pylist()
    units = [Counter(terms(text)) for text in corpus.table.column("text").to_pylist()]
    lengths = [sum(unit.values()) for unit in units]
    mean = sum(lengths) / len(units)
    found = []
    for query in queries:
        scored = []
        for i, unit, length in zip(ids, units, lengths, strict=True):
            score = 0.0
            for term, count in sorted(Counter(query).items()):
                if tf := unit[term]:
                    df = sum(term in other for other in units)
                    idf = math.log(1 + (len(units) - df + 0.5) / (df + 0.5))
                    score += count * (idf * tf / (tf + k1 * (1 - b + b * length / mean)))
            if score > 0:
                scored.append((-score, i))
        found.append([(i, -score) for score, i in sorted(scored)[:k]])
    return found


def listed(hits):
    return [
        [(unit, score) for unit, score in zip(units, scores, strict=True) if unit >= 0]
        for units, scores in zip(hits.units.tolist(), hits.scores.tolist(), strict=True)
    ]


WORDS = ["a", "b", "c", "d", "e"]
TEXTS = st.lists(st.lists(st.sampled_from(WORDS), max_size=6).map(" ".join), min_size=1, max_size=40)
QUERIES = st.lists(st.lists(st.sampled_from([*WORDS, "unseen"]), max_size=6), max_size=5)


@given(
    texts=TEXTS,
    queries=QUERIES,
    k=st.integers(1, 12),
    k1=st.sampled_from([0.0, 0.9, 1.2]),
    b=st.sampled_from([0.0, 0.4, 0.75, 1.0]),
    batch_units=st.integers(1, 50),
)
def test_equals_the_naive_loop_whatever_the_batches(texts, queries, k, k1, b, batch_units):
    corpus = Listed(texts)
    hits = retrieve(corpus, queries, k, k1, b, batch_units)
    assert hits.units.shape == hits.scores.shape == (len(queries), k)
    assert listed(hits) == naive(corpus, queries, k, k1, b)
    assert np.array_equal(hits.units < 0, np.isneginf(hits.scores))


def test_larger_corpus_equals_the_naive_loop():
    random = np.random.default_rng(0)
    words = [f"w{i}" for i in range(60)]
    share = 1 / np.arange(1, 61) / np.sum(1 / np.arange(1, 61))
    texts = [" ".join(random.choice(words, random.integers(0, 15), p=share)) for _ in range(600)]
    queries = [random.choice(words, 8, p=share).tolist() for _ in range(10)]
    corpus = Listed(texts)
    for batch_units in (64, 1000):
        assert listed(retrieve(corpus, queries, 25, batch_units=batch_units)) == naive(corpus, queries, 25, 1.2, 0.75)


def test_by_hand():
    # N = 3, lengths 3, 1, 2: mean 2. "cat" stands in 2 units: idf = ln(1 + 1.5 / 2.5) = ln 1.6.
    # Unit 0: tf 2, 2 / (2 + 1.2 * (0.25 + 0.75 * 3 / 2)) = 2 / 3.65; unit 2: tf 1, 1 / (1 + 1.2) = 1 / 2.2.
    hits = retrieve(Listed(["Cat, cat dog", "dog", "the cat"], [0, 1, 2]), [["cat"]], 3)
    assert hits.units.tolist() == [[0, 2, -1]]
    assert hits.scores[0, :2].tolist() == pytest.approx([math.log(1.6) * 2 / 3.65, math.log(1.6) / 2.2])


def test_ties_go_to_the_lowest_ids_also_across_batches():
    hits = retrieve(Listed(["x y"] * 20, list(range(20))), [["x"]], 7, batch_units=3)
    assert hits.units.tolist() == [list(range(7))]


@given(texts=TEXTS, queries=QUERIES, k=st.integers(1, 12), smaller=st.integers(1, 12))
def test_cut_is_what_a_smaller_k_finds(texts, queries, k, smaller):
    smaller = min(smaller, k)
    cut, direct = retrieve(Listed(texts), queries, k).cut(smaller), retrieve(Listed(texts), queries, smaller)
    assert np.array_equal(cut.units, direct.units)
    assert np.array_equal(cut.scores, direct.scores)


@given(texts=TEXTS, batch_units=st.integers(1, 50))
def test_statistics_of_the_parts_add_up(texts, batch_units):
    vocabulary = {"a": 0, "c": 1, "unseen": 2}
    batches = list(Listed(texts).batches(["unit", "text"], batch_units))
    whole = statistics(batches, vocabulary)
    parts = reduce(add, [statistics([batch], vocabulary) for batch in batches])
    assert (whole.units, whole.terms, whole.mean_length) == (parts.units, parts.terms, parts.mean_length)
    assert whole.document_frequency.tolist() == parts.document_frequency.tolist()
    split = [text.split() for text in texts]
    assert (whole.units, whole.terms) == (len(texts), sum(map(len, split)))
    assert whole.document_frequency.tolist() == [sum(t in text for text in split) for t in vocabulary]


@pytest.mark.parametrize("queries", [[], [[]], [["unseen"], []]])
def test_queries_without_a_known_term_find_nothing(queries):
    hits = retrieve(Listed(["a b", ""]), queries, 2)
    assert hits.units.tolist() == [[-1, -1]] * len(queries)


def test_corpus_of_empty_texts_and_empty_corpus():
    assert retrieve(Listed(["", " . "]), [["a"]], 1).units.tolist() == [[-1]]
    assert retrieve(Listed([]), [["a"]], 1).units.tolist() == [[-1]]


def test_k_of_zero_is_refused():
    with pytest.raises(HornbookError, match="k is 0"):
        retrieve(Listed(["a"]), [["a"]], 0)


def test_descending_ids_are_refused():
    with pytest.raises(ValueError, match="ascend"):
        retrieve(Listed(["a", "a"], [2, 1]), [["a"]], 1, batch_units=1)


def test_scores_agree_with_bm25s():
    bm25s = pytest.importorskip("bm25s", reason="bm25s is not installed")
    random = np.random.default_rng(1)
    texts = [" ".join(random.choice([f"w{i}" for i in range(50)], random.integers(1, 12))) for _ in range(300)]
    queries = [random.choice([f"w{i}" for i in range(50)], 5, replace=False).tolist() for _ in range(20)]
    peer = bm25s.BM25(method="lucene", k1=1.2, b=0.75)
    peer.index([terms(text) for text in texts], show_progress=False)
    _, scores = peer.retrieve(queries, k=20, show_progress=False)
    ours = retrieve(Listed(texts, list(range(300))), queries, 20)
    assert np.allclose(scores, np.maximum(ours.scores, 0), rtol=1e-5)

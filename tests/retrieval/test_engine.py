import math

import numpy as np
import psutil
import pyarrow as pa
import pytest
from corpora import Listed, listed, naive
from hypothesis import given
from hypothesis import strategies as st

from hornbook.errors import HornbookError
from hornbook.index.build import SAMPLE_STEP
from hornbook.kernels import compiled as core
from hornbook.machine.arrow import text_buffers
from hornbook.retrieval import Request, reference, retrieve, retrieve_all, shard
from hornbook.retrieval.bm25 import Queries
from hornbook.retrieval.cache import merge
from hornbook.retrieval.executor import LocalExecutor
from hornbook.terms import Analysis, terms

WORDS = ["a", "b", "c", "d", "e"]
TEXTS = st.lists(st.lists(st.sampled_from(WORDS), max_size=6).map(" ".join), min_size=1, max_size=40)
QUERIES = st.lists(st.lists(st.sampled_from([*WORDS, "unseen"]), max_size=6), max_size=5)


def zipf(count, seed, words=60, most=15):
    """Texts of words of which some are frequent and most are rare."""
    random = np.random.default_rng(seed)
    share = 1 / np.arange(1, words + 1)
    names = [f"w{i}" for i in range(words)]
    return [" ".join(random.choice(names, random.integers(0, most), p=share / share.sum())) for _ in range(count)]


def test_the_core_is_built():
    assert core() is not None, "the compiled core is missing: pip install -v -e . says why it could not be built"


@given(
    texts=TEXTS,
    queries=QUERIES,
    k=st.integers(1, 12),
    k1=st.sampled_from([0.0, 0.9, 1.2]),
    b=st.sampled_from([0.0, 0.4, 0.75, 1.0]),
    shard_units=st.integers(1, 50),
    block_units=st.integers(1, 20),
    threads=st.integers(1, 3),
)
def test_equals_the_naive_loop_whatever_the_shards(texts, queries, k, k1, b, shard_units, block_units, threads):
    corpus = Listed(texts, shard_units=shard_units, block_units=block_units)
    hits = retrieve(corpus, queries, k, k1, b, threads=threads)
    assert hits.units.shape == hits.scores.shape == (len(queries), k)
    assert listed(hits) == naive(corpus, queries, k, k1, b)
    assert np.array_equal(hits.units < 0, np.isneginf(hits.scores))


@pytest.mark.usefixtures("implementation")
def test_larger_corpus_equals_the_naive_loop():
    texts = zipf(600, seed=0)
    queries = [text.split() for text in zipf(12, seed=1)]
    expected = naive(Listed(texts), queries, 25)
    for shard_units, block_units in ((64, 16), (1000, 300)):
        assert listed(retrieve(Listed(texts, None, shard_units, block_units), queries, 25)) == expected


@pytest.fixture(params=["avx512", "avx2", "portable"])
def instructions(request):
    """Search with one after another of the sets of instructions that there are ways for."""
    compiled = core()
    if request.param not in compiled.instructions():
        pytest.skip(f"this processor has no {request.param}")
    compiled.use_instructions(request.param)
    yield
    compiled.use_instructions(compiled.instructions()[0])


@pytest.mark.parametrize("k", [1, 10, 100, 1000])
@pytest.mark.usefixtures("instructions")
def test_blocks_of_many_windows_equal_the_naive_loop(k):
    # Several strips of windows, frequent terms and rare ones; lengths from 0 to 59, and repeats of many terms.
    texts = [f"{text} r{number % 3000}" for number, text in enumerate(zipf(6000, seed=2, words=400, most=60))]
    queries = [text.split() for text in zipf(8, seed=3, words=400, most=12)] + [["w0"], ["w0", "w0", "w1"], ["w399"]]
    queries += [[f"r{number}", "w0", "w5", "w70"] for number in range(3)]
    corpus = Listed(texts, shard_units=4700, block_units=3500)
    block = corpus.shards[0].index.blocks[1]
    assert min(len(block.sparse_windows), len(block.dense_terms), block.strips) > 1
    assert listed(retrieve(corpus, queries, k)) == naive(corpus, queries, k)


def test_instructions_that_do_not_exist_are_refused():
    with pytest.raises(ValueError, match="this processor has no abacus"):
        core().use_instructions("abacus")


def test_queries_of_hundreds_of_terms():
    texts = zipf(2000, seed=4, words=500, most=80)
    queries = [[f"w{i}" for i in range(start, 500, 2)] * 2 for start in (0, 1)]
    corpus = Listed(texts, shard_units=900, block_units=400)
    assert listed(retrieve(corpus, queries, 30)) == naive(corpus, queries, 30)


def test_units_of_more_than_65535_terms():
    texts = ["x " * 70_000, "x y", "y " * 66_000 + "x", "x x y"]
    corpus = Listed(texts)
    assert listed(retrieve(corpus, [["x"], ["y", "x"]], 4)) == naive(corpus, [["x"], ["y", "x"]], 4)


@given(data=st.data(), texts=TEXTS, queries=QUERIES, k=st.integers(1, 8))
def test_the_compiled_search_equals_the_reference_at_any_threshold(data, texts, queries, k):
    corpus = Listed(texts, shard_units=30, block_units=7)
    asked = Queries.from_words(queries, np.full(len(queries), k, np.uint32))
    total = sum(
        (shard.count(asked)(one).statistics for one in corpus.shards[1:]),
        shard.count(asked)(corpus.shards[0]).statistics,
    )
    thresholds = np.array(
        data.draw(st.lists(st.sampled_from([0.0, 0.1, 0.5, 1.0, 3.0]), min_size=len(queries), max_size=len(queries)))
    )
    plan = shard.Plan(asked, total.idf, total.mean_length or 1.0, thresholds, 1.2, 0.75, 2)
    parts = [(one, shard.ALL) for one in corpus.shards]
    together, one_by_one = shard.search(plan)(parts), shard.search(plan)
    several = [one_by_one([part]).hits for part in parts]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HORNBOOK_KERNELS", "reference")
        expected = shard.search(plan)(parts)
    assert together.units == expected.units
    # The search does not order its hits; a merge does.
    got, pieced, wanted = (merge(asked, hits, 1) for hits in ([together.hits], several, [expected.hits]))
    for name in ("starts", "units", "scores"):
        assert np.array_equal(getattr(got, name), getattr(wanted, name)), name
        assert np.array_equal(getattr(pieced, name), getattr(wanted, name)), name


@given(
    parts=st.lists(
        st.lists(
            st.lists(st.tuples(st.sampled_from([0.5, 1.0, 2.0]), st.integers(0, 99)), max_size=5),
            min_size=3,
            max_size=3,
        ),
        max_size=4,
    ),
    k=st.lists(st.integers(1, 6), min_size=3, max_size=3),
    padded=st.booleans(),
)
def test_the_compiled_merge_equals_the_reference(parts, k, padded):
    arrays = []
    for part in parts:
        flat = [hit for query in part for hit in query]
        starts = np.cumsum([0, *map(len, part)]).astype(np.uint64)
        units, scores = np.array([unit for _, unit in flat], np.int64), np.array([score for score, _ in flat], float)
        arrays.append((starts, units, scores))
    same_merge(np.array(k, np.uint32), arrays, padded)


def same_merge(k, parts, padded):
    merged, expected = core().merge(k, parts, padded, 2), reference.merge(k, parts, padded)
    for name, one, other in zip(("starts", "units", "scores"), merged, expected, strict=True):
        assert np.array_equal(one, other), name


@given(data=st.data(), ties=st.integers(1, 100), k=st.integers(1, 150), seed=st.integers(0, 99))
def test_many_hits_merge_as_in_the_reference(data, ties, k, seed):
    random = np.random.default_rng(seed)
    parts = []
    for size in data.draw(st.lists(st.integers(0, 90), min_size=1, max_size=3)):
        scores = random.choice(np.exp(random.normal(0, data.draw(st.sampled_from([1e-9, 1.0, 30.0])), ties)), size)
        parts.append((np.array([0, size], np.uint64), random.permutation(200)[:size], scores))
    same_merge(np.array([k], np.uint32), parts, False)


@given(st.lists(st.text("abé", max_size=4), max_size=60), st.lists(st.text("abé", max_size=4), max_size=60))
def test_terms_are_looked_up_as_in_the_reference(texts, others):
    one, other = (pa.array(sorted(set(words)), pa.string()) for words in (texts, others))
    buffers = (*text_buffers(one), *text_buffers(other))
    assert np.array_equal(core().look_up(*buffers), reference.look_up(*buffers))


def test_by_hand():
    # N = 3, lengths 3, 1, 2: mean 2. "cat" stands in 2 units: idf = ln(1 + 1.5 / 2.5) = ln 1.6.
    # Unit 0: tf 2, 2 / (2 + 1.2 * (0.25 + 0.75 * 3 / 2)) = 2 / 3.65; unit 2: tf 1, 1 / (1 + 1.2) = 1 / 2.2.
    hits = retrieve(Listed(["Cat, cat dog", "dog", "the cat"], [0, 1, 2]), [["cat"]], 3)
    assert hits.units.tolist() == [[0, 2, -1]]
    assert hits.scores[0, :2].tolist() == pytest.approx([math.log(1.6) * 2 / 3.65, math.log(1.6) / 2.2])


@pytest.mark.usefixtures("implementation")
def test_ties_go_to_the_lowest_ids_also_across_shards():
    hits = retrieve(Listed(["x y"] * 20, list(range(20)), shard_units=5, block_units=3), [["x"]], 7)
    assert hits.units.tolist() == [list(range(7))]


def test_a_term_in_every_unit_still_finds():
    corpus = Listed(["x " * (1 + i % 3) for i in range(50)], shard_units=20)
    assert listed(retrieve(corpus, [["x"]], 9)) == naive(corpus, [["x"]], 9)


@given(texts=TEXTS, queries=QUERIES, k=st.integers(1, 12), smaller=st.integers(1, 12))
def test_cut_is_what_a_smaller_k_finds(texts, queries, k, smaller):
    smaller = min(smaller, k)
    cut, direct = retrieve(Listed(texts), queries, k).cut(smaller), retrieve(Listed(texts), queries, smaller)
    assert np.array_equal(cut.units, direct.units)
    assert np.array_equal(cut.scores, direct.scores)


@given(texts=TEXTS, shard_units=st.integers(1, 50))
def test_statistics_of_the_shards_add_up(texts, shard_units):
    corpus = Listed(texts, shard_units=shard_units)
    asked = Queries.from_words([["a", "c", "unseen"]], np.array([1], np.uint32))
    first, *rest = [shard.count(asked)(one).statistics for one in corpus.shards]
    known = sum(rest, first)
    split = [text.split() for text in texts]
    assert (known.units, known.length) == (len(texts), sum(map(len, split)))
    assert known.frequency.tolist() == [sum(term in text for text in split) for term in ("a", "c", "unseen")]
    pairs = sum(len({"a", "c", "unseen"}.intersection(text)) for text in split)
    assert known.postings_per_unit(asked) * len(texts) == pytest.approx(pairs)


@given(texts=TEXTS, one=QUERIES, other=QUERIES, k=st.integers(1, 9))
def test_tasks_in_one_pass_find_what_each_finds_alone(texts, one, other, k):
    corpus = Listed(texts, shard_units=9)
    together = retrieve_all(corpus, [Request(one, k), Request(other, 3)])
    for hits, alone in zip(together, [retrieve(corpus, one, k), retrieve(corpus, other, 3)], strict=True):
        assert np.array_equal(hits.units, alone.units)
        assert np.array_equal(hits.scores, alone.scores)


class Noting(LocalExecutor):
    """A map that notes what it is asked."""

    def __init__(self):
        self.asked = []

    def __call__(self, work, shared, items, join=None):
        self.asked.append((work.__name__, len(items)))
        return super().__call__(work, shared, items, join)


def sampled_corpus():
    """1,000 units of which those that are sampled hold `rare`: their threshold is too high for the others."""
    texts = []
    for number in range(1000):
        rare = number % 200 % SAMPLE_STEP == SAMPLE_STEP // 2
        texts.append(f"common {'rare ' * rare}{'x ' * (number % 7)}")
    return Listed(texts, shard_units=200, block_units=50)


@pytest.mark.parametrize("k", [1, 3, 60, 300])
@pytest.mark.usefixtures("implementation")
def test_thresholds_from_a_sample_change_nothing(k):
    corpus, noting = sampled_corpus(), Noting()
    queries = [["common"], ["rare"], ["rare", "common"], ["x"], ["unseen"]]
    assert listed(retrieve(corpus, queries, k, executor=noting)) == naive(corpus, queries, k)
    assert [count for name, count in noting.asked if name == "search"][:2] == [1, 5]


def test_a_threshold_that_was_too_high_is_mended():
    # All of the sampled units hold `rare`, which raises the threshold above what the other units can reach.
    corpus, noting = sampled_corpus(), Noting()
    assert listed(retrieve(corpus, [["rare", "common"]], 120, executor=noting)) == naive(
        corpus, [["rare", "common"]], 120
    )
    assert [name for name, _ in noting.asked] == ["count", "search", "search", "search"]


def test_what_a_dead_run_left_is_used(tmp_path):
    corpus = sampled_corpus()
    queries = [text.split() for text in ("common rare", "x", "rare")]
    expected = retrieve(corpus, queries, 60)

    class Dying(LocalExecutor):
        def __call__(self, work, shared, items, join=None):
            for number, answer in enumerate(super().__call__(work, shared, items, join)):
                if number == 3 and work is shard.search:
                    raise KeyboardInterrupt
                yield answer

    with pytest.raises(KeyboardInterrupt):
        retrieve(corpus, queries, 60, executor=Dying(), cache=tmp_path)
    kept = sorted(tmp_path.iterdir())
    assert len(kept) == 4  # the sample and three shards
    noting = Noting()
    again = retrieve(corpus, queries, 60, executor=noting, cache=tmp_path)
    assert noting.asked[:3] == [("count", 5), ("search", 0), ("search", 2)]
    assert np.array_equal(again.units, expected.units)
    assert np.array_equal(again.scores, expected.scores)
    # What cannot be read is searched again: empty, cut, garbled.
    for path, data in zip(kept, [b"", kept[1].read_bytes()[:-40], bytes(90)], strict=False):
        path.write_bytes(data)
    mended = Noting()
    again = retrieve(corpus, queries, 60, executor=mended, cache=tmp_path)
    assert sum(asked for name, asked in mended.asked if name == "search") == 3
    assert np.array_equal(again.units, expected.units)
    # Other questions find nothing there that is theirs.
    other = Noting()
    retrieve(corpus, queries, 80, executor=other, cache=tmp_path)
    assert other.asked[:3] == [("count", 5), ("search", 1), ("search", 5)]


@pytest.mark.parametrize("queries", [[], [[]], [["unseen"], []]])
@pytest.mark.usefixtures("implementation")
def test_queries_without_a_known_term_find_nothing(queries):
    hits = retrieve(Listed(["a b", ""]), queries, 2)
    assert hits.units.tolist() == [[-1, -1]] * len(queries)


@pytest.mark.usefixtures("implementation")
def test_corpus_of_empty_texts_and_empty_corpus():
    assert retrieve(Listed(["", " . "]), [["a"]], 1).units.tolist() == [[-1]]
    assert retrieve(Listed([]), [["a"]], 1).units.tolist() == [[-1]]


def test_stems_and_stop_words_are_the_same_in_corpus_and_query():
    texts = ["The cat sleeps.", "Cats slept", "a sleeping cat", "the the the"]
    corpus = Listed(texts, analysis=Analysis(stem="english", stop_words="drop"))
    queries = [["sleeping", "the"], ["cats"]]
    hits = retrieve(corpus, queries, 4)
    assert listed(hits) == naive(corpus, queries, 4)
    assert [len(found) for found in listed(hits)] == [2, 3]
    assert corpus.shards[0].index.dictionary.to_pylist() == ["cat", "sleep", "slept"]
    assert corpus.shards[0].index.length == 6


@pytest.mark.parametrize("sign", "’‘ʼ")
def test_an_english_stem_does_not_depend_on_the_apostrophe(sign):
    corpus = Listed(["The films are long", "No song"], ids=[0, 1], analysis=Analysis(stem="english"))
    assert corpus.analysis.query([f"film{sign}s", "film's", f"actors{sign}"]) == ["film", "film", "actor"]
    assert retrieve(corpus, [[f"film{sign}s"]], 1).units.tolist() == [[0]]


def test_k_of_zero_is_refused():
    with pytest.raises(HornbookError, match="k is 0; set it to at least 1"):
        retrieve(Listed(["a"]), [["a"]], 0)


def test_hits_without_room_are_refused_before_anything_is_read(monkeypatch):
    class Unread:
        analysis = Analysis()

        def inverted(self, keep_open=0):
            raise AssertionError

    class Memory:
        available = 3_000_000_000

    monkeypatch.setattr(psutil, "virtual_memory", Memory)
    with pytest.raises(
        HornbookError, match=r"100,000,000 hits \(100 queries x k = 1,000,000\) need 7 GB .* 3 GB are free"
    ):
        retrieve(Unread(), [["a"]] * 100, 1_000_000)


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

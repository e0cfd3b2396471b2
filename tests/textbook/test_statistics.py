"""Against counting with sets and counters, one word at a time."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from xxhash import xxh3_64_intdigest

from hornbook.machine.progress import progress
from hornbook.recipe import ContextualizedConfig, GeneralConfig, TaskTextConfig
from hornbook.terms.stop_words import STOP_WORDS
from hornbook.terms.words import terms
from hornbook.textbook import build
from hornbook.textbook.inspect.diversity import distinct, overlap
from hornbook.textbook.inspect.statistics import statistics
from hornbook.textbook.inspect.words import Vocabulary, read_words

word = st.sampled_from(["film", "Film", "song", "river", "city", "the", "of", "x1"])
unit = st.tuples(st.lists(word, max_size=8).map(" ".join), st.none() | st.lists(word, max_size=5).map(" ".join))


def read(units, vocabulary, folder, batch=3):
    tables = [
        pa.table({"text": pa.array(texts, pa.string()), "text_pair": pa.array(pairs, pa.string())})
        for texts, pairs in (zip(*units[start : start + batch], strict=True) for start in range(0, len(units), batch))
    ]
    with progress("read", len(units)) as counter:
        return read_words(tables, vocabulary, folder / f"{len(list(folder.iterdir()))}", counter)


def of_each(units):
    """The words of each text."""
    return [terms(text) for both in units for text in both if text is not None]


@given(units=st.lists(unit, min_size=1, max_size=12))
def test_distinct_of_the_whole_equals_counting_sets(units, tmp_path_factory):
    words = read(units, Vocabulary(), tmp_path_factory.mktemp("words"))
    found = distinct(words, 10_000)
    for n, one in enumerate(found, 1):
        grams = [tuple(text[i : i + n]) for text in of_each(units) for i in range(len(text) - n + 1)]
        assert one.mean == pytest.approx(100 * len(set(grams)) / len(grams) if grams else 0)
        assert one.spread == 0
    assert words.words == sum(map(len, of_each(units)))
    assert words.lengths.tolist() == [sum(len(terms(text)) for text in both if text is not None) for both in units]


@given(units=st.lists(st.lists(st.lists(word, max_size=8).map(" ".join), max_size=6), min_size=2, max_size=4))
def test_overlap_equals_counting_words(units, tmp_path_factory):
    folder, vocabulary = tmp_path_factory.mktemp("words"), Vocabulary()
    found = overlap(
        [read([(text, None) for text in texts], vocabulary, folder) for texts in units], vocabulary, top=3
    )
    tops = []
    for texts in units:
        counted = Counter(w for text in texts for w in terms(text) if w not in STOP_WORDS)
        tops.append(sorted(counted, key=lambda one: (-counted[one], xxh3_64_intdigest(one.encode())))[:3])
    for i, one in enumerate(tops):
        for j, other in enumerate(tops):
            size = min(len(one), len(other))
            expected = 100 * len(set(one[:size]) & set(other[:size])) / size if size else 0
            assert found[i, j] == pytest.approx(expected)


def test_overlap_does_not_hang_on_the_order_of_the_texts(tmp_path):
    texts = [[(f"w{i} w{i + 40}", None) for i in range(start, start + 60)] for start in (0, 30, 75)]
    matrices = []
    for number, order in enumerate([(0, 1, 2), (2, 1, 0), (1, 0, 2)]):
        vocabulary = Vocabulary()
        (folder := tmp_path / str(number)).mkdir()
        read_in_order = {i: read(texts[i], vocabulary, folder) for i in order}
        matrices.append(overlap([read_in_order[i] for i in range(3)], vocabulary, top=50).tolist())
    assert matrices[0] == matrices[1] == matrices[2]


def test_samples_have_about_the_size_wanted_and_differ(tmp_path):
    random = np.random.default_rng(0)
    units = [(" ".join(f"w{i}" for i in random.integers(500, size=random.integers(1, 30))), None) for _ in range(400)]
    words = read(units, Vocabulary(), tmp_path, batch=100)
    (first, second) = distinct(words, 300)
    assert second.spread > 0
    assert first.mean > distinct(words, 3000)[0].mean  # more text repeats more
    assert distinct(words, 300) == distinct(words, 300)
    assert second.mean > first.mean


@pytest.fixture
def made(make_corpus, make_task, tmp_path):
    corpus = make_corpus(
        ["good film", "bad film indeed", "a song", "film music", "yes", "the long river"],
        ["reviews", "reviews", "music", "music", "web", "web"],
    )
    task = make_task(["film", "a song", "of the", "unheard words"])
    drawn = build(ContextualizedConfig(k=2), corpus=corpus, task=task, out=tmp_path / "drawn")
    general = build(GeneralConfig(units=6, contamination="keep"), corpus=corpus, task=task, out=tmp_path / "general")
    own = build(TaskTextConfig(), task=task, out=tmp_path / "own")
    return task, drawn, general, own


def test_what_is_said_of_each_textbook(made):
    task, drawn, general, _ = made
    found = statistics([drawn, general], task)
    first, second = found["books"]
    assert (first["name"], first["kind"], first["cases"], first["words"]) == ("drawn", "contextualized", 3, 6)
    assert (second["cases"], second["words"]) == (6, 13)
    assert second["bytes"] == len("good filmbad film indeeda songfilm musicyesthe long river")
    assert second["sources"] == {"reviews": 2, "music": 2, "web": 2}
    assert [second["lengths"][n] for n in range(5)] == [0, 1, 3, 2, 0]
    assert second["contamination"] == {"units": 1, "found": 1, "texts": 2}
    assert first["contamination"]["units"] == 0
    assert {unit["text"] for unit in first["most_drawn"]} == {"good film", "film music", "a song"}
    assert [unit["anchors"] for unit in first["most_drawn"]] == [1, 1, 1]
    assert second["most_drawn"] == []
    assert first["counts"]["k"] == 2


def test_groups_and_overlap(made):
    task, drawn, general, own = made
    found = statistics([drawn, general], task)
    assert [(group["like"], list(group["of"])) for group in found["distinct"]] == [
        ("drawn", ["task", "drawn", "general"]),
        ("drawn", ["drawn", "general"]),
    ]
    assert found["overlap"]["names"] == ["task", "drawn", "general"]
    matrix = np.array(found["overlap"]["matrix"])
    assert (matrix == matrix.T).all()
    assert matrix.diagonal().tolist() == [100] * 3
    # the task's own text is there already
    with_own = statistics([own, drawn], task)
    assert with_own["overlap"]["names"] == ["own", "drawn"]
    assert [list(group["of"]) for group in with_own["distinct"]] == [["own", "drawn"], ["drawn"]]
    alone = statistics([drawn])
    assert [list(group["of"]) for group in alone["distinct"]] == [["drawn"]]
    assert "contamination" not in alone["books"][0]


def test_names_that_are_shared_get_a_number(made):
    _, drawn, _, _ = made
    found = statistics([drawn, drawn])
    assert found["overlap"]["names"] == ["drawn", "drawn-2"]


def test_the_tasks_own_text_keeps_its_name(made):
    task, drawn, general, own = made
    found = statistics({"task": general, "drawn": drawn}, task)
    assert found["overlap"]["names"] == ["task", "task-2", "drawn"]
    assert statistics({"task": own, "drawn": drawn}, task)["overlap"]["names"] == ["task", "drawn"]

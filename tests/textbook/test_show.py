"""`textbook show`: what anchors retrieve, what of it is in the textbook, and where corpus and task are looked for."""

import json
import shutil
from io import StringIO

import pytest
from rich.console import Console

from hornbook.cli.textbook_view import view_table
from hornbook.corpus import build as build_corpus
from hornbook.errors import HornbookError
from hornbook.recipe import ContextualizedConfig, CorpusConfig, GeneralConfig, ImportanceConfig, TaskTextConfig
from hornbook.textbook import build, open_textbook
from hornbook.textbook.inspect.view import view

UNITS = [
    "A film with music, a film!",
    "Music of the night.",
    "Some other film is here.",
    "Great FILMS and \u0130stanbul music.",
    "Rain in the north.",
    "Film music of dev.",
]
TRAIN = {"text": ["film music", "the of", "rain", "unheard"], "label": ["a", "b", "a", "b"]}
DEV = {"text": ["film music of dev"] * 2, "label": ["a", "b"]}


@pytest.fixture
def task(make_labelled):
    return make_labelled(TRAIN, DEV)


@pytest.fixture
def corpus(tmp_path):
    return corpus_of(tmp_path, "corpus")


def corpus_of(tmp_path, name, **settings):
    (tmp_path / "prose.txt").write_text("\n\n".join(UNITS), "utf-8")
    config = CorpusConfig(sources=(str(tmp_path / "prose.txt"),), unit="line", min_words=1, **settings)
    return build_corpus(config, tmp_path / name)


@pytest.fixture
def book(corpus, task, tmp_path):
    return open_textbook(build(ContextualizedConfig(k=3), corpus=corpus, task=task, out=tmp_path / "book"))


def matched(unit):
    return [unit.text[start:end] for start, end in unit.matches]


def printed(found, width=120):
    console = Console(width=width, record=True, file=StringIO())
    console.print(view_table(found))
    return console.export_text()


def test_an_anchor_its_keywords_and_what_it_retrieves(book):
    (anchor,) = view(book, anchor="music of a film", units=2).anchors
    assert (anchor.text, sorted(anchor.keywords), anchor.hits) == ("music of a film", ["film", "music"], 3)
    first, second = anchor.units
    assert [first.rank, second.rank] == [1, 2]
    assert first.score >= second.score > 0
    # The best holds film twice; the next is the dev text, which was removed.
    assert (first.text, first.in_textbook, first.anchors) == ("A film with music, a film!", True, 1)
    assert (second.text, second.in_textbook, second.anchors) == ("Film music of dev.", False, None)
    assert matched(first) == ["film", "music", "film"]
    assert matched(second) == ["Film", "music"]
    assert second.source == "prose"


def test_what_is_shown_is_what_the_textbook_holds(book):
    shown = {unit.unit: unit for anchor in view(book, random=4).anchors for unit in anchor.units}
    held = {row["unit"]: row for batch in book.batches() for row in batch.to_pylist()}
    assert {unit.unit for unit in shown.values() if unit.in_textbook} == set(held)
    assert {unit.text for unit in shown.values() if not unit.in_textbook} == {"Film music of dev."}
    for unit, row in held.items():
        assert (shown[unit].text, shown[unit].score) == (row["text"], row["score"])
        assert (shown[unit].rank, shown[unit].anchors) == (row["rank"], row["anchors"])


def test_anchors_at_random_are_the_tasks_and_the_seed_decides(book):
    every = view(book, random=9)
    assert sorted(anchor.text for anchor in every.anchors) == sorted(TRAIN["text"])
    by_text = {anchor.text: anchor for anchor in every.anchors}
    assert (by_text["the of"].keywords, by_text["the of"].units) == ((), ())
    assert (by_text["unheard"].keywords, by_text["unheard"].hits) == (("unheard",), 0)
    assert view(book, random=2) == view(book, random=2)
    assert len({view(book, random=1, seed=seed).anchors[0].text for seed in range(20)}) > 1
    assert len(view(book).anchors) == 4, "of the five by default as many as there are"
    text = printed(every)
    assert "no keywords: every word is a stop word" in text
    assert "none of them is in the corpus" in text
    assert "× not in the textbook: removed because it contains a dev or test text\n" in text


def test_the_corpus_and_the_settings_are_those_of_the_textbook(task, tmp_path):
    corpus = corpus_of(tmp_path, "stemmed", stem="english", stop_words="drop")
    config = ContextualizedConfig(k=4, keywords="all", k1=0.3, b=0.1, contamination="keep")
    book = open_textbook(build(config, corpus=corpus, task=task, out=tmp_path / "book"))
    (anchor,) = view(book, anchor="the filming, film music").anchors
    assert anchor.keywords == ("filming", "film", "music")
    assert {unit.text: matched(unit) for unit in anchor.units} == {
        "A film with music, a film!": ["film", "music", "film"],
        "Film music of dev.": ["Film", "music"],
        "Great FILMS and \u0130stanbul music.": ["FILMS", "music"],
        "Some other film is here.": ["film"],
    }
    assert all(unit.in_textbook for unit in anchor.units)
    drawn = {row["unit"]: row["score"] for batch in book.batches() for row in batch.to_pylist()}
    (own,) = (a for a in view(book, random=4).anchors if a.text == "film music")
    assert {unit.unit: unit.score for unit in own.units}.items() <= drawn.items()


def test_of_a_part_what_is_beyond_it_is_marked(corpus, task, tmp_path):
    config = ContextualizedConfig(k=3, proportion=0.5)
    book = open_textbook(build(config, corpus=corpus, task=task, out=tmp_path / "book"))
    shutil.rmtree(tmp_path / "book-whole")
    found = view(book, anchor="film music", corpus=None)
    assert [unit.in_textbook for unit in found.anchors[0].units].count(True) < 2
    assert (
        "× not in the textbook: no anchor of the task retrieves it, or removed because it contains a dev or test text"
        ", or beyond the top 50%\n" in printed(found, width=200)
    )


def test_json_holds_all_of_it(book):
    shown = json.loads(json.dumps(view(book, anchor="film music", units=1).as_json()))
    assert shown["kind"] == "contextualized"
    (anchor,) = shown["anchors"]
    assert anchor["keywords"] == ["music", "film"] or anchor["keywords"] == ["film", "music"]
    (unit,) = anchor["units"]
    assert set(unit) == {"unit", "rank", "score", "source", "text", "matches", "in_textbook", "anchors"}
    assert unit["matches"] == [[2, 6], [12, 17], [21, 25]]


def test_the_table_marks_the_terms(book):
    console = Console(width=100, force_terminal=True, record=True, file=StringIO())
    console.print(view_table(view(book, anchor="film music", units=2)))
    styled = console.export_text(styles=True)
    assert "\x1b[1;33mfilm\x1b[0m with \x1b[1;33mmusic\x1b[0m, a \x1b[1;33mfilm\x1b[0m!" in styled
    assert "retrieves 3 units, the best 2:" in styled


@pytest.mark.parametrize("kind", ["general", "importance", "task"])
def test_units_at_random_of_other_kinds(corpus, make_labelled, tmp_path, kind):
    pairs = make_labelled({**TRAIN, "two": ["\x1b[31mone", "two", "three", "four"]}, text_pair="two")
    configs = {"general": GeneralConfig, "importance": ImportanceConfig, "task": TaskTextConfig}
    sized = {} if kind == "task" else {"units": 5}
    made = build(configs[kind](**sized, contamination="keep"), corpus=corpus, task=pairs, out=tmp_path / kind)
    book = open_textbook(made)
    every = [row for batch in book.batches() for row in batch.to_pylist()]
    found = view(book, random=3)
    assert len(found.units) == 3
    assert view(book, random=99).units == tuple(
        {name: value for name, value in row.items() if value is not None} for row in every
    )
    assert found.units == view(book, random=3).units
    assert any(found.units != view(book, random=3, seed=seed).units for seed in range(1, 9))
    assert found.as_json()["units"] == list(found.units)
    known = {"general": {"source", "unit"}, "importance": {"source", "unit", "score"}, "task": {"text_pair", "label"}}
    assert all(set(unit) == {"text"} | known[kind] for unit in found.units)
    text = printed(view(book, random=99))
    assert all(row["text"] in text for row in every)
    assert ("log weight" in text) == (kind == "importance")
    assert "\x1b" not in text
    assert ("·[31mone" in text) == (kind == "task")
    with pytest.raises(HornbookError, match=f"a textbook of kind {kind} has no anchors; leave"):
        view(book, anchor="film")


@pytest.mark.parametrize("role", ["corpus", "task"])
def test_a_corpus_or_task_that_was_moved_is_named(book, corpus, task, tmp_path, role):
    folder = {"corpus": corpus.path, "task": task.path}[role]
    folder.rename(tmp_path / "moved")
    with pytest.raises(HornbookError, match=f"{folder}: not a finished {role} .*; give the {role} .* with --{role}"):
        view(book, random=1)
    assert view(book, random=1, **{role: str(tmp_path / "moved")}).anchors
    with pytest.raises(HornbookError, match=f"holds a textbook, but a {role} is needed here; give the {role}"):
        view(book, random=1, **{role: str(book.artifact.path)})


def test_an_anchor_needs_no_task(book, task):
    shutil.rmtree(task.path)
    assert view(book, anchor="film").anchors[0].hits == 3


def test_another_corpus_is_refused(book, tmp_path):
    other = corpus_of(tmp_path, "other", stem="english")
    with pytest.raises(HornbookError, match="other: is not the corpus from which the textbook was built; give the"):
        view(book, anchor="film", corpus=str(other.path))


def test_what_cannot_be_asked_is_refused(book):
    with pytest.raises(HornbookError, match="the anchor 'of the' has no keyword other than stop words"):
        view(book, anchor="of the")
    with pytest.raises(HornbookError, match="not both"):
        view(book, anchor="film", random=3)


def test_a_textbook_that_kept_no_paths_says_so(book):
    run = book.artifact.path / "run.json"
    measured = json.loads(run.read_text())
    del measured["made_from"]
    run.write_text(json.dumps(measured))
    with pytest.raises(HornbookError, match="built by an earlier version, which stored no paths; give the corpus"):
        view(book, anchor="film")


def test_an_anchor_is_read_as_the_corpus_is(book):
    (plain,), (hidden,) = (
        view(book, anchor=text, units=2).anchors for text in ("film, music", "fi\xadlm<br>mus\u200bic")
    )
    assert (hidden.keywords, hidden.units) == (plain.keywords, plain.units)

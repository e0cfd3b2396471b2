import logging

import pytest

from hornbook import corpus, tasks, textbook
from hornbook.errors import HornbookError
from hornbook.pipeline.textbooks import build_textbooks
from hornbook.recipe import ContextualizedConfig, CorpusConfig, Recipe
from hornbook.recipe.load import validate
from hornbook.store import Store

GERMAN = [
    "Am 3. Oktober kam Dr. Weiß mit den Schauspielern nach Berlin. Der Film war nicht gut, aber die Musik!",
    "Die Häuser der Stadt sind alt. Das Haus am Markt ist z. B. aus dem 19. Jahrhundert und wird gerade verkauft.",
    "Ein guter Film braucht ein gutes Buch. „Das ist alles.“ Er ging dann in das Kino und sah sich den Film an.",
]
ENGLISH = [
    "The houses of the film town are old. We saw the film and it was not good.",
    "A house by the market is sold.",
]
ROWS = [
    (f"{text} {number}", label)
    for number in range(20)
    for label, text in enumerate(["Dieser Film ist nicht gut und das Haus", "Ein schönes altes Haus in der Stadt"])
]
TASK = {"text": [text for text, _ in ROWS], "label": [label for _, label in ROWS]}


@pytest.fixture(scope="module")
def german(tmp_path_factory):
    out = tmp_path_factory.mktemp("german") / "corpus"
    return corpus.build(GERMAN, out, language="de", stem="auto", stop_words="drop", min_words=2)


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    return tasks.prepare(TASK, tmp_path_factory.mktemp("task") / "task")


def texts_of(book):
    return sorted(text for batch in textbook.open_textbook(book).batches() for text in batch["text"].to_pylist())


def test_a_corpus_is_cut_and_indexed_by_its_language(german):
    opened = corpus.open_corpus(german)
    units = [text for batch in opened.batches() for text in batch.column("text").to_pylist()]
    assert units[0] == "Am 3. Oktober kam Dr. Weiß mit den Schauspielern nach Berlin."
    assert "Das Haus am Markt ist z. B. aus dem 19. Jahrhundert und wird gerade verkauft." in units
    assert "„Das ist alles.“" in units
    assert (opened.language, opened.analysis.stem) == ("german", "german")
    assert opened.analysis.query(["häuser", "der"]) == ["haus"]


def test_keywords_and_units_are_of_the_corpus_language(german, task, tmp_path):
    book = textbook.build(ContextualizedConfig(k=3), corpus=german, task=task, out=tmp_path / "book")
    assert any(text.startswith("Die Häuser") for text in texts_of(book))
    assert book.info["language"] == "german"
    assert set(book.measured["languages"]) == {"german"}


def test_a_corpus_of_another_language_is_refused(german, task, tmp_path):
    config = ContextualizedConfig(k=1, language="french")
    with pytest.raises(HornbookError, match="was built for german, but the textbook's language is french") as caught:
        textbook.build(config, corpus=german, task=task, out=tmp_path / "book")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "book").exists()


def test_a_base_of_another_language_is_refused(german, tmp_path):
    config = CorpusConfig(sources=("x",), base=str(german.path), stem="auto", stop_words="drop", min_words=2)
    with pytest.raises(HornbookError, match="was built with language = german, not english"):
        corpus.build(config, tmp_path / "larger")


def test_a_task_in_another_language_than_the_corpus_is_noticed(task, tmp_path, caplog):
    english = corpus.build(ENGLISH, tmp_path / "corpus", min_words=2)
    with caplog.at_level(logging.WARNING, "hornbook"):
        textbook.build(ContextualizedConfig(k=1), corpus=english, task=task, out=tmp_path / "book")
    assert "set terms.language to german" in caplog.text


def test_units_of_other_languages_are_reported(task, tmp_path, caplog):
    mixed = corpus.build([*GERMAN, *ENGLISH], tmp_path / "corpus", language="german", min_words=2)
    with caplog.at_level(logging.WARNING, "hornbook"):
        book = textbook.build(ContextualizedConfig(k=10), corpus=mixed, task=task, out=tmp_path / "book")
    assert book.measured["languages"]["english"] >= 1
    assert "english" in caplog.text


def test_english_is_left_out_of_the_key(tmp_path):
    plain = corpus.build(ENGLISH, tmp_path / "one", min_words=2)
    named = corpus.build(ENGLISH, tmp_path / "two", min_words=2, language="en")
    assert plain.key == named.key
    # The settings in a key from before there were languages.
    assert plain.manifest["config"].keys() == {
        *("base", "chunk_words", "long_units", "max_words", "min_words", "sentences", "shard_units", "sources"),
        *("stem", "stop_words", "text_column", "unit"),
    } - {"long_units"} | ({"long_units"} & plain.manifest["config"].keys())
    stemmed = corpus.build(ENGLISH, tmp_path / "three", min_words=2, stem="english")
    auto = corpus.build(ENGLISH, tmp_path / "four", min_words=2, stem="auto")
    assert stemmed.key == auto.key != plain.key


def recipe_of(folder, spoken, corpus_settings):
    for name, lines in (("pool.txt", GERMAN), ("task.csv", None)):
        rows = [f'"{text}",{label}' for text, label in ROWS]
        (folder / name).write_text("\n\n".join(lines) if lines else "\n".join(["text,label", *rows]), "utf-8")
    values = {
        "name": "german",
        "terms": {"language": spoken},
        "task": {"source": str(folder / "task.csv")},
        "corpus": {"sources": [str(folder / "pool.txt")], "min_words": 2, **corpus_settings},
        "textbooks": {"contextualized": {"kind": "contextualized", "k": 3}},
        "teacher": {"model": "none", "kind": "general"},
    }
    return validate(Recipe, values, "recipe")


def test_auto_is_the_language_of_the_task_in_a_dry_run_too(tmp_path, caplog):
    recipe = recipe_of(tmp_path, "auto", {"stem": "auto"})
    with caplog.at_level(logging.INFO, "hornbook"):
        planned = build_textbooks(recipe, Store(tmp_path / "store", dry=True), ["contextualized"])
    assert "the task is in german" in caplog.text
    made = build_textbooks(recipe, Store(tmp_path / "store"), ["contextualized"])
    assert made[1]["contextualized"].key == planned[1]["contextualized"].key
    named = build_textbooks(
        recipe_of(tmp_path, "de", {"stem": "german"}), Store(tmp_path / "store"), ["contextualized"]
    )
    assert named[1]["contextualized"].reused


@pytest.mark.parametrize(
    ("language", "settings", "message"),
    [
        ("germna", {}, "terms.language: the languages are .*; the nearest is 'german', not 'germna'"),
        (
            "thai",
            {},
            "terms.language: hornbook needs a language written with spaces between words, which thai is not",
        ),
        ("german", {"stem": "english"}, "corpus.stem is english, but terms.language is german"),
        ("german", {"language": "dutch"}, "corpus.language is dutch, but terms.language is german"),
    ],
)
def test_recipes_with_a_wrong_language_are_refused(tmp_path, language, settings, message):
    with pytest.raises(HornbookError, match=message) as caught:
        recipe_of(tmp_path, language, settings)
    assert "\n" not in str(caught.value)

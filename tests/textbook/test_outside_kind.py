"""A kind of textbook that another package adds: built, checked and planned like hornbook's own."""

import json
import sys
from types import SimpleNamespace
from typing import Literal

import pyarrow as pa
import pytest
from pydantic import Field
from typer.testing import CliRunner

from hornbook import pipeline
from hornbook.cli.main import app
from hornbook.errors import HornbookError
from hornbook.recipe import TEXTBOOKS, GeneralConfig, Recipe, config_class, validate
from hornbook.textbook import TextbookConfig, TextbookKind, build, open_textbook, register_textbook, table_of

UNITS = [f"sentence number {i}" for i in range(9)] + ["a dev text"]


class ToyConfig(TextbookConfig):
    """Every n-th unit of the corpus."""

    kind: Literal["toy"] = "toy"
    """`toy`: every n-th unit of the corpus."""
    every: int = Field(default=2, ge=1)
    """Take one unit in this many."""


def every_nth(config, materials, context):
    """Yield every n-th unit."""
    context.counts["looked_at"] = materials.corpus.units
    units = pa.Table.from_batches(materials.corpus.batches())
    yield table_of(units.take(pa.array(range(0, len(units), config.every))))


TOY = TextbookKind(ToyConfig, every_nth, needs=("corpus",), version=1)


@pytest.fixture
def toy(monkeypatch):
    """The kind, registered while the test runs."""
    monkeypatch.setattr(TEXTBOOKS, "_loaded", dict(TEXTBOOKS._loaded))
    return register_textbook(TOY)


@pytest.fixture
def corpus(make_corpus):
    return make_corpus(UNITS)


@pytest.fixture
def task(make_labelled):
    return make_labelled(
        {"text": ["x", "y"], "label": ["a", "b"]}, {"text": ["A dev text!", "z"], "label": ["a", "b"]}
    )


def texts(artifact):
    return [row["text"] for batch in open_textbook(artifact).batches() for row in batch.to_pylist()]


def test_it_is_built_screened_and_counted_as_any_other(toy, corpus, task, tmp_path):
    book = build(ToyConfig(every=3), corpus=corpus, task=task, out=tmp_path / "book")
    assert texts(book) == UNITS[0:9:3]
    assert book.counts == {"units": 3, "corpus_units": 10, "contaminated": 1, "looked_at": 10}
    assert book.info == {"kind": "toy", "task": None, "contamination": "removed", "share": 0.3}
    assert book.manifest["config"] == {"kind": "toy", "contamination": "remove", "every": 3}
    assert book.manifest["inputs"] == {"corpus": corpus.key, "task": task.key, "kind_version": "1"}


def test_its_key_changes_with_its_settings_and_its_version(toy, corpus, tmp_path):
    keys = [build(ToyConfig(), corpus=corpus, out=tmp_path / "one").key]
    keys.append(build(ToyConfig(every=3), corpus=corpus, out=tmp_path / "two").key)
    register_textbook(TextbookKind(ToyConfig, every_nth, needs=("corpus",), version=2))
    keys.append(build(ToyConfig(), corpus=corpus, out=tmp_path / "three").key)
    assert len(set(keys)) == 3


def test_what_it_needs_is_asked_for_and_the_rest_is_hidden(toy, corpus, task, tmp_path):
    with pytest.raises(HornbookError, match="a toy textbook needs a corpus"):
        build(ToyConfig(), out=tmp_path / "book")

    def peek(config, materials, context):
        yield table_of(materials.task.split("train").select(["text"]))

    register_textbook(TextbookKind(ToyConfig, peek, needs=("corpus",)))
    with pytest.raises(HornbookError, match="does not name 'task' among its needs"):
        build(ToyConfig(), corpus=corpus, task=task, out=tmp_path / "book")


def test_tables_of_another_shape_are_refused_in_one_line(toy, corpus, tmp_path):
    register_textbook(TextbookKind(ToyConfig, lambda *_: iter([pa.table({"text": ["a"]})]), needs=("corpus",)))
    with pytest.raises(HornbookError, match="not text; make them with") as raised:
        build(ToyConfig(), corpus=corpus, out=tmp_path / "book")
    assert "\n" not in str(raised.value)


def test_names_of_hornbooks_own_kinds_are_refused(toy):
    class Mine(GeneralConfig):
        pass

    with pytest.raises(HornbookError, match="'general': hornbook has one of this name"):
        register_textbook(TextbookKind(Mine, every_nth))


def recipe_values(reviews, general_text, teacher, **toy):
    return {
        "name": "toys",
        "task": {"source": str(reviews)},
        "corpus": {"sources": [str(general_text)], "unit": "line"},
        "teacher": {"model": str(teacher), "kind": "general"},
        "student": {"layers": 1, "hidden": 16, "heads": 2},
        "textbooks": {"mine": {"kind": "toy", **toy}, "plain": {"kind": "general", "units": 20}},
    }


def test_a_recipe_with_it_is_checked_and_planned(toy, reviews, general_text, tiny_teacher, tmp_path):
    values = recipe_values(reviews, general_text, tiny_teacher, every=5)
    recipe = validate(Recipe, values, "here")
    assert recipe.textbooks["mine"] == ToyConfig(every=5)
    assert recipe.model_dump(mode="json")["textbooks"]["mine"]["every"] == 5
    stages = [stage.stage for stage in pipeline.plan(recipe, tmp_path / "runs")]
    assert stages.count("textbook") == 2
    wrong = recipe_values(reviews, general_text, tiny_teacher, evry=5)
    with pytest.raises(HornbookError, match=r"unknown key 'textbooks\.mine\.evry'; the nearest known key is 'every'"):
        validate(Recipe, wrong, "here")
    wrong = recipe_values(reviews, general_text, tiny_teacher, every=0)
    with pytest.raises(HornbookError, match=r"textbooks\.mine\.every: input should be greater than or equal to 1"):
        validate(Recipe, wrong, "here")


def test_the_command_line_builds_it(toy, corpus, tmp_path):
    words = ["textbook", "build", "--kind", "toy", "--corpus", str(corpus.path), "--out", str(tmp_path / "book")]
    result = CliRunner().invoke(app, [*words, "--every", "4", "--json"])
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["counts"]["units"] == 3
    result = CliRunner().invoke(app, [*words, "--evry", "4"])
    assert "unknown key 'evry'; the nearest known key is 'every'" in result.stderr
    assert result.exit_code == 2


@pytest.fixture
def toys_installed(tmp_path, monkeypatch):
    """An installed package whose entry points name the kind, and something that is no kind."""
    about = tmp_path / "site" / "toys-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: toys\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[{TEXTBOOKS.group}]\ntoy = toys:TOY\nodd = json:dumps\n")
    monkeypatch.setitem(sys.modules, "toys", SimpleNamespace(TOY=TOY))
    monkeypatch.syspath_prepend(about.parent)
    monkeypatch.setattr(TEXTBOOKS, "_loaded", dict(TEXTBOOKS._loaded))
    vars(TEXTBOOKS).pop("_installed", None)
    yield
    vars(TEXTBOOKS).pop("_installed", None)


def test_an_installed_package_names_it_in_its_entry_points(toys_installed, corpus, tmp_path):
    assert texts(build(ToyConfig(every=9), corpus=corpus, out=tmp_path / "book")) == [UNITS[0], UNITS[9]]
    assert config_class("toy") is ToyConfig
    with pytest.raises(HornbookError, match=r"'odd': its entry point must name a hornbook\.textbook\.TextbookKind"):
        config_class("odd")
    with pytest.raises(HornbookError, match=r"'toi'; the kinds are contextualized, .*, odd, toy, chain"):
        config_class("toi")

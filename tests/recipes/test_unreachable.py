"""What a check does where the hub cannot be asked."""

from itertools import pairwise

import datasets
import huggingface_hub
import pytest
import yaml

from hornbook.errors import HornbookError, Unreachable
from hornbook.machine import hub
from hornbook.machine.hub import is_out_of_reach
from hornbook.models.source import load_config, model_key
from hornbook.models.tokenizers import load_tokenizer
from hornbook.pipeline import check
from hornbook.recipe import Recipe, load_recipe
from hornbook.tasks.sources import locate


class ConnectError(Exception):
    """Stands for what an HTTP library raises."""


class TransportError(ConnectError):
    """Its base, by the name that httpx has for it."""


def caused(*errors: BaseException) -> BaseException:
    """Return the first of the errors, raised from the second, raised from the third."""
    for error, cause in pairwise(errors):
        error.__cause__ = cause
    return errors[0]


@pytest.mark.parametrize(
    ("error", "out_of_reach"),
    [
        (ConnectionError("no route"), True),
        (TimeoutError("too slow"), True),
        (caused(OSError("no such file"), RuntimeError("x"), TransportError("no route")), True),
        (caused(OSError("no such file"), RuntimeError("x")), False),
        (FileNotFoundError("no such data set on the hub"), False),
        (ValueError("no such configuration"), False),
    ],
)
def test_only_a_connection_that_fails_is_out_of_reach(error, out_of_reach, monkeypatch):
    monkeypatch.setattr(huggingface_hub, "is_offline_mode", lambda: False)
    assert is_out_of_reach(error) is out_of_reach


def test_offline_nothing_can_be_asked(monkeypatch):
    monkeypatch.setattr(huggingface_hub, "is_offline_mode", lambda: True)
    assert is_out_of_reach(ValueError("whatever it says"))


@pytest.mark.parametrize("ask", [load_config, load_tokenizer, model_key])
def test_a_model_of_the_hub_is_unreachable_offline_and_a_path_is_missing(ask):
    with pytest.raises(Unreachable, match="someone/bert: no such folder, and no such model in the hub's cache"):
        ask("someone/bert")
    for path in ("./nowhere", "/nowhere/at/all"):
        with pytest.raises(HornbookError, match=f"{path}: no such (model )?folder") as caught:
            ask(path)
        assert not isinstance(caught.value, Unreachable)


def test_a_data_set_that_the_hub_does_not_have_is_an_error(monkeypatch):
    def absent(*_):
        raise FileNotFoundError("no such data set on the hub")

    task = Recipe.model_fields["task"].annotation(source="someone/reviews")
    with pytest.raises(Unreachable):
        locate(task)
    monkeypatch.setattr(huggingface_hub, "is_offline_mode", lambda: False)
    monkeypatch.setattr(hub, "_known", hub._Known(answers=True))
    monkeypatch.setattr(datasets, "load_dataset_builder", absent)
    with pytest.raises(HornbookError, match="no such data set on the hub") as caught:
        locate(task)
    assert not isinstance(caught.value, Unreachable)


@pytest.fixture
def recipe(reviews, tiny_teacher, general_text, tmp_path):
    """Return a recipe with some fields changed."""

    def changed(**fields) -> Recipe:
        values = {
            "name": "small",
            "task": {"source": str(reviews)},
            "corpus": {"sources": [str(general_text)]},
            "teacher": {"model": str(tiny_teacher)},
            "student": {"layers": 1, "hidden": 16, "heads": 2},
        }
        (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(values | fields))
        return load_recipe(tmp_path / "recipe.yaml")

    return changed


def test_what_is_here_is_checked_wholly(recipe):
    assert check(recipe()) == []


def test_each_name_that_cannot_be_asked_stands_in_one_line(recipe, general_text):
    found = check(
        recipe(
            task={"source": "glue/rte"},
            corpus={"sources": ["hub:org/prose:en", str(general_text), "more=hub:org/more"]},
            teacher={"model": "someone/bert", "kind": "ready"},
            baselines=["released"],
            released="someone/small",
        )
    )
    names = [line.split(": ")[0] for line in found]
    assert names == ["glue/rte", "hub:org/prose:en", "hub:org/more", "someone/bert", "someone/small"]
    assert all("\n" not in line for line in found)


def test_a_student_that_begins_as_a_model_of_the_hub(recipe):
    (line,) = check(recipe(student={"layers": 1, "hidden": 16, "heads": 2, "init": "someone/small"}))
    assert line.startswith("student.init is none of random, layers, projected: someone/small: no such folder")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"corpus": {"sources": ["hub:org/prose", "nope.txt"]}}, "nope.txt: no such file or folder"),
        ({"corpus": {"sources": ["hub:org/prose"], "unit": "chunk", "chunk_words": 200}}, "raise max_words"),
        ({"task": {"source": "nope.tsv"}, "corpus": {"sources": ["hub:org/prose"]}}, "nope.tsv: no such file"),
        ({"corpus": {"sources": ["hub:org/prose"]}, "distil": {"relation_heads": 7}}, "7 does not divide"),
        ({"task": {"source": "glue/rte"}, "teacher": {"model": "./nowhere"}}, "nowhere: no such folder"),
        ({"corpus": {"sources": ["hub:org/prose"]}, "baselines": ["released"], "released": "./no"}, "./no: no such"),
    ],
)
def test_what_is_wrong_here_is_found_beside_what_cannot_be_asked(fields, message, recipe, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(HornbookError, match=message) as caught:
        check(recipe(**fields))
    assert not isinstance(caught.value, Unreachable)

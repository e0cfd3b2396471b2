import re
from pathlib import Path

import pytest
import yaml

from hornbook.errors import HornbookError
from hornbook.recipe import (
    DistilConfig,
    FinetuneConfig,
    GeneralConfig,
    Recipe,
    StudentConfig,
    TrainingConfig,
    load_recipe,
    parse_value,
    read_values,
    validate,
)
from hornbook.store import result_config

SMALLEST = {
    "name": "mine",
    "task": {"source": "reviews.tsv"},
    "corpus": {"sources": ["prose.txt"]},
    "teacher": {"model": "teacher"},
}
ROOT = Path(__file__).resolve().parents[2]


def test_the_smallest_recipe_has_honest_defaults(tmp_path: Path):
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(SMALLEST))
    recipe = load_recipe(tmp_path / "r.yaml")
    assert recipe.textbooks["contextualized"].kind == "contextualized"
    assert recipe.textbooks["contextualized"].k == "auto"
    assert (recipe.student.layers, recipe.student.hidden) == (6, 384)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"studnt": {}}, "unknown key 'studnt'; the nearest known key is 'student'"),
        ({"distil": {"tokns": 3}}, r"unknown key 'distil\.tokns'; the nearest known key is 'tokens'"),
        (
            {"textbooks": {"a": {"kind": "contextualized", "shar": 0.1}}},
            r"unknown key 'textbooks\.a\.shar'; the nearest known key is 'share'",
        ),
        (
            {"textbooks": {"a": {"kind": "novel"}}},
            "there is no textbook kind 'novel'; the kinds are contextualized",
        ),
        ({"distil": {"learning_rate": -1}}, r"distil\.learning_rate: input should be greater than 0, not -1"),
        ({"distil": {"tokens": None}}, "distil: give a budget: tokens, steps or epochs"),
        ({"corpus": {"sources": ["a"], "min_words": 9, "max_words": 3}}, r"min_words \(9\) is more than max_words"),
        ({"teacher": None}, "teacher"),
        ({"textbooks": {"teacher": {"kind": "general"}}}, "a textbook cannot be named 'teacher'"),
        ({"name": "a/b"}, "name: string should match pattern"),
        *(
            ({"student": {"vocabulary": bad}}, rf"student\.vocabulary: set it to all, auto, or .*, not {bad!r}$")
            for bad in ("few", 0, 0.5, None)
        ),
    ],
)
def test_one_line_says_what_is_wrong_and_where(tmp_path: Path, change, message):
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(SMALLEST | change))
    with pytest.raises(HornbookError, match=message) as caught:
        load_recipe(tmp_path / "r.yaml")
    assert "\n" not in str(caught.value)
    assert str(tmp_path / "r.yaml") in str(caught.value)


def test_flags_win_over_the_file_and_numbers_may_be_written_as_people_do(tmp_path: Path):
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(SMALLEST))
    recipe = load_recipe(tmp_path / "r.yaml", {"distil.tokens": "2e6", "student.layers": "3", "seeds": "[1, 2]"})
    assert recipe.distil.tokens == 2_000_000
    assert recipe.student.layers == 3
    assert recipe.seeds == (1, 2)


def test_a_vocabulary_is_all_auto_or_a_number_and_no_part_of_a_students_key():
    sizes = [StudentConfig(vocabulary=given).vocabulary for given in ("all", "auto", 9000, "9e3", 9e3)]
    assert sizes == ["all", "auto", 9000, 9000, 9000]
    assert "vocabulary" not in result_config(StudentConfig(vocabulary="auto"))


def test_files_that_are_no_recipes(tmp_path: Path):
    with pytest.raises(HornbookError, match="no such recipe file"):
        load_recipe(tmp_path / "none.yaml")
    (tmp_path / "list.yaml").write_text("- a\n")
    with pytest.raises(HornbookError, match="a recipe is a mapping"):
        load_recipe(tmp_path / "list.yaml")
    (tmp_path / "broken.yaml").write_text("a: [")
    with pytest.raises(HornbookError, match="not a YAML file"):
        load_recipe(tmp_path / "broken.yaml")


def test_a_textbook_is_picked_by_its_kind():
    def recipe(**settings):
        return validate(Recipe, {**SMALLEST, "textbooks": {"a": settings}}, "here")

    def refused(message):
        return pytest.raises(HornbookError, match=re.escape(message))

    assert recipe(kind="general", units=5).textbooks["a"] == GeneralConfig(units=5)
    with refused("here: textbooks.a: there is no textbook kind 'x'; the kinds are context"):
        recipe(kind="x")
    with refused("here: textbooks.a: give one of units, tokens and bytes"):
        recipe(kind="general", units=5, tokens=5)
    with refused("here: unknown key 'textbooks.a.unitz'; the nearest known key is 'units'"):
        recipe(kind="general", unitz=5)


def test_a_recipe_is_written_with_all_settings_of_its_textbooks():
    recipe = validate(Recipe, {**SMALLEST, "textbooks": {"a": {"kind": "general", "units": 5}}}, "here")
    assert recipe.model_dump(mode="json")["textbooks"]["a"]["units"] == 5
    assert Recipe.model_validate(recipe.model_dump(mode="json")) == recipe


def test_every_field_is_explained():
    def fields(model):
        for name, about in model.model_fields.items():
            yield f"{model.__name__}.{name}", about.description
            inner = about.annotation
            if (isinstance(inner, type) and issubclass(inner, TrainingConfig)) or hasattr(inner, "model_fields"):
                yield from fields(inner)

    unexplained = [
        name for model in (Recipe, DistilConfig, FinetuneConfig) for name, text in fields(model) if not text
    ]
    assert unexplained == []


COMMITTED = [path for path in sorted((ROOT / "recipes").rglob("*.yaml")) if "axes" not in read_values(path)]


@pytest.mark.parametrize("path", COMMITTED, ids=lambda p: p.stem)
def test_committed_recipes_are_recipes(path: Path):
    assert isinstance(load_recipe(path), Recipe)


def test_home_is_expanded():
    recipe = validate(Recipe, {**SMALLEST, "corpus": {"sources": ["news=~/n.txt", "~/m.txt", "x.txt"]}}, "here")
    assert recipe.corpus.sources == (f"news={Path.home()}/n.txt", f"{Path.home()}/m.txt", "x.txt")


@pytest.mark.parametrize("mark", ["|", ",", ";", "/", ">", "||"])
def test_a_lone_mark_on_the_command_line_is_itself(mark):
    assert parse_value(mark, "--task.label-separator") == mark
    assert parse_value("~", "--x") is None
    assert parse_value("-1", "--x") == -1

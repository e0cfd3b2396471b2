"""The public names: complete, importable, lazy, documented; old names warn."""

import ast
import inspect
import re
import warnings
from pathlib import Path

import pytest

import hornbook
from hornbook import recipe

ROOT = Path(__file__).resolve().parents[1]
# Bases of settings classes, whose fields the reference shows with each class.
ABSTRACT = {"CombinedConfig", "RetrievedConfig", "SampleConfig", "TextbookConfig", "TrainingConfig"}


def test_the_names_for_type_checkers_are_the_public_names():
    tree = ast.parse(Path(hornbook.__file__).read_text("utf-8"))
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    imported = {}
    for line in block.body:
        if isinstance(line, ast.ImportFrom):
            imported |= {alias.asname or alias.name: (line.module, alias.name) for alias in line.names}
    assert imported.keys() == set(hornbook.__all__)
    assert len(hornbook.__all__) == len(set(hornbook.__all__))
    for name, (module, attribute) in imported.items():
        assert getattr(hornbook, name) is getattr(__import__(module, fromlist=[attribute]), attribute), name


@pytest.mark.parametrize("name", hornbook.__all__)
def test_a_public_name_is_documented(name):
    assert inspect.getdoc(getattr(hornbook, name))
    assert name in dir(hornbook)


def pages(name: str, prefix: str) -> list[str]:
    """Return the names that a page of the reference shows."""
    text = (ROOT / "docs" / "reference" / name).read_text("utf-8")
    return re.findall(rf"^::: {prefix}\.(\S+)$", text, re.MULTILINE)


def test_the_reference_shows_every_public_name():
    assert sorted(pages("index.md", "hornbook")) == sorted(hornbook.__all__)


def test_the_reference_shows_every_setting():
    shown = {name.rpartition(".")[2] for name in pages("settings.md", "hornbook.recipe")}
    models = {name for name in recipe.__all__ if isinstance(getattr(recipe, name), type)}
    assert shown - {"Rule", "StartConfig"} == models - ABSTRACT


@pytest.mark.parametrize("old", hornbook._RENAMED)
def test_an_old_name_warns_and_works(old):
    with pytest.warns(DeprecationWarning, match=f"hornbook.{old} is now hornbook.") as caught:
        assert getattr(hornbook, old) is getattr(hornbook, hornbook._RENAMED[old])
    assert caught[0].filename == __file__


def test_new_names_do_not_warn_and_unknown_ones_are_errors():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert hornbook.build_corpus.__name__ == "build"
        assert hornbook.__version__
    with pytest.raises(AttributeError, match="module 'hornbook' has no attribute 'corpus_bild'"):
        hornbook.corpus_bild  # noqa: B018


@pytest.mark.slow
def test_the_example_of_the_reference_runs(reviews, tiny_teacher, general_text, tmp_path, monkeypatch, capsys):
    text = (ROOT / "docs" / "reference" / "index.md").read_text("utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    own = {
        "reviews.csv": str(reviews),
        'label="stars"': 'label="label"',
        "wikipedia/": str(general_text),
        "share=0.02": "k=5",
        "bert-base-uncased": str(tiny_teacher),
        "layers=6": "layers=1, hidden=16, heads=2",
        "1_000_000": "2_000",
    }
    for name, value in own.items():
        assert name in code
        code = code.replace(name, value)
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "docs/reference/index.md", "exec"), {})
    assert "'accuracy': " in capsys.readouterr().out

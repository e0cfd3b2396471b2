"""What the pages tell a user to type is what the program takes."""

import re
import shlex
from pathlib import Path

import pytest

from hornbook.cli.command import overrides
from hornbook.recipe import load_recipe

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "how-to" / "own-task.md").read_text("utf-8")
FLAGS = re.findall(r"`(--[a-z]+\.[a-z-]+ [^`]*|--seeds [^`]*)`", PAGE)


@pytest.mark.parametrize("flags", FLAGS)
def test_flags_for_a_recipe_are_understood(tmp_path, flags):
    recipe = "{name: x, task: {source: x.csv}, corpus: {sources: [x.txt]}, teacher: {model: x}}"
    (tmp_path / "mine.yaml").write_text(recipe, "utf-8")
    given = overrides(shlex.split(flags.replace("\\|", "|").replace(", …", "")))
    ready = {"teacher.kind": "ready"} if "teacher.label_names" in given else {}
    assert given
    load_recipe(tmp_path / "mine.yaml", given | ready)


def test_the_page_has_flags():
    assert len(FLAGS) > 8

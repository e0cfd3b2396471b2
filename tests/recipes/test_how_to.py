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


def test_the_code_for_data_in_memory_runs(tmp_path, monkeypatch):
    import pandas as pd

    monkeypatch.chdir(tmp_path)
    texts, labels = [f"some good text number {i}" for i in range(60)], [i % 3 for i in range(60)]
    pd.DataFrame({"text": texts, "label": labels}).to_csv("reviews.csv", sep=";", index=False)
    rows = pd.DataFrame({"text": texts, "label": labels})
    names = {
        "frame": pd.DataFrame({"review": texts, "stars": labels}),
        "train": rows,
        "dev": rows[:9],
        "test": rows[:9],
        "texts": texts,
        "labels": labels,
        "news": texts,
        "web": [f"another {text}" for text in texts],
    }
    blocks = [one for one in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if "= hornbook." in one]
    for block in blocks:
        if "finetune" not in block:
            exec(block, names)
    assert (len(blocks), names["corpus"].info["sources"]) == (3, {"news": 60, "web": 60})
    made = {path.name for path in (tmp_path / "work").iterdir()}
    assert made == {"stars", "splits", "films", "file", "corpus", "two-sources"}

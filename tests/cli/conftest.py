"""The command line in this process, and one small run of every stage through it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from hornbook.cli.main import app

Hornbook = Callable[..., Any]


@pytest.fixture(scope="session")
def hornbook() -> Hornbook:
    """Run a command line and return its result: exit_code, stdout, stderr."""
    runner = CliRunner()
    return lambda *words: runner.invoke(app, [str(word) for word in words])


@pytest.fixture(scope="session")
def stages(hornbook: Hornbook, tiny_teacher: Path, reviews: Path, general_text: Path, tmp_path_factory) -> dict:
    """Every stage command in its order: for each folder made the command line and the JSON answer."""
    at = tmp_path_factory.mktemp("stages")
    small = ("--layers", 1, "--hidden", 16, "--heads", 2, "--tokens", "2e3")
    fast = ("--epochs", 2, "--learning-rate", "5e-3")
    lines = {
        "corpus": ("corpus", "build", general_text, "--unit", "line"),
        "contextualized": ("textbook", "build", "--corpus", at / "corpus", "--task", reviews, "--k", 5),
        "general": ("textbook", "build", "--corpus", at / "corpus", "--kind", "general", "--units", 50),
        "teacher": ("finetune", "--task", reviews, "--model", tiny_teacher, "--batch", 8, *fast),
        "student": ("distil", "--teacher", at / "teacher", "--textbook", at / "contextualized", *small),
        "adapted": ("adapt", "--task", reviews, "--student", at / "student", "--epochs", 1),
        "evaluation": ("evaluate", "--task", reviews, "--model", at / "adapted", "--teacher", at / "teacher"),
    }  # fmt: skip
    made = {}
    for name, words in lines.items():
        words = (*words, "--out", at / name)
        result = hornbook(*words, "--json")
        assert result.exit_code == 0, (name, result.stderr)
        made[name] = {"words": words, "answer": json.loads(result.stdout.splitlines()[-1]), "folder": at / name}
    return made

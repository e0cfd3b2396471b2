"""Without the extras, and without what only POSIX has: what the base package promises still works."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from hornbook.errors import HornbookError
from hornbook.machine.extras import EXTRAS, explain_missing_extra

SOURCE = Path(__file__).parents[1] / "src"
POSIX = {"fcntl", "grp", "pwd", "resource", "termios"}
# Rooms whose modules may need an extra when they are imported.
WITH_EXTRA = ("evaluation.evaluate", "export", "inference", "models", "report", "results", "training")

PREAMBLE = f"""
import sys
from importlib.abc import MetaPathFinder
import filelock, psutil  # they know which system they run on

class Blocked(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {set(EXTRAS) | POSIX}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Blocked())
for name in {POSIX}:
    sys.modules.pop(name, None)
"""
IMPORT_ALL = """
import importlib, json
from pathlib import Path
missing = {}
for path in sorted(Path(sys.argv[1]).rglob("*.py")):
    name = ".".join(path.relative_to(sys.argv[1]).with_suffix("").parts).removesuffix(".__init__")
    if not name.endswith("__main__"):
        try:
            importlib.import_module(name)
        except ImportError as error:
            missing[name] = error.name
print(json.dumps(missing))
"""
RUN_COMMANDS = """
import json
from typer.testing import CliRunner
from hornbook.cli.main import app
runner, answers = CliRunner(), []
for command in json.loads(sys.argv[1]):
    done = runner.invoke(app, command)
    answers.append([done.exit_code, done.output + (repr(done.exception) if done.exception else "")])
print(json.dumps(answers))
"""


def restricted(script: str, argument: str):
    """Run a script where neither the extras nor POSIX modules can be imported; return the JSON it prints."""
    done = subprocess.run(
        [sys.executable, "-c", PREAMBLE + script, argument], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def commands(*lines: list[str]) -> list[list]:
    return restricted(RUN_COMMANDS, json.dumps([[str(word) for word in line] for line in lines]))


def test_only_models_training_and_reports_need_extras_to_be_imported():
    missing = restricted(IMPORT_ALL, str(SOURCE))
    assert "hornbook.training.distil" in missing  # the extras really were out of reach
    assert not {name: module for name, module in missing.items() if module not in EXTRAS}
    assert not [name for name in missing if not name.removeprefix("hornbook.").startswith(WITH_EXTRA)]


def test_no_module_imports_what_only_posix_has_at_its_top():
    found = []
    for path in SOURCE.rglob("*.py"):
        for node in ast.parse(path.read_text("utf-8")).body:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) else []
            found += [f"{path}:{node.lineno} {name}" for name in names if name in POSIX]
    assert not found


def test_the_base_package_makes_a_textbook_and_says_what_training_needs(tmp_path):
    (tmp_path / "pool.txt").write_text(
        "".join(f"The film number {i} was a long and quiet one about rivers and trains.\n" for i in range(200))
    )
    rows = "".join(f"a quiet film about river {i} and its train,{i % 2}\n" for i in range(40))
    (tmp_path / "reviews.csv").write_text("text,label\n" + rows)
    corpus, book, task = tmp_path / "corpus", tmp_path / "book", ["--task", tmp_path / "reviews.csv"]
    groups = [[], ["corpus", "build"], ["textbook", "build"], ["textbook", "stats"], ["distil"], ["run"], ["report"]]
    (tmp_path / "prompt.txt").write_text("{text}: 0 or 1?")
    asking = ["--endpoint", "http://127.0.0.1:1/v1", "--model", "m", "--prompt", tmp_path / "prompt.txt"]
    *helps, built, drawn, counted, untrained, unplotted, unasked = commands(
        *([*group, "--help"] for group in groups),
        ["corpus", "build", tmp_path / "pool.txt", "--out", corpus, "--min-words", 3],
        ["textbook", "build", *task, "--corpus", corpus, "--out", book, "--k", 5],
        ["textbook", "stats", book],
        ["finetune", *task, "--model", tmp_path, "--out", tmp_path / "teacher"],
        ["textbook", "stats", book, "--plots", tmp_path / "plots"],
        ["label", tmp_path / "reviews.csv", *asking, "--labels", "[0, 1]", "--out", tmp_path / "labels.jsonl"],
    )
    for code, output in [*helps, built, drawn, counted]:
        assert code == 0, output
    assert untrained[0] == 2
    assert "hornbook: hornbook finetune needs hornbook[train]: pip install 'hornbook[train]'\n" in untrained[1]
    assert unasked[0] == 2
    assert "hornbook: hornbook label needs hornbook[label]: pip install 'hornbook[label]'\n" in unasked[1]
    assert unplotted[0] == 2
    assert "hornbook textbook stats needs hornbook[report]: pip install 'hornbook[report]'\n" in unplotted[1]


def test_an_error_of_another_module_stays():
    with pytest.raises(ModuleNotFoundError), explain_missing_extra("x"):
        raise ModuleNotFoundError("No module named 'numpy.nothing'", name="numpy.nothing")
    said = r"^x needs hornbook\[train\]: pip install 'hornbook\[train\]'$"
    with pytest.raises(HornbookError, match=said), explain_missing_extra("x"):
        raise ModuleNotFoundError("No module named 'torch'", name="torch.nn")

"""Work that students share is done once, whoever needs it first: several processes, or one that was killed."""

import json
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch
from safetensors.torch import load_file
from tests.slow.processes import ENVIRONMENT, TORCHRUN
from typer.testing import CliRunner

from hornbook import pipeline
from hornbook.cli.main import app
from hornbook.recipe import Recipe, validate
from hornbook.store import RUN

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]


def answer_of(*arguments: object) -> None:
    """Run a command in this process."""
    result = CliRunner().invoke(app, list(map(str, arguments)))
    assert result.exit_code == 0, (result.output, result.exception)


def together(*arguments: object) -> subprocess.Popen[str]:
    """Start a command in two processes."""
    command = [*TORCHRUN, "-m", "hornbook", *map(str, arguments)]
    piped = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, env=ENVIRONMENT, start_new_session=True, **piped)


def finished(process: subprocess.Popen[str]) -> None:
    _, said = process.communicate(timeout=300)
    assert process.returncode == 0, said


def stored(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.name != RUN}


@pytest.fixture(scope="module")
def book(tmp_path_factory) -> Path:
    """A textbook of some 300,000 tokens, which are recorded in several parts."""
    folder = tmp_path_factory.mktemp("shared")
    with (folder / "prose.txt").open("w", encoding="utf-8") as file:
        for number in range(12_000):
            file.write(f"The {number} of them read a film of {number % 977} words, and it was good, was it new?\n\n")
    answer_of("corpus", "build", folder / "prose.txt", "--out", folder / "corpus")
    chosen = ("textbook", "build", "--kind", "general", "--units", 11_000)
    answer_of(*chosen, "--corpus", folder / "corpus", "--out", folder / "book")
    return folder / "book"


def test_two_processes_record_what_one_records_also_when_they_are_killed(tmp_path, tiny_teacher, book):
    size = ("--layers", 1, "--hidden", 16, "--heads", 2, "--dropout", 0, "--batch", 512, "--steps", 20)
    arguments = ("distil", "--teacher", tiny_teacher, "--textbook", book, *size, "--cache", "float16")
    answer_of(*arguments, "--out", tmp_path / "one")
    finished(together(*arguments, "--out", tmp_path / "two"))
    running = together(*arguments, "--out", tmp_path / "killed")
    resume, deadline = tmp_path / ".killed-activations.partial" / "resume", time.monotonic() + 120
    while not list(resume.glob("part-*.rows")):
        assert running.poll() is None, running.communicate()[1]
        assert time.monotonic() < deadline, "nothing was recorded"
        time.sleep(0.005)
    for process in (*psutil.Process(running.pid).children(recursive=True), running):  # each has its own group
        process.kill()
    running.communicate()
    assert not (tmp_path / "killed-activations").exists()
    finished(together(*arguments, "--out", tmp_path / "killed"))
    recorded = [stored(tmp_path / f"{name}-activations") for name in ("one", "two", "killed")]
    assert len(recorded[0]) > 3
    assert recorded[0] == recorded[1] == recorded[2]
    students = [load_file(tmp_path / name / "model.safetensors") for name in ("one", "two", "killed")]
    for name, weights in students[1].items():
        assert torch.equal(students[2][name], weights), name
        torch.testing.assert_close(students[0][name], weights, rtol=1e-3, atol=1e-4)


@pytest.fixture(scope="module")
def values(wordpiece_teacher, reviews, general_text, small_recipe) -> dict:
    values = small_recipe(reviews, general_text, wordpiece_teacher)
    values["textbooks"] = {"general": {"kind": "general", "units": 100}}
    values["student"] |= {"vocabulary": "auto"}
    values["distil"] |= {"tokens": 1500, "cache": "auto"}
    return values | {"adapt": {"epochs": 1, "batch": 8}, "baselines": []}


def count(runs: Path, stage: str) -> int:
    return len(list((runs / "artifacts" / stage).iterdir()))


def test_students_side_by_side_share_vocabulary_and_teacher(values, tmp_path):
    recipe = validate(Recipe, values, "test")
    results = [pipeline.run(recipe, tmp_path / str(jobs), jobs=jobs) for jobs in (1, 2)]
    # What a process of its own asked the teacher for is not among the stages of the run.
    one, two = ([(s.stage, s.key) for s in result.stages if s.stage != "activations"] for result in results)
    assert one == two
    assert [count(tmp_path / "2", stage) for stage in ("vocabulary", "trimmed", "activations")] == [1, 1, 1]
    for name in ("vocabulary", "trimmed", "activations"):
        (alone,), (beside,) = ((tmp_path / jobs / "artifacts" / name).iterdir() for jobs in "12")
        assert stored(alone) == stored(beside)
    for result in results:
        saved = result.asked_once
        assert saved.students == 2
        assert 1000 < saved.tokens_asked < saved.tokens_read
        assert saved.saved_seconds >= 0
        (remark,) = (line for line in result.remarks if line.startswith("distil.cache: "))
        table = (result.folder / "report.md").read_text("utf-8")
        assert remark in table
        assert f"vocabulary: {result.vocabulary.pieces:,} of {result.vocabulary.pieces_before:,} word pieces" in table


def test_cells_in_two_processes_make_the_vocabulary_once(values, tmp_path):
    (tmp_path / "base.yaml").write_text(json.dumps(values | {"seeds": [0]}), "utf-8")
    grid = {"name": "grid", "recipe": "base.yaml", "axes": {"seed": [0, 1]}}
    (tmp_path / "grid.yaml").write_text(json.dumps(grid), "utf-8")
    command = [sys.executable, "-m", "hornbook", "experiment", str(tmp_path / "grid.yaml"), "--yes"]
    command += ["--runs", str(tmp_path / "runs")]
    both = [
        subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for process in both:
        finished(process)
    assert [count(tmp_path / "runs", stage) for stage in ("vocabulary", "trimmed", "student")] == [1, 1, 2]

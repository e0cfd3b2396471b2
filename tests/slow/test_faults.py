"""What happens when processes are killed, or want the same thing at once."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.csv
import pytest
import torch
from safetensors.torch import load_file

pytestmark = pytest.mark.slow

HORNBOOK = [sys.executable, "-m", "hornbook"]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
ENVIRONMENT = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}


def hornbook(*arguments: object) -> subprocess.Popen[str]:
    command = [*HORNBOOK, *map(str, arguments)]
    return subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> dict:
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return json.loads(out.splitlines()[-1])


@pytest.fixture(scope="module")
def book(tmp_path_factory, general_text) -> Path:
    folder = tmp_path_factory.mktemp("slow")
    finish(hornbook("corpus", "build", general_text, "--out", folder / "corpus", "--json"))
    textbook = ("textbook", "build", "--kind", "general", "--units", 400)
    finish(hornbook(*textbook, "--corpus", folder / "corpus", "--out", folder / "book", "--json"))
    return folder / "book"


def test_a_killed_distillation_goes_on_to_the_same_weights(tmp_path, tiny_teacher, book):
    size = ("--layers", 1, "--hidden", 16, "--heads", 2, "--steps", 300, "--checkpoint-minutes", 0.00001, "--json")
    arguments = ("distil", "--teacher", tiny_teacher, "--textbook", book, *size)
    whole = finish(hornbook(*arguments, "--out", tmp_path / "whole"))
    running = hornbook(*arguments, "--out", tmp_path / "killed")
    resume = tmp_path / ".killed.partial" / "resume"
    deadline = time.monotonic() + 120
    while not list(resume.glob("checkpoint-*/complete.json")):
        assert time.monotonic() < deadline, "no checkpoint was written"
        assert running.poll() is None, running.stderr.read()
        time.sleep(0.02)
    running.send_signal(signal.SIGKILL)
    running.wait()
    assert not (tmp_path / "killed").exists()
    again = finish(hornbook(*arguments, "--out", tmp_path / "killed"))
    assert again["key"] == whole["key"]
    expected, got = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "killed"))
    assert all(torch.equal(expected[name], got[name]) for name in expected)
    assert (tmp_path / "whole" / "log.csv").read_bytes() == (tmp_path / "killed" / "log.csv").read_bytes()


def test_two_runs_that_want_the_same_corpus_build_it_once(tmp_path, general_text):
    command = ("corpus", "build", general_text, "--out", tmp_path / "corpus", "--json")
    answers = [finish(process) for process in [hornbook(*command), hornbook(*command)]]
    assert sorted(answer["reused"] for answer in answers) == [False, True]
    assert [path.name for path in tmp_path.iterdir()] == ["corpus"]


def test_two_processes_learn_what_one_learns(tmp_path, tiny_teacher, book):
    size = ("--layers", 1, "--hidden", 16, "--heads", 2, "--dropout", 0, "--steps", 60, "--micro-batch-tokens", 300)
    arguments = [*("distil", "--teacher", tiny_teacher, "--textbook", book), *size, "--checkpoint-minutes", 0.00001]
    one = finish(hornbook(*arguments, "--out", tmp_path / "one", "--json"))
    command = [*TORCHRUN, "-m", "hornbook", *map(str, arguments), "--out", str(tmp_path / "two")]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "two" / "manifest.json").read_text())["key"] == one["key"]
    assert json.loads((tmp_path / "two" / "run.json").read_text())["processes"] == 2
    curves = [pyarrow.csv.read_csv(tmp_path / name / "log.csv").to_pylist() for name in ("one", "two")]
    assert len(curves[0]) == 6
    for alone, together in zip(*curves, strict=True):
        for column in ("step", "loss", "loss_query", "loss_key", "loss_value", "grad_norm", "learning_rate"):
            assert together[column] == pytest.approx(alone[column], rel=1e-3), column
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]


def test_two_processes_that_diverge_stop_together_with_one_line(tmp_path, tiny_teacher, book):
    size = ("--layers", 1, "--hidden", 16, "--heads", 2, "--steps", 300, "--learning-rate", 1e9, "--clip", 1e9)
    arguments = ("distil", "--teacher", tiny_teacher, "--textbook", book, *size, "--out", tmp_path / "student")
    command = [*TORCHRUN, "-m", "hornbook", *map(str, arguments)]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode != 0
    told = [line for line in done.stderr.splitlines() if line.startswith("hornbook: ")]
    assert len(told) == 1
    assert "the loss is nan" in told[0] or "the loss is inf" in told[0]
    assert list(tmp_path.iterdir()) == []


def test_a_whole_recipe_runs_in_two_processes(tmp_path, tiny_teacher, reviews, general_text):
    values = {
        "name": "small",
        "task": {"source": str(reviews)},
        "corpus": {"sources": [str(general_text)]},
        "textbooks": {"contextualized": {"kind": "contextualized", "share": 0.2, "min_units": 50}},
        "teacher": {"model": str(tiny_teacher), "finetune": {"epochs": 4, "learning_rate": 5e-3, "batch": 8}},
        "student": {"layers": 1, "hidden": 16, "heads": 2},
        "distil": {"tokens": 3000, "learning_rate": 5e-3},
        "adapt": {"epochs": 1, "batch": 8},
    }
    (tmp_path / "recipe.yaml").write_text(json.dumps(values), "utf-8")
    command = [*TORCHRUN, "-m", "hornbook", "run", str(tmp_path / "recipe.yaml"), "--runs", str(tmp_path / "runs")]
    done = subprocess.run(
        [*command, "--json"], env=ENVIRONMENT, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    assert [row["name"] for row in json.loads(line)["rows"]] == ["teacher", "contextualized"]
    run = json.loads((tmp_path / "runs" / "small" / "report.json").read_text())
    made = [stage["stage"] for stage in run["stages"]]
    assert made == ["task", "model", "evaluation", "corpus", "textbook", "tokens", "student", "model", "evaluation"]
    assert not list((tmp_path / "runs" / "artifacts").rglob(".*"))

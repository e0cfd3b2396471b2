"""What happens when processes are killed, or want the same thing at once."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pyarrow.csv
import pytest
import torch
from safetensors.torch import load_file
from tests.slow.processes import ENVIRONMENT, TORCHRUN
from typer.testing import CliRunner

from hornbook.cli.main import app

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]

HORNBOOK = [sys.executable, "-m", "hornbook"]


def hornbook(*arguments: object) -> subprocess.Popen[str]:
    command = [*HORNBOOK, *map(str, arguments)]
    return subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> dict:
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return json.loads(out.splitlines()[-1])


def invoked(*arguments: object) -> Any:
    """Run a command in this process: importing everything anew would take most of the time."""
    return CliRunner().invoke(app, list(map(str, arguments)))


def answer_of(*arguments: object) -> dict:
    """Run a command in this process, and return its answer."""
    result = invoked(*arguments)
    assert result.exit_code == 0, (result.output, result.exception)
    return json.loads(result.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def book(tmp_path_factory, general_text) -> Path:
    folder = tmp_path_factory.mktemp("slow")
    answer_of("corpus", "build", general_text, "--out", folder / "corpus", "--json")
    textbook = ("textbook", "build", "--kind", "general", "--units", 400)
    answer_of(*textbook, "--corpus", folder / "corpus", "--out", folder / "book", "--json")
    return folder / "book"


def test_a_killed_distillation_goes_on_to_the_same_weights(tmp_path, tiny_teacher, book):
    size = ("--layers", 1, "--hidden", 16, "--heads", 2, "--steps", 60, "--checkpoint-minutes", 0.00001, "--json")
    arguments = ("distil", "--teacher", tiny_teacher, "--textbook", book, *size)
    whole = answer_of(*arguments, "--out", tmp_path / "whole")
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
    again = answer_of(*arguments, "--out", tmp_path / "killed")
    assert again["key"] == whole["key"]
    expected, got = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "killed"))
    assert all(torch.equal(expected[name], got[name]) for name in expected)
    assert (tmp_path / "whole" / "log.csv").read_bytes() == (tmp_path / "killed" / "log.csv").read_bytes()


def test_two_runs_that_want_the_same_corpus_build_it_once(tmp_path, general_text):
    command = ("corpus", "build", general_text, "--out", tmp_path / "corpus", "--json")
    answers = [finish(process) for process in [hornbook(*command), hornbook(*command)]]
    assert sorted(answer["reused"] for answer in answers) == [False, True]
    assert [path.name for path in tmp_path.iterdir()] == ["corpus"]


@pytest.fixture(scope="module")
def much_text(tmp_path_factory) -> Path:
    """Text enough for several jobs of each worker."""
    path = tmp_path_factory.mktemp("much") / "prose.txt"
    with path.open("w", encoding="utf-8") as file:
        for number in range(150_000):
            file.write(f"The {number} of them read a film of {number % 977} words, and it was good. Was it new?\n\n")
    return path


def begun(*command: object) -> tuple[subprocess.Popen[str], list[psutil.Process]]:
    """Start a command that has worker processes; return it, and these."""
    running = hornbook(*command)
    deadline = time.monotonic() + 60
    while len(workers := psutil.Process(running.pid).children(recursive=True)) < 2:
        assert running.poll() is None, running.stderr.read()
        assert time.monotonic() < deadline, "no worker was started"
        time.sleep(0.01)
    return running, workers


def test_workers_end_with_a_parent_that_is_killed_and_the_command_goes_on(tmp_path, much_text):
    command = ("corpus", "build", much_text, "--out", tmp_path / "corpus", "--json")
    running, workers = begun(*command)
    running.kill()
    running.wait()
    gone, alive = psutil.wait_procs(workers, timeout=5)
    assert (len(gone), alive) == (len(workers), [])
    finish(hornbook(*command))
    assert [path.name for path in tmp_path.iterdir()] == ["corpus"]


@pytest.mark.parametrize(
    ("number", "code", "all_of_them", "again"),
    [(signal.SIGTERM, 143, False, False), (signal.SIGTERM, 143, True, True), (signal.SIGINT, 130, True, True)],
)
def test_a_stopped_command_says_so_in_one_line_and_soon(tmp_path, much_text, number, code, all_of_them, again):
    command = [*HORNBOOK, "corpus", "build", str(much_text), "--out", str(tmp_path / "corpus")]
    running = subprocess.Popen(
        command, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    while len(workers := psutil.Process(running.pid).children(recursive=True)) < 2:
        assert running.poll() is None, running.stderr.read()
        time.sleep(0.01)
    time.sleep(0.2)
    started = time.monotonic()
    for _ in range(1 + again):
        os.killpg(running.pid, number) if all_of_them else os.kill(running.pid, number)
        time.sleep(0.05)
    _, said = running.communicate(timeout=20)
    assert time.monotonic() - started < 6
    assert running.returncode == code
    told = [line for line in said.splitlines() if not line.startswith("corpus: ")]
    assert told == ["hornbook: stopped; run the same command again to continue"]
    assert psutil.wait_procs(workers, timeout=5)[1] == []


def test_a_stopped_training_says_so_and_goes_on(tmp_path, tiny_teacher, book):
    size = ("--layers", 1, "--hidden", 16, "--heads", 2, "--steps", 60, "--checkpoint-minutes", 0.00001, "--json")
    arguments = ("distil", "--teacher", tiny_teacher, "--textbook", book, *size, "--out", tmp_path / "student")
    running = hornbook(*arguments)
    while not list((tmp_path / ".student.partial" / "resume").glob("checkpoint-*/complete.json")):
        assert running.poll() is None, running.stderr.read()
        time.sleep(0.02)
    running.terminate()
    _, said = running.communicate(timeout=10)
    assert running.returncode == 143
    assert said.splitlines()[-1] == "hornbook: stopped; run the same command again to continue"
    assert "Traceback" not in said
    assert answer_of(*arguments)["counts"]["steps"] == 60


def test_who_waits_for_a_lock_says_so_and_can_be_stopped(tmp_path, much_text):
    command = ("corpus", "build", much_text, "--out", tmp_path / "corpus")
    first, workers = begun(*command)
    for process in (psutil.Process(first.pid), *workers):
        process.suspend()
    second = hornbook(*command)
    line = second.stderr.readline()
    assert line.startswith(f"{tmp_path / 'corpus'}: waiting for process {first.pid} on ")
    second.send_signal(signal.SIGINT)
    _, said = second.communicate(timeout=10)
    assert second.returncode == 130
    assert said == "hornbook: stopped; run the same command again to continue\n"
    first.kill()
    first.wait()


@pytest.fixture
def small_disk(tmp_path):
    """Return a function that makes a file system of so many megabytes, or makes it larger."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = False

    def sized(megabytes: float) -> Path:
        nonlocal mounted
        options = ["-o", f"{'remount,' if mounted else ''}size={round(megabytes * 1000)}k"]
        done = subprocess.run(
            ["mount", "-t", "tmpfs", *options, "tmpfs", str(folder)], capture_output=True, text=True, check=False
        )
        if done.returncode:
            pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
        mounted = True
        return folder

    yield sized
    if mounted:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.rglob("*")) if path.name != "run.json"}


@pytest.fixture(scope="module")
def larger_teacher(tmp_path_factory, tiny_teacher) -> Path:
    """A random BERT of some 4 MB with the tokenizer of the tiny one."""
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("larger")
    tokenizer = PreTrainedTokenizerFast.from_pretrained(tiny_teacher)
    tokenizer.save_pretrained(folder)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        num_hidden_layers=5,
        num_attention_heads=2,
        intermediate_size=512,
        max_position_embeddings=128,
    )
    BertModel(config).save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    ("name", "megabytes", "command"),
    [
        ("first", 2, "finetune"),  # within the weights of the first checkpoint
        ("optimizer", 10, "finetune"),
        ("second", 20, "finetune"),  # within the second checkpoint
        ("student", 14, "distil"),
        ("corpus", 4, "corpus"),
        ("book", 0.02, "book"),
        ("labels", 0.012, "task"),
    ],
)
def test_a_full_disk_is_one_line_and_the_command_goes_on(
    tmp_path, small_disk, larger_teacher, reviews, much_text, book, name, megabytes, command
):
    arguments = {
        "finetune": (
            *("finetune", "--model", larger_teacher, "--task", reviews),
            *("--epochs", 1, "--batch", 8, "--evaluate-steps", 5),
        ),
        "distil": (
            *("distil", "--teacher", larger_teacher, "--textbook", book, "--layers", 5, "--hidden", 128),
            *("--heads", 2, "--steps", 20, "--checkpoint-minutes", 0.00001),
        ),
        "corpus": ("corpus", "build", much_text, "--shard-units", 100_000),
        "book": ("textbook", "build", "--kind", "general", "--corpus", book.with_name("corpus"), "--units", 599),
        "task": ("textbook", "build", "--kind", "task", "--task", reviews),
    }[command]
    disk = small_disk(megabytes)
    full = invoked(*arguments, "--out", disk / name)
    assert full.exit_code == 2, (full.output, full.exception)
    (line,) = (line for line in full.stderr.splitlines() if line.startswith("hornbook: "))
    assert line.startswith(f"hornbook: {disk}")
    assert ": the disk is full (" in line
    assert " needed); make room there, then the same command goes on" in line
    assert not (disk / name).exists()
    small_disk(100)
    for folder in (disk, tmp_path):
        done = invoked(*arguments, "--out", folder / name)
        assert done.exit_code == 0, (done.output, done.exception)
    assert files_of(disk / name) == files_of(tmp_path / name)


def test_a_fine_tuning_fits_into_what_is_said_to_be_needed(small_disk, larger_teacher, reviews):
    disk = small_disk(7 * 4.3)  # weights of 4.1 MB
    arguments = ("--model", larger_teacher, "--task", reviews, "--epochs", 2, "--batch", 8, "--evaluate-steps", 5)
    done = invoked("finetune", *arguments, "--out", disk / "model")
    assert done.exit_code == 0, done.output


def test_two_processes_learn_what_one_learns(tmp_path, tiny_teacher, book):
    size = ("--layers", 1, "--hidden", 16, "--heads", 2, "--dropout", 0, "--steps", 60, "--micro-batch-tokens", 300)
    arguments = [*("distil", "--teacher", tiny_teacher, "--textbook", book), *size, "--checkpoint-minutes", 0.00001]
    one = answer_of(*arguments, "--out", tmp_path / "one", "--json")
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
    stages = ["task", "model", "evaluation", "corpus", "textbook", "tokens", "student", "model", "evaluation"]
    assert made == [*stages, "statistics", "inspection"]
    assert not list((tmp_path / "runs" / "artifacts").rglob(".*"))

"""Students side by side, in processes of their own."""

import logging
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import yaml

from hornbook import pipeline
from hornbook.errors import HornbookError
from hornbook.recipe import GeneralConfig, Recipe, validate

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def recipe(reviews, general_text, tiny_teacher, small_recipe) -> Recipe:
    return validate(Recipe, small_recipe(reviews, general_text, tiny_teacher), "test")


@pytest.fixture(scope="module")
def runs(recipe, tmp_path_factory) -> Path:
    """A run that others go on from."""
    folder = tmp_path_factory.mktemp("runs")
    pipeline.run(recipe.model_copy(update={"seeds": (0,), "baselines": ()}), folder)
    return folder


def test_students_side_by_side_are_the_same(recipe, runs, tmp_path, caplog):
    update = {"adapt": recipe.adapt.model_copy(update={"epochs": 1}), "baselines": ()}
    changed = recipe.model_copy(update={**update, "textbooks": {"general": GeneralConfig(units=60)}})
    apart = {"seconds", "sentences_per_second", "teacher_sentences_per_second"}
    rows, made = [], []
    for jobs in (1, 2):
        shutil.copytree(runs, tmp_path / str(jobs), symlinks=True)
        with caplog.at_level(logging.INFO, "hornbook"):
            found = pipeline.run(changed, tmp_path / str(jobs), jobs=jobs)
        rows.append([{name: value for name, value in vars(row).items() if name not in apart} for row in found.rows])
        made.append([(stage.stage, stage.key) for stage in found.stages])
        last = [stage.reused for stage in found.stages if stage.stage in {"student", "model"}][-4:]
        assert last == [jobs == 2] * 4  # made by the other processes, or here
    assert rows[0] == rows[1]
    assert made[0] == made[1]
    assert "2 students, 2 at a time; CPU threads of each: 1" in caplog.text
    assert "general, seed 1: student: " in caplog.text


def test_what_is_wrong_with_a_student_is_said_in_one_line(recipe, runs, tmp_path):
    shutil.copytree(runs, tmp_path / "runs", symlinks=True)
    diverging = recipe.distil.model_copy(update={"learning_rate": 1e30, "tokens": 3001})
    wrong = recipe.model_copy(update={"distil": diverging, "textbooks": {"general": GeneralConfig(units=60)}})
    with pytest.raises(HornbookError, match=r"general, seed [01]: the loss is .* at step"):
        pipeline.run(wrong, tmp_path / "runs", jobs=2)
    assert not list((tmp_path / "runs" / "artifacts" / "student").glob(".*.partial"))


def test_no_process_outlives_a_run_that_is_stopped_or_killed(recipe, runs, tmp_path):
    endless = recipe.distil.model_copy(update={"tokens": 100_000_000})
    values = yaml.safe_load(recipe.model_copy(update={"distil": endless, "baselines": ()}).model_dump_json())
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(values))
    command = [sys.executable, "-m", "hornbook", "run", tmp_path / "recipe.yaml", "--runs", runs, "--jobs", "2"]
    for how, code in ((signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)):
        run = subprocess.Popen([*map(str, command)], stderr=subprocess.PIPE, text=True, env=os.environ)
        assert run.stderr is not None
        said = []
        while sum("distil " in line or "student: " in line for line in said) < 2:
            said.append(run.stderr.readline())
            assert said[-1], "".join(said)
        workers = psutil.Process(run.pid).children(recursive=True)
        assert len(workers) == 2
        run.send_signal(how)
        assert run.wait(30) == code
        _, alive = psutil.wait_procs(workers, timeout=15)
        assert not alive
        rest = run.stderr.read()
        assert "Traceback" not in rest
        if how == signal.SIGINT:
            assert "stopped; run the same command again to continue" in rest

"""The promises about 2.95 million units of real text, where they are at hand."""

import json
import os
import subprocess
import sys

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.shared_data]


def test_the_corpus_build_holds_its_memory_and_says_its_speed(shared_data, tmp_path):
    command = [sys.executable, "-m", "hornbook", "corpus", "build", str(shared_data / "general"), "--json"]
    command += ["--unit", "line", "--out", str(tmp_path / "corpus")]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "HF_HUB_OFFLINE": "1"})
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout.splitlines()[-1])
    assert answer["counts"]["units"] > 2_900_000
    assert sorted(answer["info"]["sources"]) == ["books", "news", "reviews", "speeches", "web", "wikipedia"]
    assert answer["measured"]["units_per_second"] > 20_000
    assert answer["measured"]["peak_memory_mb"] < 1500


def test_glue_from_a_folder(shared_data, tmp_path):
    from hornbook import tasks
    from hornbook.recipe import TaskConfig

    folder = str(shared_data / "glue")
    task = tasks.open_task(tasks.prepare(TaskConfig(source="glue/rte", folder=folder), tmp_path / "rte"))
    assert (task.labels, task.pair, task.splits) == (("entailment", "not_entailment"), True, ("train", "dev"))
    assert task.split("dev").num_rows == 277
    assert "not public" in task.artifact.info["split"]["test"]

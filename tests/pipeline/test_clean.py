"""Which artefacts no run needs."""

import os

import pytest
from filelock import FileLock

from hornbook.errors import HornbookError
from hornbook.pipeline.clean import remove, unused
from hornbook.store import Store, make

OLD = 2 * 86_400


@pytest.fixture
def runs(tmp_path):
    """A run that links to a student, an experiment's results that name a textbook, and two that nobody needs."""
    store = Store(tmp_path / "artifacts")

    def build(stage, inputs):
        def fill(context):
            (context.path / "data.txt").write_text(stage)

        artifact = make(store, stage=stage, version=1, config={}, inputs=inputs, build=fill)
        manifest = artifact.path / "manifest.json"
        os.utime(manifest, (manifest.stat().st_mtime - OLD,) * 2)
        return artifact

    task = build("task", {})
    student = build("student", {"task": task.key})
    named = build("textbook", {"task": task.key, "of": "named"})
    build("textbook", {"task": task.key, "of": "nobody"})
    build("tokens", {"task": task.key})
    run = tmp_path / "mine"
    run.mkdir()
    (run / "student").symlink_to(os.path.relpath(student.path, run), target_is_directory=True)
    (run / "report.json").write_text(f'{{"stages": [{{"key": "{named.key}"}}]}}')
    return tmp_path


def stages(found):
    return sorted(one.stage for one in found)


def test_what_runs_link_to_or_name_and_its_inputs_stay(runs):
    found = unused(runs)
    assert stages(found) == ["textbook", "tokens"]
    remove(runs, found)
    assert unused(runs) == []
    assert len(list((runs / "artifacts").glob("*/*"))) == 3
    assert not list((runs / "artifacts").glob("*/.*"))


def test_new_artefacts_and_inputs_of_unfinished_ones_stay(runs):
    assert unused(runs, days=3) == []
    tokens = next(one for one in unused(runs) if one.stage == "tokens")
    key = next(path for path in (runs / "artifacts" / "tokens").iterdir()) / "manifest.json"
    partial = runs / "artifacts" / "student" / ".x.partial"
    partial.mkdir()
    (partial / "building.json").write_text(f'{{"inputs": {{"tokens": "{key_in(key)}"}}}}')
    assert tokens not in unused(runs)


def key_in(manifest):
    import json

    return json.loads(manifest.read_text())["key"]


def test_nothing_is_removed_while_a_run_is_at_work(runs):
    found = unused(runs)
    with FileLock(runs / "artifacts" / "task" / ".y.lock"), pytest.raises(HornbookError, match="a run is at work"):
        remove(runs, found)
    assert unused(runs) == found


def test_a_folder_without_runs_is_refused(tmp_path):
    with pytest.raises(HornbookError, match="no folder of runs"):
        unused(tmp_path)

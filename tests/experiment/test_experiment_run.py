"""A small experiment on made-up text: shared stages, rows as they come, failures, what is read back."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from typer.testing import CliRunner

from hornbook import experiment
from hornbook.cli.main import app
from hornbook.errors import DiskFull, HornbookError
from hornbook.experiment import FinishedCells, execute
from hornbook.experiment.plan import key_of
from hornbook.pipeline.predictions import predicted
from hornbook.recipe import load_experiment
from hornbook.report.tables.textbooks import comparison_markdown
from hornbook.results import read_results
from hornbook.results.plain import as_json
from hornbook.results.predictions import expanded
from hornbook.store import Store, make
from hornbook.training import chain
from hornbook.training import finetune as finetune_module
from made_up import experiment_of


@pytest.fixture(scope="module")
def folder(tmp_path_factory, reviews, general_text, tiny_teacher):
    folder = tmp_path_factory.mktemp("experiment")
    base = {
        "name": "base",
        "task": {"source": str(reviews)},
        "corpus": {"sources": [str(general_text)]},
        "textbooks": {
            "general": {"kind": "general", "units": 60},
            "contextualized": {"kind": "contextualized", "k": 2},
            "chain": {"kind": "chain", "books": ["contextualized", "general"], "then": {"tokens": 900}},
        },
        "teacher": {"model": str(tiny_teacher), "finetune": {"epochs": 4, "learning_rate": 5e-3, "batch": 8}},
        "student": {"layers": 1, "hidden": 16, "heads": 2},
        "distil": {"tokens": 2000, "learning_rate": 5e-3},
        "adapt": {"epochs": 1, "batch": 8},
        "threads": 1,
    }
    grid = {
        "name": "small",
        "recipe": "base.yaml",
        "axes": {"textbook": ["none", "general", "contextualized", "chain"], "seed": [0, 1]},
        "results": "rows.json",
    }
    (folder / "base.yaml").write_text(yaml.safe_dump(base, sort_keys=False))
    (folder / "grid.yaml").write_text(yaml.safe_dump(grid, sort_keys=False))
    return folder


def cells_of(folder, **changes):
    values = yaml.safe_load((folder / "grid.yaml").read_text()) | changes
    path = folder / "changed.yaml"
    path.write_text(yaml.safe_dump(values, sort_keys=False))
    return experiment.cells(load_experiment(path), path)


@pytest.fixture(scope="module")
def finished(folder):
    cells = cells_of(folder)
    planned = experiment.plan(cells, folder / "runs", FinishedCells())
    results = FinishedCells.read(folder / "rows.json")
    rows = experiment.run_cells(cells, folder / "runs", results)
    return planned, rows, results


def test_a_plan_counts_what_cells_share(finished):
    planned, _, _ = finished
    assert planned.cells == 8
    assert planned.finished == 0
    # task, teacher, its evaluation, corpus, two textbooks and their tokens; the chain begins as the contextualized
    # students of either seed
    assert planned.shared == 8 + 2
    # of their own: a student never distilled, of the general textbook and of the chain's end, for either seed; and
    # all eight students adapted and evaluated
    assert planned.stages == planned.shared + 2 * 3 + 8 * 2
    assert planned.missing == planned.stages
    assert planned.seconds > 0


def test_rows_say_where_they_belong_and_what_was_predicted(finished):
    _, rows, results = finished
    assert [row.at for row in rows] == [
        {"textbook": book, "seed": seed} for book in ("none", "general", "contextualized", "chain") for seed in (0, 1)
    ]
    gold = results.gold[rows[0].task]
    assert gold.metric == "accuracy"
    for row in rows:
        right = sum(a == b for a, b in zip(row.predicted, gold.dev, strict=True))
        assert right / len(gold.dev) == pytest.approx(row.dev)


def test_a_second_run_computes_nothing(finished, folder, monkeypatch):
    _, rows, _ = finished

    def computed(*_, **__):
        raise AssertionError("a finished cell was computed again")

    monkeypatch.setattr(execute, "_row", computed)
    again = FinishedCells.read(folder / "rows.json")
    assert experiment.run_cells(cells_of(folder), folder / "runs", again) == rows
    assert experiment.plan(cells_of(folder), folder / "runs", again).missing == 0


def test_rows_are_read_back_on_a_machine_without_artefacts(finished, folder, tmp_path, monkeypatch):
    _, rows, _ = finished
    monkeypatch.setattr(execute, "_row", None)
    assert (
        experiment.run_cells(cells_of(folder), tmp_path / "elsewhere", FinishedCells.read(folder / "rows.json"))
        == rows
    )


def test_another_value_of_an_axis_computes_its_cells_only(finished, folder, monkeypatch):
    computed, original = [], execute._row
    monkeypatch.setattr(execute, "_row", lambda cell, *rest: computed.append(cell.at) or original(cell, *rest))
    axes = {"textbook": ["general"], "seed": [0, 1, 2]}
    rows = experiment.run_cells(
        cells_of(folder, axes=axes), folder / "runs", FinishedCells.read(folder / "rows.json")
    )
    assert len(rows) == 3
    assert computed == [{"textbook": "general", "seed": 2}]


def test_a_cell_that_fails_is_named_and_the_others_go_on(folder, tmp_path, monkeypatch):
    def fails(*args, **settings):
        if settings["seed"] == 1:
            raise HornbookError("the loss does not fall")
        return original(*args, **settings)

    original = chain.distil
    monkeypatch.setattr(chain, "distil", fails)
    results = FinishedCells(tmp_path / "rows.json")
    axes = {"textbook": ["general"], "distil.tokens": [1500], "seed": [0, 1, 2]}
    rows = experiment.run_cells(cells_of(folder, axes=axes), folder / "runs", results)
    assert [row.at["seed"] for row in rows] == [0, 2]
    assert results.failed == {"textbook general, distil.tokens 1500, seed 1": "the loss does not fall"}
    kept = json.loads((tmp_path / "rows.json").read_text())
    assert [row["at"]["seed"] for row in kept["rows"]] == [0, 2]


def test_several_teachers_are_another_cell_than_the_first_of_them_alone(folder):
    keys = {str(seeds): key_of(cells_of(folder, change={"teacher.seeds": seeds})[0]) for seeds in ([0], [0, 1])}
    assert len(set(keys.values())) == 2
    assert keys["[0]"] == key_of(cells_of(folder)[0])


def cell_row(key, at):
    (row,) = experiment_of({"textbook": ("none",)}, seeds=(0,)).rows
    return replace(row, key=key, at=at)


def test_cells_that_differ_in_nothing_that_counts_keep_a_row_each(tmp_path):
    finished = FinishedCells(tmp_path / "rows.json")
    for steps in (10, 20, 10):
        finished.add(cell_row("same", {"steps": steps}))
    assert [row.at["steps"] for row in FinishedCells.read(tmp_path / "rows.json").rows] == [20, 10]
    assert finished.of("same", {"steps": 20}) == cell_row("same", {"steps": 20})
    # With another axis all of them are elsewhere.
    finished.move(finished.of("same", {"steps": 20, "seed": 0}))
    assert [row.at for row in finished.rows] == [{"steps": 20, "seed": 0}]


def test_two_processes_keep_each_others_rows(tmp_path):
    ours, theirs = (FinishedCells.read(tmp_path / "rows.json") for _ in range(2))
    gold = experiment_of({"textbook": ("none",)}, seeds=(0,)).gold
    ours.add(cell_row("a", {}), gold)
    theirs.add(cell_row("b", {}))
    assert FinishedCells.read(tmp_path / "rows.json") == FinishedCells(
        tmp_path / "rows.json", [cell_row("a", {}), cell_row("b", {})], gold
    )
    assert [path.name for path in tmp_path.iterdir()] == ["rows.json"]


def test_finished_rows_of_an_earlier_version_stay_when_a_row_is_added(tmp_path):
    file = tmp_path / "rows.json"
    shutil.copy(Path(__file__).resolve().parents[2] / "docs" / "results" / "laptop-pack.json", file)
    before = FinishedCells.read(file)
    FinishedCells.read(file).add(cell_row("new", {"steps": 10}))
    after = FinishedCells.read(file)
    assert after.rows[:-1] == before.rows
    assert after.gold == before.gold
    assert file.read_text("utf-8").count("\n") == len(after.rows) + 3


def test_an_experiment_from_python_leaves_the_files_of_the_command(finished, folder):
    _, rows, _ = finished
    result = experiment.run_experiment(folder / "grid.yaml", folder / "runs")
    assert result.rows == tuple(rows)
    assert read_results(result.folder) == result
    table = (result.folder / experiment.TABLE).read_text("utf-8")
    assert table.splitlines()[0].split(" ")[-1].endswith(".")
    assert "| textbook | dev | spread | by seed | metric | minutes |" in table
    settings = load_experiment(folder / "grid.yaml")
    assert experiment.run_experiment(settings, folder / "runs", beside=folder) == result
    with pytest.raises(HornbookError, match=r"8 cells are more than most_cells \(4\)"):
        experiment.run_experiment(settings.model_copy(update={"most_cells": 4}), folder / "runs", beside=folder)


def test_the_command_prints_what_python_returns(finished, folder):
    words = ["experiment", str(folder / "grid.yaml"), "--runs", str(folder / "runs")]
    answer = CliRunner().invoke(app, [*words, "--json"])
    assert answer.exit_code == 0, answer.output
    _, rows, _ = finished
    assert json.loads(answer.stdout.splitlines()[-1]) == {"rows": as_json(tuple(rows)), "failed": {}}
    shown = CliRunner().invoke(app, words).stdout
    assert "best" in shown.splitlines()[0] or "no clear winner" in shown.lower().splitlines()[0]
    assert f"table: {folder / 'runs' / 'small' / 'experiment.md'}" in shown
    planned = CliRunner().invoke(app, [*words, "--dry-run"]).stdout
    assert planned.startswith("8 cells, 8 finished; 32 stages, 10 of them shared by cells, 0 to do")


def test_a_stage_that_fails_is_not_tried_again_for_every_cell(folder, tmp_path, monkeypatch):
    tried = []

    def fails(*args, **settings):
        if isinstance(args[2], Store) and args[2].dry:
            return original(*args, **settings)
        tried.append(settings["seed"])
        raise HornbookError("the loss is nan")

    original = finetune_module.finetune
    monkeypatch.setattr(finetune_module, "finetune", fails)
    results = FinishedCells()
    assert experiment.run_cells(cells_of(folder), tmp_path / "runs", results) == []
    assert len(results.failed) == 8
    assert set(results.failed.values()) == {"the loss is nan"}
    assert tried == [0]


def test_other_content_in_the_results_file_is_refused(tmp_path):
    (tmp_path / "rows.json").write_text("[1]")
    with pytest.raises(HornbookError, match=r"rows\.json: is not a file of an experiment's results"):
        FinishedCells.read(tmp_path / "rows.json")


def test_a_plan_names_the_cells_that_cannot_run_and_goes_on(folder):
    axes = {"pool": {"gone": {"corpus.sources": ["gone.txt"]}}, "textbook": ["none", "general"], "seed": [0]}
    planned = experiment.plan(cells_of(folder, axes=axes), folder / "runs", FinishedCells())
    assert planned.stages > 0
    ((name, reason),) = planned.failed.items()
    assert name == "pool gone, textbook general, seed 0"
    assert "gone.txt" in reason


def test_textbooks_are_measured_without_training_and_without_their_text(folder, tmp_path):
    results = FinishedCells(tmp_path / "rows.json")
    sizes = {"small": {"textbooks.general.units": 30}, "large": {"textbooks.general.units": 60}}
    cells = cells_of(folder, measure="textbooks", axes={"size": sizes})
    assert all(cell.compared == ("general", "contextualized") for cell in cells)
    planned = experiment.plan(cells, tmp_path / "runs", results)
    # task, corpus and the contextualized textbook serve both
    assert (planned.stages, planned.shared) == (7, 3)
    rows = experiment.run_cells(cells, tmp_path / "runs", results)
    assert {path.name for path in (tmp_path / "runs" / "artifacts").iterdir()} == {
        "task",
        "corpus",
        "textbook",
        "statistics",
    }
    assert [row.at["size"] for row in rows] == ["small", "large"]
    for row, units in zip(rows, (30, 60), strict=True):
        found = row.statistics
        assert found.books[0].cases <= units
        assert set(found.distinct[0].of) == {"task", "general", "contextualized"}
        assert found.books[1].most_drawn[0].text == ""
    again = FinishedCells.read(tmp_path / "rows.json")
    assert experiment.run_cells(cells, tmp_path / "runs", again) == rows
    text = comparison_markdown(rows, ("size",))
    assert "| small | contextualized |" in text
    assert "| size | general | contextualized |" in text


def test_what_cannot_be_measured_is_refused(folder):
    with pytest.raises(HornbookError, match="list them under `textbooks`"):
        cells_of(folder, measure="textbooks")
    axes = {"distil.tokens": [5]}
    with pytest.raises(HornbookError, match="no textbook 'chain' in the recipe that can be measured"):
        cells_of(folder, measure="textbooks", axes=axes, textbooks=["chain"])
    with pytest.raises(HornbookError, match="textbooks: only for `measure: textbooks`"):
        cells_of(folder, axes=axes, textbooks=["general"])


@pytest.mark.parametrize(
    ("kind", "said", "expected"),
    [
        ("classification", ["b", "a"], [1, 0]),
        ("multilabel", [["a", "c"], []], [[1, 0, 1], [0, 0, 0]]),
        ("regression", [0.5, 4.0], [0.5, 4.0]),
    ],
)
def test_what_was_predicted_is_kept_as_gold_labels_are(tmp_path, kind, said, expected):
    def fill(context):
        pq.write_table(pa.table({"predicted": said}), context.path / "predictions-dev.parquet")

    scored = make(tmp_path / "scored", stage="evaluation", version=1, config={}, inputs={}, build=fill)
    task = SimpleNamespace(kind=kind, labels=("a", "b", "c"))
    assert expanded(predicted(scored, task)) == expected


def test_a_cell_that_fails_for_any_reason_is_named(folder, tmp_path, monkeypatch):
    def fails(teacher, tokens, out, *rest, **settings):
        if not out.dry:
            raise MemoryError("not enough\nof it")
        return original(teacher, tokens, out, *rest, **settings)

    original = chain.distil
    monkeypatch.setattr(chain, "distil", fails)
    results = FinishedCells(tmp_path / "rows.json")
    axes = {"textbook": ["general"], "distil.tokens": [1700], "seed": [0, 1]}
    assert experiment.run_cells(cells_of(folder, axes=axes), folder / "runs", results) == []
    assert set(results.failed.values()) == {"MemoryError: not enough of it"}


def test_a_full_disk_ends_the_experiment(folder, monkeypatch):
    asked = []

    def fails(teacher, tokens, out, *rest, **settings):
        if not out.dry:
            asked.append(settings["seed"])
            raise DiskFull("full")
        return original(teacher, tokens, out, *rest, **settings)

    original = chain.distil
    monkeypatch.setattr(chain, "distil", fails)
    axes = {"textbook": ["general"], "distil.tokens": [1800], "seed": [0, 1]}
    with pytest.raises(DiskFull):
        experiment.run_cells(cells_of(folder, axes=axes), folder / "runs", FinishedCells())
    assert asked == [0]


def test_snapshots_and_students_that_begin_as_others(folder, tmp_path):
    changes = {
        "change": {"distil.tokens": None, "distil.steps": 12, "distil.snapshots": [4, 12]},
        "axes": {
            "begin": {"random": {}, "general": {"start": {"textbook": "general"}}},
            "textbook": ["contextualized"],
            "snapshot": [4, 12],
        },
    }
    results = FinishedCells(tmp_path / "rows.json")
    cells = cells_of(folder, **changes)
    planned = experiment.plan(cells, folder / "runs", results)
    assert planned.failed == {}
    rows = experiment.run_cells(cells, folder / "runs", results)
    assert results.failed == {}
    assert [row.at for row in rows] == [
        {"begin": begin, "textbook": "contextualized", "snapshot": step}
        for begin in ("random", "general")
        for step in (4, 12)
    ]


def test_rows_move_when_the_experiment_gets_another_axis(finished, folder, tmp_path):
    _, _, results = finished
    again = FinishedCells.read(results.path)
    count = len(again.rows)
    again.path = tmp_path / "rows.json"
    axes = {"teacher": ["task"], "textbook": ["general"], "seed": [0]}
    (moved,) = experiment.run_cells(cells_of(folder, axes=axes), folder / "runs", again)
    assert moved.at == {"teacher": "task", "textbook": "general", "seed": 0}
    kept = FinishedCells.read(again.path)
    assert len(kept.rows) == count
    assert [row.at for row in kept.rows if row.key == moved.key] == [moved.at]

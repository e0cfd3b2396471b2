"""Results in files: what is written comes back, old files are read or refused in one line."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from hornbook.errors import HornbookError
from hornbook.recipe import BASELINES
from hornbook.results import LOGITS, RANDOM, RANDOM_UNDISTILLED, RELEASED, TF_IDF, UNDISTILLED, read_results
from hornbook.results.cells import average_name, configurations, varying
from hornbook.results.files import write_experiment, write_run
from hornbook.results.inspection import Anchor, CalibrationBin, CurvePoint, DrawnUnit, Inspection, Mistake
from hornbook.results.plain import as_json, from_json
from hornbook.store import make, write_json
from hornbook.tasks.glue import GLUE
from made_up import TEACHER, experiment_of, row, run_of

LAPTOP = Path(__file__).resolve().parents[2] / "docs" / "results"
OLD_RUN = Path(__file__).with_name("old-run")

UNIT = DrawnUnit(1, 1, 2.5, "web", "film", ((0, 4),), True, None)
INSPECTION = Inspection(
    curves=(CurvePoint("drawn", 0, "distil", 5, 1.5, link=2), CurvePoint("drawn", 0, "adapt", 5, None, 0.5)),
    anchors={
        "drawn": (Anchor("a film", ("film",), 3, (DrawnUnit(1, 1, 2.5, "web", "film", ((0, 4),), True, None),)),)
    },
    mistakes=(Mistake("a film", "bad", "bad", "good", 0.75, "pair"), Mistake("a film", 1.5, 1.0, 4.0, 2.0)),
    calibration=(CalibrationBin("drawn", 0.5, 0.75, 1.0),),
)


def written(folder: Path, run):
    def build(context):
        write_json(context.path / "inspection.json", as_json(INSPECTION))

    make(folder / "made", stage="inspection", version=1, config={}, inputs={}, build=build)
    (folder / "inspection").symlink_to("made", target_is_directory=True)
    write_run(replace(run, folder=folder))
    return folder


def test_a_run_comes_back_as_it_was_written(tmp_path):
    grid = ({"batch": 16, "dev": 0.75}, {"batch": 32, "dev": None, "failed": "the loss is nan"})
    run = run_of(TEACHER, row("drawn", 0.8, "9 units", grid=grid, scores={"dev": {"accuracy": 0.8}}))
    folder = written(tmp_path / "films", run)
    assert read_results(folder) == replace(run, folder=folder, inspection=INSPECTION)
    assert read_results(folder / "report.json").name == "films"


def test_an_experiment_comes_back_as_it_was_written(tmp_path):
    result = replace(experiment_of({"textbook": ("none", "task")}), failed={"songs, 3": "no disk"}, folder=tmp_path)
    write_experiment(result)
    assert read_results(tmp_path) == result
    assert read_results(tmp_path / "experiment.json") == result


@pytest.mark.parametrize("name", ["laptop-table2", "laptop-figure2", "laptop-pack", "laptop-table3"])
def test_rows_of_earlier_versions_keep_every_value(name):
    """The finished rows in docs/results are read, and writing them again changes none of their values."""
    before = json.loads((LAPTOP / f"{name}.json").read_text("utf-8"))
    result = read_results(LAPTOP / f"{name}.json")
    assert len(result.rows) == len(before["rows"])
    after = json.loads(json.dumps(as_json(result)))
    assert after["gold"] == before["gold"]
    for old, new in zip(before["rows"], after["rows"], strict=True):
        assert_holds(new, old)
        assert not any(new[field] for field in new.keys() - old.keys())


def assert_holds(new, old):
    """Every value of `old` is in `new`, at its place."""
    if isinstance(old, dict):
        for name, value in old.items():
            assert_holds(new[name], value)
    elif isinstance(old, list):
        assert len(new) == len(old)
        for one, other in zip(new, old, strict=True):
            assert_holds(one, other)
    else:
        assert new == old


def test_a_run_of_an_earlier_version_is_refused_in_one_line_that_says_what_to_do():
    with pytest.raises(HornbookError) as refused:
        read_results(OLD_RUN)
    said = str(refused.value)
    assert said.endswith(
        "report.json: was written by an earlier version, without 'task'; run it again, finished stages are reused"
    )
    assert "\n" not in said


@pytest.mark.parametrize(
    "change",
    [
        lambda report: report.pop("recipe"),
        lambda report: report.pop("rows"),
        lambda report: [one.pop("share_cut") for one in report["rows"]],
        lambda report: report["rows"].clear(),
        lambda report: [one.update(dev="high") for one in report["rows"]],
    ],
)
def test_a_report_that_lacks_a_part_says_to_run_it_again(tmp_path, change):
    folder = written(tmp_path / "films", run_of(TEACHER))
    report = json.loads((folder / "report.json").read_text("utf-8"))
    change(report)
    (folder / "report.json").write_text(json.dumps(report), "utf-8")
    with pytest.raises(HornbookError, match=r"report\.json: .*run it again"):
        read_results(folder)


def test_a_run_that_is_not_finished_is_refused(tmp_path):
    folder = written(tmp_path / "films", run_of(TEACHER))
    (folder / "report.json").write_text('{"rows": [', "utf-8")
    with pytest.raises(HornbookError, match=r"report\.json: is not JSON"):
        read_results(folder)
    (folder / "report.json").unlink()
    with pytest.raises(HornbookError, match=r"not finished.*run it again"):
        read_results(folder)
    with pytest.raises(HornbookError, match="neither a run"):
        read_results(tmp_path)


def test_a_run_whose_artefacts_are_gone_or_damaged_is_refused(tmp_path):
    folder = written(tmp_path / "films", run_of(TEACHER))
    file = folder / "made" / "inspection.json"
    file.write_text(file.read_text("utf-8").replace("a film", "a song"), "utf-8")
    with pytest.raises(HornbookError, match=r"inspection\.json: missing or changed since it was made; remove"):
        read_results(folder)
    shutil.rmtree(folder / "made")
    with pytest.raises(HornbookError, match="artefacts are missing"):
        read_results(folder)


@pytest.mark.parametrize("field", ["at", "dev", "minutes", "metric", "predicted", "task"])
def test_cells_of_an_earlier_version_are_refused(tmp_path, field):
    path = write_experiment(replace(experiment_of({"textbook": ("none", "task")}), folder=tmp_path))
    found = json.loads(path.read_text("utf-8"))
    for one in found["rows"]:
        del one[field]
    path.write_text(json.dumps(found), "utf-8")
    with pytest.raises(HornbookError, match=rf"experiment\.json: .*earlier version, without 'rows\.0\.{field}'"):
        read_results(tmp_path)


def test_of_rows_of_one_cell_the_latest_counts(tmp_path):
    result = experiment_of({"textbook": ("none", "task")})
    first, *others = (as_json(one) for one in result.rows)
    gold = as_json(result.gold)
    path = tmp_path / "table.json"

    def read(*rows):
        path.write_text(json.dumps({"rows": rows, "gold": gold}), "utf-8")
        return read_results(path)

    earlier = {**first, "dev": 0.01, "key": "of an earlier recipe"}
    assert read(earlier, *others, first).rows[0].dev == first["dev"]
    assert read(first, *others, earlier).rows[0].dev == 0.01
    assert read(first, *others).axes == ("textbook", "seed")
    assert read(first).name == "table"


def test_the_average_is_the_papers_where_all_eight_tasks_are_there():
    result = experiment_of({"task": tuple(GLUE), "textbook": ("none", "task")}, seeds=(0, 1))
    # the recipe scores CoLA by accuracy; the paper's metric is Matthews
    rows = tuple(replace(one, scores={"dev": {GLUE[one.task].metric: 0.5}}) for one in result.rows)
    axes = varying(rows, result.axes)
    assert average_name(tuple(GLUE)) == "AVG"
    assert [one.average.dev.mean for one in configurations(rows, axes)] == [0.5, 0.5]
    one_missing = [one for one in rows if one.at["textbook"] == "none" or one.task != "cola"]
    whole, part = configurations(one_missing, axes)
    assert (whole.average is None, part.average) == (False, None)


def test_the_average_over_seeds_is_the_mean_of_the_tasks_means():
    result = experiment_of({"task": ("films", "songs"), "textbook": ("none", "task")})
    for configuration in configurations(result.scored, result.axes):
        means = [cell.dev.mean for cell in configuration.by_task.values()]
        assert configuration.average.dev.mean == pytest.approx(sum(means) / 2)
        assert len(configuration.average.by_seed) == 3
    assert average_name(("films", "songs")) == "mean of 2 tasks"


def test_baselines_have_one_spelling():
    assert (UNDISTILLED, LOGITS, RELEASED, TF_IDF, RANDOM, RANDOM_UNDISTILLED) == BASELINES


def test_the_notebook_shows_text_of_the_data_as_text():
    run = run_of(TEACHER, row("<b>drawn</b>", 0.8, "9 units"))
    assert "<td>&lt;b&gt;drawn&lt;/b&gt;</td><td>80.0</td>" in run._repr_html_()
    result = experiment_of({"task": ("<i>films</i>", "songs"), "textbook": ("none", "task")})
    shown = result._repr_html_()
    assert shown.count("<tr>") == 3
    assert "<th>mean of 2 tasks</th>" in shown
    assert "<i>" not in shown


def test_results_and_reports_load_nothing_that_makes_them():
    code = (
        "import sys, hornbook.report.page, hornbook.report.tables.grids\n"
        "rooms = ('corpus', 'index', 'retrieval', 'textbook', 'training', 'models', 'pipeline')\n"
        "heavy = {'torch', 'transformers', *(f'hornbook.{room}' for room in rooms)}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


def test_plain_data_and_results_are_the_same_thing():
    assert from_json(Inspection, json.loads(json.dumps(as_json(INSPECTION)))) == INSPECTION

"""The report's page: verdicts, what it shows of hostile text, what it refuses, how large and how fast it is."""

import base64
import hashlib
import io
import json
import random
import re
import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from rich.console import Console
from typer.testing import CliRunner

from hornbook.cli.main import app
from hornbook.errors import HornbookError
from hornbook.recipe import Recipe, validate
from hornbook.report.facts import Run, read
from hornbook.report.grid import grid_table
from hornbook.report.page import write_report
from hornbook.report.page.parts import markdown
from hornbook.report.page.runs import runs_report
from hornbook.report.page.write import html
from hornbook.report.summary import remarks, summarise
from hornbook.report.verdict import next_steps, verdict

TASK = {"key": "t", "name": "films", "kind": "classification", "metric": "accuracy", "examples": {"dev": 872}}
LABELS = ("negative", "positive")


def row(name: str, dev: float, textbook: str | None = None, seed: int = 0, **more) -> dict:
    measured = {"parameters": 10_000_000, "sentences_per_second": 100.0, "seconds": 1.0, "calibration_error": 0.02}
    measured |= {"test": None, "metric": "accuracy", "share_cut": 0.0, "grid": None}
    return {"name": name, "seed": seed, "dev": dev, "textbook": textbook, **measured, **more}


def made_up(*rows: dict, **more) -> Run:
    students = [one for one in summarise(rows) if one["textbook"] is not None]
    known = {"remarks": remarks(rows), "stages": [], "recipe": {"name": "films"}, "task": TASK}
    best = max(students, key=lambda one: one["dev"]["mean"]) if students else None
    return Run(name="films", folder=Path("runs/films"), rows=list(rows), **(known | {"best": best} | more))


TEACHER = row("teacher", 0.9, parameters=40_000_000, sentences_per_second=20.0)


def test_the_verdict_is_one_sentence_about_the_best_student():
    run = made_up(TEACHER, row("general", 0.80, "9 units"), row("drawn", 0.855, "9 units"), row("undistilled", 0.75))
    assert verdict(run) == (
        "The student of the textbook drawn has an accuracy of 85.5% on dev, 95.0% of what its teacher has (90.0); "
        "it is 4.0 times smaller and 5.0 times as fast; it beats the same student without distillation (75.0)."
    )


def test_of_several_teachers_the_best_is_the_one_that_taught():
    teachers = [{**TEACHER, "dev": dev, "seed": seed} for seed, dev in enumerate((0.7, 0.9, 0.8))]
    said = verdict(made_up(*teachers, row("drawn", 0.8, "9 units")))
    assert "88.9% of what its teacher has (90.0)" in said


def test_the_verdict_names_what_the_student_does_not_beat():
    run = made_up(TEACHER, row("drawn", 0.8, "9 units"), row("undistilled", 0.75), row("tf-idf", 0.8))
    assert verdict(run).endswith(
        "it beats the same student without distillation (75.0), but it does not beat word counts (80.0)."
    )


def test_a_run_without_students_says_so():
    assert verdict(made_up(TEACHER, row("tf-idf", 0.8))) == "No student was distilled; teacher is the best on dev."


def test_without_a_teachers_score_the_verdict_leaves_it_out():
    assert verdict(made_up(row("drawn", 0.8, "9 units"))) == (
        "The student of the textbook drawn has an accuracy of 80.0% on dev."
    )


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"dev": 0.89}, "Try a smaller student"),
        ({"dev": 0.80}, "Give it more tokens"),
        ({"dev": 0.87, "calibration_error": 0.2}, "how sure it says it is is 20.0 points off"),
        ({"dev": 0.87}, "Run three seeds"),
    ],
)
def test_what_to_try_next_follows_from_the_figures(changed, said):
    found = next_steps(made_up(TEACHER, row("drawn", textbook="9 units", **changed)))
    assert any(said in line for line in found)
    assert ("Run three seeds" in found[0]) == (len(found) == 1)


@pytest.mark.parametrize(("slope", "told"), [(0.05, True), (0.0, False)])
def test_a_loss_that_still_falls_asks_for_more_tokens(slope, told):
    curves = [{"model": "drawn", "seed": 0, "stage": "distil", "step": i, "loss": 3 - slope * i} for i in range(20)]
    found = next_steps(made_up(TEACHER, row("drawn", 0.87, "9 units"), curves=curves))
    assert any("the loss still falls" in line for line in found) == told


def test_a_small_dev_set_is_told():
    run = made_up(TEACHER, row("drawn", 0.87, "9 units"), task={**TASK, "examples": {"dev": 100}})
    assert any("dev has 100 examples" in line and "some 10 points" in line for line in next_steps(run))


def test_text_of_the_data_is_never_html(hostile):
    mistake = {"text": hostile, "gold": hostile, "teacher": hostile, "student": hostile, "sure": 0.9}
    curves = [{"model": hostile, "seed": 0, "stage": "distil", "step": i, "loss": 1.0} for i in range(3)]
    rows = [TEACHER, row(hostile, 0.8, hostile)]
    run = made_up(*rows, mistakes=[mistake], curves=curves, recipe={"name": hostile}, task={**TASK, "name": hostile})
    report = runs_report([run])
    page = html(report)
    outside_scripts, own = re.subn(r"<script>.*?</script>", "", page, flags=re.DOTALL)
    assert own == 2
    assert "document.title" in outside_scripts
    assert "<img" not in outside_scripts
    assert len(re.findall(r"<script", outside_scripts)) == outside_scripts.count("</script>") == 1
    twin = markdown(report)
    outside_code = re.sub(r"```.*?```", "", twin, flags=re.DOTALL)
    assert "<" not in outside_code
    assert "&amp;amp;" in outside_code


def test_text_of_the_data_is_no_markdown():
    mistake = {"text": "![x](http://a.b) *so* `it` is_not [c](d) _e_ | f", "sure": 0.9}
    mistake |= dict.fromkeys(("gold", "teacher", "student"), "a")
    twin = markdown(runs_report([made_up(TEACHER, row("drawn", 0.8, "9 units"), mistakes=[mistake])]))
    assert r"| !\[x\](http://a.b) \*so\* \`it\` is_not \[c\](d) \_e\_ \| f |" in twin


def test_the_policy_names_every_script_and_no_other():
    page = html(runs_report([made_up(TEACHER, row("drawn", 0.8, "9 units"))]))
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)[1].replace("&#39;", "'")
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'sha256-")
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    hashes = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    assert re.findall(r"'sha256-([^']*)'", policy) == hashes
    assert not re.search(r'(src|href)="(https?:)?//', page)


def test_a_finished_run_becomes_a_page_and_its_markdown(finished_run, tmp_path):
    page, twin = write_report([finished_run], tmp_path / "small.html")
    assert (page, twin) == (tmp_path / "small.html", tmp_path / "small.md")
    assert page.stat().st_size < 3e6
    ids = re.findall(r'<section id="([^"]*)"', page.read_text("utf-8"))
    wanted = ["results", "next", "training", "textbooks", "anchors-contextualized", "mistakes", "settings"]
    assert ids == wanted
    said = twin.read_text("utf-8")
    assert said.startswith("# small\n\nTask reviews (classification): 160 train, 20 dev, 20 test.\n\n**The student")
    assert "hornbook run recipe.yaml" in said


def test_the_settings_on_the_page_are_the_recipe_that_was_run(finished_run, tmp_path):
    _, twin = write_report([finished_run], tmp_path / "small.html")
    text = re.search(r"recipe.yaml\n\n```\n(.*?)```", twin.read_text("utf-8"), re.DOTALL)[1]
    recipe = validate(Recipe, yaml.safe_load(text), "test")
    assert (recipe.name, recipe.seeds, recipe.distil.tokens) == ("small", (0, 1), 3000)


def test_several_runs_of_one_task_share_a_table(finished_run, tmp_path):
    other = finished_run.parent / "other"
    shutil.copytree(finished_run, other, symlinks=True)
    page, twin = write_report([finished_run, other], tmp_path / "both.html")
    names = {line.split(" | ")[0].removeprefix("| ") for line in twin.read_text("utf-8").splitlines() if "|" in line}
    assert {"small: general", "other: general", "small: teacher", "other: teacher"} <= names
    found = re.sub(r"<script>.*?</script>", "", page.read_text("utf-8"), flags=re.DOTALL)
    ids = re.findall(r'id="([^"]*)"', found)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]*)"', found)) <= set(ids)
    shutil.rmtree(other)


def test_the_rows_of_two_runs_are_told_apart_by_the_teacher_of_each(finished_run):
    run = read(finished_run)
    twin = markdown(runs_report([run, replace(run, name="other")]))
    assert "| small: teacher |" in twin
    students = [line for line in twin.splitlines() if line.startswith("| small: contextualized |")]
    assert "%" in students[0], "its share of its teacher's score is left out"


def changed_copy(finished_run: Path, change) -> Path:
    copy = finished_run.parent / "changed"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(finished_run, copy, symlinks=True)
    path = copy / "report.json"
    report = json.loads(path.read_text("utf-8"))
    change(report)
    path.write_text(json.dumps(report), "utf-8")
    return copy


@pytest.mark.parametrize(
    "change",
    [
        lambda report: report.pop("recipe"),
        lambda report: report.pop("rows"),
        lambda report: [one.pop("share_cut") for one in report["rows"]],
        lambda report: report["rows"].clear(),
        lambda report: [one.pop("seconds") for one in report["stages"]],
    ],
)
def test_a_report_of_an_earlier_version_says_to_run_it_again(finished_run, tmp_path, change):
    with pytest.raises(HornbookError, match=r"report\.json: .*run it again"):
        write_report([changed_copy(finished_run, change)], tmp_path / "page.html")


def test_a_run_that_is_not_finished_is_refused(finished_run, tmp_path):
    copy = changed_copy(finished_run, lambda report: None)
    (copy / "report.json").unlink()
    with pytest.raises(HornbookError, match=r"not finished.*run it again"):
        write_report([copy], tmp_path / "page.html")
    with pytest.raises(HornbookError, match="neither a run"):
        write_report([tmp_path], tmp_path / "page.html")
    (copy / "report.json").write_text('{"rows": [', "utf-8")
    with pytest.raises(HornbookError, match=r"report\.json: is not JSON"):
        write_report([copy], tmp_path / "page.html")


def test_runs_whose_artefacts_are_gone_are_refused(finished_run, tmp_path):
    moved = tmp_path / "moved"
    shutil.copytree(finished_run, moved, symlinks=True)
    with pytest.raises(HornbookError, match="not there any more"):
        write_report([moved], tmp_path / "page.html")


def test_runs_of_different_tasks_are_refused(finished_run, tmp_path, monkeypatch):
    run = read(finished_run)
    others = iter([run, replace(run, task={**run.task, "key": "another", "name": "songs"})])
    monkeypatch.setattr("hornbook.report.page.write.read", lambda place: next(others))
    with pytest.raises(HornbookError, match=r"of the task reviews, .* of songs") as refused:
        write_report([finished_run, finished_run.parent], tmp_path / "page.html")
    assert "\n" not in str(refused.value)


def grid(folder: Path, axes: dict, **more) -> Path:
    """Write the results of a made-up experiment with a cell for each combination of the axes and three seeds."""
    draw = random.Random(0)
    folder.mkdir(parents=True, exist_ok=True)
    gold = "".join(draw.choice("01") for _ in range(872))
    scored = {"kind": "classification", "metric": "accuracy", "labels": list(LABELS), "dev": gold}
    cells = [{}]
    for axis, values in {**axes, "seed": (0, 1, 2)}.items():
        cells = [{**cell, axis: value} for cell in cells for value in values]
    rows = []
    for number, at in enumerate(cells):
        right = 0.6 + 0.02 * (number // 3)
        said = "".join(one if draw.random() < right else "10"[int(one)] for one in gold)
        dev = sum(a == b for a, b in zip(said, gold, strict=True)) / len(gold)
        task = str(at.get("task", "films"))
        rows.append({**row("book", dev, "9 units", at["seed"]), "task": task, "at": at, "key": str(number)})
        rows[-1] |= {"minutes": 1.5, "predicted": said}
    found = {"name": folder.name, "axes": [*axes, "seed"], "rows": rows, "gold": {}, "failed": {}, **more}
    found["gold"] = {one["task"]: {**scored, "name": one["task"]} for one in rows}
    path = folder / "experiment.json"
    path.write_text(json.dumps(found), "utf-8")
    return path


BOOKS = ("none", "task", "general", "contextualized")


def test_a_page_of_24_cells_is_small_and_comes_at_once(tmp_path):
    path = grid(tmp_path / "grid", {"task": ("films", "songs"), "textbook": BOOKS}, failed={"songs, 3": "no disk"})
    started = time.process_time()
    page, twin = write_report([path.parent], tmp_path / "page.html")
    assert time.process_time() - started < 5
    assert page.stat().st_size < 3e6
    said = twin.read_text("utf-8")
    assert "24 cells over task, textbook, seed; 1 failed" in said
    assert "| songs, 3 | no disk |" in said
    assert len(re.findall(r'<svg class="seeds"', page.read_text("utf-8"))) == 8


def test_a_difference_is_clear_where_its_interval_leaves_out_zero(tmp_path):
    path = grid(tmp_path / "grid", {"textbook": BOOKS})
    _, twin = write_report([path], tmp_path / "page.html")
    found = re.findall(
        r"\| \w+ over \w+ \| (?:\S+) \| (\S+) to (\S+) \| 3 \| (yes)? ?\|", twin.read_text("utf-8"), re.MULTILINE
    )
    assert len(found) == 6
    for low, high, clear in found:
        assert (clear == "yes") == (float(low) > 0 or float(high) < 0)
    assert {clear for *_, clear in found} == {"", "yes"}


def test_where_seeds_are_missing_no_textbook_is_called_the_best(tmp_path):
    path = grid(tmp_path / "grid", {"textbook": BOOKS[:2]})
    found = json.loads(path.read_text("utf-8"))
    _, whole = write_report([path], tmp_path / "whole.html")
    path.write_text(json.dumps({**found, "rows": found["rows"][:-1]}), "utf-8")
    _, part = write_report([path], tmp_path / "part.html")
    assert "has the best mean" in whole.read_text("utf-8")
    assert "has the best mean" not in part.read_text("utf-8")
    assert re.search(r"task over none \| \S+ \| \S+ to \S+ \| 2 \|", part.read_text("utf-8"))


@pytest.mark.parametrize("axis", ["data[train].tsv", "a[/b].tsv"])
def test_the_terminal_shows_values_of_axes_as_they_are(tmp_path, axis):
    path = grid(tmp_path / "grid", {"task": (axis,)})
    rows = json.loads(path.read_text("utf-8"))["rows"]
    with Console(width=200, record=True, file=io.StringIO()) as console:
        console.print(grid_table(rows, [], ("task", "seed")))
    assert axis in console.export_text()


def test_values_of_every_axis_are_compared_where_the_others_agree(tmp_path):
    path = grid(tmp_path / "grid", {"teacher": ("general", "task"), "task": ("films",), "textbook": BOOKS[:2]})
    _, twin = write_report([path], tmp_path / "page.html")
    said = twin.read_text("utf-8")
    # The more right, the later in the grid, so the task teacher is above the general one with either textbook.
    for book in BOOKS[:2]:
        assert re.search(rf"^\| {book} \| task over general \| \d", said, re.MULTILINE)
        assert re.search(rf"^\*\*.*{book}: teacher task has the best mean, ", said, re.MULTILINE)
    assert len(re.findall(r"\| general \| \w+ over \w+ \|", said)) == 1


def test_an_axis_with_one_value_is_said_once(tmp_path):
    path = grid(tmp_path / "grid", {"task": ("films",), "textbook": BOOKS[1:2], "proportion": (0.5, 1.0)})
    page, twin = write_report([path], tmp_path / "page.html")
    said = twin.read_text("utf-8")
    assert "6 cells over proportion, seed; task films, textbook task\n" in said
    assert "| films |" not in said
    points = specs(page)["scores"]["data"]["values"]
    assert {point["line"] for point in points} == {"all"}


def specs(page: Path) -> dict:
    text = page.read_text("utf-8")
    return json.loads(re.search(r'id="chart-data">(.*?)</script>', text, re.DOTALL)[1])


def test_an_axis_of_numbers_becomes_lines_even_where_its_name_is_a_path(tmp_path):
    path = grid(tmp_path / "grid", {"textbook": BOOKS[:2], "distil.tokens": (1000, 2000, 4000)})
    page, _ = write_report([path], tmp_path / "page.html")
    spec = specs(page)["scores"]
    field = spec["encoding"]["x"]["field"]
    assert spec["mark"]["type"] == "line"
    assert "." not in field, "Vega looks for such a field inside another"
    values = next(iter(spec.get("datasets", {}).values()), None) or spec["data"]["values"]
    assert {value[field] for value in values} == {1000, 2000, 4000}
    assert spec["encoding"]["x"]["title"] == "distil.tokens"


def test_a_file_of_results_has_its_axes_in_its_rows(tmp_path):
    path = grid(tmp_path / "grid", {"textbook": BOOKS[:2]})
    found = json.loads(path.read_text("utf-8"))
    results = tmp_path / "table.json"
    results.write_text(json.dumps({"rows": found["rows"], "gold": found["gold"]}), "utf-8")
    _, twin = write_report([results], tmp_path / "page.html")
    assert "# table\n\n6 cells over textbook, seed" in twin.read_text("utf-8")


def test_of_rows_of_one_cell_the_latest_counts(tmp_path):
    found = json.loads(grid(tmp_path / "grid", {"textbook": BOOKS[:2]}).read_text("utf-8"))
    results = tmp_path / "table.json"

    def report(rows):
        results.write_text(json.dumps({"rows": rows, "gold": found["gold"]}), "utf-8")
        return write_report([results], tmp_path / "page.html")[1].read_text("utf-8")

    first, *others = found["rows"]
    earlier = {**first, "dev": 0.01, "key": "of an earlier recipe"}
    assert report([earlier, *others, first]) == report([first, *others]) != report([earlier, *others])


@pytest.mark.parametrize("field", ["at", "dev", "minutes", "metric", "predicted", "task"])
def test_results_of_an_earlier_version_are_refused(tmp_path, field):
    path = grid(tmp_path / "grid", {"textbook": BOOKS[:2]})
    found = json.loads(path.read_text("utf-8"))
    for one in found["rows"]:
        del one[field]
    path.write_text(json.dumps(found), "utf-8")
    with pytest.raises(HornbookError, match=r"experiment\.json: .*earlier version"):
        write_report([path.parent], tmp_path / "page.html")


def test_an_experiment_is_reported_alone(finished_run, tmp_path):
    path = grid(tmp_path / "grid", {"textbook": BOOKS[:2]})
    with pytest.raises(HornbookError, match="report it alone"):
        write_report([path, finished_run], tmp_path / "page.html")


def test_the_command_and_a_run_after_it(finished_run):
    from hornbook import pipeline

    own = finished_run.parent / "commanded"
    shutil.copytree(finished_run, own, symlinks=True)
    before = (own / "report.md").read_text("utf-8")
    answer = CliRunner().invoke(app, ["report", str(own), "--json"])
    assert answer.exit_code == 0, answer.output
    assert json.loads(answer.stdout.splitlines()[-1]) == {
        "page": str(own / "report.html"),
        "markdown": str(own / "report.md"),
    }
    assert (own / "report.md").read_text("utf-8") != before
    recipe = validate(
        Recipe, {**json.loads((own / "report.json").read_text())["recipe"], "name": "commanded"}, "test"
    )
    again = pipeline.run(recipe, own.parent)
    assert all(stage["reused"] for stage in again.stages)
    wrong = CliRunner().invoke(app, ["report", str(own / "nothing")])
    assert wrong.exit_code == 2
    shutil.rmtree(own)

"""The report's page: verdicts, what it shows of hostile text, what it refuses, how large and how fast it is."""

import base64
import hashlib
import io
import json
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
from hornbook.report.charts.runs import run_charts
from hornbook.report.page import write_report
from hornbook.report.page.parts import markdown
from hornbook.report.page.runs import runs_report
from hornbook.report.page.write import html
from hornbook.report.tables.grids import experiment_table
from hornbook.results import Inspection, read_results
from hornbook.results.files import write_experiment
from hornbook.results.inspection import CurvePoint, Mistake
from made_up import TASK, TEACHER, experiment_of, row, run_of


def report_of(run):
    return runs_report({run.name: run})


def test_text_of_the_data_is_never_html(hostile):
    mistake = Mistake(hostile, hostile, hostile, hostile, 0.9)
    curves = tuple(CurvePoint(hostile, 0, "distil", i, 1.0) for i in range(3))
    found = Inspection(mistakes=(mistake,), curves=curves)
    rows = [TEACHER, row(hostile, 0.8, hostile)]
    run = run_of(*rows, inspection=found, recipe={"name": hostile}, task=replace(TASK, name=hostile))
    report = report_of(run)
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
    mistake = Mistake("![x](http://a.b) *so* `it` is_not [c](d) _e_ | f", "a", "a", "a", 0.9)
    run = run_of(TEACHER, row("drawn", 0.8, "9 units"), inspection=Inspection(mistakes=(mistake,)))
    assert r"| !\[x\](http://a.b) \*so\* \`it\` is_not \[c\](d) \_e\_ \| f |" in markdown(report_of(run))


def test_the_policy_names_every_script_and_no_other():
    page = html(report_of(run_of(TEACHER, row("drawn", 0.8, "9 units"))))
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
    about = "Task reviews (classification): 160 train, 20 dev, 20 test. Students of 1×16 begin with random weights."
    assert said.startswith(f"# small\n\n{about}\n\n**The student")
    assert "hornbook run recipe.yaml" in said


def test_the_page_says_what_students_began_as(finished_run, tmp_path):
    run = read_results(finished_run)
    size = run.recipe["student"]
    about = runs_report({"a": run}).about
    assert about.endswith(f"Students of {size['layers']}×{size['hidden']} begin with random weights.")
    other = replace(run, recipe={**run.recipe, "student": {**size, "init": "projected"}})
    assert runs_report({"a": other}).about.endswith("begin with their teacher's weights, projected.")
    assert "Students" not in runs_report({"a": run, "b": other}).about


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
    run = read_results(finished_run)
    twin = markdown(runs_report({"small": run, "other": run}))
    assert "| small: teacher |" in twin
    students = [line for line in twin.splitlines() if line.startswith("| small: contextualized |")]
    assert "%" in students[0], "its share of its teacher's score is left out"


def test_runs_of_different_tasks_are_refused(tmp_path):
    run = run_of(TEACHER)
    other = replace(run, task=replace(TASK, key="another", name="songs"), folder=Path("runs/songs"))
    with pytest.raises(HornbookError, match=r"has the task films, .* the task songs") as refused:
        write_report([run, other], tmp_path / "page.html")
    assert "\n" not in str(refused.value)


def grid(folder: Path, axes: dict, **more) -> Path:
    """Write the results of a made-up experiment."""
    return write_experiment(replace(experiment_of(axes, **more), name=folder.name, folder=folder))


def test_a_snapshot_and_every_link_of_a_chain_have_a_curve_on_the_page():
    curves = [CurvePoint("chain", 0, "distil", step, 2.0, link=link) for link in (1, 2) for step in (10, 20)]
    curves += [CurvePoint("snapshot", 0, "distil", step, 2.0) for step in (10, 20)]
    run = run_of(
        *(TEACHER, row("chain", 0.8, "9 units, then 5 units"), row("snapshot", 0.8, "9 units")),
        inspection=Inspection(curves=tuple(curves)),
    )
    (loss,) = (chart for chart in run_charts(run) if chart.name == "loss")
    spec = loss.spec.to_dict()
    points = [(point["model"], point["link"], point["step"]) for point in spec["data"]["values"]]
    # the second link goes on where the first one ends
    assert points == [
        *(("chain", 1, 10), ("chain", 1, 20), ("chain", 2, 30), ("chain", 2, 40)),
        *(("snapshot", 1, 10), ("snapshot", 1, 20)),
    ]
    assert {detail["field"] for detail in spec["encoding"]["detail"]} == {"seed", "link"}
    assert 'data-chart="loss"' in html(report_of(run))


def test_a_page_says_first_what_taught_best_and_has_the_average(tmp_path):
    path = grid(tmp_path / "grid", {"task": ("films", "songs"), "textbook": BOOKS})
    page, twin = write_report(path.parent)
    said = twin.read_text("utf-8")
    assert (page, twin) == (path.with_name("report.html"), path.with_name("report.md"))
    verdicts = [line for line in said.splitlines() if line.startswith("**")]
    assert [line.split(" ")[0] for line in verdicts] == ["**films:", "**songs:"]
    assert "| textbook | films (accuracy) | songs (accuracy) | mean of 2 tasks |" in said


def test_an_experiment_in_the_terminal_begins_with_the_same_sentences(tmp_path):
    result = experiment_of({"task": ("films", "songs"), "textbook": BOOKS})
    with Console(width=250, record=True, file=io.StringIO()) as console:
        console.print(experiment_table(result))
    lines = console.export_text().splitlines()
    assert lines[0].startswith("films: contextualized taught best, ")
    assert lines[1].startswith("songs: contextualized taught best, ")
    assert any("mean of 2 tasks" in line for line in lines)


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
    assert len(re.findall(r'<svg class="seeds"', page.read_text("utf-8"))) == 8 + 4  # and the average


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


def test_pairs_say_how_many_seeds_they_share(tmp_path):
    path = grid(tmp_path / "grid", {"textbook": BOOKS[:2]})
    found = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps({**found, "rows": found["rows"][:-1]}), "utf-8")
    _, part = write_report([path], tmp_path / "part.html")
    assert re.search(r"task over none \| \S+ \| \S+ to \S+ \| 2 \|", part.read_text("utf-8"))


@pytest.mark.parametrize("axis", ["data[train].tsv", "a[/b].tsv"])
def test_the_terminal_shows_values_of_axes_as_they_are(axis):
    result = experiment_of({"task": (axis, "films")})
    with Console(width=200, record=True, file=io.StringIO()) as console:
        console.print(experiment_table(result))
    assert axis in console.export_text()


def test_values_of_every_axis_are_compared_where_the_others_agree(tmp_path):
    path = grid(tmp_path / "grid", {"teacher": ("general", "task"), "task": ("films",), "textbook": BOOKS[:2]})
    _, twin = write_report([path], tmp_path / "page.html")
    said = twin.read_text("utf-8")
    # The more right, the later in the grid, so the task teacher is above the general one with either textbook.
    for book in BOOKS[:2]:
        assert re.search(rf"^\| {book} \| task over general \| \d", said, re.MULTILINE)
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


def test_an_experiment_is_reported_alone(tmp_path):
    path = grid(tmp_path / "grid", {"textbook": BOOKS[:2]})
    with pytest.raises(HornbookError, match="make its report alone"):
        write_report([path, run_of(TEACHER)], tmp_path / "page.html")


def test_the_package_itself_can_be_called(tmp_path):
    import hornbook.report

    run = run_of(TEACHER, row("drawn", 0.8, "9 units"))
    page, twin = hornbook.report(run, tmp_path / "films.html")
    assert (page, twin) == (tmp_path / "films.html", tmp_path / "films.md")
    assert "# films" in twin.read_text("utf-8")


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
    assert all(stage.reused for stage in again.stages)
    wrong = CliRunner().invoke(app, ["report", str(own / "nothing")])
    assert wrong.exit_code == 2
    shutil.rmtree(own)

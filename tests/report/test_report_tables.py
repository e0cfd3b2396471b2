import io
from dataclasses import replace

from rich.console import Console

from hornbook.report.tables.runs import headings, lines, markdown_table, plan_table, results_table, title
from hornbook.results import ExportResult, FormatResult, ModelResult, PlannedStage


def row(name: str, seed: int, dev: float, test: float | None = 0.5, scores: dict | None = None) -> ModelResult:
    return ModelResult(
        name=name,
        textbook=None if name == "teacher" else "1,000 units",
        parameters=22_700_000,
        dev=dev,
        test=test,
        metric="accuracy",
        calibration_error=0.05,
        share_cut=0.0,
        sentences_per_second=1000.0 + seed,
        seconds=10.0,
        seed=seed,
        scores=scores or {},
    )


ROWS = [row("teacher", 0, 0.9), row("general", 0, 0.80), row("general", 1, 0.84), row("general", 2, 0.82)]


def test_seeds_are_one_line_with_mean_and_spread():
    teacher, general = lines(ROWS)
    assert teacher == ("teacher", "", "22.7 M", "90.0", "50.0", "100.0%", "5.0", "1,000", "10")
    assert general == ("general", "1,000 units", "22.7 M", "82.0 ± 2.0", "50.0 ± 0.0", "91.1%", "5.0", "1,001", "10")


def test_a_task_without_test_says_so():
    assert lines([row("teacher", 0, 0.9, None)])[0][4] == "none"


def test_markdown_has_a_line_for_each_model():
    table = markdown_table(ROWS).splitlines()
    assert len(table) == 4
    assert all(line.count("|") == 10 for line in table)


def test_tables_name_the_metric_and_what_is_left():
    console = Console(width=140, record=True, file=io.StringIO())
    console.print(results_table(ROWS))
    estimated = {"estimated_seconds": 90, "estimated_megabytes": 2.0, "checkpoint_megabytes": 0, "rough": True}
    stage = PlannedStage(stage="corpus", key="k" * 32, seconds=None, reused=False, **estimated)
    model = replace(stage, stage="model", checkpoint_megabytes=630.2)
    console.print(plan_table([stage, replace(stage, reused=True, estimated_seconds=0, estimated_megabytes=0)], 5000))
    console.print(plan_table([stage, model], 5000))
    text = console.export_text()
    assert "(5,000 MB free); during training checkpoints take up to 630 MB more; ~" in text
    assert "accuracy, %, mean ± standard deviation over seeds" in text
    assert "82.0 ± 2.0" in text
    assert (
        "2 stages, 1 finished; the others take about 2 min and 2 MB of disk (5,000 MB free); ~: rough estimate"
        in text
    )
    assert "~90" in text


def test_errors_stand_in_their_own_unit_where_rows_have_them():
    errors = {"dev": {"spearman": 0.9, "mae": 23.104, "rmse": 12345.6}, "test": {"mae": 0.000123456, "rmse": 3e-9}}
    rows = [row("teacher", 0, 0.9, scores=errors), row("general", 0, 0.8)]
    assert headings(rows)[3:9] == ("dev", "test", "dev MAE", "dev RMSE", "test MAE", "test RMSE")
    teacher, general = lines(rows)
    assert teacher[5:9] == ("23.10", "12,346", "0.0001235", "3e-09")
    assert general[5:9] == ("",) * 4  # of an earlier version
    assert lines(ROWS, rows)[0][5:9] == ("",) * 4  # beside others
    assert {len(line) for line in lines(rows)} == {len(headings(rows))}
    assert "MAE and RMSE in the unit of the scores, lower is better" in title(rows)
    assert "MAE" not in title(ROWS)
    assert markdown_table(rows).count("\n") == 3


def test_errors_of_seeds_have_a_mean_and_a_spread():
    rows = [row("general", seed, 0.8, scores={"dev": {"mae": mae}}) for seed, mae in enumerate((0.4, 0.6))]
    assert lines(rows)[0][5] == "0.5000 ± 0.1414"


def test_the_graphs_of_an_exported_student_end_the_table():
    formats = (FormatResult("float32", 29.7, 0.83, 0.82, 1800.4), FormatResult("int8", 7.8, 0.9, None, 3300))
    own = {"name": ROWS[-1].name, "seed": ROWS[-1].seed, "key": "", "folder": "", "megabytes": 29.7}
    table = markdown_table(ROWS, ExportResult(**own, largest_difference=0, formats=formats)).splitlines()
    assert table[:-2] == markdown_table(ROWS).splitlines()
    assert table[-2:] == [
        "| general, exported | ONNX float32, 29.7 MB | 22.7 M | 83.0 | 82.0 | 92.2% |  | 1,800 |  |",
        "| general, exported | ONNX int8, 7.8 MB | 22.7 M | 90.0 | none | 100.0% |  | 3,300 |  |",
    ]

"""Tables of runs: their models, and the stages of a plan."""

from collections.abc import Sequence

from rich.console import Group
from rich.table import Table
from rich.text import Text

from hornbook.metrics import ERRORS, KL
from hornbook.recipe import BenchmarkConfig
from hornbook.report.tables.text import terminal_table
from hornbook.results import TEACHER, ExportResult, ModelResult, PlannedStage, RunResult, Spread
from hornbook.results.markdown import markdown_lines
from hornbook.results.speeds import speed_markdown
from hornbook.results.summary import summarise
from hornbook.results.words import amount, percent, score

LABELS = 2
"""The number of columns of text in the table of results; the others are numbers."""


def headings(rows: Sequence[ModelResult]) -> tuple[str, ...]:
    """Return the headings of the results; the errors of a regression have columns where a row has them."""
    errors = (f"{split} {ERRORS[name]}" for split, name in _errors(rows))
    return (
        *("model", "textbook", "parameters", "dev", "test", *errors),
        *("of teacher", "calibration error", "sentences/s", "seconds"),
    )


def lines(rows: Sequence[ModelResult], beside: Sequence[ModelResult] = ()) -> list[tuple[str, ...]]:
    """Return the lines of the table of results.

    Args:
        rows: of one run.
        beside: the rows of all runs that share the table, if there are several.

    Returns:
        a line for each model with mean and spread over its seeds; the columns are those of `headings`.
    """
    errors = _errors(beside or rows)
    return [
        (
            model.name,
            model.textbook or "",
            f"{model.parameters / 1e6:.1f} M",
            score(model.dev),
            score(model.test),
            *(_error(model.errors.get(split, {}).get(name)) for split, name in errors),
            "" if model.share_of_teacher is None else f"{percent(model.share_of_teacher)}%",
            "" if model.calibration_error is None else percent(model.calibration_error),
            f"{model.sentences_per_second:,.0f}",
            f"{model.seconds:,.0f}",
        )
        for model in summarise(rows)
    ]


def export_rows(
    export: ExportResult | None, rows: Sequence[ModelResult], beside: Sequence[ModelResult] = ()
) -> list[tuple[str, ...]]:
    """Return the lines of an exported student's graphs, which end the table of results.

    Args:
        export: of a run, if there is one.
        rows: of the run.
        beside: as for `lines`.

    Returns:
        a line for each graph; where others have the size of a textbook, it has that of the graph.
    """
    if export is None:
        return []
    (student,) = (row for row in rows if (row.name, row.seed) == (export.name, export.seed))
    teacher = max((row.dev for row in rows if row.name == TEACHER), default=None)
    return [
        (
            f"{export.name}, exported",
            f"ONNX {one.format}, {one.megabytes:,.1f} MB",
            f"{student.parameters / 1e6:.1f} M",
            percent(one.dev),
            "none" if one.test is None else percent(one.test),
            *([""] * len(_errors(beside or rows))),
            "" if teacher is None else f"{percent(one.dev / teacher)}%",
            "",
            f"{one.sentences_per_second:,.0f}",
            "",
        )
        for one in export.formats
    ]


def results_table(rows: Sequence[ModelResult], export: ExportResult | None = None) -> Group:
    """Return the results as a table for the terminal; scores in percent, ± the standard deviation of seeds."""
    names = [heading.replace(" ", "\n") for heading in headings(rows)]
    every = [*lines(rows), *export_rows(export, rows)]
    return Group(Text(title(rows)), terminal_table(names, every, range(LABELS, len(names))))


def title(rows: Sequence[ModelResult]) -> str:
    """Return the line above a table of results: the metric, and what ± means."""
    seeds = any(model.dev.spread is not None for model in summarise(rows))
    text = f"{rows[0].metric}, %" + (", mean ± standard deviation over seeds" if seeds else "")
    errors = [name for name in dict.fromkeys(name for _, name in _errors(rows)) if name != KL]
    if errors:
        text += f"; {' and '.join(ERRORS[name] for name in errors)} in the unit of the scores, lower is better"
    elif _errors(rows):
        text += "; KL(teacher || student) in nats, lower is better"
    return text


def markdown_table(rows: Sequence[ModelResult], export: ExportResult | None = None) -> str:
    """Return the table of results as Markdown."""
    names = headings(rows)
    return markdown_lines(names, [*lines(rows), *export_rows(export, rows)], range(LABELS, len(names)))


def run_markdown(run: RunResult) -> str:
    """Return the table of a run with its remarks and its export, for a file."""
    notes = [*run.remarks, *(() if run.export is None else export_lines(run.export))]
    parts = [title(run.rows), markdown_table(run.rows, run.export), *(f"* {note}" for note in notes)]
    if run.export is not None and run.export.speeds:
        parts.append(speed_markdown(run.export.speeds, BenchmarkConfig().threads))
    return "\n\n".join(parts) + "\n"


def export_lines(found: ExportResult) -> list[str]:
    """Return in words what was exported, and whether int8 passed its gate."""
    lines = [
        f"export of {found.name}, seed {found.seed}: {found.folder}",
        f"ONNX float32: {found.megabytes:,.1f} MB, logits within {found.largest_difference:.1e} of PyTorch's",
    ]
    if found.int8 is not None:
        agreement = ", ".join(f"{share:.2%} on {name}" for name, share in found.agreement.items())
        lines.append(
            f"ONNX int8 ({found.int8}): {found.int8_megabytes or 0:,.1f} MB, agrees with the student: "
            f"{agreement or 'not compared'}"
        )
    elif found.int8_why_not:
        lines.append(f"ONNX int8 is not published: {found.int8_why_not}")
    return lines


def plan_table(stages: Sequence[PlannedStage], free_megabytes: int) -> Group:
    """Return the stages of a dry run as a table, with the total time and disk space of the unfinished ones."""
    seconds = sum(stage.estimated_seconds for stage in stages)
    megabytes = sum(stage.estimated_megabytes for stage in stages)
    text = (
        f"{len(stages)} stages, {sum(stage.reused for stage in stages)} finished; the others take about "
        f"{seconds / 60:.0f} min and {megabytes:,.0f} MB of disk ({free_megabytes:,} MB free)"
    )
    if checkpoints := max((stage.checkpoint_megabytes for stage in stages), default=0):
        text += f"; during training checkpoints take up to {checkpoints:,.0f} MB more"
    if saved := sum(stage.saved_seconds for stage in stages):
        text += f"; asking the teacher once saves about {saved / 60:.0f} min"
    if any(stage.rough for stage in stages):
        text += "; ~: rough estimate for a small task and model on two cores, no similar stage was run here"
    table = Table()
    for heading in ("stage", "key", "state", "seconds", "MB"):
        table.add_column(heading, justify="right" if heading in {"seconds", "MB"} else "left")
    for stage in stages:
        state = "finished" if stage.reused else "to do"
        about = "~" if stage.rough else ""
        left = [] if stage.reused else [stage.estimated_seconds, stage.estimated_megabytes]
        figures = [f"{about}{figure}" for figure in left] or ["", ""]
        table.add_row(stage.stage, stage.key[:16], state, *figures)
    return Group(Text(text), table)


def _errors(rows: Sequence[ModelResult]) -> list[tuple[str, str]]:
    """Return which errors there are, by split and name."""
    given = (model.errors for model in summarise(rows))
    return list(dict.fromkeys((split, name) for errors in given for split in errors for name in errors[split]))


def _error(found: Spread | None) -> str:
    if found is None:
        return ""
    return amount(found.mean) + ("" if found.spread is None else f" ± {amount(found.spread)}")

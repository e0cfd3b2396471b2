"""Results as small HTML tables, for notebooks."""

from collections.abc import Mapping, Sequence
from html import escape

from hornbook.results.cells import average_name, configurations, summarise_cells, tasks_of, varying
from hornbook.results.differences import SEED, TASK, resampled_cells
from hornbook.results.rows import CellResult, GoldLabels, ModelResult, TextbookCellResult
from hornbook.results.summary import summarise
from hornbook.results.verdict import task_verdicts, verdict
from hornbook.results.words import percent, score


def run_html(rows: Sequence[ModelResult], metric: str, remarks: Sequence[str]) -> str:
    """Return a run's verdict, its remarks and a table of its models."""
    headings = ["model", f"dev ({metric}, %)", "test", "of teacher", "parameters", "sentences/s"]
    lines = [
        [
            model.name,
            score(model.dev),
            score(model.test),
            "" if model.share_of_teacher is None else f"{percent(model.share_of_teacher)}%",
            f"{model.parameters / 1e6:.1f} M",
            f"{model.sentences_per_second:,.0f}",
        ]
        for model in summarise(rows)
    ]
    return _html([verdict(rows, metric), *remarks], headings, lines)


def textbooks_html(rows: Sequence[TextbookCellResult], axes: Sequence[str]) -> str:
    """Return a table of the sizes of an experiment's textbooks."""
    lines = [
        [*map(str, row.at.values()), book.name, f"{book.cases:,}", f"{book.words:,}"]
        for row in rows
        for book in row.statistics.books
    ]
    return _html([], [*axes, "textbook", "units", "words"], lines)


def scores_html(
    rows: Sequence[CellResult], axes: Sequence[str], gold: Mapping[str, GoldLabels], failed: Mapping[str, str]
) -> str:
    """Return a sentence for each task of an experiment, its failed cells, and a table of its scores."""
    axes = varying(rows, axes)
    tasks = tasks_of(summarise_cells(rows, axes))
    named = [axis for axis in axes if axis not in {SEED, TASK}]
    average = [average_name(tasks)] if len(tasks) > 1 else []
    lines = []
    for configuration in configurations(rows, axes):
        cells = [configuration.by_task.get(task) for task in tasks]
        line = [str(configuration.at[axis]) for axis in named]
        line += ["" if cell is None else score(cell.dev) for cell in cells]
        line += ["" if configuration.average is None else score(configuration.average.dev)] if average else []
        lines.append(line)
    sentences = task_verdicts(rows, axes, resampled_cells(rows, gold))
    sentences += [f"{name}: failed: {reason}" for name, reason in failed.items()]
    return _html(sentences, [*named, *tasks, *average], lines)


def _html(lines: Sequence[str], headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(heading)}</th>" for heading in headings)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    text = "".join(f"<p>{escape(line)}</p>" for line in lines)
    return f"{text}<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"

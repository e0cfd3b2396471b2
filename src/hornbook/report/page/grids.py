"""The report of an experiment."""

from collections.abc import Iterator, Sequence

from hornbook.report.charts.runs import grid_chart
from hornbook.report.charts.textbooks import textbook_charts
from hornbook.report.page.parts import (
    Heading,
    Part,
    Plots,
    Report,
    Section,
    SeedRow,
    Seeds,
    SeedScores,
    Table,
    Text,
    plot_of,
)
from hornbook.report.tables.grids import DIFFERENCE, Scores, difference_line, difference_tables
from hornbook.report.tables.textbooks import comparison
from hornbook.results import ExperimentResult, Spread
from hornbook.results.cells import Average, CellSummary, varying
from hornbook.results.differences import SEED
from hornbook.results.words import percent, score

_WIDTH, _EDGE = 60, 4
_CHARTS = ("distinct", "overlap")


def experiment_report(result: ExperimentResult) -> Report:
    """Return the report of an experiment: scores in the layout of the paper's Table 2, or its textbooks."""
    scores = Scores.of(result) if result.scored else None
    axes = varying(result.rows, result.axes)
    about = f"{len(result.rows)} cells over {', '.join(axes or result.axes)}"
    same = [f"{axis} {result.rows[0].at[axis]}" for axis in result.axes if result.rows and axis not in axes]
    if same:
        about += f"; {', '.join(same)}"
    if result.failed:
        about += f"; {len(result.failed)} failed"
    sections = list(_measured(result)) if scores is None else list(_scored(scores))
    if result.failed:
        rows = [[name, reason] for name, reason in result.failed.items()]
        sections.append(Section("failed", "Failed cells", [Table(["cell", "reason"], rows)]))
    return Report(result.name, about, [] if scores is None else scores.verdicts, sections)


def _scored(scores: Scores) -> Iterator[Section]:
    parts: list[Part] = [
        Text("Mean over seeds ± standard deviation, %. Each dot is a seed; a column has one scale."),
        _table2(scores),
        Plots([plot_of(grid_chart(scores.cells, scores.axes))]),
    ]
    yield Section("scores", "Scores", parts)
    if scores.pairs:
        text = (
            "Differences in points between students of the same seed, averaged over seeds; bootstrap intervals over "
            "dev examples. A difference is clear if its interval excludes zero."
        )
        parts = [Text(text)]
        for headings, same in difference_tables(scores.pairs):
            rows = [[*difference_line(pair), "yes" if pair.difference.clear else ""] for pair in same]
            parts.append(Table([*headings, "clear"], rows, [len(headings) - len(DIFFERENCE)]))
        yield Section("differences", "Differences", parts)
    axes = [axis for axis in scores.axes if axis != SEED]
    times = [
        [*(str(cell.at[axis]) for axis in axes), f"{cell.minutes:.1f}", str(len(cell.seeds))] for cell in scores.cells
    ]
    time = Table([*axes, "minutes, all seeds", "seeds"], times, [len(axes), len(axes) + 1])
    yield Section("time", "Time of the cells", [time])


def _table2(scores: Scores) -> Seeds:
    """Return the scores: a column for each task and for the average, a row for each combination of other axes."""
    columns: list[list[CellSummary | Average | None]] = [
        [configuration.by_task.get(task) for configuration in scores.configurations] for task in scores.tasks
    ]
    if scores.has_average:
        columns.append([configuration.average for configuration in scores.configurations])
    drawn = [_column(column) for column in columns]
    rows = [
        SeedRow([str(value) for value in configuration.at.values()], [column[i] for column in drawn])
        for i, configuration in enumerate(scores.configurations)
    ]
    return Seeds(scores.headings(), len(scores.named), rows)


def _column(cells: Sequence[CellSummary | Average | None]) -> list[SeedScores | None]:
    every = [value for cell in cells if cell is not None for value in cell.by_seed]
    return [None if cell is None else _cell(cell.dev, cell.by_seed, min(every), max(every)) for cell in cells]


def _cell(dev: Spread, by_seed: Sequence[float], low: float, high: float) -> SeedScores:
    width = (high - low) or 1.0
    places = [round(_EDGE + (_WIDTH - 2 * _EDGE) * (value - low) / width, 1) for value in by_seed]
    return SeedScores(dev.mean, score(dev), ", ".join(map(percent, by_seed)), places)


def _measured(result: ExperimentResult) -> Iterator[Section]:
    for number, (title, headings, rows) in enumerate(comparison(result.measured, result.axes)):
        figures = [i for i in range(len(headings)) if headings[i] not in {*result.axes, "textbook"}]
        yield Section(f"table-{number}", title, [Table(headings, rows, figures)])
    parts: list[Part] = []
    for number, row in enumerate(result.measured):
        charts = [chart for chart in textbook_charts(row.statistics) if chart.name in _CHARTS]
        parts.append(Heading(", ".join(str(value) for value in row.at.values())))
        parts.append(Plots([plot_of(chart, f"{number}-") for chart in charts]))
    yield Section("charts", "Diversity and overlap", parts)

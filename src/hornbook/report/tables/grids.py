"""Tables of an experiment: scores by its axes, means over seeds, and differences with intervals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.text import Text

from hornbook.report.tables.text import plain, terminal_table
from hornbook.report.tables.textbooks import comparison_markdown
from hornbook.results import CellResult, ExperimentResult, PairedDifference
from hornbook.results.cells import (
    CellSummary,
    Configuration,
    average_name,
    configurations,
    summarise_cells,
    tasks_of,
    varying,
)
from hornbook.results.differences import SEED, TASK, differences, resampled_cells
from hornbook.results.markdown import markdown_lines
from hornbook.results.verdict import task_verdicts
from hornbook.results.words import percent, score

DIFFERENCE = ("points", "95% interval", "seeds")
_FIGURES = {"dev", "spread", "minutes", *DIFFERENCE}


@dataclass(frozen=True)
class Scores:
    """The scored cells of an experiment, ready for tables.

    Attributes:
        rows: the cells.
        axes: those that vary.
        cells: seeds together.
        configurations: tasks together too.
        pairs: differences between them.
        verdicts: a sentence for each task.
    """

    rows: Sequence[CellResult]
    axes: tuple[str, ...]
    cells: Sequence[CellSummary]
    configurations: Sequence[Configuration]
    pairs: Sequence[PairedDifference]
    verdicts: Sequence[str]

    @classmethod
    def of(cls, result: ExperimentResult) -> "Scores":
        """Compare the cells of an experiment."""
        rows, axes = result.scored, varying(result.scored, result.axes)
        scores = resampled_cells(rows, result.gold)
        return cls(
            rows=rows,
            axes=axes,
            cells=summarise_cells(rows, axes),
            configurations=configurations(rows, axes),
            pairs=differences(rows, axes, scores),
            verdicts=task_verdicts(rows, axes, scores),
        )

    @property
    def named(self) -> list[str]:
        """The axes but seed and task."""
        return [axis for axis in self.axes if axis not in {SEED, TASK}]

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks, in the order of the cells."""
        return tasks_of(self.cells)

    @property
    def has_average(self) -> bool:
        """Whether a configuration has all of several tasks."""
        return any(configuration.average is not None for configuration in self.configurations)

    def headings(self) -> list[str]:
        """Return the headings of the table with tasks as columns."""
        metrics: Mapping[str, str] = {cell.task: cell.metric for cell in self.cells}
        average = [average_name(self.tasks)] if self.has_average else []
        return [*self.named, *(f"{task} ({metrics[task]})" for task in self.tasks), *average]

    def lines(self) -> list[list[str]]:
        """Return the lines of the table with tasks as columns: the paper's Table 2."""
        lines = []
        for configuration in self.configurations:
            line = [str(value) for value in configuration.at.values()]
            cells = (configuration.by_task.get(task) for task in self.tasks)
            line += ["" if cell is None else score(cell.dev) for cell in cells]
            if self.has_average:
                line.append("" if configuration.average is None else score(configuration.average.dev))
            lines.append(line)
        return lines


def difference_tables(pairs: Sequence[PairedDifference]) -> list[tuple[list[str], list[PairedDifference]]]:
    """Return the headings and the pairs of a table for each axis."""
    by_axis: dict[str, list[PairedDifference]] = {}
    for pair in pairs:
        by_axis.setdefault(pair.axis, []).append(pair)
    return [([*same[0].at, axis, *DIFFERENCE], same) for axis, same in by_axis.items()]


def difference_line(pair: PairedDifference, mark: str = "") -> list[str]:
    """Return the cells of a pair's line; `mark` surrounds a clear difference."""
    between = pair.difference
    around = mark if between.clear else ""
    return [
        *map(str, pair.at.values()),
        f"{pair.better} over {pair.worse}",
        f"{around}{percent(between.mean)}{around}",
        f"{percent(between.low)} to {percent(between.high)}",
        str(between.seeds),
    ]


def experiment_table(result: ExperimentResult) -> RenderableType:
    """Return an experiment for the terminal: a sentence for each task, and the table of scores or of textbooks."""
    from rich.markdown import Markdown

    if not result.scored:
        return Markdown(comparison_markdown(result.measured, result.axes))
    scores = Scores.of(result)
    headings = scores.headings()
    figures = range(len(scores.named), len(headings))
    verdicts = [Text(plain(line)) for line in scores.verdicts]
    return Group(*verdicts, terminal_table(headings, scores.lines(), figures))


def experiment_markdown(result: ExperimentResult) -> str:
    """Return an experiment as Markdown: sentences, scores, seeds, minutes, and differences, the clear ones bold."""
    if not result.scored:
        return comparison_markdown(result.measured, result.axes)
    scores = Scores.of(result)
    headings = scores.headings()
    parts = list(scores.verdicts)
    parts.append(markdown_lines(headings, scores.lines(), range(len(scores.named), len(headings))))
    for names, lines in (_seeds(scores), *_differences(scores.pairs)):
        parts.append(markdown_lines(names, lines, [i for i, name in enumerate(names) if name in _FIGURES]))
    return "\n\n".join(parts) + "\n"


def _seeds(scores: Scores) -> tuple[list[str], list[list[str]]]:
    named = [axis for axis in scores.axes if axis != SEED]
    lines = [
        [
            *(str(cell.at[axis]) for axis in named),
            percent(cell.dev.mean),
            "" if cell.dev.spread is None else percent(cell.dev.spread),
            ", ".join(map(percent, cell.by_seed)),
            cell.metric,
            f"{cell.minutes:.0f}",
        ]
        for cell in scores.cells
    ]
    return [*named, "dev", "spread", "by seed", "metric", "minutes"], lines


def _differences(pairs: Sequence[PairedDifference]) -> list[tuple[list[str], list[list[str]]]]:
    return [(names, [difference_line(pair, "**") for pair in same]) for names, same in difference_tables(pairs)]

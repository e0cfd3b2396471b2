"""The parts of a report, from which both the page and the Markdown are made."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from hornbook.report.charts.base import Chart, Points
from hornbook.results.inspection import Anchor
from hornbook.results.markdown import escaped, markdown_lines


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    kind: ClassVar[str] = "text"
    text: str
    quiet: bool = False


@dataclass(frozen=True)
class Lines:
    """A list."""

    kind: ClassVar[str] = "list"
    lines: Sequence[str]


@dataclass(frozen=True)
class Heading:
    """A heading inside a section."""

    kind: ClassVar[str] = "heading"
    text: str


@dataclass(frozen=True)
class Table:
    """A table; `figures` are the indices of the columns with numbers."""

    kind: ClassVar[str] = "table"
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    figures: Sequence[int] = ()


@dataclass(frozen=True)
class Plot:
    """A chart, its caption, and the first rows of its data."""

    name: str
    spec: Mapping[str, Any]
    caption: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    figures: Sequence[int]
    more: int


@dataclass(frozen=True)
class Plots:
    """Charts side by side where there is room."""

    kind: ClassVar[str] = "plots"
    plots: Sequence[Plot]


@dataclass(frozen=True)
class Code:
    """Preformatted text that opens below its title."""

    kind: ClassVar[str] = "code"
    title: str
    text: str


@dataclass(frozen=True)
class Anchors:
    """Anchors to click through, with the units that they retrieve."""

    kind: ClassVar[str] = "anchors"
    id: str
    anchors: Sequence[Anchor]


@dataclass(frozen=True)
class SeedScores:
    """A mean score: the text to show, the scores of its seeds as text, and the x of their marks in pixels."""

    mean: float
    shown: str
    seeds: str
    places: Sequence[float]


@dataclass(frozen=True)
class SeedRow:
    """A row of scores: its names, and a cell for each column, None if there is no score."""

    names: Sequence[str]
    cells: Sequence[SeedScores | None]


@dataclass(frozen=True)
class Seeds:
    """Scores with a mark for each seed; the first `named` columns hold names."""

    kind: ClassVar[str] = "seeds"
    headings: Sequence[str]
    named: int
    rows: Sequence[SeedRow]


Part = Text | Lines | Heading | Table | Plots | Code | Anchors | Seeds


@dataclass(frozen=True)
class Section:
    """A section of the page; the table of contents lists it."""

    id: str
    title: str
    parts: Sequence[Part]


@dataclass(frozen=True)
class Report:
    """A whole report."""

    title: str
    about: str
    verdicts: Sequence[str]
    sections: Sequence[Section] = field(default=())


_SHOWN = 40


def plot_of(chart: Chart, before: str = "") -> Plot:
    """Return a chart for the page with the first rows of its data; `before` is a prefix of its name."""
    spec: Mapping[str, Any] = chart.spec.to_dict()
    rows = next(_values(spec), [])
    headings = list(dict.fromkeys(column for row in rows for column in row))
    figures = [i for i, heading in enumerate(headings) if all(_is_number(row.get(heading)) for row in rows)]
    lines = [[shown(row.get(heading)) for heading in headings] for row in rows[:_SHOWN]]
    return Plot(f"{before}{chart.name}", spec, chart.caption, headings, lines, figures, max(0, len(rows) - _SHOWN))


def _values(spec: Mapping[str, Any]) -> Iterator[Points]:
    """Yield the rows of a chart's layers, the longest first."""
    layers = [spec, *spec.get("layer", ())]
    found = [layer["data"]["values"] for layer in layers if "values" in layer.get("data", {})]
    yield from sorted([*found, *spec.get("datasets", {}).values()], key=len, reverse=True)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def shown(value: Any) -> str:
    """Return a value for a cell of a table."""
    if value is None:
        return ""
    return f"{value:,.3g}" if isinstance(value, float) else str(value)


def markdown(report: Report) -> str:
    """Return the report as Markdown for a model card: without charts, anchors and long tables."""
    blocks = [
        f"# {escaped(report.title)}",
        escaped(report.about),
        *(f"**{escaped(line)}**" for line in report.verdicts),
    ]
    for section in report.sections:
        parts = [text for part in section.parts if (text := _in_markdown(part))]
        if parts:
            blocks += [f"## {escaped(section.title)}", *parts]
    return "\n\n".join(blocks) + "\n"


_LONGEST_TABLE = 60


def _in_markdown(part: Part) -> str:
    match part:
        case Text():
            return escaped(part.text)
        case Lines():
            return "\n".join(f"* {escaped(line)}" for line in part.lines)
        case Heading():
            return f"### {escaped(part.text)}"
        case Table() if 0 < len(part.rows) <= _LONGEST_TABLE:
            return _table(part.headings, part.rows, part.figures)
        case Seeds():
            rows = [[*row.names, *(cell.shown if cell else "" for cell in row.cells)] for row in part.rows]
            return _table(part.headings, rows, range(part.named, len(part.headings)))
        case Code():
            return f"{part.title}\n\n```\n{part.text.rstrip()}\n```"
        case _:
            return ""


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]], figures: Sequence[int]) -> str:
    shown_headings, *lines = [[escaped(cell) for cell in line] for line in (headings, *rows)]
    return markdown_lines(shown_headings, lines, figures)

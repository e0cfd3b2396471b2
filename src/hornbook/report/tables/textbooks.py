"""The statistics of textbooks as tables, for the terminal and for Markdown."""

from collections.abc import Iterator, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from hornbook.report.tables.text import plain
from hornbook.results import TextbookCellResult
from hornbook.results.inspection import (
    DistinctGroup,
    Overlap,
    Percent,
    TextbookComparison,
    TextbookContents,
)
from hornbook.results.markdown import markdown_lines

_SHORTENED = 90
_OWN_TEXT = "task"
_IN_COMMON = "words in common among the 5,000 most frequent, without stop words, %"


def statistics_tables(found: TextbookComparison) -> Group:
    """Return textbooks side by side: contents, retrieval, Distinct-n, overlap, units retrieved most often."""
    parts: list[RenderableType] = [_contents(found.books)]
    if drawn := [book for book in found.books if book.kind == "contextualized"]:
        parts.append(_drawn(drawn))
    parts += [_distinct(group) for group in found.distinct]
    if len(found.overlap.names) > 1:
        parts.append(_overlap(found.overlap))
    parts += [_most_drawn(book) for book in found.books if book.most_drawn]
    return Group(*parts)


Comparison = tuple[str, list[str], list[list[str]]]
"""A title, headings and lines."""


def comparison(rows: Sequence[TextbookCellResult], axes: Sequence[str]) -> list[Comparison]:
    """Return tables of an experiment that measures textbooks: the paper's Table 1, Table 3 and Figure 3.

    Args:
        rows: one for each cell.
        axes: the axes of the experiment.

    Returns:
        three tables: contents, lexical diversity, and words in common with the task's own text.
    """
    near, nearness = _near(rows)
    return [
        ("Contents of the textbooks", [*axes, *_HOLD], list(_hold(rows, axes))),
        ("Distinct-n, %, in samples of equal size, ± over 5 samples", [*axes, *_RICH], list(_rich(rows, axes))),
        (f"Overlap with the task's own text: {_IN_COMMON}", [*axes, *near], nearness),
    ]


def comparison_markdown(rows: Sequence[TextbookCellResult], axes: Sequence[str]) -> str:
    """Return the same tables as Markdown."""
    parts = []
    for title, headings, lines in comparison(rows, axes):
        figures = [place for place, heading in enumerate(headings) if heading not in {*axes, *_TEXTS}]
        parts.append(f"{title}\n\n{markdown_lines(headings, lines, figures)}")
    return "\n\n".join(parts) + "\n"


_HOLD = (
    "textbook",
    "units",
    "MB",
    "words per unit",
    "k",
    "unique / retrieved",
    "anchors with fewer than k",
    "share of corpus",
    "contaminated, removed",
    "dev/test texts in it",
)
_RICH = (
    "textbook",
    "Distinct-1",
    "Distinct-2",
    "sample words",
    "Distinct-1 without task",
    "Distinct-2 without task",
    "sample words without task",
)


def _hold(rows: Sequence[TextbookCellResult], axes: Sequence[str]) -> Iterator[list[str]]:
    for row in rows:
        for book in row.statistics.books:
            drawn = _drawn_figures(book) or [""] * 4
            held = book.contamination
            yield [
                *(str(row.at[axis]) for axis in axes),
                book.name,
                f"{book.cases:,}",
                f"{book.bytes / 1e6:,.1f}",
                f"{book.words / max(book.cases, 1):.1f}",
                drawn[0],
                *drawn[2:4],
                f"{book.info['share']:.1%}" if "share" in book.info else "",
                f"{book.counts['contaminated']:,}" if book.info["contamination"] == "removed" else "",
                "" if held is None else f"{held.found:,} of {held.texts:,}",
            ]


def _rich(rows: Sequence[TextbookCellResult], axes: Sequence[str]) -> Iterator[list[str]]:
    for row in rows:
        first, *others = row.statistics.distinct
        for name, figures in first.of.items():
            other = others[0].of.get(name) if others else None
            yield [
                *(str(row.at[axis]) for axis in axes),
                name,
                *(percent(one) for one in figures),
                f"{first.unigrams:,}",
                *(("", "") if other is None else (percent(one) for one in other)),
                "" if other is None else f"{others[0].unigrams:,}",
            ]


def _near(rows: Sequence[TextbookCellResult]) -> tuple[tuple[str, ...], list[list[str]]]:
    """Return headings and lines of the overlap of textbooks with the task's own text."""
    shares = []
    for row in rows:
        found = row.statistics
        own = next((book.name for book in found.books if book.kind == _OWN_TEXT), _OWN_TEXT)
        names, matrix = found.overlap.names, found.overlap.matrix
        of_own = zip(names, matrix[names.index(own)], strict=True)
        shares.append({name: f"{share:.1f}" for name, share in of_own if name != own})
    headings = tuple(dict.fromkeys(name for of_row in shares for name in of_row))
    lines = [
        [*map(str, row.at.values()), *(of_row.get(name, "") for name in headings)]
        for row, of_row in zip(rows, shares, strict=True)
    ]
    return headings, lines


def middle(lengths: Sequence[int], share: float = 0.5) -> int:
    """Return a quantile of unit lengths, the median by default; `lengths` counts units by length."""
    wanted, seen = share * sum(lengths), 0
    for length, count in enumerate(lengths):
        seen += count
        if seen >= wanted:
            return length
    return 0


def describe(books: Sequence[TextbookContents]) -> tuple[list[str], list[list[str]], set[int]]:
    """Return headings and lines of the contents of textbooks, and the indices of the columns of text."""
    headings = [
        "textbook",
        "kind",
        "units",
        "MB",
        "words per unit",
        "median length",
        "sources",
        "dev/test texts in it",
    ]
    lines = []
    for book in books:
        whole = max(book.cases, 1)
        sources = [f"{source} {count / whole:.0%}" for source, count in list(book.sources.items())[:4]]
        held = book.contamination
        lines.append(
            [
                book.name,
                book.kind,
                f"{book.cases:,}",
                f"{book.bytes / 1e6:,.1f}",
                f"{book.words / whole:.1f}",
                f"{middle(book.lengths)} words",
                ", ".join(sources) + (", …" if len(book.sources) > 4 else ""),
                "" if held is None else f"{held.found:,} of {held.texts:,}, in {held.units:,} units",
            ]
        )
    return headings, lines, {0, 1, 6, 7}


def _contents(books: Sequence[TextbookContents]) -> Table:
    headings, lines, _ = describe(books)
    table = _table(*headings)
    for line in lines:
        table.add_row(*map(_as_it_is, line))
    return table


def _drawn(books: Sequence[TextbookContents]) -> Table:
    table = _table("textbook", "k", "anchors", "unique / retrieved", "anchors with fewer than k", "share of corpus")
    for book in books:
        if figures := _drawn_figures(book):
            table.add_row(_as_it_is(book.name), *figures)
    return table


def _drawn_figures(book: TextbookContents) -> list[str] | None:
    """Return k, anchors, unique/retrieved, anchors with fewer than k, share of the corpus; None without anchors."""
    counts, info = book.counts, book.info
    if "anchors" not in counts:  # another kind, or part of a combined textbook
        return None
    fewer = counts["anchors_with_fewer_hits"] + counts["anchors_without_keywords"]
    return [
        f"{counts['k']:,}",
        f"{counts['anchors']:,}",
        f"{info['unique_over_retrieved']:.2f}",
        f"{fewer / counts['anchors']:.1%}",
        f"{info['share']:.1%}",
    ]


def _distinct(group: DistinctGroup) -> Group:
    table = _table("text", "Distinct-1", "Distinct-2")
    for name, (first, second) in group.of.items():
        table.add_row(_as_it_is(name), *(percent(one) for one in (first, second)))
    size = f"in samples of {group.unigrams:,} words, the size of {group.like}; ± over 5 samples"
    return Group(Text(f"Distinct-n, %, {size}"), table)


def percent(one: Percent) -> str:
    """Return a mean and its spread, both in percent."""
    return f"{one.mean:.1f}" + (f" ± {one.spread:.1f}" if one.spread else "")


def _overlap(overlap: Overlap) -> Group:
    names = overlap.names
    table = _table("", *(escape(name) for name in names))
    for name, row in zip(names, overlap.matrix, strict=True):
        table.add_row(_as_it_is(name), *(f"{share:.1f}" for share in row))
    return Group(Text(_IN_COMMON.capitalize()), table)


def _most_drawn(book: TextbookContents) -> Group:
    table = _table("anchors", "score", "source", "unit")
    for unit in book.most_drawn:
        text = unit.text if len(unit.text) <= _SHORTENED else f"{unit.text[: _SHORTENED - 1]}…"
        table.add_row(f"{unit.anchors:,}", f"{unit.score:.1f}", _as_it_is(unit.source or ""), _as_it_is(text))
    return Group(_as_it_is(f"Most retrieved units of {book.name}"), table)


def _as_it_is(text: str) -> Text:
    return Text(plain(text))


_TEXTS = {"", "textbook", "text", "kind", "source", "sources", "unit"}


def _table(*headings: str) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for heading in headings:
        table.add_column(heading, justify="left" if heading in _TEXTS else "right")
    return table

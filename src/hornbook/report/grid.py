"""Tables of an experiment: scores by its axes, means over seeds, and which differences are clear."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.table import Table

from hornbook.evaluation.compare import Difference, difference
from hornbook.report.summary import spread
from hornbook.report.tables import markdown_lines

Row = dict[str, Any]
_SEED, _TASK, _BOOK = "seed", "task", "textbook"


def scores(rows: Sequence[Row], axes: Sequence[str]) -> list[Row]:
    """Return one row for each combination of the axes but `seed`: at, dev (mean, median, spread), seeds, minutes."""
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row["at"][axis] for axis in axes if axis != _SEED), []).append(row)
    return [
        {
            "at": {axis: value for axis, value in same[0]["at"].items() if axis != _SEED},
            "metric": same[0]["metric"],
            "dev": spread([row["dev"] for row in same]),
            "by_seed": [row["dev"] for row in same],
            "seeds": [row["seed"] for row in same],
            "minutes": sum(row["minutes"] for row in same),
        }
        for same in groups.values()
    ]


def differences(rows: Sequence[Row], gold: Mapping[str, Any], axes: Sequence[str]) -> list[Row]:
    """Return every pair of textbooks between which all other axes agree: `at`, better, worse, `difference`."""
    if _BOOK not in axes:
        return []
    groups: dict[tuple[Any, ...], dict[Any, list[Row]]] = {}
    for row in rows:
        others = tuple((axis, row["at"][axis]) for axis in axes if axis not in {_SEED, _BOOK})
        groups.setdefault((row["task"], others), {}).setdefault(row["at"][_BOOK], []).append(row)
    found = []
    for (task, others), books in groups.items():
        for one, other in combinations(books, 2):
            if not {row["seed"] for row in books[one]} & {row["seed"] for row in books[other]}:
                continue
            between = difference(books[one], books[other], gold[task])
            better, worse = (one, other) if between.mean >= 0 else (other, one)
            if between.mean < 0:
                between = Difference(-between.mean, -between.high, -between.low, between.seeds)
            found.append({"at": dict(others), "better": better, "worse": worse, "difference": between})
    return found


def grid_table(rows: Sequence[Row], gold: Mapping[str, Any], axes: Sequence[str]) -> Group:
    """Return the tables for the terminal."""
    tables = []
    for headings, lines in _tables(rows, gold, axes):
        table = Table(box=SIMPLE_HEAD, pad_edge=False)
        for heading in headings:
            table.add_column(heading, justify="right" if heading in _FIGURES else "left", no_wrap=True)
        for line in lines:
            table.add_row(*line)
        tables.append(table)
    return Group(*tables)


def grid_markdown(rows: Sequence[Row], gold: Mapping[str, Any], axes: Sequence[str]) -> str:
    """Return the same tables as Markdown; clear differences are bold."""
    parts = []
    for headings, lines in _tables(rows, gold, axes, bold="**"):
        figures = [place for place, heading in enumerate(headings) if heading in _FIGURES]
        parts.append(markdown_lines(headings, lines, figures))
    return "\n\n".join(parts) + "\n"


_FIGURES = {"dev", "spread", "minutes", "points", "95% interval"}


def _tables(
    rows: Sequence[Row], gold: Mapping[str, Any], axes: Sequence[str], bold: str = ""
) -> list[tuple[list[str], list[list[str]]]]:
    named = [axis for axis in axes if axis != _SEED]
    first = [
        [
            *(str(row["at"][axis]) for axis in named),
            f"{100 * row['dev']['mean']:.1f}",
            "" if row["dev"]["spread"] is None else f"{100 * row['dev']['spread']:.1f}",
            ", ".join(f"{100 * one:.1f}" for one in row["by_seed"]),
            row["metric"],
            f"{row['minutes']:.0f}",
        ]
        for row in scores(rows, axes)
    ]
    tables = [([*named, "dev", "spread", "of each seed", "metric", "minutes"], first)]
    others = [axis for axis in named if axis != _BOOK]
    second = []
    for row in differences(rows, gold, axes):
        between = row["difference"]
        mark = bold if between.clear else ""
        second.append(
            [
                *(str(row["at"][axis]) for axis in others),
                f"{row['better']} over {row['worse']}",
                f"{mark}{100 * between.mean:.1f}{mark}",
                f"{100 * between.low:.1f} to {100 * between.high:.1f}",
            ]
        )
    if second:
        tables.append(([*others, "textbooks", "points", "95% interval"], second))
    return tables

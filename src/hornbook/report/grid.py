"""Tables of an experiment: scores by its axes, means over seeds, and which differences are clear."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.table import Table
from rich.text import Text

from hornbook.evaluation.compare import Difference, difference, resampled
from hornbook.report.summary import percent, spread
from hornbook.report.tables import markdown_lines, plain

Row = dict[str, Any]
_SEED, _TASK, _BOOK = "seed", "task", "textbook"
DIFFERENCE = ("points", "95% interval", "seeds")
_FIGURES = {"dev", "spread", "minutes", *DIFFERENCE}


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


def varying(rows: Sequence[Row], axes: Sequence[str]) -> tuple[str, ...]:
    """Return the axes with more than one value: the others say the same of every cell."""
    return tuple(axis for axis in axes if len({row["at"][axis] for row in rows}) > 1)


def differences(rows: Sequence[Row], gold: Mapping[str, Any], axes: Sequence[str]) -> list[Row]:
    """Return every pair of values of an axis between which all other axes agree, textbooks first.

    Returns:
        rows of `axis`, `at` (the values of the others), `better`, `worse`, `difference`, and `complete`: whether both
        have the same seeds.
    """
    compared = sorted((axis for axis in axes if axis not in {_SEED, _TASK}), key=lambda axis: axis != _BOOK)
    # Each row is resampled once, however many it is compared with.
    scored = cache(lambda number: resampled(rows[number], gold[rows[number]["task"]]))
    return [pair for axis in compared for pair in _differences(rows, scored, axes, axis)]


def _differences(
    rows: Sequence[Row], scored: Callable[[int], NDArray[np.float64]], axes: Sequence[str], axis: str
) -> Iterator[Row]:
    groups: dict[tuple[Any, ...], dict[Any, dict[int, int]]] = {}
    for number, row in enumerate(rows):
        others = tuple((other, row["at"][other]) for other in axes if other not in {_SEED, axis})
        groups.setdefault((row["task"], others), {}).setdefault(row["at"][axis], {})[row["seed"]] = number
    for (_, others), values in groups.items():
        for one, other in combinations(values, 2):
            if not values[one].keys() & values[other].keys():
                continue
            ours, theirs = ({seed: scored(at) for seed, at in values[name].items()} for name in (one, other))
            between = difference(ours, theirs)
            better, worse = (one, other) if between.mean >= 0 else (other, one)
            if between.mean < 0:
                between = Difference(-between.mean, -between.high, -between.low, between.seeds)
            found = {"axis": axis, "at": dict(others), "better": better, "worse": worse, "difference": between}
            yield found | {"complete": ours.keys() == theirs.keys()}


def difference_tables(pairs: Sequence[Row]) -> list[tuple[list[str], list[Row]]]:
    """Return the headings of a table for each axis along which there are differences, and its pairs."""
    by_axis: dict[str, list[Row]] = {}
    for pair in pairs:
        by_axis.setdefault(pair["axis"], []).append(pair)
    return [([*same[0]["at"], axis, *DIFFERENCE], same) for axis, same in by_axis.items()]


def difference_line(pair: Row, mark: str = "") -> list[str]:
    """Return the cells of a pair's line; a clear difference stands between marks."""
    between = pair["difference"]
    around = mark if between.clear else ""
    return [
        *map(str, pair["at"].values()),
        f"{pair['better']} over {pair['worse']}",
        f"{around}{percent(between.mean)}{around}",
        f"{percent(between.low)} to {percent(between.high)}",
        str(between.seeds),
    ]


def grid_table(rows: Sequence[Row], pairs: Sequence[Row], axes: Sequence[str]) -> Group:
    """Return the tables for the terminal; `pairs` are the rows' `differences`."""
    tables = []
    for headings, lines in _tables(rows, pairs, axes):
        table = Table(box=SIMPLE_HEAD, pad_edge=False)
        for heading in headings:
            table.add_column(heading, justify="right" if heading in _FIGURES else "left", no_wrap=True)
        for line in lines:
            table.add_row(*(Text(plain(cell)) for cell in line))
        tables.append(table)
    return Group(*tables)


def grid_markdown(rows: Sequence[Row], pairs: Sequence[Row], axes: Sequence[str]) -> str:
    """Return the same tables as Markdown; clear differences are bold."""
    parts = []
    for headings, lines in _tables(rows, pairs, axes, bold="**"):
        figures = [place for place, heading in enumerate(headings) if heading in _FIGURES]
        parts.append(markdown_lines(headings, lines, figures))
    return "\n\n".join(parts) + "\n"


def _tables(
    rows: Sequence[Row], pairs: Sequence[Row], axes: Sequence[str], bold: str = ""
) -> list[tuple[list[str], list[list[str]]]]:
    named = [axis for axis in axes if axis != _SEED]
    scored = [
        [
            *(str(row["at"][axis]) for axis in named),
            percent(row["dev"]["mean"]),
            "" if row["dev"]["spread"] is None else percent(row["dev"]["spread"]),
            ", ".join(map(percent, row["by_seed"])),
            row["metric"],
            f"{row['minutes']:.0f}",
        ]
        for row in scores(rows, axes)
    ]
    headings = [*named, "dev", "spread", "of each seed", "metric", "minutes"]
    compared = [
        (its_own, [difference_line(pair, bold) for pair in same]) for its_own, same in difference_tables(pairs)
    ]
    return [(headings, scored), *compared]

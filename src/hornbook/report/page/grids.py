"""What the report says of an experiment."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from hornbook.report.charts import textbook_charts
from hornbook.report.facts import Grid
from hornbook.report.grid import DIFFERENCE, difference_line, difference_tables, differences, scores, varying
from hornbook.report.page.parts import Heading, Part, Plots, Report, Section, Seeds, Table, Text, plot_of
from hornbook.report.run_charts import grid_chart
from hornbook.report.summary import listed
from hornbook.report.textbooks import comparison

Row = dict[str, Any]
_SEED, _TASK = "seed", "task"
_WIDTH, _EDGE = 60, 4


def grid_report(grid: Grid) -> Report:
    """Return what is said of an experiment: scores in the layout of the paper's Table 2, or of its textbooks."""
    axes = varying(grid.rows, grid.axes)
    about = f"{len(grid.rows)} cells over {', '.join(axes or grid.axes)}"
    same = [f"{axis} {grid.rows[0]['at'][axis]}" for axis in grid.axes if grid.rows and axis not in axes]
    if same:
        about += f"; {', '.join(same)}"
    if grid.failed:
        about += f"; {len(grid.failed)} failed"
    measured = bool(grid.rows) and "statistics" in grid.rows[0]
    pairs = [] if measured else differences(grid.rows, grid.gold, axes)
    sections = list(_measured(grid) if measured else _scored(replace(grid, axes=axes), pairs))
    if grid.failed:
        rows = [[name, reason] for name, reason in grid.failed.items()]
        sections.append(Section("failed", "Failed cells", [Table(["cell", "why"], rows)]))
    return Report(grid.name, about, _verdicts(pairs), sections)


def _verdicts(found: Sequence[Row]) -> list[str]:
    """Return along each axis which values are clearly better than others, where all have the same seeds."""
    said = []
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for one in found:
        groups.setdefault((one["axis"], *one["at"].items()), []).append(one)
    for (axis, *at), pairs in groups.items():
        if not all(one["complete"] for one in pairs):
            continue
        clear = [one for one in pairs if one["difference"].clear]
        where = f"{', '.join(_named(name, value) for name, value in at)}: " if at else ""
        names = dict.fromkeys(one[role] for one in pairs for role in ("better", "worse"))
        ahead = (name for name in names if all(one["better"] == name for one in pairs if name in _both(one)))
        if (best := next(ahead, None)) is None:
            continue
        over = [str(one["worse"]) for one in clear if one["better"] == best]
        level = [str(one["worse"]) for one in pairs if one["better"] == best and not one["difference"].clear]
        parts = [f"clearly above {listed(over)}"] if over else []
        parts += [f"not clearly above {listed(level)}"] if level else []
        said.append(f"{where}{_named(axis, best)} has the best mean, {' but '.join(parts)}.")
    return said


def _named(axis: str, value: Any) -> str:
    """Return a value with its axis, where it does not speak for itself."""
    return str(value) if axis in {_TASK, "textbook"} else f"{axis} {value}"


def _both(pair: Row) -> tuple[Any, Any]:
    return pair["better"], pair["worse"]


def _scored(grid: Grid, pairs: Sequence[Row]) -> Iterator[Section]:
    if not grid.rows:
        return
    found = scores(grid.rows, grid.axes)
    parts: list[Part] = [
        Text("Means over seeds, ± standard deviation, %; the marks are the seeds, on one scale in each column."),
        _table2(found, grid.axes),
        Plots([plot_of("scores", grid_chart(grid), "The dev score of every cell, and of every seed.")]),
    ]
    yield Section("scores", "Scores", parts)
    if pairs:
        said = (
            "Points between students of the same seed, averaged over seeds; the interval is that of resampled dev "
            "examples. Clear is what leaves out zero."
        )
        parts = [Text(said)]
        for headings, same in difference_tables(pairs):
            rows = [[*difference_line(pair), "yes" if pair["difference"].clear else ""] for pair in same]
            parts.append(Table([*headings, "clear"], rows, [len(headings) - len(DIFFERENCE)]))
        yield Section("differences", "Which differences are clear", parts)
    axes = [axis for axis in grid.axes if axis != _SEED]
    times = [
        [*(str(row["at"][axis]) for axis in axes), f"{row['minutes']:.1f}", str(len(row["seeds"]))] for row in found
    ]
    time = Table([*axes, "minutes of all seeds", "seeds"], times, [len(axes), len(axes) + 1])
    yield Section("time", "How long cells took", [time])


def _table2(found: Sequence[Row], axes: Sequence[str]) -> Seeds:
    """Return scores with tasks as columns, all other axes as rows."""
    named = [axis for axis in axes if axis not in {_SEED, _TASK}]
    tasks = list(dict.fromkeys(str(row["at"].get(_TASK, "dev")) for row in found))
    by_place: dict[tuple[Any, ...], dict[str, Row]] = {}
    for row in found:
        place = tuple(row["at"][axis] for axis in named)
        by_place.setdefault(place, {})[str(row["at"].get(_TASK, "dev"))] = row
    ends = {
        task: (min(every), max(every))
        for task in tasks
        for every in [[s for row in found if str(row["at"].get(_TASK, "dev")) == task for s in row["by_seed"]]]
    }
    metrics = {str(row["at"].get(_TASK, "dev")): row["metric"] for row in found}
    rows = [
        {
            "names": [str(value) for value in place],
            "cells": [_cell(by_task.get(task), ends[task]) for task in tasks],
        }
        for place, by_task in by_place.items()
    ]
    return Seeds([*named, *(f"{task} ({metrics[task]})" for task in tasks)], len(named), rows)


def _cell(row: Row | None, ends: tuple[float, float]) -> Row | None:
    if row is None:
        return None
    low, high = ends
    width = (high - low) or 1.0
    spread = row["dev"]["spread"]
    return {
        "mean": row["dev"]["mean"],
        "shown": f"{100 * row['dev']['mean']:.1f}" + (f" ± {100 * spread:.1f}" if spread is not None else ""),
        "seeds": ", ".join(f"{100 * score:.1f}" for score in row["by_seed"]),
        "places": [round(_EDGE + (_WIDTH - 2 * _EDGE) * (score - low) / width, 1) for score in row["by_seed"]],
    }


def _measured(grid: Grid) -> Iterator[Section]:
    for number, (title, headings, rows) in enumerate(comparison(grid.rows, grid.axes)):
        figures = [i for i in range(len(headings)) if headings[i] not in {*grid.axes, "textbook"}]
        yield Section(f"table-{number}", title, [Table(headings, rows, figures)])
    parts: list[Part] = []
    for number, row in enumerate(grid.rows):
        charts = textbook_charts(row["statistics"])
        parts.append(Heading(", ".join(str(value) for value in row["at"].values())))
        parts.append(
            Plots(
                [
                    plot_of(f"{number}-{name}", charts[name], name)
                    for name in ("distinct", "overlap")
                    if name in charts
                ]
            )
        )
    yield Section("charts", "Richness and nearness", parts)

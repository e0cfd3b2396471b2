"""Tables for the terminal and for Markdown."""

import statistics
from collections.abc import Sequence
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

Row = dict[str, Any]

HEADINGS = ("model", "textbook", "parameters", "dev", "test", "sentences/s", "seconds")


def summary(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    """Return the lines of the results: one for each model's name, the mean and spread over its seeds.

    Args:
        rows: as in `report.json`.
    """
    by_name: dict[str, list[Row]] = {}
    for row in rows:
        by_name.setdefault(row["name"], []).append(row)
    return [
        (
            name,
            same[0]["textbook"] or "",
            f"{same[0]['parameters'] / 1e6:.1f} M",
            _score([row["dev"] for row in same]),
            _score([row["test"] for row in same if row["test"] is not None]),
            f"{statistics.mean(row['sentences_per_second'] for row in same):,.0f}",
            f"{statistics.mean(row['seconds'] for row in same):,.0f}",
        )
        for name, same in by_name.items()
    ]


def results_table(rows: Sequence[Row]) -> Group:
    """Return the results as a table for the terminal; scores in percent, ± the standard deviation of seeds."""
    seeds = len({row["seed"] for row in rows})
    title = f"{rows[0]['metric']}, %" + (f", mean ± standard deviation of {seeds} seeds" if seeds > 1 else "")
    table = Table()
    for heading in HEADINGS:
        table.add_column(heading, justify="left" if heading in HEADINGS[:2] else "right", no_wrap=True)
    for line in summary(rows):
        table.add_row(*line)
    return Group(Text(title), table)


def markdown_table(rows: Sequence[Row]) -> str:
    """Return the same lines as a Markdown table."""
    lines = [HEADINGS, tuple("---" if h in HEADINGS[:2] else "---:" for h in HEADINGS), *summary(rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def plan_table(stages: Sequence[Row], free_megabytes: int) -> Group:
    """Return the stages of a dry run as a table, with the sum of what is left to do."""
    seconds = sum(stage["estimated_seconds"] for stage in stages)
    megabytes = sum(stage["estimated_megabytes"] for stage in stages)
    title = (
        f"{len(stages)} stages, {sum(s['reused'] for s in stages)} finished; about {seconds / 60:.0f} min and "
        f"{megabytes:,.0f} MB to go ({free_megabytes:,} MB free)"
    )
    table = Table()
    for heading in ("stage", "key", "state", "seconds", "MB"):
        table.add_column(heading, justify="right" if heading in {"seconds", "MB"} else "left")
    for stage in stages:
        state = "finished" if stage["reused"] else "to do"
        left = ("", "") if stage["reused"] else (str(stage["estimated_seconds"]), str(stage["estimated_megabytes"]))
        table.add_row(stage["stage"], stage["key"][:16], state, *left)
    return Group(Text(title), table)


def _score(values: Sequence[float]) -> str:
    if not values:
        return "none"
    mean = f"{100 * statistics.mean(values):.1f}"
    return f"{mean} ± {100 * statistics.stdev(values):.1f}" if len(values) > 1 else mean

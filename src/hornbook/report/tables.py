"""Tables for the terminal and for Markdown."""

from collections.abc import Container, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.table import Table
from rich.text import Text

from hornbook.metrics import ERRORS
from hornbook.report.summary import amount, summarise

Row = dict[str, Any]

LABELS = 2  # columns of the table of results that are no figures


def headings(rows: Sequence[Row]) -> tuple[str, ...]:
    """Return the headings of the results; the errors of a regression have columns where a row has them."""
    errors = (f"{split} {ERRORS[name]}" for split, name in _errors(rows))
    return (
        *("model", "textbook", "parameters", "dev", "test", *errors),
        *("of teacher", "calibration error", "sentences/s", "seconds"),
    )


def lines(rows: Sequence[Row], beside: Sequence[Row] = ()) -> list[tuple[str, ...]]:
    """Return the lines of the results: one for each model's name, the mean and spread over its seeds.

    Args:
        rows: as in `report.json`.
        beside: all rows of a table in which these stand with others.
    """
    errors = _errors(beside or rows)
    return [
        (
            row["name"],
            row["textbook"] or "",
            f"{row['parameters'] / 1e6:.1f} M",
            _score(row["dev"]),
            _score(row["test"]),
            *(_error(row["errors"].get(split, {}).get(name)) for split, name in errors),
            "" if row["share_of_teacher"] is None else f"{100 * row['share_of_teacher']:.1f}%",
            "" if row["calibration_error"] is None else f"{100 * row['calibration_error']:.1f}",
            f"{row['sentences_per_second']:,.0f}",
            f"{row['seconds']:,.0f}",
        )
        for row in summarise(rows)
    ]


def results_table(rows: Sequence[Row]) -> Group:
    """Return the results as a table for the terminal; scores in percent, ± the standard deviation of seeds."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for place, heading in enumerate(headings(rows)):
        table.add_column(heading.replace(" ", "\n"), justify="left" if place < LABELS else "right", no_wrap=True)
    for line in lines(rows):
        table.add_row(*line)
    return Group(Text(title(rows)), table)


def title(rows: Sequence[Row]) -> str:
    """Return what the scores in a table of results are."""
    seeds = any(row["dev"]["spread"] is not None for row in summarise(rows))
    said = f"{rows[0]['metric']}, %" + (", mean ± standard deviation over seeds" if seeds else "")
    return said + ("; MAE and RMSE in the unit of the scores, lower is better" if _errors(rows) else "")


def markdown_table(rows: Sequence[Row]) -> str:
    """Return the same lines as a Markdown table."""
    names = headings(rows)
    return markdown_lines(names, lines(rows), range(LABELS, len(names)))


def markdown_lines(headings: Sequence[str], rows: Sequence[Sequence[str]], figures: Container[int]) -> str:
    """Return a table as Markdown; the columns at the places `figures` stand to the right."""
    rules = ["---:" if place in figures else "---" for place in range(len(headings))]
    return "\n".join(f"| {' | '.join(line)} |" for line in (headings, rules, *rows))


def plan_table(stages: Sequence[Row], free_megabytes: int) -> Group:
    """Return the stages of a dry run as a table, with the sum of what is left to do."""
    seconds = sum(stage["estimated_seconds"] for stage in stages)
    megabytes = sum(stage["estimated_megabytes"] for stage in stages)
    title = (
        f"{len(stages)} stages, {sum(s['reused'] for s in stages)} finished; about {seconds / 60:.0f} min and "
        f"{megabytes:,.0f} MB to go ({free_megabytes:,} MB free)"
    )
    if checkpoints := max((stage["checkpoint_megabytes"] for stage in stages), default=0):
        title += f"; checkpoints take up to {checkpoints:,.0f} MB besides, while a model is trained"
    if any(stage["rough"] for stage in stages):
        title += "; ~: nothing like it was run here, a figure of small tasks and models on two cores"
    table = Table()
    for heading in ("stage", "key", "state", "seconds", "MB"):
        table.add_column(heading, justify="right" if heading in {"seconds", "MB"} else "left")
    for stage in stages:
        state = "finished" if stage["reused"] else "to do"
        about = "~" if stage["rough"] else ""
        left = [] if stage["reused"] else [stage["estimated_seconds"], stage["estimated_megabytes"]]
        left = [f"{about}{figure}" for figure in left] or ["", ""]
        table.add_row(stage["stage"], stage["key"][:16], state, *left)
    return Group(Text(title), table)


def plain(text: str) -> str:
    """Return a text with a dot for each character that does not print, so that it cannot steer the terminal."""
    return "".join(character if character.isprintable() else "·" for character in text)


def _errors(rows: Sequence[Row]) -> list[tuple[str, str]]:
    """Return which errors there are, by split and name."""
    given = (row["errors"] for row in summarise(rows))
    return list(dict.fromkeys((split, name) for errors in given for split in errors for name in errors[split]))


def _error(found: Row | None) -> str:
    if found is None:
        return ""
    return amount(found["mean"]) + ("" if found["spread"] is None else f" ± {amount(found['spread'])}")


def _score(found: Row | None) -> str:
    if found is None:
        return "none"
    mean = f"{100 * found['mean']:.1f}"
    return mean if found["spread"] is None else f"{mean} ± {100 * found['spread']:.1f}"

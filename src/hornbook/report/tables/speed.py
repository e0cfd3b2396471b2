"""The table of how fast models classify."""

from collections.abc import Sequence

from rich.console import Group
from rich.table import Table
from rich.text import Text

from hornbook.report.tables.text import terminal_table
from hornbook.results import Speed
from hornbook.results.speeds import HEADINGS, TEXT_COLUMNS, measured, speed_lines

_NARROW = {"p50 ms": "p50\nms", "p95 ms": "p95\nms", "MB on disk": "MB on\ndisk", "peak MB": "peak\nMB"}


def speed_table(rows: Sequence[Speed], threads: int) -> Group:
    """Return the speed of models as a table for the terminal.

    Args:
        rows: a row for each model, format and size of batches.
        threads: the number of threads they ran with.

    Returns:
        the table, below a line that says what was measured.
    """
    names = [_NARROW.get(name, name) for name in HEADINGS]
    table: Table = terminal_table(names, speed_lines(rows), range(TEXT_COLUMNS, len(names)))
    return Group(Text(measured(threads)), table)

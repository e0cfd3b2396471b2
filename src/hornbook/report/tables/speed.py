"""The table of how fast models classify."""

from collections.abc import Sequence

from rich.console import Group
from rich.table import Table
from rich.text import Text

from hornbook.inference.benchmark import Speed
from hornbook.report.tables.text import terminal_table

_HEADINGS = ("model", "format", "batch", "sentences/s", "p50\nms", "p95\nms", "MB on\ndisk", "peak\nMB")
_TEXT_COLUMNS = 2


def speed_table(rows: Sequence[Speed], threads: int) -> Group:
    """Return the speed of models as a table for the terminal.

    Args:
        rows: a row for each model, format and size of batches.
        threads: the number of threads they ran with.

    Returns:
        the table, below a line that says what was measured.
    """
    said = f"{threads} thread{'s' * (threads > 1)}, tokenizer included, batches as texts come; the models took turns"
    lines = [
        (
            row.model,
            row.format,
            f"{row.batch}",
            f"{row.sentences_per_second:,.0f}",
            f"{row.p50_ms:,.2f}",
            f"{row.p95_ms:,.2f}",
            f"{row.mb:,.1f}",
            f"{row.peak_mb:,.0f}",
        )
        for row in rows
    ]
    table: Table = terminal_table(_HEADINGS, lines, range(_TEXT_COLUMNS, len(_HEADINGS)))
    return Group(Text(said), table)

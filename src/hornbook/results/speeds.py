"""How fast models classify, as the lines of a table."""

from collections.abc import Sequence

from hornbook.results.markdown import markdown_lines
from hornbook.results.rows import Speed

HEADINGS = ("model", "format", "batch", "sentences/s", "p50 ms", "p95 ms", "MB on disk", "peak MB")
TEXT_COLUMNS = 2
"""The number of columns of text; the others are numbers."""


def measured(threads: int) -> str:
    """Return how speeds were measured."""
    return f"{threads} thread{'s' * (threads > 1)}, tokenizer included, batches as texts come; the models took turns"


def speed_lines(rows: Sequence[Speed]) -> list[tuple[str, ...]]:
    """Return a line for each row; the columns are those of `HEADINGS`."""
    return [
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


def speed_markdown(rows: Sequence[Speed], threads: int) -> str:
    """Return the table as Markdown, with a line that says how it was measured."""
    table = markdown_lines(HEADINGS, speed_lines(rows), range(TEXT_COLUMNS, len(HEADINGS)))
    return f"{table}\n\n{measured(threads)[:1].upper()}{measured(threads)[1:]}."

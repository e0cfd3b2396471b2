"""Results as Markdown: tables, and text of the data that is shown as it is."""

import re
from collections.abc import Container, Sequence

# An underscore within a word does not mark emphasis.
_MARKS = re.compile(r"[\\`*\[\]|]|(?<!\w)_|_(?!\w)")


def markdown_lines(headings: Sequence[str], rows: Sequence[Sequence[str]], figures: Container[int]) -> str:
    """Return a table as Markdown; the columns at the places `figures` stand to the right."""
    rules = ["---:" if column in figures else "---" for column in range(len(headings))]
    return "\n".join(f"| {' | '.join(line)} |" for line in (headings, rules, *rows))


def escaped(text: str) -> str:
    """Escape text of the data, so that Markdown shows it literally: no HTML runs, no image is fetched."""
    shown = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;")
    return _MARKS.sub(r"\\\g<0>", shown)

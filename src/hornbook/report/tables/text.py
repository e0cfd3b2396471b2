"""What all tables share: Markdown, tables of the terminal, text of the data as it is."""

from collections.abc import Container, Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text


def terminal_table(
    headings: Sequence[str], rows: Sequence[Sequence[str]], figures: Container[int], *, wrap: bool = False
) -> Table:
    """Return a table for the terminal; the columns at the places `figures` stand to the right."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column, heading in enumerate(headings):
        justify = "right" if column in figures else "left"
        table.add_column(Text(plain(heading, "\n")), justify=justify, no_wrap=not wrap)  # type: ignore[arg-type]
    for row in rows:
        table.add_row(*(Text(plain(cell)) for cell in row))
    return table


def plain(text: str, allowed: str = "") -> str:
    """Return a text with a dot for each character that does not print, so that it cannot steer the terminal."""
    return "".join(character if character.isprintable() or character in allowed else "·" for character in text)

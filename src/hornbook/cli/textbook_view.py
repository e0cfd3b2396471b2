"""A look inside a textbook, for the terminal."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from hornbook.report.tables.text import plain

if TYPE_CHECKING:
    from hornbook.textbook.inspect.view import Anchor, View

_MISSING = "×"
_NAMES = {"anchors": "anchors that retrieve it", "rank": "best rank"}


def view_table(view: "View") -> Group:
    """Return a view of a textbook: anchors with the units that they retrieve, or some units."""
    if view.textbook.kind != "contextualized":
        names = {**_NAMES, "score": "log weight" if view.textbook.kind == "importance" else "best score"}
        return Group(*(part for unit in view.units for part in (_unit(unit, names), Text())))
    parts: list[RenderableType] = []
    for anchor in view.anchors:
        parts += [*_anchor(anchor), Text()]
    if any(not unit.in_textbook for anchor in view.anchors for unit in anchor.units):
        parts.append(Text(f"{_MISSING} not in the textbook: {', or '.join(_causes(view))}", style="dim"))
    return Group(*parts)


def _anchor(anchor: "Anchor") -> Iterator[RenderableType]:
    yield Text(plain(anchor.text), style="bold cyan")
    if not anchor.keywords:
        yield Text("no keywords: every word is a stop word")
        return
    yield Text.assemble("keywords: ", (", ".join(anchor.keywords), "bold"))
    if not anchor.units:
        yield Text("none of them is in the corpus")
        return
    shown = f", the best {len(anchor.units):,}" if len(anchor.units) < anchor.hits else ""
    yield Text(f"retrieves {anchor.hits:,} unit{'s' if anchor.hits > 1 else ''}{shown}:")
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for heading in ("rank", "score", "anchors"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("source", no_wrap=True)
    table.add_column("unit", overflow="fold")
    for unit in anchor.units:
        text = Text(plain(unit.text))
        for start, end in unit.matches:
            text.stylize("bold yellow", start, end)
        by = _MISSING if unit.anchors is None else f"{unit.anchors:,}"
        style = None if unit.in_textbook else "dim"
        table.add_row(f"{unit.rank}", f"{unit.score:.2f}", by, Text(plain(unit.source)), text, style=style)
    yield Padding(table, (0, 0, 0, 2))


def _unit(unit: dict[str, Any], names: dict[str, str]) -> Group:
    """Return a unit's texts, and under them its other fields, renamed by `names`."""
    texts = [Text(plain(unit[name])) for name in ("text", "text_pair") if name in unit]
    known = [
        f"{names.get(name, name)} {f'{value:.2f}' if isinstance(value, float) else plain(str(value))}"
        for name, value in unit.items()
        if name not in ("text", "text_pair")
    ]
    return Group(*texts, Text("  " + ", ".join(known), style="dim"))


def _causes(view: "View") -> Iterator[str]:
    """Yield why units that an anchor retrieves may not be in the textbook."""
    if view.asked:
        yield "no anchor of the task retrieves it"
    if view.textbook.artifact.info["contamination"] == "removed":
        yield "removed because it contains a dev or test text"
    if (proportion := view.textbook.artifact.manifest["config"]["proportion"]) < 1:
        yield f"beyond the top {100 * proportion:g}%"

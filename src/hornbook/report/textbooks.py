"""The statistics of textbooks as tables for the terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.table import Table
from rich.text import Text

_SHORTENED = 90


def statistics_tables(found: Mapping[str, Any]) -> Group:
    """Return what `textbook.statistics` found: contents, how anchors drew, Distinct-n, overlap, most-drawn units."""
    parts: list[Any] = [_contents(found["books"])]
    if drawn := [book for book in found["books"] if book["kind"] == "contextualized"]:
        parts.append(_drawn(drawn))
    parts += [_distinct(group) for group in found["distinct"]]
    if len(found["overlap"]["names"]) > 1:
        parts.append(_overlap(found["overlap"]))
    parts += [_most_drawn(book) for book in found["books"] if book["most_drawn"]]
    return Group(*parts)


def middle(lengths: Sequence[int], share: float = 0.5) -> int:
    """Return the length that a share of the units does not exceed; `lengths` counts units by length."""
    wanted, seen = share * sum(lengths), 0
    for length, count in enumerate(lengths):
        seen += count
        if seen >= wanted:
            return length
    return 0


def _contents(books: Sequence[Mapping[str, Any]]) -> Table:
    table = _table(
        "textbook", "kind", "cases", "MB", "words a case", "half are up to", "sources", "dev, test texts in it"
    )
    for book in books:
        whole = max(book["cases"], 1)
        sources = [f"{source} {count / whole:.0%}" for source, count in list(book["sources"].items())[:4]]
        told = book.get("contamination")
        table.add_row(
            book["name"],
            book["kind"],
            f"{book['cases']:,}",
            f"{book['bytes'] / 1e6:,.1f}",
            f"{book['words'] / whole:.1f}",
            f"{middle(book['lengths'])} words",
            ", ".join(sources) + (", …" if len(book["sources"]) > 4 else ""),
            "" if told is None else f"{told['found']:,} of {told['texts']:,}, in {told['units']:,} units",
        )
    return table


def _drawn(books: Sequence[Mapping[str, Any]]) -> Table:
    table = _table("textbook", "k", "anchors", "unique of retrieved", "anchors with fewer than k", "share of corpus")
    for book in books:
        counts, info = book["counts"], book["info"]
        if "anchors" not in counts:  # a part of another textbook
            continue
        table.add_row(
            book["name"],
            f"{counts['k']:,}",
            f"{counts['anchors']:,}",
            f"{info['unique_over_retrieved']:.2f}",
            f"{(counts['anchors_with_fewer_hits'] + counts['anchors_without_keywords']) / counts['anchors']:.1%}",
            f"{info['share']:.1%}",
        )
    return table


def _distinct(group: Mapping[str, Any]) -> Group:
    table = _table("text", "Distinct-1", "Distinct-2")
    for name, (first, second) in group["of"].items():
        table.add_row(name, *(_percent(one) for one in (first, second)))
    size = f"in samples of {group['unigrams']:,} words, as many as {group['like']} has; %, ± over 5 samples"
    return Group(Text(f"Distinct-n {size}"), table)


def _percent(one: Mapping[str, float]) -> str:
    return f"{one['mean']:.1f}" + (f" ± {one['spread']:.1f}" if one["spread"] else "")


def _overlap(overlap: Mapping[str, Any]) -> Group:
    names = overlap["names"]
    table = _table("", *names)
    for name, row in zip(names, overlap["matrix"], strict=True):
        table.add_row(name, *(f"{share:.1f}" for share in row))
    return Group(Text("Words in common among the 5,000 most frequent, stop words left out, %"), table)


def _most_drawn(book: Mapping[str, Any]) -> Group:
    table = _table("anchors", "score", "source", "unit")
    for unit in book["most_drawn"]:
        text = unit["text"] if len(unit["text"]) <= _SHORTENED else f"{unit['text'][: _SHORTENED - 1]}…"
        table.add_row(f"{unit['anchors']:,}", f"{unit['score']:.1f}", unit["source"] or "", Text(text))
    return Group(Text(f"Drawn most often into {book['name']}"), table)


_TEXTS = {"", "textbook", "text", "kind", "source", "sources", "unit"}


def _table(*headings: str) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for heading in headings:
        table.add_column(heading, justify="left" if heading in _TEXTS else "right")
    return table

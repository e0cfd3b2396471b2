"""Charts of textbooks (Altair), for files and for the report's page."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import altair as alt

from hornbook.store import write_text

# Told apart in print and by every eye (Okabe and Ito).
_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#888888")
WIDTH, HEIGHT = 420, 220


def textbook_charts(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return the charts of what `textbook.statistics` found, by name: lengths, sources, distinct, overlap."""
    charts: dict[str, Any] = {"lengths": length_chart(found["books"])}
    if any(book["sources"] for book in found["books"]):
        charts["sources"] = source_chart(found["books"])
    charts["distinct"] = distinct_chart(found["distinct"][0])
    if len(found["overlap"]["names"]) > 1:
        charts["overlap"] = overlap_chart(found["overlap"])
    return charts


def length_chart(books: Any) -> Any:
    """Return how long the units of textbooks are: the share of units by words."""
    rows = []
    for book in books:
        last = max((length for length, count in enumerate(book["lengths"]) if count), default=0)
        rows += [
            {"textbook": book["name"], "words": length, "share": count / max(book["cases"], 1)}
            for length, count in enumerate(book["lengths"][: last + 1])
        ]
    return (
        chart(rows)
        .mark_line(interpolate="step-after")
        .encode(
            alt.X("words:Q", title="words in a unit"),
            alt.Y("share:Q", title="share of the units", axis=alt.Axis(format="%")),
            colour("textbook", [book["name"] for book in books]),
            alt.StrokeDash("textbook:N", sort=None, legend=None),
            [alt.Tooltip("textbook:N"), alt.Tooltip("words:Q"), alt.Tooltip("share:Q", format=".2%")],
        )
        .properties(width=WIDTH, height=HEIGHT, title="How long units are")
    )


def source_chart(books: Any) -> Any:
    """Return where the units of textbooks come from: shares of sources, a bar for each textbook."""
    rows = [
        {"textbook": book["name"], "source": source, "share": count / sum(book["sources"].values())}
        for book in books
        for source, count in book["sources"].items()
    ]
    sources = list(dict.fromkeys(row["source"] for row in rows))
    for row in rows:
        row["place"] = sources.index(row["source"])
    return (
        chart(rows)
        .mark_bar()
        .encode(
            alt.X("share:Q", title="share of the units", axis=alt.Axis(format="%"), stack="normalize"),
            alt.Y("textbook:N", title=None, sort=None),
            colour("source", sources),
            alt.Order("place:Q", sort="ascending"),
            [alt.Tooltip("textbook:N"), alt.Tooltip("source:N"), alt.Tooltip("share:Q", format=".1%")],
        )
        .properties(width=WIDTH, height=alt.Step(28), title="Where units come from")
    )


def distinct_chart(group: Mapping[str, Any]) -> Any:
    """Return Distinct-1 and Distinct-2 as bars; lines show the spread over samples."""
    names = list(group["of"])
    rows = [
        {
            "text": name,
            "measure": f"Distinct-{n}",
            "percent": one["mean"],
            "low": one["mean"] - one["spread"],
            "high": one["mean"] + one["spread"],
        }
        for name, of in group["of"].items()
        for n, one in enumerate(of, 1)
    ]
    measures = ["Distinct-1", "Distinct-2"]
    base = chart(rows).encode(
        alt.Y("text:N", title=None, sort=names), alt.YOffset("measure:N", title=None, sort=measures)
    )
    bars = base.mark_bar().encode(
        alt.X("percent:Q", title="distinct n-grams, %"),
        colour("measure", measures),
        tooltip=[alt.Tooltip("text:N"), alt.Tooltip("measure:N"), alt.Tooltip("percent:Q", format=".1f")],
    )
    spread = base.mark_rule(color="#888888").encode(alt.X("low:Q"), alt.X2("high:Q"))
    title = alt.Title("How rich texts are", subtitle=f"in samples of {group['unigrams']:,} words")
    return alt.layer(bars, spread).properties(width=WIDTH, height=alt.Step(16), title=title)


def overlap_chart(overlap: Mapping[str, Any]) -> Any:
    """Return the overlap of vocabularies as a heat map with the figures in it."""
    names = overlap["names"]
    rows = [
        {"text": one, "other": other, "percent": overlap["matrix"][i][j]}
        for i, one in enumerate(names)
        for j, other in enumerate(names)
    ]
    base = chart(rows).encode(
        alt.X("other:N", title=None, sort=names, axis=alt.Axis(labelAngle=-30)),
        alt.Y("text:N", title=None, sort=names),
        tooltip=[alt.Tooltip("text:N"), alt.Tooltip("other:N"), alt.Tooltip("percent:Q", format=".1f")],
    )
    cells = base.mark_rect().encode(
        alt.Color("percent:Q", scale=alt.Scale(scheme="blues", domain=[0, 100]), title="words in common, %")
    )
    figures = base.mark_text(fontSize=12).encode(
        alt.Text("percent:Q", format=".0f"),
        color=alt.condition("datum.percent > 60", alt.value("white"), alt.value("black")),
    )
    title = alt.Title("How near vocabularies are", subtitle="the 5,000 most frequent words, stop words left out")
    return alt.layer(cells, figures).properties(width=alt.Step(64), height=alt.Step(40), title=title)


def write_charts(found: Mapping[str, Any], folder: Path) -> list[Path]:
    """Write the charts as SVG files into a folder and return their paths."""
    import vl_convert

    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, chart in textbook_charts(found).items():
        path = folder / f"{name}.svg"
        write_text(path, vl_convert.vegalite_to_svg(chart.to_json()))
        paths.append(path)
    return paths


def chart(rows: list[dict[str, Any]]) -> Any:
    """Return a chart of these rows without marks yet."""
    return alt.Chart(alt.Data(values=rows))  # type: ignore[no-untyped-call]


def colour(field: str, names: Sequence[str], present: Sequence[str] | None = None) -> alt.Color:
    """Return the colours of a field with these values; the legend has those that are present, all by default."""
    colours = [_COLOURS[i % len(_COLOURS)] for i in range(len(names))]
    legend = alt.Legend(values=list(present if present is not None else names))
    scale = alt.Scale(domain=list(names), range=colours)
    return alt.Color(f"{field}:N", sort=list(names), title=None, scale=scale, legend=legend)

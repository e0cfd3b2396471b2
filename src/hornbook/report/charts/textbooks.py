"""Charts of textbooks, for files and for the report's page."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import altair as alt

from hornbook.report.charts.base import HEIGHT, WIDTH, Chart, Points, chart_of, colour
from hornbook.results.inspection import DistinctGroup, Overlap, TextbookComparison, TextbookContents
from hornbook.store import write_text


def textbook_charts(found: TextbookComparison) -> Iterator[Chart]:
    """Yield the charts of textbooks that have something to show."""
    yield length_chart(found.books)
    if any(book.sources for book in found.books):
        yield source_chart(found.books)
    yield distinct_chart(found.distinct[0])
    if len(found.overlap.names) > 1:
        yield overlap_chart(found.overlap)


def length_chart(books: Sequence[TextbookContents]) -> Chart:
    """Return the share of units by their length."""
    points: Points = []
    for book in books:
        last = max((length for length, count in enumerate(book.lengths) if count), default=0)
        points += [
            {"textbook": book.name, "words": length, "share": count / max(book.cases, 1)}
            for length, count in enumerate(book.lengths[: last + 1])
        ]
    spec = (
        chart_of(points)
        .mark_line(interpolate="step-after")
        .encode(
            alt.X("words:Q", title="words per unit"),
            alt.Y("share:Q", title="share of units", axis=alt.Axis(format="%")),
            colour("textbook", [book.name for book in books]),
            alt.StrokeDash("textbook:N", sort=None, legend=None),
            [alt.Tooltip("textbook:N"), alt.Tooltip("words:Q"), alt.Tooltip("share:Q", format=".2%")],
        )
        .properties(width=WIDTH, height=HEIGHT, title="Length of units")
    )
    return Chart("lengths", spec, "Share of the units of each textbook by length in words.")


def source_chart(books: Sequence[TextbookContents]) -> Chart:
    """Return the shares of sources, a bar for each textbook."""
    points: Points = [
        {"textbook": book.name, "source": source, "share": count / sum(book.sources.values())}
        for book in books
        for source, count in book.sources.items()
    ]
    sources = list(dict.fromkeys(point["source"] for point in points))
    for point in points:
        point["place"] = sources.index(point["source"])
    spec = (
        chart_of(points)
        .mark_bar()
        .encode(
            alt.X("share:Q", title="share of units", axis=alt.Axis(format="%"), stack="normalize"),
            alt.Y("textbook:N", title=None, sort=None),
            colour("source", sources),
            alt.Order("place:Q", sort="ascending"),
            [alt.Tooltip("textbook:N"), alt.Tooltip("source:N"), alt.Tooltip("share:Q", format=".1%")],
        )
        .properties(width=WIDTH, height=alt.Step(28), title="Sources of units")
    )
    return Chart("sources", spec, "Share of the units of each textbook by source.")


def distinct_chart(group: DistinctGroup) -> Chart:
    """Return Distinct-1 and Distinct-2 as bars; lines show the standard deviation over samples."""
    names = list(group.of)
    points: Points = [
        {
            "text": name,
            "measure": f"Distinct-{n}",
            "percent": one.mean,
            "low": one.mean - one.spread,
            "high": one.mean + one.spread,
        }
        for name, of in group.of.items()
        for n, one in enumerate(of, 1)
    ]
    measures = ["Distinct-1", "Distinct-2"]
    base = chart_of(points).encode(
        alt.Y("text:N", title=None, sort=names), alt.YOffset("measure:N", title=None, sort=measures)
    )
    bars = base.mark_bar().encode(
        alt.X("percent:Q", title="distinct n-grams, %"),
        colour("measure", measures),
        tooltip=[alt.Tooltip("text:N"), alt.Tooltip("measure:N"), alt.Tooltip("percent:Q", format=".1f")],
    )
    spread = base.mark_rule(color="#888888").encode(alt.X("low:Q"), alt.X2("high:Q"))
    title = alt.Title("Lexical diversity", subtitle=f"in samples of {group.unigrams:,} words")
    spec = alt.layer(bars, spread).properties(width=WIDTH, height=alt.Step(16), title=title)
    return Chart("distinct", spec, "Distinct words and word pairs in samples of equal size. Higher is more diverse.")


def overlap_chart(overlap: Overlap) -> Chart:
    """Return the overlap of vocabularies as a heat map with the figures in it."""
    names = list(overlap.names)
    points: Points = [
        {"text": one, "other": other, "percent": overlap.matrix[i][j]}
        for i, one in enumerate(names)
        for j, other in enumerate(names)
    ]
    base = chart_of(points).encode(
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
    title = alt.Title("Vocabulary overlap", subtitle="the 5,000 most frequent words, without stop words")
    spec = alt.layer(cells, figures).properties(width=alt.Step(64), height=alt.Step(40), title=title)
    return Chart("overlap", spec, "Words in common, of the 5,000 most frequent in each text. Higher is nearer.")


def write_charts(found: TextbookComparison, folder: Path) -> list[Path]:
    """Write the charts as SVG files into a folder and return their paths."""
    import vl_convert

    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for chart in textbook_charts(found):
        path = folder / f"{chart.name}.svg"
        write_text(path, vl_convert.vegalite_to_svg(chart.spec.to_json()))
        paths.append(path)
    return paths

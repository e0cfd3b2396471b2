import io

from rich.console import Console

from hornbook.report.charts.textbooks import textbook_charts, write_charts
from hornbook.report.tables.textbooks import middle, statistics_tables
from hornbook.results.inspection import TextbookComparison
from hornbook.results.plain import from_json

UNIT = {"text": "a film [bold]not a mark[/bold]" + " and more" * 20, "source": "web", "unit": 1, "rank": 1}
BOOK = {
    "name": "drawn",
    "kind": "contextualized",
    "cases": 3,
    "bytes": 2_500_000,
    "words": 9,
    "lengths": [0, 1, 0, 1, 1],
    "sources": {"web": 2, "books": 1},
    "most_drawn": [{**UNIT, "score": 3.25, "anchors": 7}],
    "counts": {"k": 5, "anchors": 10, "anchors_with_fewer_hits": 1, "anchors_without_keywords": 1},
    "info": {"unique_over_retrieved": 0.5, "share": 0.04},
    "contamination": {"units": 2, "found": 1, "texts": 50},
}
FOUND = from_json(
    TextbookComparison,
    {
        "books": [BOOK],
        "distinct": [
            {
                "like": "task",
                "unigrams": 1000,
                "of": {
                    name: [{"mean": 12.3, "spread": 0.0}, {"mean": 60.0, "spread": 1.5}] for name in ("task", "drawn")
                },
            }
        ],
        "overlap": {"names": ["task", "drawn"], "matrix": [[100.0, 64.5], [64.5, 100.0]]},
    },
)


def printed() -> str:
    console = Console(file=io.StringIO(), width=160)
    console.print(statistics_tables(FOUND))
    return " ".join(console.file.getvalue().split())


def test_tables_hold_the_figures():
    text = printed()
    for part in ("2.5", "3.0", "3 words", "web 67%, books 33%", "1 of 50, in 2 units", "0.50", "20.0%", "4.0%"):
        assert part in text
    for part in (
        "in samples of 1,000 words, the size of task",
        "60.0 ± 1.5",
        "64.5",
        "Most retrieved units of drawn",
    ):
        assert part in text


def test_text_of_the_data_is_shown_as_it_is_and_shortened():
    text = printed()
    assert "[bold]not a mark[/bold]" in text
    assert "…" in text


def test_the_length_that_half_do_not_exceed():
    assert middle([0, 0, 5, 5]) == 2
    assert middle([0, 1, 1, 3]) == 3
    assert middle([]) == 0


def test_charts_are_written_without_a_network(tmp_path):
    paths = write_charts(FOUND, tmp_path / "plots")
    assert [path.stem for path in paths] == ["lengths", "sources", "distinct", "overlap"]
    for path in paths:
        assert path.read_text("utf-8").startswith("<svg")


def test_every_chart_has_a_caption():
    assert all(chart.caption.endswith(".") for chart in textbook_charts(FOUND))

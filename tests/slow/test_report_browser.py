"""The report's page in a browser: it draws, answers to the mouse, asks no network and runs nothing of the data."""

from dataclasses import replace
from pathlib import Path

import pytest

from hornbook.report.page import write_report
from hornbook.report.page.runs import runs_report
from hornbook.report.page.write import html
from hornbook.results import read_results
from hornbook.results.inspection import Mistake
from made_up import experiment_of

pytestmark = pytest.mark.slow

SCREENSHOTS = Path(__file__).resolve().parents[2] / "build" / "screenshots"
DESK, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


class Opened:
    """A page in the browser, what it complained of and what it asked the network for."""

    def __init__(self, browser, path: Path, scheme: str = "light", size: dict = DESK) -> None:
        self.context = browser.new_context(color_scheme=scheme, viewport=size)
        self.said: list[str] = []
        self.asked: list[str] = []
        self.context.route("**/*", self._only_files)
        self.page = self.context.new_page()
        self.page.on("console", lambda message: self.said.append(message.text) if message.type == "error" else None)
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.goto(path.as_uri())
        self.page.wait_for_function(
            "[...document.querySelectorAll('[data-chart]')].every((place) => place.dataset.drawn === 'yes')",
            timeout=60_000,
        )

    def _only_files(self, route) -> None:
        if route.request.url.startswith(("file:", "data:")):
            route.continue_()
        else:
            self.asked.append(route.request.url)
            route.abort()


@pytest.fixture
def opened(browser):
    """Open pages; at the end none has complained, and none has asked the network for anything."""
    pages: list[Opened] = []

    def open_page(path: Path, **settings) -> Opened:
        pages.append(Opened(browser, path, **settings))
        return pages[-1]

    yield open_page
    for one in pages:
        assert one.said == []
        assert one.asked == []
        one.context.close()


@pytest.fixture(scope="module")
def page_of_run(finished_run, hostile, tmp_path_factory) -> Path:
    """The page of a run whose corpus, mistakes and settings hold hostile text."""
    run = read_results(finished_run)
    mistake = Mistake(hostile, "positive", "positive", hostile, 0.9)
    found = replace(run.inspection, mistakes=(mistake, *run.inspection.mistakes))
    run = replace(run, inspection=found, recipe={**run.recipe, "name": hostile})
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(html(runs_report({"small": run})), "utf-8")
    return path


@pytest.fixture(scope="module")
def page_of_grid(tmp_path_factory, hostile) -> Path:
    folder = tmp_path_factory.mktemp("grid")
    result = experiment_of({"task": ("films", "songs"), "textbook": ("none", "task", "general", hostile)})
    page, _ = write_report(replace(result, failed={"songs, 4": hostile}, folder=folder))
    return page


def test_every_chart_is_drawn(opened, page_of_run):
    page = opened(page_of_run).page
    charts = page.locator("[data-chart]")
    assert charts.count() >= 7
    assert page.locator("[data-chart] svg").count() == charts.count()
    for i in range(charts.count()):
        assert charts.nth(i).get_attribute("aria-label")
        # an axis with NaN in it, or no mark at all, is a chart of nothing
        assert charts.nth(i).locator("svg path").count() > 2
        assert "NaN" not in charts.nth(i).inner_html()


def test_a_point_says_what_it_is(opened, page_of_run):
    page = opened(page_of_run).page
    # several points may lie on one another, so it is the figures of any of them that show
    point = page.locator("[data-chart=size] svg .mark-symbol.role-mark path").first
    point.scroll_into_view_if_needed()
    box = point.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.wait_for_selector("#vg-tooltip-element.visible", timeout=5000)
    assert "parameters" in page.locator("#vg-tooltip-element").inner_text()


def test_anchors_are_found_and_shown(opened, page_of_run, hostile):
    page = opened(page_of_run).page
    browser = page.locator(".browser").first
    anchors = browser.locator("li button")
    assert anchors.count() > 10
    second = anchors.nth(1)
    second.click()
    assert second.get_attribute("aria-pressed") == "true"
    assert browser.locator(".shown h3").inner_text() == second.inner_text()
    assert browser.locator(".shown .unit").count() > 0
    keywords = browser.locator(".shown p").first.inner_text()
    assert browser.locator(".shown mark").first.inner_text().lower() in keywords.lower()
    assert hostile in browser.locator(".shown .unit").first.inner_text()
    browser.locator("input").fill(second.inner_text())
    assert [one.is_visible() for one in anchors.all()].count(True) == 1
    browser.locator("input").fill("no such anchor")
    assert not any(one.is_visible() for one in anchors.all())


def test_a_click_on_a_heading_sorts(opened, page_of_run):
    page = opened(page_of_run).page
    table = page.locator("#results table")
    heading = table.locator("th", has_text="dev")

    def shown() -> list[float]:
        cells = table.locator("tbody tr td:nth-child(4)").all_inner_texts()
        return [float(text.split(" ")[0]) for text in cells]

    heading.locator("button").click()
    assert heading.get_attribute("aria-sort") == "ascending"
    assert shown() == sorted(shown())
    heading.locator("button").click()
    assert heading.get_attribute("aria-sort") == "descending"
    assert shown() == sorted(shown(), reverse=True)


def test_hostile_text_is_shown_and_not_run(opened, page_of_run, page_of_grid, hostile):
    for path in (page_of_run, page_of_grid):
        page = opened(path).page
        assert hostile[:30] in page.locator("main").text_content()
        assert page.title() in {"small", "grid"}
        assert page.locator("img").count() == 0


def test_the_policy_lets_nothing_else_run(browser, page_of_run, tmp_path):
    """A script that someone puts into the page, or a text that asks for one, is refused by the browser."""
    changed = tmp_path / "changed.html"
    injected = "<script>document.title = 'run'</script><img src='https://example.org/a.png'></body>"
    text = page_of_run.read_text("utf-8")
    assert text.count("</body>\n</html>") == 1
    changed.write_text(text.replace("</body>\n</html>", f"{injected}\n</html>"), "utf-8")
    seen = Opened(browser, changed)
    assert seen.page.title() == "small"
    assert len([line for line in seen.said if "Content Security Policy" in line]) == 2
    assert seen.asked == []
    with pytest.raises(Exception, match="Content Security Policy"):
        seen.page.add_script_tag(content="document.title = 'run'")
    assert seen.page.title() == "small"
    seen.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
@pytest.mark.parametrize("which", ["run", "grid"])
def test_it_is_readable_in_the_light_in_the_dark_and_on_a_phone(
    opened, page_of_run, page_of_grid, which, scheme, size
):
    page = opened({"run": page_of_run, "grid": page_of_grid}[which], scheme=scheme, size=size).page
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{which}-{scheme}-{size['width']}.png", full_page=True)
    wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide <= 0, "the page itself scrolls sideways"
    ink, ground = (page.evaluate(f"getComputedStyle(document.body).{name}") for name in ("color", "backgroundColor"))
    light = [sum(map(int, colour[4:-1].split(","))) > 382 for colour in (ink, ground)]
    assert light == ([False, True] if scheme == "light" else [True, False])
    drawn = page.locator("[data-chart] svg text").first
    assert 'fill="#000"' not in drawn.evaluate("(text) => text.outerHTML")


def test_charts_follow_when_light_turns_to_dark(opened, page_of_run):
    page = opened(page_of_run).page
    title = "() => document.querySelector('[data-chart=size] .role-title-text text').getAttribute('fill')"
    before = page.evaluate(title)
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(f"(before) => ({title})() !== before", arg=before, timeout=10_000)

"""What the report says of runs."""

from collections.abc import Iterator, Sequence
from typing import Any

import yaml

from hornbook.report.charts import textbook_charts
from hornbook.report.facts import Run
from hornbook.report.page.parts import (
    Anchors,
    Code,
    Heading,
    Lines,
    Part,
    Plots,
    Report,
    Section,
    Table,
    Text,
    plot_of,
    shown,
)
from hornbook.report.page.textbooks import SAID
from hornbook.report.run_charts import run_charts
from hornbook.report.summary import amount
from hornbook.report.tables import LABELS, headings, lines, title
from hornbook.report.textbooks import describe, percent
from hornbook.report.verdict import next_steps, verdict

Row = dict[str, Any]
_SHORT = 300

_SAID = {
    "size": "Dev score of each model against its parameters; the larger the point, the faster the model.",
    "loss": "Loss of each distillation over its steps, a line for each seed.",
    "dev": "Dev score of teacher and students while they are fitted to the labels, a line for each seed.",
    "calibration": "How often models are right against how sure they are; on the dashed line they are equal.",
}


def runs_report(runs: Sequence[Run]) -> Report:
    """Return what is said of runs of one task.

    Args:
        runs: one or more; of several, each has its own sections behind a common table.
    """
    several = len(runs) > 1
    rows = [{**row, "name": f"{run.name}: {row['name']}"} if several else row for run in runs for row in run.rows]
    task = runs[0].task
    examples = ", ".join(f"{count:,} {name}" for name, count in task["examples"].items())
    sections = [
        Section("results", "Results", [Text(title(rows)), _results(runs)]),
        *(section for run in runs for section in _sections(run, several)),
    ]
    verdicts = [f"{run.name}: {verdict(run)}" if several else verdict(run) for run in runs]
    about = f"Task {task['name']} ({task['kind']}): {examples}."
    return Report(", ".join(run.name for run in runs), about, verdicts, sections)


def _results(runs: Sequence[Run]) -> Table:
    """Return the models of all runs, each beside the teacher of its own."""
    before = {run.name: f"{run.name}: " if len(runs) > 1 else "" for run in runs}
    every = [row for run in runs for row in run.rows]
    rows = [(f"{before[run.name]}{name}", *rest) for run in runs for name, *rest in lines(run.rows, every)]
    names = headings(every)
    return Table(names, rows, range(LABELS, len(names)))


def _sections(run: Run, several: bool) -> Iterator[Section]:
    before, of = (f"{run.name}-", f"{run.name}: ") if several else ("", "")

    def section(name: str, heading: str, parts: Sequence[Part]) -> Section:
        return Section(f"{before}{name}", f"{of}{heading}" if of else heading[0].upper() + heading[1:], parts)

    if said := [*next_steps(run), *run.remarks]:
        yield section("next", "what to try next, and what to know", [Lines(said)])
    charts = run_charts(run)
    plots = [plot_of(f"{before}{name}", chart, (_SAID | SAID)[name]) for name, chart in charts.items()]
    yield section("training", "score, size, training", [Plots(plots)])
    if run.statistics is not None:
        yield section("textbooks", "the textbooks", list(_textbooks(run, before)))
    for name, view in run.anchors.items():
        anchors = Anchors(f"{before}anchor-data-{name}", view.as_json()["anchors"])
        yield section(
            f"anchors-{name}",
            f"what anchors draw into {name}",
            [Text("Anchors at random, with their keywords and the best of the units that they draw."), anchors],
        )
    if run.mistakes:
        yield section("mistakes", "what the student gets wrong and the teacher right", _mistakes(run))
    yield section("settings", "settings", list(_settings(run)))


def _textbooks(run: Run, before: str) -> Iterator[Part]:
    assert run.statistics is not None
    headings, rows, labels = describe(run.statistics["books"])
    yield Table(headings, rows, [i for i in range(len(headings)) if i not in labels])
    charts = textbook_charts(run.statistics)
    yield Plots([plot_of(f"{before}{name}", chart, (_SAID | SAID)[name]) for name, chart in charts.items()])
    for group in run.statistics["distinct"]:
        yield Text(f"Distinct-n in samples of {group['unigrams']:,} words, as many as {group['like']} has, %")
        found = [[name, *(percent(one) for one in of)] for name, of in group["of"].items()]
        yield Table(["text", "Distinct-1", "Distinct-2"], found, [1, 2])
    for book in run.statistics["books"]:
        if book["most_drawn"]:
            yield Heading(f"Drawn most often into {book['name']}")
            drawn = [
                [f"{unit['anchors']:,}", f"{unit['score']:.1f}", unit["source"] or "", _short(unit["text"])]
                for unit in book["most_drawn"]
            ]
            yield Table(["anchors", "best score", "source", "unit"], drawn, [0, 1])


def _mistakes(run: Run) -> list[Part]:
    assert run.best is not None
    pair = any("text_pair" in one for one in run.mistakes)
    regression = run.task["kind"] == "regression"
    said = f"Of dev; the student is {run.best['name']}, seed {run.best['seeds'][0]}, " + (
        "the widest of the mark first." if regression else "the surest first."
    )
    headings = ["text", *(["second text"] if pair else []), "gold", "teacher", "student"]
    headings.append("further off by" if regression else "sure")
    rows = [
        [
            *(_short(one.get(name, "")) for name in (("text", "text_pair") if pair else ("text",))),
            *((amount if regression else shown)(one[name]) for name in ("gold", "teacher", "student")),
            amount(one["sure"]) if regression else f"{one['sure']:.0%}",
        ]
        for one in run.mistakes
    ]
    return [Text(said, quiet=True), Table(headings, rows, [len(headings) - 1])]


def _settings(run: Run) -> Iterator[Part]:
    yield Text(f"As recipe.yaml this makes the run again: hornbook run recipe.yaml --runs {run.folder.parent}")
    yield Code("recipe.yaml", yaml.safe_dump(run.recipe, sort_keys=False, allow_unicode=True))
    rows = [
        [stage["stage"], stage["key"][:16], f"{stage['seconds']:,.1f}", "yes" if stage["reused"] else ""]
        for stage in run.stages
    ]
    yield Heading("Stages")
    yield Table(["stage", "key", "seconds", "was there"], rows, [2])


def _short(text: str) -> str:
    return text if len(text) <= _SHORT else f"{text[:_SHORT]}…"

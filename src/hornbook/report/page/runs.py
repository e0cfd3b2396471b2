"""The report of runs."""

from collections.abc import Iterator, Mapping, Sequence

import yaml

from hornbook.metrics import is_fidelity
from hornbook.recipe import BenchmarkConfig
from hornbook.report.charts.runs import run_charts
from hornbook.report.charts.textbooks import textbook_charts
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
)
from hornbook.report.tables.runs import LABELS, export_lines, export_rows, headings, lines, title
from hornbook.report.tables.textbooks import describe, percent
from hornbook.results import ExportResult, Inspection, RunResult
from hornbook.results.inspection import Mistake, TextbookComparison
from hornbook.results.speeds import HEADINGS, TEXT_COLUMNS, measured, speed_lines
from hornbook.results.summary import best_student
from hornbook.results.verdict import next_steps, verdict
from hornbook.results.words import amount

_SHORT = 300


def runs_report(runs: Mapping[str, RunResult]) -> Report:
    """Return the report of runs of one task.

    Args:
        runs: one or more by name. Several share one table of results; the other sections follow for each run.

    Returns:
        the report.
    """
    several = len(runs) > 1
    every = [row for run in runs.values() for row in run.rows]
    task = next(iter(runs.values())).task
    examples = ", ".join(f"{count:,} {name}" for name, count in task.examples.items())
    sections = [
        Section("results", "Results", [Text(title(every)), _results(runs)]),
        *(section for name, run in runs.items() for section in _sections(name, run, several)),
    ]
    verdicts = [(f"{name}: " if several else "") + verdict(run.rows, run.task.metric) for name, run in runs.items()]
    about = f"Task {task.name} ({task.kind}): {examples}. {_students(runs)}".strip()
    return Report(", ".join(runs), about, verdicts, sections)


def _students(runs: Mapping[str, RunResult]) -> str:
    """Return the size of the runs' students and what they began as; nothing if it differs between runs."""
    all_students = [run.recipe.get("student") for run in runs.values()]
    student = all_students[0]
    if not student or any(other != student for other in all_students):
        return ""
    starts = {
        "random": "random weights",
        "projected": "their teacher's weights, projected",
        "layers": "layers of their teacher",
    }
    init = student["init"]
    begin = starts.get(init, f"the weights of {init}")
    return f"Students of {student['layers']}×{student['hidden']} begin with {begin}."


def _results(runs: Mapping[str, RunResult]) -> Table:
    """Return the table of the models of all runs."""
    every = [row for run in runs.values() for row in run.rows]
    rows = [
        (f"{run_name}: {name}" if len(runs) > 1 else name, *rest)
        for run_name, run in runs.items()
        for name, *rest in [*lines(run.rows, every), *export_rows(run.export, run.rows, every)]
    ]
    names = headings(every)
    return Table(names, rows, range(LABELS, len(names)))


def _sections(name: str, run: RunResult, several: bool) -> Iterator[Section]:
    before, of = (f"{name}-", f"{name}: ") if several else ("", "")
    found = run.inspection or Inspection()

    def section(name: str, heading: str, parts: Sequence[Part]) -> Section:
        return Section(f"{before}{name}", f"{of}{heading}" if of else heading[0].upper() + heading[1:], parts)

    if advice := [*next_steps(run.rows, found, run.task.examples.get("dev", 0)), *run.remarks]:
        yield section("next", "next steps and remarks", [Lines(advice)])
    plots = [plot_of(chart, before) for chart in run_charts(run)]
    yield section("training", "scores, size and training", [Plots(plots)])
    if found.statistics is not None:
        yield section("textbooks", "textbooks", list(_textbooks(found.statistics, before)))
    for name, anchors in found.anchors.items():
        yield section(
            f"anchors-{name}",
            f"what anchors retrieve for {name}",
            [
                Text("Random anchors with their keywords and the best units that they retrieve."),
                Anchors(f"{before}anchor-data-{name}", anchors),
            ],
        )
    if found.mistakes:
        parts = _mistakes(run, found.mistakes)
        yield section("mistakes", "mistakes of the student that the teacher does not make", parts)
    if run.export is not None:
        yield section("export", "export", list(_export(run.export)))
    yield section("settings", "settings", list(_settings(run)))


def _export(found: ExportResult) -> Iterator[Part]:
    yield Lines(export_lines(found))
    if found.speeds:
        yield Text(f"Speed: {measured(BenchmarkConfig().threads)}.")
        yield Table(HEADINGS, speed_lines(found.speeds), range(TEXT_COLUMNS, len(HEADINGS)))


def _textbooks(found: TextbookComparison, before: str) -> Iterator[Part]:
    headings, rows, labels = describe(found.books)
    yield Table(headings, rows, [i for i in range(len(headings)) if i not in labels])
    yield Plots([plot_of(chart, before) for chart in textbook_charts(found)])
    for group in found.distinct:
        yield Text(f"Distinct-n, %, in samples of {group.unigrams:,} words, the size of {group.like}")
        lines = [[name, *(percent(one) for one in of)] for name, of in group.of.items()]
        yield Table(["text", "Distinct-1", "Distinct-2"], lines, [1, 2])
    for book in found.books:
        if book.most_drawn:
            yield Heading(f"Most retrieved units of {book.name}")
            drawn = [
                [f"{unit.anchors:,}", f"{unit.score:.1f}", unit.source or "", _short(unit.text)]
                for unit in book.most_drawn
            ]
            yield Table(["anchors", "best score", "source", "unit"], drawn, [0, 1])


def _mistakes(run: RunResult, mistakes: Sequence[Mistake]) -> list[Part]:
    best = best_student(run.rows)
    assert best is not None  # the mistakes are its own
    pair = any(one.text_pair is not None for one in mistakes)
    regression = run.task.kind == "regression"
    order = "the largest errors first" if regression else "the most confident first"
    known = not is_fidelity(run.task.metric)
    headings = ["text", *(["second text"] if pair else []), *(["gold"] if known else []), "teacher", "student"]
    headings.append("extra error" if regression else "confidence")
    rows = [
        [
            _short(one.text),
            *([_short(one.text_pair or "")] if pair else []),
            *(_answer(answer) for answer in (*([one.gold] if known else []), one.teacher, one.student)),
            amount(one.sure) if regression else f"{one.sure:.0%}",
        ]
        for one in mistakes
    ]
    about = f"Dev examples; the student is {best.name}, seed {best.seeds[0]}; {order}."
    return [Text(about, quiet=True), Table(headings, rows, [len(headings) - 1])]


def _answer(answer: str | float) -> str:
    return answer if isinstance(answer, str) else amount(answer)


def _settings(run: RunResult) -> Iterator[Part]:
    yield Text(f"Save this as recipe.yaml to repeat the run: hornbook run recipe.yaml --runs {run.folder.parent}")
    yield Code("recipe.yaml", yaml.safe_dump(run.recipe, sort_keys=False, allow_unicode=True))
    rows = [
        [stage.stage, stage.key[:16], f"{stage.seconds or 0:,.1f}", "yes" if stage.reused else ""]
        for stage in run.stages
    ]
    yield Heading("Stages")
    yield Table(["stage", "key", "seconds", "reused"], rows, [2])


def _short(text: str) -> str:
    return text if len(text) <= _SHORT else f"{text[:_SHORT]}…"

"""Grids of runs and the HTML report: `hornbook experiment` and `report`."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hornbook import recipe as settings_of
from hornbook.cli.command import Answer
from hornbook.cli.options import Runs
from hornbook.cli.output import print_table, say
from hornbook.machine import hub
from hornbook.machine import load as machine

if TYPE_CHECKING:
    from hornbook.experiment import ExperimentPlan


def experiment_command(
    file: Annotated[Path, typer.Argument(metavar="EXPERIMENT", help="Experiment file: a base recipe and its axes.")],
    runs: Runs = Path("runs"),
    dry_run: Annotated[
        bool, typer.Option("--dry-run", metavar="", help="Show cells, stages and time; run nothing.")
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", metavar="", help="Run even if there are more cells than `most_cells`.")
    ] = False,
    cluster: Annotated[
        str | None,
        typer.Option(
            "--cluster",
            help="Run cells in parallel on a Ray cluster, one per GPU: `auto`, `local`, HOST:PORT or ray://HOST:PORT.",
        ),
    ] = None,
    quiet: bool = False,
) -> Answer:
    """Run a grid of recipes that differ in some settings. Finished and shared stages are not computed again."""
    from hornbook import experiment
    from hornbook.report.tables.grids import experiment_table

    settings = settings_of.load_experiment(file)
    cells = experiment.cells(settings, file)
    if dry_run:
        finished = experiment.FinishedCells.read(file.parent / settings.results if settings.results else None)
        return _show_plan(experiment.plan(cells, runs, finished), quiet)
    machine.settle(cells[0].recipe.threads)
    result = experiment.run_experiment(file, runs, cluster=cluster, allow_many=yes)
    if result.rows:
        print_table(experiment_table(result), quiet)
        table = result.folder / experiment.TABLE
        say(f"table: {table}; HTML report: run `hornbook report {result.folder}`", quiet)
    _say_failed("failed", result.failed, quiet)
    return {name: value for name, value in result.as_json().items() if name in ("rows", "failed")}


def _show_plan(plan: "ExperimentPlan", quiet: bool) -> Answer:
    """Print the plan of an experiment and return it as the command's answer."""
    say(
        f"{plan.cells} cells, {plan.finished} finished; {plan.stages} stages, {plan.shared} of them shared by cells, "
        f"{plan.missing} to do, about {plan.seconds / 60:.0f} min",
        quiet,
    )
    if plan.waiting:
        say(
            f"{plan.waiting} cells are not in the plan; out of reach: {', '.join(plan.unreachable)} "
            f"({hub.why_not()})",
            quiet,
        )
    _say_failed("cannot run", plan.failed, quiet)
    return asdict(plan)


def _say_failed(what: str, failed: Mapping[str, str], quiet: bool) -> None:
    """Print which cells failed, one line per reason."""
    by_reason: dict[str, list[str]] = {}
    for name, reason in failed.items():
        by_reason.setdefault(reason, []).append(name)
    for reason, names in by_reason.items():
        others = f" and {len(names) - 1} more" if len(names) > 1 else ""
        say(f"{what}: {names[0]}{others}: {reason}", quiet)


def report_command(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN…", help="Runs of one task, or one experiment: RUNS/NAME.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="HTML file, with Markdown beside it. Default: report.html in RUN, report-NAME.html beside a file.",
        ),
    ] = None,
    quiet: bool = False,
) -> Answer:
    """Write an HTML report that needs no network: scores, curves, textbooks, mistakes, what to try next."""
    from hornbook.report.page import write_report

    page, twin = write_report(runs, out)
    say(f"{page} ({page.stat().st_size / 1e6:.1f} MB), {twin}", quiet)
    return {"page": str(page), "markdown": str(twin)}

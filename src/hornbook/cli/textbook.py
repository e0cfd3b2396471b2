"""`hornbook textbook`: build one, measure several, look inside."""

from pathlib import Path
from typing import Annotated, Any

import typer

from hornbook import recipe as settings_of
from hornbook.cli.command import Answer, with_settings
from hornbook.cli.options import TASK_OPTIONS, ClusterOption, Out, Runs, prepared_task, refuse_idle, with_task
from hornbook.cli.output import print_table, say, show_artifact
from hornbook.errors import HornbookError
from hornbook.machine import load as machine


@with_task
@with_settings(*settings_of.BOOKS, leave_out=("kind", "books", "then"))
def textbook_build_command(
    out: Out,
    kind: Annotated[str, typer.Option("--kind", help=f"{', '.join(settings_of.KINDS)}.")] = "contextualized",
    corpus: Annotated[
        str | None, typer.Option("--corpus", help="A finished corpus: its folder, or an address such as s3://….")
    ] = None,
    task: Annotated[
        str | None, typer.Option("--task", help="The task it is about: as for `hornbook finetune`.")
    ] = None,
    like: Annotated[
        Path | None, typer.Option("--like", help="A finished textbook as large as which a sample is made.")
    ] = None,
    books: Annotated[
        list[Path] | None, typer.Option("--book", help="A finished textbook of a union; to be repeated.")
    ] = None,
    cluster: ClusterOption = None,
    *,
    task_settings: dict[str, Any],
    settings: dict[str, Any],
    quiet: bool = False,
) -> Answer:
    """Build a textbook of any kind."""
    from hornbook import textbook
    from hornbook.cluster import executor_on
    from hornbook.store import load

    parts = [load(book, textbook.STAGE) for book in books or ()]
    named = {"books": tuple(part.key for part in parts)} if parts else {}
    config = settings_of.textbook_config({"kind": kind, **named, **settings}, "textbook build")
    if config.kind == "chain":
        raise HornbookError(
            "textbook build: a chain is not one textbook: `hornbook distil` takes --textbook several times, and a "
            "recipe names the textbooks of a chain"
        )
    refuse_idle("--task", task, [TASK_OPTIONS.get(name, name) for name in task_settings])
    if isinstance(config, settings_of.AugmentedConfig):
        machine.settle()
    prepared = prepared_task(task, out, task_settings) if task else None
    found = load(corpus, "corpus") if corpus else None
    size = load(like, textbook.STAGE) if like else None
    with executor_on(cluster) as executor:
        made = textbook.build(config, corpus=found, task=prepared, like=size, books=parts, out=out, executor=executor)
    return show_artifact(made, quiet)


@with_task
def textbook_stats_command(
    books: Annotated[list[Path], typer.Argument(metavar="BOOK…", help="Finished textbooks.")],
    task: Annotated[
        str | None, typer.Option("--task", help="Compare with this task's text, and look for its dev and test texts.")
    ] = None,
    plots: Annotated[Path | None, typer.Option("--plots", help="A folder for plots (SVG).")] = None,
    runs: Runs = Path("runs"),
    *,
    task_settings: dict[str, Any],
    quiet: bool = False,
) -> Answer:
    """Say what textbooks hold, how rich they are, and how near to each other and to a task."""
    from hornbook.pipeline import STORE
    from hornbook.report.textbooks import statistics_tables
    from hornbook.textbook.inspect.statistics import statistics

    refuse_idle("--task", task, [TASK_OPTIONS.get(name, name) for name in task_settings])
    prepared = prepared_task(task, runs / "task", task_settings) if task else None
    # Where `textbook build` keeps what it shares lies beside them, and in what BOOKS/* stands for.
    found = statistics([book for book in books if book.name != STORE], prepared)
    print_table(statistics_tables(found), quiet)
    if plots is not None:
        from hornbook.report.charts import write_charts

        for path in write_charts(found, plots):
            say(f"plot: {path}", quiet)
    return found


def textbook_show_command(
    book: Annotated[Path, typer.Argument(metavar="TEXTBOOK", help="A finished textbook.")],
    anchor: Annotated[
        str | None, typer.Option("--anchor", help="Any text: what it draws; of a contextualized textbook.")
    ] = None,
    random: Annotated[
        int | None,
        typer.Option("--random", min=1, help="So many of the task's anchors, or of the units where none drew them."),
    ] = None,
    units: Annotated[int, typer.Option("--units", min=1, help="Units of each anchor, the best first.")] = 10,
    corpus: Annotated[str | None, typer.Option("--corpus", help="The textbook's corpus, where it was moved.")] = None,
    task: Annotated[
        str | None, typer.Option("--task", help="The textbook's task, as it was prepared, where it was moved.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of what is drawn at random.")] = 0,
    *,
    quiet: bool = False,
) -> Answer:
    """Look inside a textbook: what anchors draw, with the matching terms marked, or some of its units."""
    from hornbook.report.show import view_table
    from hornbook.textbook import open_textbook
    from hornbook.textbook.inspect.view import view

    found = view(open_textbook(book), anchor=anchor, random=random, units=units, seed=seed, corpus=corpus, task=task)
    print_table(view_table(found), quiet)
    return found.as_json()

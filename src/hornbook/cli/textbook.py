"""`hornbook textbook`: build a textbook, measure several, look inside one."""

from pathlib import Path
from typing import Annotated, Any

import typer

from hornbook import recipe as settings_of
from hornbook.cli.command import Answer, settings_from, with_settings
from hornbook.cli.options import ClusterOption, Out, Runs, prepared_task, refuse_unused, task_options, with_task
from hornbook.cli.output import print_table, say, show_artifact
from hornbook.machine import load as machine

# A chain is a sequence of textbooks, not one.
_KINDS = {kind: model for kind, model in settings_of.CONFIGS.items() if kind != settings_of.CHAIN}


@with_task
@with_settings(*_KINDS.values(), leave_out=("kind", "books"))
def textbook_build_command(
    context: typer.Context,
    out: Out,
    kind: Annotated[
        str,
        typer.Option(
            "--kind",
            help=f"Kind of textbook: {', '.join(_KINDS)}; or a kind that an installed package adds. "
            "Its settings are options too.",
        ),
    ] = "contextualized",
    corpus: Annotated[
        str | None, typer.Option("--corpus", help="Corpus to draw from: its folder, or an address such as s3://….")
    ] = None,
    task: Annotated[
        str | None, typer.Option("--task", help="The textbook's task; see `hornbook finetune --help`.")
    ] = None,
    like: Annotated[
        Path | None, typer.Option("--like", help="Match the size of this textbook (general, importance).")
    ] = None,
    books: Annotated[
        list[Path] | None, typer.Option("--book", help="Textbook to include in a union. Repeat for several.")
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

    where = "textbook build"
    parts = [load(book, textbook.STAGE) for book in books or ()]
    named = {"books": tuple(part.key for part in parts)} if parts else {}
    model = settings_of.textbook_class(kind, where)
    others = settings_from(context.args, model)
    config = settings_of.validate(model, {"kind": kind, **named, **settings, **others}, where)
    refuse_unused(task_options(task_settings), "--task", task)
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
    books: Annotated[list[Path], typer.Argument(metavar="TEXTBOOK…", help="Finished textbooks.")],
    task: Annotated[
        str | None, typer.Option("--task", help="Compare with this task's text; count its dev and test texts.")
    ] = None,
    plots: Annotated[Path | None, typer.Option("--plots", help="Folder for plots (SVG).")] = None,
    runs: Runs = Path("runs"),
    *,
    task_settings: dict[str, Any],
    quiet: bool = False,
) -> Answer:
    """Report size, lexical diversity and vocabulary overlap of textbooks."""
    from hornbook.pipeline import STORE
    from hornbook.report.tables.textbooks import statistics_tables
    from hornbook.results.inspection import TextbookComparison
    from hornbook.results.plain import from_json
    from hornbook.textbook.inspect.statistics import statistics

    refuse_unused(task_options(task_settings), "--task", task)
    prepared = prepared_task(task, runs / "task", task_settings) if task else None
    # `textbook build` keeps shared artefacts in a folder beside the textbooks; a glob such as BOOKS/* includes it.
    found = statistics([book for book in books if book.name != STORE], prepared)
    compared = from_json(TextbookComparison, found)
    print_table(statistics_tables(compared), quiet)
    if plots is not None:
        from hornbook.report.charts.textbooks import write_charts

        for path in write_charts(compared, plots):
            say(f"plot: {path}", quiet)
    return found


def textbook_show_command(
    book: Annotated[Path, typer.Argument(metavar="TEXTBOOK", help="Finished textbook.")],
    anchor: Annotated[
        str | None,
        typer.Option("--anchor", help="Show what this text retrieves (contextualized textbooks only)."),
    ] = None,
    random: Annotated[
        int | None, typer.Option("--random", min=1, help="Number of random anchors (or units) to show.")
    ] = None,
    units: Annotated[int, typer.Option("--units", min=1, help="Number of units per anchor, best first.")] = 10,
    corpus: Annotated[
        str | None, typer.Option("--corpus", help="Location of the textbook's corpus, if it was moved.")
    ] = None,
    task: Annotated[
        str | None, typer.Option("--task", help="Location of the textbook's prepared task, if it was moved.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the random choice.")] = 0,
    *,
    quiet: bool = False,
) -> Answer:
    """Show what anchors retrieve, with matching terms marked, or some units of a textbook."""
    from hornbook.cli.textbook_view import view_table
    from hornbook.textbook import open_textbook
    from hornbook.textbook.inspect.view import view

    found = view(open_textbook(book), anchor=anchor, random=random, units=units, seed=seed, corpus=corpus, task=task)
    print_table(view_table(found), quiet)
    return found.as_json()


def textbook_sample_command(
    book: Annotated[Path, typer.Argument(metavar="TEXTBOOK", help="Finished textbook.")],
    out: Annotated[Path, typer.Option("--out", help="JSONL file to write.")],
    units: Annotated[int, typer.Option("--units", min=1, help="Number of units to write.")] = 20_000,
    student: Annotated[
        str | None, typer.Option("--student", help="Classifier that is asked: units it is least sure of come first.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the order of units without a rank.")] = 0,
    *,
    quiet: bool = False,
) -> Answer:
    """Write the units of a textbook that are worth labelling: near all anchors, without near-repeats."""
    from hornbook.textbook.to_label import sample_to_label

    if student is not None:
        machine.settle()
    written = sample_to_label(book, units, out, student=student, seed=seed)
    say(f"wrote {written:,} units to {out}; add a column label (or probabilities) and name it in teacher.file", quiet)
    return {"file": str(out), "units": written}

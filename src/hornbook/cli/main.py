"""The commands and their groups. Heavy imports are inside the commands, so that `hornbook --help` is quick."""

from importlib.metadata import version
from typing import Annotated

import typer

from hornbook.cli.care import clean_command, doctor_command, verify_command
from hornbook.cli.command import Commands, command
from hornbook.cli.corpus import corpus_build_command
from hornbook.cli.experiment import experiment_command, report_command
from hornbook.cli.inference import benchmark_command, predict_command
from hornbook.cli.label import label_command
from hornbook.cli.run import new_command, quickstart_command, run_command
from hornbook.cli.stages import adapt_command, distil_command, evaluate_command, export_command, finetune_command
from hornbook.cli.textbook import (
    textbook_build_command,
    textbook_sample_command,
    textbook_show_command,
    textbook_stats_command,
)

_WHOLE, _STAGE, _USE, _CARE = "The whole job", "One stage at a time", "A finished model", "Artefacts and installation"
_ANY_OPTION = {"allow_extra_args": True, "ignore_unknown_options": True}

app = typer.Typer(name="hornbook", cls=Commands, pretty_exceptions_enable=False)
corpus_app = typer.Typer(help="Build the general corpus.", cls=Commands)
textbook_app = typer.Typer(help="Build, measure, show and sample textbooks.", cls=Commands)
app.add_typer(corpus_app, name="corpus", rich_help_panel=_STAGE)
app.add_typer(textbook_app, name="textbook", rich_help_panel=_STAGE)


def _print_version(given: bool) -> None:
    if given:
        typer.echo(f"hornbook {version('hornbook')}")
        raise typer.Exit


@app.callback()
def hornbook_command(
    show_version: Annotated[
        bool,
        typer.Option(
            "--version", metavar="", callback=_print_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Make a small encoder for one task from a big fine-tuned one."""


def main() -> None:
    """Run the command line."""
    app()


app.command("quickstart", rich_help_panel=_WHOLE)(command(quickstart_command))
app.command("new", rich_help_panel=_WHOLE)(command(new_command))
app.command("run", rich_help_panel=_WHOLE, context_settings=_ANY_OPTION)(command(run_command))
app.command("experiment", rich_help_panel=_WHOLE)(command(experiment_command))
app.command("report", rich_help_panel=_WHOLE)(command(report_command))
app.command("finetune", rich_help_panel=_STAGE)(command(finetune_command))
app.command("distil", rich_help_panel=_STAGE)(command(distil_command))
app.command("adapt", rich_help_panel=_STAGE)(command(adapt_command))
app.command("evaluate", rich_help_panel=_STAGE)(command(evaluate_command))
app.command("export", rich_help_panel=_STAGE)(command(export_command))
app.command("label", rich_help_panel=_STAGE)(command(label_command))
app.command("predict", rich_help_panel=_USE)(command(predict_command))
app.command("benchmark", rich_help_panel=_USE)(command(benchmark_command))
app.command("verify", rich_help_panel=_CARE)(command(verify_command))
app.command("clean", rich_help_panel=_CARE)(command(clean_command))
app.command("doctor", rich_help_panel=_CARE)(command(doctor_command))
corpus_app.command("build")(command(corpus_build_command))
textbook_app.command("build", context_settings=_ANY_OPTION)(command(textbook_build_command))
textbook_app.command("stats")(command(textbook_stats_command))
textbook_app.command("show")(command(textbook_show_command))
textbook_app.command("sample")(command(textbook_sample_command))

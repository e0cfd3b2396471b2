"""The commands and their groups. Heavy imports stand inside the commands, so that `hornbook --help` is quick."""

import typer

from hornbook.cli.command import Commands, command
from hornbook.cli.corpus import corpus_build_command
from hornbook.cli.experiment import experiment_command, report_command
from hornbook.cli.run import new_command, quickstart_command, run_command
from hornbook.cli.stages import adapt_command, distil_command, evaluate_command, finetune_command
from hornbook.cli.textbook import textbook_build_command, textbook_show_command, textbook_stats_command

app = typer.Typer(
    name="hornbook",
    help="Make a small encoder for one task from a big fine-tuned one.",
    cls=Commands,
    add_completion=False,
    pretty_exceptions_enable=False,
)
corpus_app = typer.Typer(help="The general corpus: sources cut to units, de-duplicated.", cls=Commands)
textbook_app = typer.Typer(help="Textbooks: from what a student learns.", cls=Commands)
_WHOLE, _STAGE = "The whole job", "One stage at a time"
app.add_typer(corpus_app, name="corpus", rich_help_panel=_STAGE)
app.add_typer(textbook_app, name="textbook", rich_help_panel=_STAGE)


def main() -> None:
    """Run the command line."""
    app()


_ANY = {"allow_extra_args": True, "ignore_unknown_options": True}
app.command("quickstart", rich_help_panel=_WHOLE)(command(quickstart_command))
app.command("new", rich_help_panel=_WHOLE)(command(new_command))
app.command("run", rich_help_panel=_WHOLE, context_settings=_ANY)(command(run_command))
app.command("experiment", rich_help_panel=_WHOLE)(command(experiment_command))
app.command("report", rich_help_panel=_WHOLE)(command(report_command))
app.command("finetune", rich_help_panel=_STAGE)(command(finetune_command))
app.command("distil", rich_help_panel=_STAGE)(command(distil_command))
app.command("adapt", rich_help_panel=_STAGE)(command(adapt_command))
app.command("evaluate", rich_help_panel=_STAGE)(command(evaluate_command))
corpus_app.command("build")(command(corpus_build_command))
textbook_app.command("build")(command(textbook_build_command))
textbook_app.command("stats")(command(textbook_stats_command))
textbook_app.command("show")(command(textbook_show_command))

"""`hornbook corpus`: build the general corpus."""

from typing import Annotated, Any

import typer

from hornbook import recipe as settings_of
from hornbook.cli.command import Answer, with_settings
from hornbook.cli.options import Out
from hornbook.cli.output import show_artifact


@with_settings(settings_of.CorpusConfig, leave_out=("sources",))
def corpus_build_command(
    sources: Annotated[list[str], typer.Argument(metavar="SOURCE…", help="Files, folders, globs, or hub:NAME.")],
    out: Out,
    *,
    settings: dict[str, Any],
    quiet: bool = False,
) -> Answer:
    """Build a corpus: split sources into units and remove duplicates."""
    from hornbook import corpus

    values = {"sources": tuple(sources), **settings}
    config = settings_of.validate(settings_of.CorpusConfig, values, "corpus build")
    return show_artifact(corpus.build(config, out), quiet)

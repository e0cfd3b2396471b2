"""`hornbook corpus`: the general corpus."""

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
    """Cut sources to units and de-duplicate them."""
    from hornbook import corpus

    values = {"sources": tuple(sources), **settings}
    return show_artifact(
        corpus.build(settings_of.validate(settings_of.CorpusConfig, values, "corpus build"), out), quiet
    )

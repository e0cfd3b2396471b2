"""A finished classifier at work: `hornbook predict` and `benchmark`."""

import logging
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hornbook import recipe as settings_of
from hornbook.cli.command import Answer, with_settings
from hornbook.cli.output import say
from hornbook.errors import HornbookError
from hornbook.machine import load as machine

if TYPE_CHECKING:
    from hornbook.inference.output import Done

logger = logging.getLogger("hornbook")


@with_settings(settings_of.PredictConfig)
def predict_command(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="Classifier: an export, another folder or a hub name.")
    ],
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="JSONL, CSV, TSV or Parquet; - is the standard input.")
    ] = "-",
    out: Annotated[
        Path | None,
        typer.Option("--out", help="File to create: .jsonl, .csv, .tsv or .parquet. Default: the standard output."),
    ] = None,
    input_format: Annotated[
        str | None,
        typer.Option("--format", help="Format of the input, if its name does not say it. Of -: jsonl by default."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", metavar="", help="Replace --out if it is there.")] = False,
    *,
    settings: dict[str, Any],
    quiet: bool = False,
) -> Answer:
    """Classify the rows of a file; they are written in their order with label and probabilities."""
    if quiet and out is None:
        raise HornbookError("--json: rows go to the standard output; name a file with --out")
    config = settings_of.validate(settings_of.PredictConfig, settings, "predict")
    machine.settle(config.threads)
    from hornbook.inference.predict import predict_file

    done = predict_file(model, file, out, config, format=input_format, force=force)
    if out is None:
        logger.info("%s", _counted(done))
    else:
        say(f"{out}: {_counted(done)}", quiet)
    return {"file": None if out is None else str(out), **asdict(done)}


def _counted(done: "Done") -> str:
    """Return how many rows there are, and what was done with special ones."""
    parts = [f"{done.rows:,} rows"]
    parts += [f"{done.unlabelled:,} without a label"] if done.unlabelled else []
    parts += [f"{done.cut:,} texts cut at the model's length"] if done.cut else []
    parts += [f"{done.skipped:,} bad rows skipped (the first: {done.first_fault})"] if done.skipped else []
    return ", ".join(parts)

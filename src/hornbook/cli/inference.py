"""A finished classifier at work: `hornbook predict` and `benchmark`."""

import logging
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hornbook import recipe as settings_of
from hornbook.cli.command import Answer, with_settings
from hornbook.cli.options import Runs, prepared_task, refuse_unused, task_options, with_task
from hornbook.cli.output import print_table, say
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


@with_task
@with_settings(settings_of.BenchmarkConfig, leave_out=("texts",))
def benchmark_command(
    models: Annotated[list[str], typer.Argument(metavar="MODEL…", help="Classifiers: exports, folders, hub names.")],
    task: Annotated[str | None, typer.Option("--task", help="Labelled data: measure on its dev texts.")] = None,
    file: Annotated[str | None, typer.Option("--texts", help="File with texts to measure on, instead.")] = None,
    runs: Runs = Path("runs"),
    *,
    task_settings: dict[str, Any],
    settings: dict[str, Any],
    quiet: bool = False,
) -> Answer:
    """Measure how fast models classify, in each of their formats; they take turns."""
    config = settings_of.validate(settings_of.BenchmarkConfig, settings, "benchmark")
    if (task is None) == (file is None):
        raise HornbookError("name the texts to measure on, with --task or with --texts")
    machine.settle(config.threads)
    from hornbook.inference.benchmark import benchmark, texts_of_file, texts_of_task
    from hornbook.report.tables.speed import speed_table
    from hornbook.tasks import open_task

    if file is not None:
        columns = {name: task_settings.pop(name) for name in ("text", "text_pair") if name in task_settings}
        refuse_unused(task_options(task_settings), "--task", task)
        texts = texts_of_file(file, settings_of.PredictConfig(**columns))
    else:
        texts = texts_of_task(open_task(prepared_task(str(task), runs / "task", task_settings)))
    rows = benchmark(models, texts, config)
    print_table(speed_table(rows, config.threads), quiet)
    return {"threads": config.threads, "rows": [asdict(row) for row in rows]}


def _counted(done: "Done") -> str:
    """Return how many rows there are, and what was done with special ones."""
    parts = [f"{done.rows:,} row{'s' * (done.rows != 1)}"]
    parts += [f"{done.unlabelled:,} without a label"] if done.unlabelled else []
    parts += [f"{done.cut:,} text{'s' * (done.cut != 1)} cut at the model's length"] if done.cut else []
    parts += (
        [f"{done.skipped:,} bad row{'s' * (done.skipped != 1)} skipped (the first: {done.first_fault})"]
        if done.skipped
        else []
    )
    return ", ".join(parts)

"""Labels from a language model: `hornbook label`."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hornbook import recipe as settings_of
from hornbook.cli.command import Answer, with_settings
from hornbook.cli.output import say

if TYPE_CHECKING:
    from hornbook.labelling.label import Labelled


@with_settings(settings_of.LabelConfig)
def label_command(
    file: Annotated[
        str, typer.Argument(metavar="TO-LABEL", help="JSONL, CSV, TSV or Parquet; - is the standard input.")
    ],
    endpoint: Annotated[
        str, typer.Option("--endpoint", help="OpenAI-compatible address. Its key: OPENAI_API_KEY in the environment.")
    ],
    model: Annotated[str, typer.Option("--model", help="Name of the language model there.")],
    prompt: Annotated[
        Path, typer.Option("--prompt", help="File with the question; {text}, {text_pair} and {labels} are filled in.")
    ],
    out: Annotated[Path, typer.Option("--out", help="File to create: .jsonl, .csv, .tsv or .parquet.")],
    answers: Annotated[
        Path | None,
        typer.Option("--answers", help="File that keeps every answer. Default: NAME.answers.jsonl beside --out."),
    ] = None,
    input_format: Annotated[
        str | None,
        typer.Option("--format", help="Format of the input, if its name does not say it. Of -: jsonl by default."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", metavar="", help="Replace --out if it is there; answers are kept.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", metavar="", help="Say what it would cost in tokens; ask nothing.")
    ] = False,
    *,
    settings: dict[str, Any],
    quiet: bool = False,
) -> Answer:
    """Label texts with a language model: probabilities for `teacher: {kind: file}`."""
    config = settings_of.validate(settings_of.LabelConfig, settings, "label")
    from hornbook.labelling.label import label_file

    done = label_file(
        file,
        out,
        endpoint=endpoint,
        model=model,
        prompt=prompt,
        config=config,
        answers=answers,
        format=input_format,
        force=force,
        dry_run=dry_run,
    )
    if not dry_run:
        say(f"{out}: {_counted(done)}", quiet)
    return {"file": str(out), **asdict(done)}


def _counted(done: "Labelled") -> str:
    """Return what became of the rows."""
    parts = [f"{done.rows:,} row{'s' * (done.rows != 1)} with a label"]
    others = {
        "refused by the model": done.refused,
        "with nonsense for an answer": done.nonsense,
        "with an answer longer than --answer-tokens": done.cut,
        "rejected by the server": done.rejected,
        "without a text": done.skipped,
    }
    parts += [f"{count:,} {what}" for what, count in others.items() if count]
    parts += [f"the first: {done.first_fault}"] if done.first_fault else []
    parts += [f"{done.low_mass:,} answers are a label with a probability below 0.5"] if done.low_mass else []
    parts += [f"{done.calls:,} calls, {done.tokens:,} tokens in all"]
    parts += [f"stopped at {done.stopped} with {done.left:,} rows left: raise it and run again with --force"] * bool(
        done.left
    )
    return "; ".join(parts)

"""Print lines, tables and finished artefacts."""

from typing import Any

import typer

from hornbook.cli.command import Answer


def say(text: str, quiet: bool) -> None:
    """Print a line on stdout unless `quiet`."""
    if not quiet:
        typer.echo(text)


def print_table(table: Any, quiet: bool) -> None:
    """Print a rich table on stdout unless `quiet`."""
    from rich.console import Console

    if not quiet:
        console = Console()
        # A file or pipe has no width; 80 columns would cut the names of models.
        Console(width=None if console.is_terminal else max(console.width, 120)).print(table)


def show_artifact(artifact: Any, quiet: bool) -> Answer:
    """Print a finished artefact in one line and return it as the command's answer."""
    from hornbook.metrics import ERRORS
    from hornbook.results.words import amount
    from hornbook.tasks.task import score_name

    found = [f"{name.replace('_', ' ')} {count:,}" for name, count in artifact.counts.items()]
    for split, scores in artifact.info.get("scores", {}).items():
        for name, score in scores.items():
            shown = amount(score) if name in ERRORS else f"{score:.3f}"
            found.append(f"{split} {score_name(name, artifact.info['labels'])} {shown}")
    if "best_dev" in artifact.info:
        found.append(f"best on dev {artifact.info['best_dev']:.3f}")
    state = ", already finished" if artifact.reused else ""
    say(f"{artifact.path}: {artifact.stage}{state}: {', '.join(found)}", quiet)
    return {
        "folder": str(artifact.path),
        "stage": artifact.stage,
        "key": artifact.key,
        "reused": artifact.reused,
        "counts": dict(artifact.counts),
        "info": dict(artifact.info),
        "measured": dict(artifact.measured),
    }

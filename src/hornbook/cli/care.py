"""What keeps an installation and its artefacts in order: `hornbook verify`, `clean` and `doctor`."""

from pathlib import Path
from typing import Annotated

import typer

from hornbook.cli.command import Answer
from hornbook.cli.options import Runs
from hornbook.cli.output import say
from hornbook.machine.disk import megabytes


def verify_command(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of an artefact or of a run.")],
    quiet: bool = False,
) -> Answer:
    """Compare every file of an artefact or a run, and of all it was made from, with its checksum."""
    from hornbook.store.verify import verify

    found = verify(folder)
    for fault in found.faults:
        say(fault, quiet)
    state = f"{len(found.faults)} missing or changed" if found.faults else "all as they were made"
    say(f"{folder}: {len(found.artifacts)} artefacts, {found.files} files: {state}", quiet)
    if found.elsewhere:
        say(
            f"not compared, as they are no artefacts here (sources, models): {len(found.elsewhere)} inputs, such as "
            f"{found.elsewhere[0]}",
            quiet,
        )
    return {
        "artifacts": [str(path) for path in found.artifacts],
        "files": found.files,
        "failed": list(found.faults),
        "elsewhere": list(found.elsewhere),
    }


def clean_command(
    runs: Runs = Path("runs"),
    days: Annotated[float, typer.Option("--days", min=0, help="Keep what was made in the last days.")] = 1.0,
    yes: Annotated[bool, typer.Option("--yes", metavar="", help="Remove what is listed.")] = False,
    quiet: bool = False,
) -> Answer:
    """List the artefacts that no run needs; with --yes remove them. Those of experiments count as not needed."""
    from hornbook.pipeline.clean import remove, unused

    found = unused(runs, days)
    for one in found:
        say(f"{megabytes(one.size):>14}  {one.stage:16}  {one.folder}", quiet)
    if yes:
        remove(runs, found)
    total, state = megabytes(sum(one.size for one in found)), "removed" if yes else "nothing is removed without --yes"
    say(f"{runs}: {len(found)} artefacts that no run needs, {total}; {state}", quiet)
    return {
        "artifacts": [{"folder": str(one.folder), "stage": one.stage, "bytes": one.size} for one in found],
        "removed": yes,
    }


def doctor_command(runs: Runs = Path("runs"), quiet: bool = False) -> Answer:
    """Show versions, processor, memory, disk, GPU, compiled core, hub and caches: one page for an issue."""
    from hornbook.pipeline.doctor import examine

    found = examine(runs)
    for name, line in found.items():
        say(f"{name:14} {line}", quiet)
    return found

"""Options that several commands share, and the parsing of their values."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from hornbook import recipe as settings_of
from hornbook.cli.command import with_settings
from hornbook.errors import HornbookError

Out = Annotated[Path, typer.Option("--out", help="Folder to create.")]
Runs = Annotated[Path, typer.Option("--runs", help="Folder of runs and of the artefacts they share.")]
SeedOption = Annotated[
    int, typer.Option("--seed", min=0, max=(1 << 32) - 1, help="Seed of initial weights, data order and dropout.")
]
ClusterOption = Annotated[
    str | None,
    typer.Option(
        "--cluster", help="Search the corpus on a Ray cluster: `auto`, `local`, HOST:PORT or ray://HOST:PORT."
    ),
]
Jobs = Annotated[
    int, typer.Option("--jobs", min=1, help="Number of students to train in parallel processes (CPU only).")
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", metavar="", help="Show the stages with time and disk space; run nothing.")
]
TaskOption = Annotated[
    str,
    typer.Option("--task", help="Labelled data: a file, folder, `glue/NAME`, hub dataset, or prepared task."),
]
LabelNames = Annotated[
    str | None,
    typer.Option("--label-names", help="Map the classifier's labels to the task's: {its label: task's label, …}."),
]
# Every setting of a task except `source`, which is --task. Three have longer names than in a recipe.
TASK_OPTIONS = {"folder": "glue_folder", "kind": "task_kind", "label_names": "task_label_names"}
with_task = with_settings(settings_of.TaskConfig, leave_out=("source",), names=TASK_OPTIONS, into="task_settings")


def refuse_unused(options: Sequence[str], needed: str, present: object) -> None:
    """Refuse options that have no effect without another option.

    Args:
        options: the names of the options that were given.
        needed: the option that they need.
        present: whether that option was given.

    Raises:
        HornbookError: an option was given without the one it needs.
    """
    if options and not present:
        raise HornbookError(f"--{options[0].replace('_', '-')}: has no effect without {needed}")


def prepared_task(task: str, out: Path, settings: dict[str, Any]) -> Any:
    """Open a prepared task, or prepare one in the store beside `out`.

    Args:
        task: the folder of a prepared task, or the source of labelled data.
        out: the folder that the command creates.
        settings: settings of the task given on the command line.

    Returns:
        the artefact of the task.

    Raises:
        HornbookError: the data is missing or wrong, or settings were given for a prepared task.
    """
    from hornbook import tasks
    from hornbook.pipeline import STORE
    from hornbook.store import MANIFEST, Store, load

    if (Path(task) / MANIFEST).is_file():
        if settings:
            raise HornbookError(f"{task}: is already prepared; leave out the setting {next(iter(settings))!r}")
        return load(task, "task")
    config = settings_of.validate(settings_of.TaskConfig, {"source": task, **settings}, "--task")
    return tasks.prepare(config, Store(out.parent / STORE))


def task_options(settings: dict[str, Any]) -> list[str]:
    """Return the option names of settings of a task."""
    return [TASK_OPTIONS.get(name, name) for name in settings]


def parse_label_names(text: str | None) -> dict[str, str] | None:
    """Parse the value of --label-names: the task's label for each of a classifier's labels."""
    names = parse_mapping(text, "--label-names", "{the model's label: the task's label, …}")
    try:
        return settings_of.names_as_text(names) if names else None
    except ValueError as error:
        raise HornbookError(f"--label-names: {error}") from None


def parse_mapping(text: str | None, flag: str, form: str) -> dict[Any, Any] | None:
    """Parse the value of an option as a YAML mapping.

    Args:
        text: the value, if the option was given.
        flag: the option.
        form: an example, for the error message.

    Returns:
        the mapping; None if the option was not given.

    Raises:
        HornbookError: the value is not a mapping.
    """
    values = settings_of.parse_value(text, flag) if text else None
    if not isinstance(values, dict | None):
        raise HornbookError(f"{flag}: give {form}")
    return values

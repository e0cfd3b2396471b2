"""Options that several commands share, and how their texts are read."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from hornbook import recipe as settings_of
from hornbook.cli.command import with_settings
from hornbook.errors import HornbookError

Out = Annotated[Path, typer.Option("--out", help="The folder to make.")]
Runs = Annotated[Path, typer.Option("--runs", help="The folder of runs and shared artefacts.")]
SeedOption = Annotated[
    int, typer.Option("--seed", min=0, max=(1 << 32) - 1, help="Seed of weights, order and dropout.")
]
ClusterOption = Annotated[
    str | None,
    typer.Option(
        "--cluster", help="Search the corpus on a Ray cluster: `auto`, `local`, HOST:PORT or ray://HOST:PORT."
    ),
]
Jobs = Annotated[
    int,
    typer.Option("--jobs", min=1, help="Students made at a time, in processes that share the cores; on a CPU."),
]
TaskOption = Annotated[
    str, typer.Option("--task", help="A labelled file, folder, `glue/NAME`, hub name, or prepared task.")
]
LabelNames = Annotated[
    str | None,
    typer.Option("--label-names", help="The task's name of each of the classifier's labels: {its: task's, …}."),
]
# Every setting of a task but --task itself; three go by longer names than in a recipe, where they stand under task:.
TASK_OPTIONS = {"folder": "glue_folder", "kind": "task_kind", "label_names": "task_label_names"}
with_task = with_settings(settings_of.TaskConfig, leave_out=("source",), names=TASK_OPTIONS, into="task_settings")


def refuse_idle(needs: str, there: object, given: Sequence[str]) -> None:
    """Refuse options that would do nothing without another."""
    if given and not there:
        raise HornbookError(f"--{given[0].replace('_', '-')}: is for {needs}, which is not given")


def prepared_task(task: str, out: Path, given: dict[str, Any]) -> Any:
    """Return a prepared task: opened where `task` is one, else made in the store beside `out`."""
    from hornbook import tasks
    from hornbook.pipeline import STORE
    from hornbook.store import MANIFEST, Store, load

    if (Path(task) / MANIFEST).is_file():
        if given:
            raise HornbookError(f"{task}: is prepared already; leave out its setting {next(iter(given))!r}")
        return load(task, "task")
    config = settings_of.validate(settings_of.TaskConfig, {"source": task, **given}, "--task")
    return tasks.prepare(config, Store(out.parent / STORE))


def label_names_of(text: str | None) -> dict[str, str] | None:
    """Return the task's name of each of a classifier's labels."""
    names = mapping_of(text, "--label-names", "{the model's label: the task's label, …}")
    try:
        return settings_of.all_text(names) if names else None
    except ValueError as error:
        raise HornbookError(f"--label-names: {error}") from None


def mapping_of(text: str | None, flag: str, form: str) -> dict[Any, Any] | None:
    """Return what an option's text says as a mapping, or refuse it and say which form it takes."""
    values = settings_of.parse_value(text, flag) if text else None
    if not isinstance(values, dict | None):
        raise HornbookError(f"{flag}: give {form}")
    return values

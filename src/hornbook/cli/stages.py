"""One training stage each: `hornbook finetune`, `distil`, `adapt` and `evaluate`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from hornbook import recipe as settings_of
from hornbook.cli.command import Answer, with_settings
from hornbook.cli.options import (
    LabelNames,
    Out,
    SeedOption,
    TaskOption,
    label_names_of,
    mapping_of,
    prepared_task,
    refuse_idle,
    with_task,
)
from hornbook.cli.output import show_artifact
from hornbook.errors import HornbookError
from hornbook.machine import load as machine


@with_task
@with_settings(settings_of.FinetuneConfig)
def finetune_command(
    task: TaskOption,
    model: Annotated[str, typer.Option("--model", help="A model folder or hub name.")],
    out: Out,
    seed: SeedOption = 0,
    *,
    task_settings: dict[str, Any],
    settings: dict[str, Any],
    quiet: bool = False,
) -> Answer:
    """Fine-tune a teacher on gold labels."""
    machine.settle()
    from hornbook.training.finetune import finetune

    config = settings_of.validate(settings_of.FinetuneConfig, settings, "finetune")
    return show_artifact(finetune(model, prepared_task(task, out, task_settings), out, config, seed=seed), quiet)


@with_settings(settings_of.StudentConfig, settings_of.DistilConfig)
def distil_command(
    teacher: Annotated[str, typer.Option("--teacher", help="A model folder or hub name.")],
    textbooks: Annotated[
        list[Path],
        typer.Option("--textbook", help="A finished textbook; of several the student learns one after another."),
    ],
    out: Out,
    then: Annotated[
        str | None,
        typer.Option("--then", help="Settings on the second textbook and those after it: {learning_rate: 1e-4, …}."),
    ] = None,
    family: Annotated[
        str | None,
        typer.Option("--family", help="For a teacher of an unknown family: {attention: PATH, projections: [NAMES]}."),
    ] = None,
    seed: SeedOption = 0,
    *,
    settings: dict[str, Any],
    quiet: bool = False,
) -> Answer:
    """Distil a student from a teacher through a textbook; under torchrun, in several processes."""
    machine.settle()
    from hornbook.training.chain import distil_chain

    own = {name: settings.pop(name) for name in list(settings) if name in settings_of.StudentConfig.model_fields}
    student = settings_of.validate(settings_of.StudentConfig, own, "distil")
    config = settings_of.validate(settings_of.DistilConfig, settings, "distil")
    taps = mapping_of(family, "--family", "{attention: PATH, projections: [NAMES]}")
    paths = settings_of.validate(settings_of.FamilyConfig, taps, "--family") if taps is not None else None
    later = mapping_of(then, "--then", "{learning_rate: 1e-4, …}") or {}
    refuse_idle("a second --textbook", len(textbooks) > 1, ["then"] if then else [])
    settings_of.validate(settings_of.DistilConfig, {**config.model_dump(), **later}, "--then")
    made = distil_chain(teacher, textbooks, out, student, config, later, seed=seed, family=paths)
    return show_artifact(made[-1], quiet)


@with_task
@with_settings(settings_of.AdaptConfig)
def adapt_command(
    task: TaskOption,
    student: Annotated[str, typer.Option("--student", help="A distilled student.")],
    out: Out,
    teacher: Annotated[
        str | None, typer.Option("--teacher", help="A classifier of the task, for the labels `teacher` and `both`.")
    ] = None,
    textbook: Annotated[
        Path | None, typer.Option("--textbook", help="A finished textbook, for --textbook-units.")
    ] = None,
    label_names: LabelNames = None,
    seed: SeedOption = 0,
    *,
    task_settings: dict[str, Any],
    settings: dict[str, Any],
    quiet: bool = False,
) -> Answer:
    """Adapt a distilled student to its task: to gold labels, a teacher's outputs, or both."""
    machine.settle()
    from hornbook.pipeline import STORE
    from hornbook.store import Store, load
    from hornbook.training.finetune import adapt
    from hornbook.training.outputs import teacher_outputs

    config = settings_of.validate(settings_of.AdaptConfig, settings, "adapt")
    if (teacher is None) != (config.labels == "gold"):
        raise HornbookError("adapt: --teacher goes with --labels teacher or both, and these with it")
    if (textbook is None) != (config.textbook_units == 0):
        raise HornbookError("adapt: --textbook goes with --textbook-units, and that with it")
    refuse_idle("--teacher", teacher, ["label_names"] if label_names else [])
    prepared = prepared_task(task, out, task_settings)
    outputs = None
    if teacher is not None:
        outputs = teacher_outputs(
            teacher,
            prepared,
            Store(out.parent / STORE),
            textbook=load(textbook, "textbook") if textbook else None,
            units=config.textbook_units,
            max_length=config.max_length,
            label_names=label_names_of(label_names),
        )
    return show_artifact(adapt(student, prepared, out, config, outputs=outputs, seed=seed), quiet)


@with_task
@with_settings(settings_of.EvaluateConfig)
def evaluate_command(
    task: TaskOption,
    model: Annotated[str, typer.Option("--model", help="A classifier: a folder or hub name.")],
    out: Out,
    teacher: Annotated[
        str | None, typer.Option("--teacher", help="A classifier whose speed is measured beside.")
    ] = None,
    label_names: LabelNames = None,
    *,
    task_settings: dict[str, Any],
    settings: dict[str, Any],
    quiet: bool = False,
) -> Answer:
    """Score a classifier on dev and test; measure its size and speed."""
    machine.settle()
    from hornbook.evaluation.evaluate import evaluate

    config = settings_of.validate(settings_of.EvaluateConfig, settings, "evaluate")
    prepared = prepared_task(task, out, task_settings)
    return show_artifact(
        evaluate(model, prepared, out, config, teacher=teacher, label_names=label_names_of(label_names)), quiet
    )

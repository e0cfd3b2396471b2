"""The stages of models: `hornbook finetune`, `distil`, `adapt`, `evaluate` and `export`."""

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
    parse_label_names,
    parse_mapping,
    prepared_task,
    refuse_unused,
    task_options,
    with_task,
)
from hornbook.cli.output import say, show_artifact
from hornbook.machine import load as machine


@with_task
@with_settings(settings_of.FinetuneConfig)
def finetune_command(
    task: TaskOption,
    model: Annotated[str, typer.Option("--model", help="Model to fine-tune: a folder or hub name.")],
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


@with_settings(settings_of.StudentConfig, into="student_settings")
@with_settings(settings_of.DistilConfig)
def distil_command(
    teacher: Annotated[str, typer.Option("--teacher", help="Teacher model: a folder or hub name.")],
    textbooks: Annotated[
        list[Path],
        typer.Option("--textbook", help="Finished textbook. Repeat to distil on several, one after another."),
    ],
    out: Out,
    then: Annotated[
        str | None,
        typer.Option("--then", help="Settings to change from the second textbook on: {learning_rate: 1e-4, …}."),
    ] = None,
    family: Annotated[
        str | None,
        typer.Option("--family", help="For an unknown model family: {attention: PATH, projections: [NAMES]}."),
    ] = None,
    seed: SeedOption = 0,
    *,
    student_settings: dict[str, Any],
    settings: dict[str, Any],
    quiet: bool = False,
) -> Answer:
    """Distil a student from a teacher on a textbook. Start with torchrun to use several processes."""
    machine.settle()
    from hornbook.training.chain import distil_chain

    student = settings_of.validate(settings_of.StudentConfig, student_settings, "distil")
    config = settings_of.validate(settings_of.DistilConfig, settings, "distil")
    taps = parse_mapping(family, "--family", "{attention: PATH, projections: [NAMES]}")
    paths = settings_of.validate(settings_of.FamilyConfig, taps, "--family") if taps is not None else None
    later = parse_mapping(then, "--then", "{learning_rate: 1e-4, …}")
    refuse_unused(["then"] if then else [], "a second --textbook", len(textbooks) > 1)
    made = distil_chain(teacher, textbooks, out, student, config, later, seed=seed, family=paths)
    return show_artifact(made[-1], quiet)


@with_task
@with_settings(settings_of.AdaptConfig)
def adapt_command(
    task: TaskOption,
    student: Annotated[str, typer.Option("--student", help="Distilled student.")],
    out: Out,
    teacher: Annotated[
        str | None, typer.Option("--teacher", help="Classifier of the task, for --labels teacher or both.")
    ] = None,
    textbook: Annotated[
        Path | None, typer.Option("--textbook", help="Finished textbook, for --textbook-units.")
    ] = None,
    label_names: LabelNames = None,
    seed: SeedOption = 0,
    *,
    task_settings: dict[str, Any],
    settings: dict[str, Any],
    quiet: bool = False,
) -> Answer:
    """Fine-tune a distilled student on gold labels, a teacher's outputs, or both."""
    machine.settle()
    from hornbook.pipeline import STORE
    from hornbook.store import Store, load
    from hornbook.training.finetune import adapt
    from hornbook.training.outputs import teacher_outputs

    config = settings_of.validate(settings_of.AdaptConfig, settings, "adapt")
    refuse_unused(["teacher"] if teacher else [], "--labels teacher or both", config.labels != "gold")
    refuse_unused(["textbook"] if textbook else [], "--textbook-units", config.textbook_units)
    refuse_unused(["label_names"] if label_names else [], "--teacher", teacher)
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
            label_names=parse_label_names(label_names),
        )
    return show_artifact(adapt(student, prepared, out, config, outputs=outputs, seed=seed), quiet)


@with_task
@with_settings(settings_of.EvaluateConfig)
def evaluate_command(
    task: TaskOption,
    model: Annotated[str, typer.Option("--model", help="Classifier: a folder or hub name.")],
    out: Out,
    teacher: Annotated[
        str | None, typer.Option("--teacher", help="Another classifier, to compare the speed with.")
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
    names = parse_label_names(label_names)
    return show_artifact(evaluate(model, prepared, out, config, teacher=teacher, label_names=names), quiet)


@with_task
@with_settings(settings_of.ExportConfig, leave_out=("allow_loss", "calibrate", "quantize"))
def export_command(
    student: Annotated[str, typer.Argument(help="Classifier: a folder or hub name.")],
    out: Out,
    task: Annotated[
        str | None,
        typer.Option("--task", help="Labelled data: its dev split is for the int8 gate and the temperature."),
    ] = None,
    textbook: Annotated[
        Path | None, typer.Option("--textbook", help="Finished textbook: its units are for the int8 gate.")
    ] = None,
    allow_loss: Annotated[
        bool, typer.Option("--allow-loss", metavar="", help="Publish the fastest int8 graph, whatever it loses.")
    ] = False,
    no_calibrate: Annotated[
        bool, typer.Option("--no-calibrate", metavar="", help="Fit no temperature on dev.")
    ] = False,
    no_quantize: Annotated[bool, typer.Option("--no-quantize", metavar="", help="Add no int8 graph.")] = False,
    push_to_hub: Annotated[
        str | None, typer.Option("--push-to-hub", metavar="REPO", help="Upload it to this repository of the hub.")
    ] = None,
    public: Annotated[
        bool, typer.Option("--public", metavar="", help="Make a new repository public. Default: private.")
    ] = False,
    *,
    task_settings: dict[str, Any],
    settings: dict[str, Any],
    quiet: bool = False,
) -> Answer:
    """Export a student to ONNX, float32 and int8, in a folder that other programs load; checked against PyTorch."""
    from hornbook.export.push import check_push, push

    refuse_unused(["public"] if public else [], "--push-to-hub", push_to_hub)
    settings_of.validate(settings_of.ShipConfig, {"push_to_hub": push_to_hub}, "export")
    if push_to_hub is not None:
        check_push(push_to_hub)
    machine.settle()
    from hornbook.export.build import export_student

    refuse_unused(task_options(task_settings), "--task", task)
    flags = {"allow_loss": allow_loss, "calibrate": not no_calibrate, "quantize": not no_quantize}
    config = settings_of.validate(settings_of.ExportConfig, {**settings, **flags}, "export")
    prepared = prepared_task(task, out, task_settings) if task else None
    made = export_student(student, out, config, task=prepared, textbook=textbook)
    answer = show_artifact(made, quiet)
    if push_to_hub is None:
        return answer
    address = push(made, push_to_hub, public=public)
    say(f"uploaded to {address}", quiet)
    return {**answer, "repository": address}

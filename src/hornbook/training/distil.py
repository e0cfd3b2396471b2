"""Distillation: the student follows the teacher through a textbook (paper, section 2.2, step 2)."""

import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from hornbook.errors import HornbookError
from hornbook.models.encode import Encoded
from hornbook.models.families import family_settings, sizes_of
from hornbook.models.loading import kind_key, load_encoder, ready_config
from hornbook.models.saving import save_model
from hornbook.models.source import Model, load_config, model_key, model_path
from hornbook.models.student import LAYERS, PROJECTED, RANDOM, check_student, init_key, new_student
from hornbook.models.taps import Tapped, multiply_in_bfloat16, only_reached
from hornbook.models.tokenizers import load_tokenizer, tokenizer_key
from hornbook.recipe import DistilConfig, FamilyConfig, StudentConfig
from hornbook.store import Artifact, Destination, StageContext, beside, is_finished, make, result_config
from hornbook.training.activations.choice import ALONE, NONE, Asked, Sharing
from hornbook.training.activations.layout import layout_of
from hornbook.training.activations.record import Recorded
from hornbook.training.activations.sampling import sample
from hornbook.training.books import check_tokens, common_task, open_book
from hornbook.training.checkpoints import bytes_needed
from hornbook.training.distillation import (
    Distillation,
    Learner,
    all_taps,
    create_objectives,
    needs_head,
    objective_versions,
    weight_of,
)
from hornbook.training.labelled import Labelled, checked, open_labels
from hornbook.training.objectives import Objective, Pair
from hornbook.training.processes import agreed, make_together, process
from hornbook.training.projection import projected_student
from hornbook.training.steps import StepDataset, StepPlan
from hornbook.training.teaching import Models, configs, load_models, open_for_teacher
from hornbook.training.tokens import encode_textbook
from hornbook.training.trainer import train, use_bfloat16, write_log

VERSION = 2


def distil(
    teacher: Model,
    textbook: Artifact | Path | str,
    out: Destination,
    student: StudentConfig | None = None,
    config: DistilConfig | None = None,
    *,
    seed: int = 0,
    family: FamilyConfig | None = None,
    start: Artifact | None = None,
    sharing: Sharing = ALONE,
    labels: Artifact | None = None,
) -> Artifact:
    """Distil a student from a teacher through a textbook.

    Where torchrun starts several processes, all take part in each step; without dropout the result equals that of
    one process up to rounding.

    Args:
        teacher: a model folder or hub name; a classifier where an objective taps the logits.
        textbook: a finished textbook, or its token ids (see `encode_textbook`).
        out: the artefact's folder: the student's encoder in Hugging Face format, `log.csv`, the manifest.
        student: the student's size and initial weights.
        config: objectives, budget, learning rate and so on.
        seed: the seed of the student's initial weights, the order of the units and dropout.
        family: where the teacher keeps its projections, for a family that is not in the table.
        start: a student made earlier to begin from; by default a projected one is made on the textbook, beside `out`.
        sharing: who else reads what the teacher computes, for `cache: auto`; it is kept beside `out`.
        labels: what a file says about units of the textbook (see `file_outputs`), instead of the teacher's logits;
            only these units are learned.

    Returns:
        the artefact, stage "student".

    Raises:
        HornbookError: a model cannot be loaded, sizes do not fit together, the textbook is about another task than
            that of the earlier student, or the loss does not fall.
    """
    student, config = student or StudentConfig(), config or DistilConfig()
    book = open_book(textbook)
    if book.stage == "tokens":
        check_tokens(book, teacher, config)
    if start is None and student.init == PROJECTED:
        start = projected_student(teacher, book, beside(out, "projected"), student, family=family)
    if start is None:
        inputs, begun = _student_inputs(teacher, student), student
    else:
        student = student.model_copy(update={"init": RANDOM})
        inputs = {**_student_inputs(teacher, student), "init": start.key}
        begun = student.model_copy(update={"init": str(start.path)})
    inputs = {
        **inputs,
        "textbook": book.manifest["inputs"]["textbook"] if book.stage == "tokens" else book.key,
    }

    if labels is not None:
        inputs["labels"] = checked(labels, book, config).key
        config = config.model_copy(update={"cache": NONE})
    if config.cache != NONE and book.stage == "textbook":
        book = encode_textbook(book, teacher, beside(out, "tokens"), config.max_length, config.pack)
    asked = Asked(teacher, student, book, beside(out, "activations"), family, sharing)
    config = asked.settled(config)
    identity: dict[str, Any] = {
        "stage": "student",
        "version": VERSION,
        "config": {
            "seed": seed,
            "student": result_config(student),
            "family": family_settings(family),
            **_settings_for_key(config),
            **(kind_key(teacher) if "logits" in config.objectives and labels is None else {}),
        },
        "inputs": inputs,
    }
    kept = asked.kept(config, finished=agreed(is_finished(out, **identity)))

    def build(context: StageContext) -> None:
        about = common_task(book, begun.init)
        if needs_head(check_sizes(teacher, begun, config, family)) and labels is None:
            ready_config(model_path(teacher))
        tokens = book
        if book.stage == "textbook":
            folder = context.resume / "tokens"
            tokens = encode_textbook(book, teacher, folder, config.max_length, config.pack)
        _build(context, model_path(teacher), tokens, kept, begun, config, seed, family, labels)
        context.info["task"] = about

    return make_together(out, build=build, seed=seed, **identity)


def _build(
    context: StageContext,
    path: str,
    tokens: Artifact,
    kept: Artifact | None,
    size: StudentConfig,
    config: DistilConfig,
    seed: int,
    family: FamilyConfig | None,
    labels: Artifact | None = None,
) -> None:
    said = None if labels is None else open_labels(labels)
    objectives = create_objectives(Pair(*configs(path, size, family, said), config, family), seed)
    whole = encoded = open_for_teacher(tokens, path)
    if said is not None:
        whole = encoded = whole.subset(said.places)
    models = load_models(path, objectives, whole, size, seed, family, said)
    bfloat16 = use_bfloat16(config.precision)
    taps = all_taps(objectives)[0]
    teacher: Tapped | Recorded | Labelled
    if said is not None:
        teacher = Labelled(models, taps, bfloat16)
    elif kept is None:
        if bfloat16:  # after the unit of scores is out of the head: large numbers lose more
            multiply_in_bfloat16(models.teacher)
        teacher = Tapped(models.teacher, taps)
    else:
        encoded = whole.subset(sample(whole.lengths, **kept.manifest["config"]["sample"]))
        layout = layout_of(taps, models.teacher.config, config.cache, family)
        models = replace(models, teacher=None)  # not needed any more
        teacher = Recorded(kept.file, layout, encoded.lengths, taps, models.student)
    plan = StepPlan(
        encoded.lengths, config.batch, seed, epochs=config.epochs, steps=config.steps, tokens=config.tokens
    )
    if beyond := [step for step in config.snapshots if step > plan.count]:
        raise HornbookError(f"distil.snapshots: there is no step {beyond[0]}; the budget is {plan.count} steps")
    log = _train(context, models, teacher, encoded, plan, size, config, seed, bfloat16)
    write_log(log, context.path / "log.csv")
    models.save(context.path, config.max_length)
    index, count = process()
    if index == 0:
        for step in config.snapshots:  # copied: if killed now, the run resumes from a later step than theirs
            shutil.copytree(context.resume / _snapshot_name(step), context.path / _snapshot_name(step))
    context.counts = {"steps": plan.count, "tokens": plan.tokens, "parameters": models.student.num_parameters()}
    context.info = {"last_loss": log[-1]["loss"] if log else None}
    for objective in objectives.values():
        context.info |= objective.info()
    context.measured |= {"bfloat16": bfloat16, "processes": count}
    if kept is not None:
        context.measured |= {
            "teacher": kept.key,
            "teacher_seconds": kept.measured["seconds"],
            "teacher_tokens": kept.counts["tokens"],
        }


def _train(
    context: StageContext,
    models: Models,
    teacher: Tapped | Recorded | Labelled,
    encoded: Encoded,
    plan: StepPlan,
    size: StudentConfig,
    config: DistilConfig,
    seed: int,
    bfloat16: bool,
) -> list[dict[str, float]]:
    """Train the student; return the log."""
    weights = {name: weight_of(setting) for name, setting in config.objectives.items()}
    columns = None if isinstance(teacher, Tapped) else teacher.columns
    learner = Learner(models.student, models.objectives)
    index, count = process()
    max_tokens = config.micro_batch_tokens
    snapshots = {
        step: partial(models.save, context.resume / _snapshot_name(step), config.max_length)
        for step in config.snapshots
    }
    with only_reached(learner):
        context.needed = bytes_needed(learner, scored=False, snapshots=len(snapshots))
        return train(
            learner,
            StepDataset(encoded, plan, columns, max_tokens=max_tokens, process=index, processes=count),
            Distillation(teacher, models.objectives, weights, bfloat16),
            config,
            description=f"distil {size.layers}x{size.hidden}",
            folder=context.resume,
            seed=seed,
            adam_epsilon=config.adam_epsilon,
            # The loss of a student that has learned before starts low, and rises with the learning rate at first.
            must_fall=size.init == RANDOM,
            keep=snapshots,
        )


def snapshot(student: Artifact, step: int, out: Destination) -> Artifact:
    """Return a distilled student as it was after a step, one of its `snapshots`.

    Args:
        student: distilled with that step among its snapshots.
        step: from 1.
        out: the artefact's folder.

    Returns:
        the artefact, stage "student".

    Raises:
        HornbookError: no snapshot was kept at that step.
    """

    def build(context: StageContext) -> None:
        prefix = f"{_snapshot_name(step)}/"
        names = [name for name in student.manifest["files"] if name.startswith(prefix)]
        if not names:
            raise HornbookError(f"{student.path}: kept no snapshot after step {step}; add it to distil.snapshots")
        for name in names:
            shutil.copyfile(student.file(name), context.path / name.removeprefix(prefix))
        context.counts = {"steps": step, "parameters": student.counts["parameters"]}
        context.info["task"] = student.info.get("task")

    # Its tokenizer is the student's.
    inputs = {"student": student.key, "tokenizer": student.manifest["inputs"]["tokenizer"]}
    return make(out, stage="student", version=VERSION, config={"step": step}, inputs=inputs, build=build)


def undistilled_student(
    teacher: Model, out: Destination, student: StudentConfig, *, seed: int = 0, family: FamilyConfig | None = None
) -> Artifact:
    """Make a student that was never distilled, as a baseline: its initial weights, the teacher's tokenizer.

    Args:
        teacher: an artefact, a folder or a hub name.
        out: the artefact's folder, or a store.
        student: its sizes and initial weights.
        seed: the seed of its random weights.
        family: the teacher's, if not in the table.

    Returns:
        the artefact, stage "student".
    """

    def build(context: StageContext) -> None:
        path = model_path(teacher)
        encoder = load_encoder(path) if student.init == LAYERS else None
        model = new_student(load_config(path), student, seed, family, encoder=encoder)
        tokenizer = load_tokenizer(path)
        save_model(model, tokenizer, context.path, tokenizer.model_max_length)
        context.counts = {"parameters": model.num_parameters()}

    return make(
        out,
        stage="student",
        version=VERSION,
        config={"seed": seed, "student": result_config(student), "family": family_settings(family)},
        inputs=_student_inputs(teacher, student),
        build=build,
        seed=seed,
    )


def check_sizes(
    teacher: Model, student: StudentConfig, config: DistilConfig, family: FamilyConfig | None = None
) -> dict[str, Objective]:
    """Check, before anything expensive runs, that teacher, student and objectives fit together.

    Args:
        teacher: an artefact, a folder or a hub name.
        student: its sizes and initial weights.
        config: the objectives and the teacher's layer.
        family: the teacher's, if not in the table.

    Returns:
        the objectives by name.

    Raises:
        HornbookError: the teacher's family is unknown, heads do not divide a width, there is no such layer, or an
            objective does not fit.
    """
    check_student(teacher, student, family)
    both = configs(teacher, student, family)
    layers = sizes_of(both[0], family).layers
    if config.teacher_layer is not None and config.teacher_layer > layers:
        raise HornbookError(
            f"distil.teacher_layer: there is no layer {config.teacher_layer}; the teacher has {layers}"
        )
    return create_objectives(Pair(*both, config, family))


def _student_inputs(teacher: Model, student: StudentConfig) -> dict[str, str]:
    """Return the keys of the models that a student is made from."""
    inputs = {"teacher": model_key(teacher), "tokenizer": tokenizer_key(teacher)}
    init = init_key(student)
    return inputs if init is None else {**inputs, "init": init}


def _settings_for_key(config: DistilConfig) -> dict[str, Any]:
    """Return the settings that affect this run: not those of a budget or an objective that is not used."""
    settings = result_config(config)
    if config.budget != "tokens":
        settings.pop("tokens")
    settings.pop("steps" if config.budget == "epochs" else "epochs")
    if "logits" not in config.objectives:
        settings.pop("temperature")
    if not config.snapshots:
        settings.pop("snapshots")
    if config.cache == NONE:
        settings.pop("cache")
    if versions := objective_versions(config.objectives):
        settings["objective_versions"] = versions
    return settings


def _snapshot_name(step: int) -> str:
    return f"step-{step}"

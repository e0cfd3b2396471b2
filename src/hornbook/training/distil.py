"""Distillation: the student follows the teacher through a textbook (paper, section 2.2, step 2)."""

import shutil
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from hornbook.errors import HornbookError
from hornbook.models.encode import Encoded
from hornbook.models.families import family_settings, sizes_of
from hornbook.models.loading import (
    kind_key,
    kind_of,
    label_settings,
    load_encoder,
    load_ready_classifier,
    ready_config,
)
from hornbook.models.predict import best_device, predict
from hornbook.models.saving import save_model
from hornbook.models.scale import evenly, in_unit, output_layer, scale_of, standardise
from hornbook.models.source import Model, load_config, model_key, model_path
from hornbook.models.student import LAYERS, PROJECTED, RANDOM, check_student, init_key, new_student, student_config
from hornbook.models.taps import Tapped, freeze, multiply_in_bfloat16, only_reached
from hornbook.models.tokenizers import load_tokenizer, tokenizer_key
from hornbook.recipe import DistilConfig, FamilyConfig, StudentConfig
from hornbook.store import Artifact, Destination, StageContext, beside, make, result_config
from hornbook.tasks.kinds import KINDS
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
from hornbook.training.objectives import Objective, Pair
from hornbook.training.processes import make_together, process
from hornbook.training.projection import projected_student
from hornbook.training.steps import StepDataset, StepPlan
from hornbook.training.tokens import encode_textbook, open_tokens
from hornbook.training.trainer import train, use_bfloat16, write_log

VERSION = 2
_SCALE_UNITS = 64  # units of the textbook on which the scale of a teacher's scores is measured


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

    def build(context: StageContext) -> None:
        about = common_task(book, begun.init)
        if needs_head(check_sizes(teacher, begun, config, family)):
            ready_config(model_path(teacher))
        tokens = book
        if book.stage == "textbook":
            folder = context.resume / "tokens"
            tokens = encode_textbook(book, teacher, folder, config.max_length, config.pack)
        _build(context, model_path(teacher), tokens, begun, config, seed, family)
        context.info["task"] = about

    return make_together(
        out,
        stage="student",
        version=VERSION,
        config={
            "seed": seed,
            "student": result_config(student),
            "family": family_settings(family),
            **_settings_for_key(config),
            **(kind_key(teacher) if "logits" in config.objectives else {}),
        },
        inputs=inputs,
        build=build,
        seed=seed,
    )


@dataclass(frozen=True)
class _Models:
    """The loaded models of a distillation.

    Attributes:
        teacher: frozen.
        student: with a head if the teacher has one.
        tokenizer: of both.
        objectives: by name.
        restored: a context in which the student's outputs are in the teacher's unit, as it is saved.
    """

    teacher: Any
    student: Any
    tokenizer: Any
    objectives: Mapping[str, Objective]
    restored: Callable[[], AbstractContextManager[None]] = nullcontext

    def save(self, folder: Path, max_length: int) -> None:
        """Save the student."""
        with self.restored():
            save_model(self.student, self.tokenizer, folder, max_length)


def _build(
    context: StageContext,
    path: str,
    tokens: Artifact,
    size: StudentConfig,
    config: DistilConfig,
    seed: int,
    family: FamilyConfig | None,
) -> None:
    objectives = create_objectives(Pair(*_configs(path, size, family), config, family), seed)
    tokenizer = load_tokenizer(path)
    encoded = _open_tokens(tokens, tokenizer)
    models = _load_models(path, tokenizer, objectives, encoded, size, seed, family)
    bfloat16 = use_bfloat16(config.precision)
    if bfloat16:  # after the unit of scores is out of the head: large numbers lose more
        multiply_in_bfloat16(models.teacher)
    plan = StepPlan(
        encoded.lengths, config.batch, seed, epochs=config.epochs, steps=config.steps, tokens=config.tokens
    )
    if beyond := [step for step in config.snapshots if step > plan.count]:
        raise HornbookError(f"distil.snapshots: there is no step {beyond[0]}; the budget is {plan.count} steps")
    log = _train(context, models, encoded, plan, size, config, seed, bfloat16)
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


def _open_tokens(tokens: Artifact, tokenizer: Any) -> Encoded:
    encoded = open_tokens(tokens, tokenizer.pad_token_id)
    if (longest := int(encoded.lengths.max())) > tokenizer.model_max_length:
        raise HornbookError(
            f"{tokens.path}: holds a unit of {longest} tokens, but the teacher takes {tokenizer.model_max_length}"
        )
    return encoded


def _load_models(
    path: str,
    tokenizer: Any,
    objectives: Mapping[str, Objective],
    encoded: Encoded,
    size: StudentConfig,
    seed: int,
    family: FamilyConfig | None,
) -> _Models:
    """Load the teacher and make the student, with heads where an objective taps the logits."""
    if not needs_head(objectives):
        teacher = freeze(load_encoder(path))
        student = new_student(teacher.config, size, seed, family, encoder=teacher)
        return _Models(teacher, student, tokenizer, objectives)
    teacher = freeze(load_ready_classifier(path))
    kind = kind_of(teacher.config)
    head = label_settings([teacher.config.id2label[i] for i in range(teacher.config.num_labels)], kind)
    student = new_student(teacher.config, size, seed, family, head=head, encoder=teacher)
    restored = _standardised(teacher, student, encoded) if KINDS[kind].is_standardised else nullcontext
    return _Models(teacher, student, tokenizer, objectives, restored)


def _train(
    context: StageContext,
    models: _Models,
    encoded: Encoded,
    plan: StepPlan,
    size: StudentConfig,
    config: DistilConfig,
    seed: int,
    bfloat16: bool,
) -> list[dict[str, float]]:
    """Train the student; return the log."""
    weights = {name: weight_of(setting) for name, setting in config.objectives.items()}
    teacher = Tapped(models.teacher, all_taps(models.objectives)[0])
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
            StepDataset(encoded, plan, max_tokens=max_tokens, process=index, processes=count),
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


def _standardised(teacher: Any, student: Any, encoded: Encoded) -> Callable[[], AbstractContextManager[None]]:
    """Bring a regression teacher's outputs to mean 0 and deviation 1 on some of the textbook, in place.

    Returns:
        a function whose context brings the student's output layer, trained on that scale, to the teacher's unit.
    """
    if teacher.config.num_labels != 1:
        raise HornbookError(f"the teacher has {teacher.config.num_labels} outputs, but a regression has one")
    some = evenly(encoded, _SCALE_UNITS)
    taught, layer = output_layer(teacher.to(best_device()), some), output_layer(student, some)
    centred = layer.bias is not None
    scale = scale_of(predict(teacher, some), "the teacher's outputs on the textbook", centred=centred)
    standardise(taught, scale)
    return partial(in_unit, layer, scale)


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
    configs = _configs(teacher, student, family)
    layers = sizes_of(configs[0], family).layers
    if config.teacher_layer is not None and config.teacher_layer > layers:
        raise HornbookError(
            f"distil.teacher_layer: there is no layer {config.teacher_layer}; the teacher has {layers}"
        )
    return create_objectives(Pair(*configs, config, family))


def _configs(teacher: Model, student: StudentConfig, family: FamilyConfig | None) -> tuple[Any, Any]:
    """Return the Hugging Face configurations of teacher and student."""
    own = load_config(teacher)
    return own, student_config(own, student, family)


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
    if versions := objective_versions(config.objectives):
        settings["objective_versions"] = versions
    return settings


def _snapshot_name(step: int) -> str:
    return f"step-{step}"

"""Distillation: the student follows the teacher through a textbook (paper, section 2.2, step 2)."""

import math
import shutil
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from hornbook.errors import HornbookError
from hornbook.models.encode import Encoded
from hornbook.models.families import Sizes, family_settings, key_widths, sizes_of
from hornbook.models.loading import kind_of, label_settings, load_encoder, load_ready_classifier, ready_config
from hornbook.models.predict import best_device, predict
from hornbook.models.scale import Scale, evenly, in_unit, output_layer, scale_of, standardise
from hornbook.models.source import Model, load_config, model_key, model_path
from hornbook.models.student import LAYERS, RANDOM, check_student, init_key, new_student, student_config
from hornbook.models.taps import Tapped, freeze, multiply_in_bfloat16, only_reached, projection_taps
from hornbook.models.tokenizers import load_tokenizer, tokenizer_key
from hornbook.recipe import DistilConfig, FamilyConfig, StudentConfig
from hornbook.store import MANIFEST, Artifact, Destination, StageContext, load, make, result_config
from hornbook.tasks import REGRESSION
from hornbook.training.finetune import save_model
from hornbook.training.objectives import Distillation, Logits, Objective, Relations
from hornbook.training.processes import make_together, process
from hornbook.training.relations import relation_heads
from hornbook.training.steps import StepDataset, StepPlan
from hornbook.training.tokens import VERSION as TOKENS_VERSION
from hornbook.training.tokens import encode_textbook, max_tokens_read, open_tokens
from hornbook.training.trainer import bytes_needed, train, use_bfloat16, write_log

VERSION = 2
_LOOKED_AT = 64  # units, to learn the scale of a teacher's scores
_LARGE_TEACHERS = {("bert", 24, 1024): 21, ("roberta", 24, 1024): 19, ("xlm-roberta", 24, 1024): 19}


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

    Started by torchrun in several processes, all take part in each step; without dropout the result is that of
    one process but for the rounding.

    Args:
        teacher: a model folder or hub name; a classifier where the logits are an objective.
        textbook: a finished textbook, or the same as token ids (see `encode_textbook`).
        out: the artefact's folder: the student's encoder in Hugging Face format, `log.csv`, the manifest.
        student: its size and how it begins.
        config: objectives, budget, learning rate and the like.
        seed: of the student's first weights, the order of the units and dropout.
        family: where the teacher's projections stand, for a family that is not in the table.
        start: a student distilled before, as which this one begins, whatever `student.init` says.

    Returns:
        the artefact, stage "student".

    Raises:
        HornbookError: a model cannot be loaded, sizes do not fit together, the textbook is about another task than
            that of the student distilled before, or the loss does not fall.
    """
    student, config = student or StudentConfig(), config or DistilConfig()
    book = open_book(textbook)
    if book.stage == "tokens":
        _check_same_reading(book, teacher, config)
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
        about = _one_task(book, _distilled_before(begun))
        check_sizes(teacher, begun, config, family)
        if "logits" in config.objectives:
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
            **_counted(config),
            **_kind_version(teacher, config),
        },
        inputs=inputs,
        build=build,
        seed=seed,
    )


def open_book(textbook: Artifact | Path | str) -> Artifact:
    """Return a finished textbook, or the same as token ids.

    Raises:
        HornbookError: it is something else, or not finished.
    """
    book = textbook if isinstance(textbook, Artifact) else load(textbook)
    if book.stage not in {"textbook", "tokens"}:
        raise HornbookError(f"{book.path}: holds a {book.stage}, but a textbook is needed here")
    return book


def _build(
    context: StageContext,
    path: str,
    tokens: Artifact,
    size: StudentConfig,
    config: DistilConfig,
    seed: int,
    family: FamilyConfig | None,
) -> None:
    tokenizer = load_tokenizer(path)
    own = load_config(path)
    sizes = sizes_of(own, family)
    logits, projections = "logits" in config.objectives, "relations" in config.objectives
    teacher = freeze(load_ready_classifier(path) if logits else load_encoder(path))
    heads = _relation_heads(own, size, config, family) if projections else None
    objectives: dict[Objective, float] = {}
    if heads is not None:
        objectives[Relations(heads)] = config.objectives["relations"]
    head = None
    if logits:
        kind = kind_of(teacher.config)
        objectives[Logits(config.temperature, kind)] = config.objectives["logits"]
        head = label_settings([teacher.config.id2label[i] for i in range(teacher.config.num_labels)], kind)
    student = new_student(teacher.config, size, seed, family, head=head, encoder=teacher)
    layer = config.teacher_layer or default_teacher_layer(teacher.config.model_type, sizes)
    teaching = Tapped(teacher, projection_taps(teacher, layer, family) if projections else {}, logits)
    learning = Tapped(student, projection_taps(student, size.layers, family) if projections else {}, logits)
    encoded = open_tokens(tokens, tokenizer.pad_token_id)
    if (longest := int(encoded.lengths.max())) > tokenizer.model_max_length:
        raise HornbookError(
            f"{tokens.path}: holds a unit of {longest} tokens, but the teacher takes {tokenizer.model_max_length}"
        )
    regression = logits and kind_of(teacher.config) == "regression"
    scale, output = _standardised(teacher, student, encoded) if regression else (None, None)
    bfloat16 = use_bfloat16(config.precision)
    if bfloat16:  # after the unit of scores is out of the head: large numbers lose more
        multiply_in_bfloat16(teacher)

    def save(folder: Path) -> None:
        with in_unit(output, scale):
            save_model(student, tokenizer, folder, config.max_length)

    plan = StepPlan(
        encoded.lengths, config.batch, seed, epochs=config.epochs, steps=config.steps, tokens=config.tokens
    )
    if beyond := [step for step in config.snapshots if step > plan.count]:
        raise HornbookError(f"distil.snapshots: there is no step {beyond[0]}; the budget is {plan.count} steps")
    kept = {step: context.resume / _snapshot_name(step) for step in config.snapshots}
    index, count = process()
    max_positions = config.micro_batch_tokens
    with only_reached(learning):
        context.needed = bytes_needed(learning, scored=False, snapshots=len(config.snapshots))
        log = train(
            learning,
            StepDataset(encoded, plan, max_positions=max_positions, process=index, processes=count),
            Distillation(teaching, objectives, bfloat16),
            config,
            description=f"distil {size.layers}x{size.hidden}",
            folder=context.resume,
            seed=seed,
            adam_epsilon=config.adam_epsilon,
            # One that has learned before begins low, and rises with the learning rate before it falls.
            must_fall=size.init == RANDOM,
            keep={step: partial(save, folder) for step, folder in kept.items()},
        )
    write_log(log, context.path / "log.csv")
    save(context.path)
    if index == 0:
        for folder in kept.values():  # copied: a run that is killed now goes on from beyond the step they are of
            shutil.copytree(folder, context.path / folder.name)
    context.counts = {"steps": plan.count, "tokens": plan.tokens, "parameters": student.num_parameters()}
    context.info = {"last_loss": log[-1]["loss"] if log else None}
    if projections:
        context.info |= {"teacher_layer": layer, "relation_heads": heads}
    context.measured |= {"bfloat16": bfloat16, "processes": count}


def _standardised(teacher: Any, student: Any, encoded: Encoded) -> tuple[Scale, nn.Linear]:
    """Bring a regression teacher's outputs to mean 0 and deviation 1 on some of the textbook.

    Returns:
        the scale, and the student's output layer, which learns on it.
    """
    if teacher.config.num_labels != 1:
        raise HornbookError(f"the teacher has {teacher.config.num_labels} outputs, but a regression has one")
    some = evenly(encoded, _LOOKED_AT)
    taught, layer = output_layer(teacher.to(best_device()), some), output_layer(student, some)
    centred = layer.bias is not None
    scale = scale_of(predict(teacher, some), "the teacher's outputs on the textbook", centred=centred)
    standardise(taught, scale)
    return scale, layer


def _kind_version(teacher: Model, config: DistilConfig) -> dict[str, int]:
    """Return what the key holds besides: see `tasks.kind_version`; outputs count as an objective only."""
    if "logits" not in config.objectives:
        return {}
    if isinstance(teacher, Artifact) and teacher.planned:
        return REGRESSION if "regression" in teacher.manifest["config"] else {}
    return REGRESSION if kind_of(load_config(teacher)) == "regression" else {}


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

    # It reads as the student does.
    inputs = {"student": student.key, "tokenizer": student.manifest["inputs"]["tokenizer"]}
    return make(out, stage="student", version=VERSION, config={"step": step}, inputs=inputs, build=build)


def undistilled_student(
    teacher: Model, out: Destination, student: StudentConfig, *, seed: int = 0, family: FamilyConfig | None = None
) -> Artifact:
    """Make a student that was never distilled, to compare: its first weights, the teacher's tokenizer.

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


def default_teacher_layer(model_type: str, sizes: Sizes) -> int:
    """Return the layer that teaches: 21 of BERT-large, 19 of RoBERTa-large, else the last (facts, section 3)."""
    return _LARGE_TEACHERS.get((model_type, sizes.layers, sizes.hidden), sizes.layers)


def check_sizes(
    teacher: Model, student: StudentConfig, config: DistilConfig, family: FamilyConfig | None = None
) -> None:
    """Check, before anything costly runs, that teacher, student and objectives fit together.

    Raises:
        HornbookError: the teacher's family is unknown, heads do not divide a width, or the layer is not there.
    """
    check_student(teacher, student, family)
    sizes = sizes_of(load_config(teacher), family)
    if "relations" in config.objectives:
        _relation_heads(load_config(teacher), student, config, family)
    if config.teacher_layer is not None and config.teacher_layer > sizes.layers:
        raise HornbookError(
            f"distil.teacher_layer: there is no layer {config.teacher_layer}; the teacher has {sizes.layers}"
        )


def _relation_heads(
    teacher_config: Any, student: StudentConfig, config: DistilConfig, family: FamilyConfig | None
) -> int:
    hidden, keys = key_widths(teacher_config, family)
    wide, narrow = key_widths(student_config(teacher_config, student, family), family)
    return relation_heads(config.relation_heads, hidden, wide, math.gcd(keys, narrow))


def _distilled_before(student: StudentConfig) -> Artifact | None:
    """Return the student that this one begins as, if it was distilled here."""
    return load(student.init) if (Path(student.init) / MANIFEST).is_file() else None


def _one_task(book: Artifact, before: Artifact | None) -> str | None:
    """Return the key of the task that a student learns about, None where its textbooks are about none."""
    about: str | None = book.info.get("task")
    earlier: str | None = before.info.get("task") if before else None
    if before and about and earlier and about != earlier:
        raise HornbookError(
            f"{book.path}: is about another task than the textbook of {before.path}, as which the student begins; "
            "a chain's textbooks must be about one task"
        )
    return about or earlier


def _student_inputs(teacher: Model, student: StudentConfig) -> dict[str, str]:
    """Return the keys of the models that a student is made from."""
    inputs = {"teacher": model_key(teacher), "tokenizer": tokenizer_key(teacher)}
    init = init_key(student)
    return inputs if init is None else {**inputs, "init": init}


def _counted(config: DistilConfig) -> dict[str, Any]:
    """Return the settings that count in this run: not those of a budget or an objective that is not used."""
    settings = result_config(config)
    if config.budget != "tokens":
        settings.pop("tokens")
    if config.budget == "epochs":
        settings.pop("steps")
    else:
        settings.pop("epochs")
    if "logits" not in config.objectives:
        settings.pop("temperature")
    if not config.snapshots:
        settings.pop("snapshots")
    return settings


def _snapshot_name(step: int) -> str:
    return f"step-{step}"


def _check_same_reading(tokens: Artifact, teacher: Model, config: DistilConfig) -> None:
    if tokens.manifest["inputs"]["tokenizer"] != tokenizer_key(teacher):
        raise HornbookError(f"{tokens.path}: these token ids are those of another tokenizer than the teacher's")
    if tokens.manifest["stage_version"] != TOKENS_VERSION:
        raise HornbookError(f"{tokens.path}: these token ids are of another version of hornbook; make them anew")
    made = tokens.manifest["config"]
    for name, wanted in (("max_length", config.max_length), ("pack", config.pack)):
        if made[name] != wanted:
            raise HornbookError(
                f"{tokens.path}: these token ids were made with {name} {made[name]}, but distil.{name} is {wanted}"
            )
    if made["limit"] > (limit := max_tokens_read(teacher, config.max_length)):
        raise HornbookError(
            f"{tokens.path}: these token ids are for a model that takes {made['limit']} tokens; the teacher takes "
            f"{limit}"
        )

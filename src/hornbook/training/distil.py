"""Distillation: the student follows the teacher's relations through a textbook (paper, section 2.2, step 2)."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from torch import Tensor, nn

from hornbook.artifact import Artifact, Place, Work, load, make, result_config
from hornbook.errors import HornbookError
from hornbook.models.encode import Batch, encode_batches, model_inputs, open_encoded
from hornbook.models.loading import (
    Model,
    load_config,
    load_encoder,
    load_tokenizer,
    model_key,
    model_path,
    tokenizer_key,
)
from hornbook.models.student import new_student, student_config
from hornbook.models.taps import Tapped, freeze
from hornbook.progress import progress
from hornbook.recipe import DistilConfig, StudentConfig
from hornbook.textbook import open_textbook
from hornbook.training.finetune import save_model
from hornbook.training.relations import relation_heads, relation_loss
from hornbook.training.steps import StepDataset, StepPlan
from hornbook.training.trainer import train, use_bfloat16, write_log

VERSION = 1
_ENCODED = "tokens.arrow"
_LARGE_TEACHERS = {("bert", 24, 1024): 21, ("roberta", 24, 1024): 19, ("xlm-roberta", 24, 1024): 19}


def encode_textbook(textbook: Artifact | Path | str, model: Model, out: Place, max_length: int = 128) -> Artifact:
    """Turn a textbook into a teacher's token ids, once for all students and seeds.

    Args:
        textbook: a finished textbook.
        model: whose tokenizer it is.
        out: the artefact's folder.
        max_length: longer units are cut to this many tokens.

    Returns:
        the artefact, stage "tokens".
    """
    textbook = textbook if isinstance(textbook, Artifact) else load(textbook, "textbook")

    def build(work: Work) -> None:
        schema = pa.schema([("ids", pa.list_(pa.int32())), ("second", pa.int32())])
        book = open_textbook(textbook)
        tokenizer = load_tokenizer(model_path(model))
        tokens = units = 0
        with (
            progress("tokenise the textbook", book.units) as counter,
            pa.OSFile(str(work.path / _ENCODED), "wb") as sink,
            pa.ipc.new_file(sink, schema) as writer,
        ):
            texts = ((b["text"].to_pylist(), b["text_pair"].to_pylist()) for b in book.batches())
            for batch in encode_batches(texts, tokenizer, max_length):
                writer.write_batch(batch)
                tokens += len(batch["ids"].values)
                units += batch.num_rows
                counter.advance(batch.num_rows)
        work.counts = {"units": units, "tokens": tokens}

    return make(
        out,
        stage="tokens",
        version=VERSION,
        config={"max_length": max_length},
        inputs={"textbook": textbook.key, "tokenizer": tokenizer_key(model)},
        build=build,
    )


def distil(
    teacher: Model,
    textbook: Artifact | Path | str,
    out: Place,
    student: StudentConfig | None = None,
    config: DistilConfig | None = None,
    *,
    seed: int = 0,
) -> Artifact:
    """Distil a new student from a teacher through a textbook.

    Args:
        teacher: a model folder or hub name.
        textbook: a finished textbook, or the same as token ids (see `encode_textbook`).
        out: the artefact's folder: the student's encoder in Hugging Face format, `log.csv`, the manifest.
        student: its size.
        config: budget, learning rate and the like.
        seed: of the student's first weights, the order of the units and dropout.

    Returns:
        the artefact, stage "student".

    Raises:
        HornbookError: the teacher cannot be loaded, or the relation heads do not divide both widths.
    """
    student, config = student or StudentConfig(), config or DistilConfig()
    book = textbook if isinstance(textbook, Artifact) else load(textbook)
    if book.stage not in {"textbook", "tokens"}:
        raise HornbookError(f"{book.path}: holds a {book.stage}, but a textbook is needed here")
    settings = {
        "seed": seed,
        "student": result_config(student),
        **result_config(config),
    }

    def build(work: Work) -> None:
        check_sizes(teacher, student, config)
        tokens = book
        if book.stage == "textbook":
            tokens = encode_textbook(book, teacher, work.resume / "tokens", config.max_length)
        _build(work, model_path(teacher), tokens, student, config, seed)

    return make(
        out,
        stage="student",
        version=VERSION,
        config=settings,
        inputs={
            "teacher": model_key(teacher),
            "textbook": book.manifest["inputs"]["textbook"] if book.stage == "tokens" else book.key,
            "tokenizer": tokenizer_key(teacher),
        },
        build=build,
        seed=seed,
    )


def _build(
    work: Work, teacher_name: str, tokens: Artifact, size: StudentConfig, config: DistilConfig, seed: int
) -> None:
    tokenizer = load_tokenizer(teacher_name)
    teacher = load_encoder(teacher_name)
    layer = config.teacher_layer or default_teacher_layer(teacher.config)
    heads = relation_heads(config.relation_heads, teacher.config.hidden_size, size.hidden)
    student = new_student(teacher.config, size, seed)
    encoded = open_encoded(tokens.file(_ENCODED), tokenizer.pad_token_id)
    plan = StepPlan(encoded.lengths, config.batch, seed, tokens=config.tokens, steps=config.steps)
    log = train(
        Tapped(student, student.config.num_hidden_layers),
        StepDataset(encoded, plan),
        RelationObjective(Tapped(freeze(teacher), layer), heads, use_bfloat16(config.precision)),
        config,
        description=f"distil {size.layers}x{size.hidden}",
        folder=work.resume,
        seed=seed,
        adam_epsilon=config.adam_epsilon,
    )
    write_log(log, work.path / "log.csv")
    save_model(student, tokenizer, work.path)
    work.counts = {"steps": plan.count, "tokens": plan.tokens, "parameters": student.num_parameters()}
    work.info = {
        "teacher_layer": layer,
        "relation_heads": heads,
        "last_loss": log[-1]["loss"] if log else None,
    }
    work.measured["bfloat16"] = use_bfloat16(config.precision)


def untaught_student(teacher: Model, out: Place, student: StudentConfig, *, seed: int = 0) -> Artifact:
    """Make a student that was never distilled, to compare: random weights, the teacher's tokenizer.

    Returns:
        the artefact, stage "student".
    """

    def build(work: Work) -> None:
        path = model_path(teacher)
        model = new_student(load_config(path), student, seed)
        save_model(model, load_tokenizer(path), work.path)
        work.counts = {"parameters": model.num_parameters()}

    return make(
        out,
        stage="student",
        version=VERSION,
        config={"seed": seed, "student": result_config(student)},
        inputs={"teacher": model_key(teacher), "tokenizer": tokenizer_key(teacher)},
        build=build,
        seed=seed,
    )


class RelationObjective:
    """The relation loss against a teacher; called with the tapped student and a batch."""

    def __init__(self, teacher: Tapped, heads: int, bfloat16: bool = False) -> None:
        """Follow `teacher`'s tapped layer, cut into `heads` relation heads; run the teacher in bfloat16 or not."""
        self.teacher, self.heads, self.bfloat16 = teacher, heads, bfloat16

    def __call__(self, student: nn.Module, batch: Batch) -> Tensor:
        """Return the loss of a batch, averaged over its sequences."""
        inputs = model_inputs(self.teacher.model, batch)
        device = batch["input_ids"].device
        if next(self.teacher.parameters()).device != device:
            self.teacher.to(device)
        # The Trainer casts the student's pass only; the loss itself stays in float32.
        with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, enabled=self.bfloat16):
            expected = self.teacher(**inputs)
        return relation_loss(expected, student(**inputs), batch["attention_mask"], self.heads)


def default_teacher_layer(config: Any) -> int:
    """Return the layer that teaches: 21 of BERT-large, 19 of RoBERTa-large, else the last (facts, section 3)."""
    size = (config.model_type, config.num_hidden_layers, config.hidden_size)
    return _LARGE_TEACHERS.get(size, int(config.num_hidden_layers))


def check_sizes(teacher: Model, student: StudentConfig, config: DistilConfig) -> None:
    """Check, before anything costly runs, that teacher and student fit together.

    Raises:
        HornbookError: the teacher's family is unknown, heads do not divide a width, or the layer is not there.
    """
    teacher_config = load_config(teacher)
    student_config(teacher_config, student)
    relation_heads(config.relation_heads, teacher_config.hidden_size, student.hidden)
    layers = teacher_config.num_hidden_layers
    if config.teacher_layer is not None and config.teacher_layer > layers:
        raise HornbookError(
            f"distil.teacher_layer: there is no layer {config.teacher_layer}; the teacher has {layers}"
        )

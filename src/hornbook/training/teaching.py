"""Teacher and student of a distillation, loaded and ready to train."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hornbook.errors import HornbookError
from hornbook.models.encode import Encoded
from hornbook.models.loading import kind_of, label_settings, load_encoder, load_ready_classifier
from hornbook.models.predict import best_device, predict
from hornbook.models.saving import save_model
from hornbook.models.scale import Scale, evenly, in_unit, output_layer, scale_of, standardise
from hornbook.models.source import Model, load_config, model_path
from hornbook.models.student import new_student, student_config
from hornbook.models.taps import freeze
from hornbook.models.tokenizers import load_tokenizer
from hornbook.recipe import FamilyConfig, StudentConfig
from hornbook.store import Artifact
from hornbook.tasks.kinds import KINDS
from hornbook.training.distillation import needs_head
from hornbook.training.objectives import Objective
from hornbook.training.tokens import open_tokens

_SCALE_UNITS = 64  # units of the textbook on which the scale of a teacher's scores is measured


@dataclass(frozen=True)
class Models:
    """The loaded models of a distillation.

    Attributes:
        teacher: frozen; None if its activations are read from the disk.
        student: with a head if the teacher has one.
        tokenizer: of both.
        objectives: by name.
        logits: those of a file for each sequence, instead of the teacher's; a regression's on its own scale.
        restored: a context in which the student's outputs are in the teacher's unit, as it is saved.
    """

    teacher: Any
    student: Any
    tokenizer: Any
    objectives: Mapping[str, Objective]
    logits: NDArray[np.float32] | None = None
    restored: Callable[[], AbstractContextManager[None]] = nullcontext

    def save(self, folder: Path, max_length: int) -> None:
        """Save the student."""
        with self.restored():
            save_model(self.student, self.tokenizer, folder, max_length)


@dataclass(frozen=True)
class FileLabels:
    """What a file says about units of a textbook.

    Attributes:
        kind: the kind of the task.
        labels: the names of the labels in order.
        places: the places of the units in the textbook, shape (units,).
        logits: logits or scores, shape (units, labels).
    """

    kind: str
    labels: Sequence[str]
    places: NDArray[np.int64]
    logits: NDArray[np.float32]

    def name(self, config: Any) -> None:
        """Give these labels to a model's configuration."""
        for name, value in label_settings(self.labels, self.kind).items():
            setattr(config, name, value)


def configs(
    teacher: Model, student: StudentConfig, family: FamilyConfig | None, labels: FileLabels | None = None
) -> tuple[Any, Any]:
    """Return the Hugging Face configurations of teacher and student; with a file's labels where it has some."""
    own = load_config(teacher)
    if labels is not None:
        own = deepcopy(own)
        labels.name(own)
    return own, student_config(own, student, family)


def open_for_teacher(tokens: Artifact, teacher: Model) -> Encoded:
    """Return the token ids of a textbook, memory-mapped.

    Args:
        tokens: made by `encode_textbook`.
        teacher: the model that reads them.

    Returns:
        the sequences.

    Raises:
        HornbookError: the file is missing or changed, or a unit is longer than the teacher takes.
    """
    tokenizer = load_tokenizer(model_path(teacher))
    encoded = open_tokens(tokens, tokenizer)
    if (longest := int(encoded.lengths.max())) > tokenizer.model_max_length:
        raise HornbookError(
            f"{tokens.path}: holds a unit of {longest} tokens, but the teacher takes {tokenizer.model_max_length}"
        )
    return encoded


def load_models(
    path: str,
    objectives: Mapping[str, Objective],
    encoded: Encoded,
    size: StudentConfig,
    seed: int,
    family: FamilyConfig | None,
    labels: FileLabels | None = None,
) -> Models:
    """Load the teacher and make the student, with heads where an objective taps the logits.

    Args:
        path: the teacher.
        objectives: by name.
        encoded: the textbook.
        size: the student's size and initial weights.
        seed: the seed of its initial weights.
        family: the teacher's, if not in the table.
        labels: those of a file, for the sequences of `encoded`, instead of the teacher's logits.

    Returns:
        the models, on the teacher's scale if it is a regression's.
    """
    with_head = needs_head(objectives)
    teacher, scale = _teacher(path, encoded, with_head and labels is None)
    logits = None if labels is None else labels.logits
    if labels is not None:
        labels.name(teacher.config)
        if KINDS[labels.kind].is_standardised:
            scale = scale_of(labels.logits, "the scores of the teacher's file")
            logits = scale.standardised(labels.logits)
    tokenizer = load_tokenizer(path)
    if not with_head:
        return Models(
            teacher, new_student(teacher.config, size, seed, family, encoder=teacher), tokenizer, objectives
        )
    head = label_settings(
        [teacher.config.id2label[i] for i in range(teacher.config.num_labels)], kind_of(teacher.config)
    )
    student = new_student(teacher.config, size, seed, family, head=head, encoder=teacher)
    restored: Callable[[], AbstractContextManager[None]] = nullcontext
    if scale is not None:  # the student's output layer, trained on that scale, is brought to the teacher's unit
        restored = partial(in_unit, output_layer(student, evenly(encoded, _SCALE_UNITS)), scale)
    return Models(teacher, student, tokenizer, objectives, logits, restored)


def load_teacher(path: str, encoded: Encoded, *, with_head: bool) -> Any:
    """Load a frozen teacher; a regression's outputs have mean 0 and deviation 1 on some of the textbook.

    Args:
        path: the teacher.
        encoded: the textbook.
        with_head: whether the logits are needed.

    Returns:
        the model.
    """
    return _teacher(path, encoded, with_head)[0]


def _teacher(path: str, encoded: Encoded, with_head: bool) -> tuple[Any, Scale | None]:
    """Return the frozen teacher, and the scale that a regression's outputs were brought to."""
    if not with_head:
        return freeze(load_encoder(path)), None
    teacher = freeze(load_ready_classifier(path))
    if not KINDS[kind_of(teacher.config)].is_standardised:
        return teacher, None
    if teacher.config.num_labels != 1:
        raise HornbookError(f"the teacher has {teacher.config.num_labels} outputs, but a regression has one")
    some = evenly(encoded, _SCALE_UNITS)
    taught = output_layer(teacher.to(best_device()), some)
    centred = taught.bias is not None
    scale = scale_of(predict(teacher, some), "the teacher's outputs on the textbook", centred=centred)
    standardise(taught, scale)
    return teacher, scale

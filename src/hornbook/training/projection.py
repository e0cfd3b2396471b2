"""The student that begins as a projection of its teacher, made on a sample of texts."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from hornbook.models.encode import Batch, Encoded, encode
from hornbook.models.families import family_settings, sizes_of
from hornbook.models.loading import load_encoder
from hornbook.models.projection import project
from hornbook.models.saving import save_model
from hornbook.models.source import Model, model_key, model_path
from hornbook.models.student import LAYERS, block_ends, new_student, refuse_vocabulary, student_config
from hornbook.models.taps import freeze
from hornbook.models.tokenizers import load_tokenizer, tokenizer_key
from hornbook.recipe import FamilyConfig, StudentConfig
from hornbook.store import Artifact, Destination, StageContext, make, result_config
from hornbook.tasks import open_task
from hornbook.training.tokens import encode_textbook, open_tokens

VERSION = 1
TEXTS = "texts"
_SAMPLE = 16_000  # tokens
_ROWS = 4000  # of a task; these hold more tokens than the sample
_BATCH = 2048  # tokens
_MAX_LENGTH = 128


def projected_student(
    teacher: Model,
    texts: Artifact,
    out: Destination,
    student: StudentConfig,
    *,
    family: FamilyConfig | None = None,
) -> Artifact:
    """Make a student that begins as a projection of its teacher (see `hornbook.models.projection`).

    It depends on no seed, and no label is read.

    Args:
        teacher: an artefact, a folder or a hub name.
        texts: what the teacher reads to find what matters to it: a prepared task (its train split), a textbook, or
            its token ids.
        out: the artefact's folder, or a store.
        student: its sizes.
        family: the teacher's, if not in the table.

    Returns:
        the artefact, stage "student".

    Raises:
        HornbookError: the teacher cannot be projected to this size, the sample is too small, or the teacher's hidden
            states are not finite.
    """
    refuse_vocabulary(student)

    def build(context: StageContext) -> None:
        path = model_path(teacher)
        tokenizer = load_tokenizer(path)
        model = freeze(load_encoder(path))
        made, tokens = _made(model, student, family, lambda: _encoded(texts, teacher, context.resume / "tokens"))
        save_model(made, tokenizer, context.path, tokenizer.model_max_length)
        context.counts = {"parameters": made.num_parameters(), "sample_tokens": tokens}

    return make(
        out,
        stage="student",
        version=VERSION,
        config={"student": result_config(student), "family": family_settings(family)},
        inputs={"teacher": model_key(teacher), "tokenizer": tokenizer_key(teacher), TEXTS: texts.key},
        build=build,
    )


def _made(
    teacher: Any, student: StudentConfig, family: FamilyConfig | None, texts: Callable[[], Encoded]
) -> tuple[Any, int]:
    """Return the student, and the tokens of its sample."""
    config = student_config(teacher.config, student, family)
    has, sizes = sizes_of(teacher.config, family), sizes_of(config, family)
    if replace(has, layers=sizes.layers) == sizes:  # there is nothing to project
        copied = student.model_copy(update={"init": LAYERS})
        return new_student(teacher.config, copied, 0, family, encoder=teacher), 0
    batches = list(sample(texts(), _SAMPLE))
    layers = block_ends(sizes.layers, has.layers)
    return project(teacher, config, layers, batches, family), sum(b["input_ids"].numel() for b in batches)


def sample(encoded: Encoded, tokens: int) -> Iterator[Batch]:
    """Yield batches of a random sample of sequences, the same each time; the sequences of a batch have one length.

    Args:
        encoded: the sequences.
        tokens: the sample's size; fewer where there are fewer.

    Yields:
        batches without padding.
    """
    order = np.random.default_rng(0).permutation(len(encoded))
    taken = order[: 1 + int(np.searchsorted(np.cumsum(encoded.lengths[order]), tokens))]
    for length in np.unique(encoded.lengths[taken]):
        alike = taken[encoded.lengths[taken] == length]
        for start in range(0, len(alike), rows := max(1, _BATCH // int(length))):
            yield encoded.batch(alike[start : start + rows])


def _encoded(texts: Artifact, teacher: Model, folder: Path) -> Encoded:
    tokenizer = load_tokenizer(model_path(teacher))
    if texts.stage == "task":
        task = open_task(texts)
        train = task.split("train")
        train = train.take(np.random.default_rng(0).permutation(len(train))[:_ROWS])
        pairs = train["text_pair"].to_pylist() if task.pair else None
        return encode(train["text"].to_pylist(), pairs, tokenizer, _MAX_LENGTH)
    tokens = encode_textbook(texts, teacher, folder) if texts.stage == "textbook" else texts
    return open_tokens(tokens, tokenizer)

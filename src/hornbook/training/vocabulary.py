"""The vocabulary of a task and its textbooks, and a teacher that reads through it, as artefacts."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hornbook.errors import HornbookError
from hornbook.machine.parsing import read_array
from hornbook.machine.progress import Counter, progress
from hornbook.models.loading import kind_key, load_as_saved
from hornbook.models.saving import save_model
from hornbook.models.source import Model, model_key, model_path
from hornbook.models.tokenizers import (
    learned_length,
    load_tokenizer,
    save_tokenizer,
    saved_length,
    tokenizer_key,
    with_backend,
)
from hornbook.models.vocabulary.rows import keep_rows
from hornbook.models.vocabulary.trim import trim
from hornbook.models.vocabulary.usage import count_pieces, mixed_share, most_frequent
from hornbook.store import Artifact, Destination, StageContext, make
from hornbook.tasks import open_task
from hornbook.textbook import open_textbook

STAGE = "vocabulary"
VERSION = 2
TRIMMED = "trimmed"
TRIMMED_VERSION = 1
# With `auto` the chosen pieces make up this share of what is read, and are at most `MOST`; what the tokenizer
# needs comes on top. All pieces in use are nearly all pieces, as textbooks hold general text. A share alone does not
# fit: where new texts have 7% more tokens, it is 97% for SST-2 and 94% for the quickstart, the pieces are as many.
COVERAGE = 0.97
MOST = 7_900
# The task's weight beside 1 for all textbooks together.
TASK_WEIGHT = 1.5
_TOKENIZER, _KEPT = "tokenizer.json", "kept.npy"
_BATCH = 4096


def task_vocabulary(
    teacher: Model,
    task: Artifact,
    textbooks: Sequence[Artifact],
    out: Destination,
    size: int | Literal["auto"] = "auto",
) -> Artifact:
    """Trim a teacher's tokenizer to the pieces that a task's train split and its textbooks use most.

    Args:
        teacher: the model whose tokenizer to trim.
        task: a prepared task.
        textbooks: finished textbooks, in any order; all count the same.
        out: the artefact's folder.
        size: the most pieces to keep, special tokens and characters included. `auto`: as many as make up `COVERAGE`
            of the texts, at most `MOST`, and what the tokenizer needs.

    Returns:
        the artefact, stage "vocabulary": the tokenizer's files and the kept ids. Its counts: `pieces`, `tokens` of
        the train split, and the same of the whole tokenizer, `pieces_before` and `tokens_before`.

    Raises:
        HornbookError: the tokenizer cannot be trimmed, or `size` is less than it needs.
    """
    books = sorted(textbooks, key=lambda book: book.key)

    def build(context: StageContext) -> None:
        tokenizer = load_tokenizer(model_path(teacher))
        units = sum(book.counts["units"] for book in books)
        with progress("count word pieces", units + task.counts["train_rows"]) as counter:
            counts = [count_pieces(_task_texts(task, counter), tokenizer)]
            counts += [count_pieces(_book_texts(book, counter), tokenizer) for book in books]
        shares = mixed_share(counts, [TASK_WEIGHT * max(len(books), 1), *(1 for _ in books)])
        if size == "auto":
            trimmed = trim(tokenizer, most_frequent(shares, COVERAGE)[:MOST])
        else:
            trimmed = trim(tokenizer, most_frequent(shares, 1.0), size)
        save_tokenizer(trimmed.tokenizer, context.path, saved_length(tokenizer))
        np.save(context.path / _KEPT, trimmed.kept)
        context.counts = {
            "pieces": len(trimmed.kept),
            "pieces_before": len(tokenizer),
            "tokens": int(count_pieces(_task_texts(task), trimmed.tokenizer).sum()),
            "tokens_before": int(counts[0].sum()),
        }

    return make(
        out,
        stage=STAGE,
        version=VERSION,
        config={"size": size, **({"coverage": COVERAGE, "most": MOST} if size == "auto" else {"coverage": None})},
        inputs={
            "whole": tokenizer_key(teacher),
            "task": task.key,
            **{f"textbook{number}": book.key for number, book in enumerate(books)},
        },
        build=build,
    )


def kept_ids(vocabulary: Artifact) -> NDArray[np.int64]:
    """Return the old id of each piece of a trimmed vocabulary, ascending, shape (pieces,).

    Args:
        vocabulary: made by `task_vocabulary`.

    Returns:
        the ids.

    Raises:
        HornbookError: the file is missing or changed.
    """
    kept: NDArray[np.int64] = read_array(vocabulary.file(_KEPT))
    return kept


def trimmed_tokenizer(whole: Any, vocabulary: Artifact) -> Any:
    """Return a tokenizer with the pieces of a trimmed vocabulary.

    Args:
        whole: the tokenizer that the vocabulary was made from; not changed.
        vocabulary: made by `task_vocabulary`.

    Returns:
        the smaller tokenizer, with the lengths of the whole one.

    Raises:
        HornbookError: the file is missing or changed.
    """
    from tokenizers import Tokenizer

    return with_backend(whole, Tokenizer.from_file(str(vocabulary.file(_TOKENIZER))))


def check_vocabulary(teacher: Model, size: int | Literal["auto"]) -> None:
    """Check, before anything expensive runs, that a teacher's tokenizer can be trimmed to a size.

    Args:
        teacher: a model folder or hub name.
        size: as in `task_vocabulary`.

    Raises:
        HornbookError: the tokenizer is of a kind that cannot be trimmed, or `size` is less than it needs.
    """
    _check(model_path(teacher), tokenizer_key(teacher), None if size == "auto" else size)


@lru_cache(maxsize=64)
def _check(teacher: str, _: str, size: int | None) -> None:
    """Trim a tokenizer with a key to the least; cached, as every cell of an experiment is checked."""
    trim(load_tokenizer(teacher), (), size)


def trimmed_model(model: Model, vocabulary: Artifact, out: Destination) -> Artifact:
    """Make a copy of a model that reads through a trimmed vocabulary: its tokenizer, and the rows of the kept pieces.

    Args:
        model: a model with the whole tokenizer, with or without a head.
        vocabulary: made by `task_vocabulary`.
        out: the artefact's folder.

    Returns:
        the artefact, stage "trimmed": a model folder. Its tokenizer's key is the vocabulary's, and that of all that
        is made with it: token ids, students, fine-tuned models.

    Raises:
        HornbookError: the vocabulary was made from another tokenizer, or the model cannot be loaded.
    """
    if vocabulary.manifest["inputs"]["whole"] != tokenizer_key(model):
        raise HornbookError(f"{vocabulary.path}: was made from another tokenizer than that of {model_path(model)}")

    def build(context: StageContext) -> None:
        whole = load_tokenizer(model_path(model))
        tokenizer = trimmed_tokenizer(whole, vocabulary)
        loaded = load_as_saved(model_path(model))
        before = loaded.num_parameters()
        keep_rows(loaded, kept_ids(vocabulary))
        save_model(loaded, tokenizer, context.path, saved_length(whole))
        context.counts = {"parameters": loaded.num_parameters(), "parameters_before": before}

    learned = learned_length(model)
    return make(
        out,
        stage=TRIMMED,
        version=TRIMMED_VERSION,
        # What readers of a planned model look for.
        config={**kind_key(model), **({} if learned is None else {"max_length": learned})},
        inputs={"model": model_key(model), "vocabulary": vocabulary.key, "tokenizer": vocabulary.key},
        build=build,
    )


def _task_texts(task: Artifact, counter: Counter | None = None) -> Iterator[list[str]]:
    train = open_task(task).split("train")
    yield from _texts((train.slice(i, _BATCH) for i in range(0, len(train), _BATCH)), counter)


def _book_texts(book: Artifact, counter: Counter) -> Iterator[list[str]]:
    yield from _texts(open_textbook(book).batches(["text", "text_pair"], _BATCH), counter)


def _texts(batches: Iterator[Any], counter: Counter | None) -> Iterator[list[str]]:
    """Yield the texts and second texts of each batch of rows."""
    for batch in batches:
        both = [*batch["text"].to_pylist(), *batch["text_pair"].to_pylist()]
        yield [text for text in both if text is not None]
        if counter is not None:
            counter.advance(len(batch))

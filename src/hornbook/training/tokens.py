"""A textbook as token ids, made once for all students and seeds, with optional packing of short units."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from hornbook.errors import HornbookError
from hornbook.machine.progress import Counter, progress
from hornbook.models.encode import SCHEMA, Encoded, Texts, encode_batches, open_encoded
from hornbook.models.segments import segments_of
from hornbook.models.source import Model, model_path
from hornbook.models.tokenizers import load_tokenizer, max_input_tokens, tokenizer_key, warn_of_length
from hornbook.store import Artifact, Destination, StageContext, load, make
from hornbook.textbook import Textbook, open_textbook
from hornbook.training.vocabulary import trimmed_tokenizer

STAGE = "tokens"
VERSION = 2
ENCODED = "tokens.arrow"
# During tokenisation a unit takes some hundred times the memory of its text.
_BATCH_UNITS = 4096

Pack = Literal["none", "length", "pairs"]


def encode_textbook(
    textbook: Artifact | Path | str,
    model: Model,
    out: Destination,
    max_length: int = 128,
    pack: Pack = "none",
    *,
    vocabulary: Artifact | None = None,
) -> Artifact:
    """Tokenise a textbook for a teacher, once for all students and seeds.

    Args:
        textbook: a finished textbook.
        model: the model whose tokenizer to use.
        out: the artefact's folder.
        max_length: truncate sequences to this many tokens, to fewer if the model has fewer positions.
        pack: how units become sequences. `none`: each is one. `length`: neighbours are joined with a space while
            their tokens fit `max_length`. `pairs`: two neighbours become the two segments of one.
        vocabulary: a trimmed vocabulary to read with instead, made from that tokenizer.

    Returns:
        the artefact, stage "tokens". Its counts: `units`, `sequences`, `tokens`, and `cut`, the truncated sequences.

    Raises:
        HornbookError: the textbook is missing or changed, or it holds pairs, which cannot be packed.
    """
    textbook = textbook if isinstance(textbook, Artifact) else load(textbook, "textbook")

    def build(context: StageContext) -> None:
        book = open_textbook(textbook)
        tokenizer = load_tokenizer(model_path(model))
        if vocabulary is not None:
            tokenizer = trimmed_tokenizer(tokenizer, vocabulary)
        warn_of_length("max_length", max_length, model)
        sequences = tokens = cut = 0
        with (
            progress("tokenise the textbook", book.units) as counter,
            pa.OSFile(str(context.path / ENCODED), "wb") as sink,
            pa.ipc.new_file(sink, SCHEMA) as writer,
        ):
            texts = packed(_texts(book, pack, counter), tokenizer, max_length, pack)
            for batch in encode_batches(texts, tokenizer, max_length):
                writer.write_batch(batch)
                sequences += batch.num_rows
                tokens += len(batch["ids"].values)
                cut += pc.sum(batch["cut"]).as_py()
        context.info["task"] = textbook.info.get("task")
        context.counts = {"units": counter.done, "sequences": sequences, "tokens": tokens, "cut": cut}

    return make(
        out,
        stage=STAGE,
        version=VERSION,
        # Two models may share a tokenizer and have positions for different lengths.
        config={"max_length": max_length, "limit": max_tokens_read(model, max_length), "pack": pack},
        inputs={"textbook": textbook.key, "tokenizer": vocabulary.key if vocabulary else tokenizer_key(model)},
        build=build,
    )


def open_tokens(tokens: Artifact, tokenizer: Any) -> Encoded:
    """Return the token ids of a textbook, memory-mapped.

    Args:
        tokens: made by `encode_textbook`.
        tokenizer: the one that made them, whose padding and token type ids batches have.

    Returns:
        the sequences.

    Raises:
        HornbookError: the file is missing or changed.
    """
    return open_encoded(tokens.file(ENCODED), tokenizer.pad_token_id, segments_of(tokenizer))


def packed(texts: Iterable[Texts], tokenizer: Any, max_length: int, pack: Pack) -> Iterator[Texts]:
    """Join neighbouring units (see `encode_textbook`); the result does not depend on the batches.

    Args:
        texts: batches of units, without second texts if they are to be joined.
        tokenizer: a fast tokenizer.
        max_length: maximum tokens per sequence, special tokens included.
        pack: how to join them.

    Yields:
        batches of (texts, second texts or None), one text or pair for each sequence.
    """
    if pack == "none":
        yield from texts
    elif pack == "length":
        limit = min(max_length, tokenizer.model_max_length)
        yield from _by_length(texts, tokenizer, limit - tokenizer.num_special_tokens_to_add(pair=False))
    else:
        yield from _by_twos(texts)


def _by_length(texts: Iterable[Texts], tokenizer: Any, room: int) -> Iterator[Texts]:
    waiting: list[str] = []
    used = 0
    for units, _ in texts:
        full: list[str] = []
        for unit, tokens in zip(units, _token_counts(units, tokenizer), strict=True):
            if waiting and used + tokens > room:
                full.append(" ".join(waiting))
                waiting, used = [], 0
            waiting.append(unit)
            used += tokens
        if full:
            yield full, None
    if waiting:
        yield [" ".join(waiting)], None


def _by_twos(texts: Iterable[Texts]) -> Iterator[Texts]:
    waiting: list[str] = []
    for units, _ in texts:
        waiting += units
        even = len(waiting) // 2 * 2
        if even:
            yield waiting[:even:2], waiting[1:even:2]
        waiting = waiting[even:]
    if waiting:
        yield waiting, None


def _token_counts(units: Sequence[str], tokenizer: Any) -> list[int]:
    """Return the number of tokens of each unit after a space, without special tokens."""
    backend = tokenizer.backend_tokenizer
    # It keeps the truncation and padding of its last call.
    backend.no_truncation()
    backend.no_padding()
    # A word after a space may be another token than at the start of a text (RoBERTa).
    spaced = [f" {unit}" for unit in units]
    return [len(encoding) for encoding in backend.encode_batch_fast(spaced, add_special_tokens=False)]


def _texts(book: Textbook, pack: Pack, counter: Counter) -> Iterator[Texts]:
    for batch in book.batches(["text", "text_pair"], _BATCH_UNITS):
        pairs = batch["text_pair"].to_pylist() if batch["text_pair"].null_count < batch.num_rows else None
        if pairs and pack != "none":
            raise HornbookError(
                f"{book.artifact.path}: this textbook holds pairs of texts, which cannot be packed by {pack}; "
                "set distil.pack to none"
            )
        yield batch["text"].to_pylist(), pairs
        counter.advance(batch.num_rows)


def max_tokens_read(model: Model, max_length: int) -> int:
    """Return the maximum number of tokens per sequence that the model takes, at most `max_length`.

    A model that is not made yet is assumed to take `max_length`.
    """
    if isinstance(model, Artifact) and model.planned:
        return max_length
    return min(max_length, max_input_tokens(model))

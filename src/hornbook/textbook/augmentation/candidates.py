"""Candidate words from a masked language model for a task's texts (TinyBERT, Jiao et al. 2020, algorithm 1).

The costly part of an augmented textbook is an artefact of its own: textbooks that differ in seed, mode, number of
variants, probability or word vectors share it.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from hornbook.languages import ENGLISH
from hornbook.machine.progress import Counter, progress
from hornbook.models.source import load_config, model_key
from hornbook.recipe import AugmentedConfig
from hornbook.store import Artifact, Destination, StageContext, Store, make
from hornbook.tasks import open_task
from hornbook.textbook.augmentation.tokenize import MaskedLMTokenizer, TokenizedText, check_mask
from hornbook.textbook.augmentation.vectors import read_vectors

if TYPE_CHECKING:
    from hornbook.models.masked import MaskedModel

logger = logging.getLogger("hornbook")

STAGE = "candidates"
VERSION = 1
_STOP_LISTS_VERSION = 1  # of languages other than English
SCHEMA = pa.schema(
    [
        ("text", pa.string()),
        ("words", pa.list_(pa.string())),
        ("asked", pa.list_(pa.int32())),
        ("pieces", pa.list_(pa.int32())),
        ("several", pa.list_(pa.int32())),
        ("beyond", pa.int32()),
    ]
)
"""One row per distinct text. `asked`: indices of the words that the model predicts (`TokenizedText.masked`).
`pieces`: the ids of the most likely tokens, equally many for each of these words. `several`: indices of the words of
several tokens. `beyond`: the number of words past the model's limit."""
VOCABULARY = pa.schema([("word", pa.string()), ("special", pa.bool_())])
"""One row per token, by id: its word (null if it does not start a word), and whether it is a special token."""
_TEXTS, _WORDS = "candidates.arrow", "vocabulary.arrow"
BLOCK_TEXTS = 500
"""Texts per block: its masked inputs are sorted by length, and an interrupted run resumes after the last block."""
_BATCH_TOKENS = {"cpu": 2_000, "cuda": 65_536}


def propose(config: AugmentedConfig, task: Artifact, out: Destination) -> Artifact:
    """Predict candidates for each replaceable word of each distinct training text.

    Args:
        config: the model and the number of candidates per word.
        task: the task.
        out: the textbook's destination; the candidates are put beside it, under their key.

    Returns:
        The artefact, for `open_candidates`. Counts: texts, cut (texts with words past the model's limit),
        words_replaceable, words_masked (predicted by the model), words_of_several_pieces.

    Raises:
        HornbookError: the model cannot be loaded, is not a masked language model or has no mask token; or the word
            vectors cannot be read (checked before the long work).
    """
    from hornbook.models.loading import check_masked_lm  # needs torch, which other textbooks do not

    check_masked_lm(config.model)
    return make(
        out if isinstance(out, Store) else Store(Path(out).parent),
        stage=STAGE,
        version=VERSION,
        config={"candidates": config.candidates, "max_length": config.max_length} | _language(config),
        inputs={"task": task.key, "model": model_key(config.model)},
        build=partial(_build, config, task),
    )


def _language(config: AugmentedConfig) -> dict[str, str | int]:
    """Return the settings about the language, none for English: they are newer than finished candidates."""
    if config.language in (None, ENGLISH):
        return {}
    return {"language": str(config.language), "stop_lists": _STOP_LISTS_VERSION}


@dataclass(frozen=True)
class Candidates:
    """Finished candidates.

    Attributes:
        words: the word of each token, by id; None if it does not start a word.
        special: whether each token is a special token.
        batches: batches of `SCHEMA`, memory-mapped.
        rows: the batch and the row of each text.
    """

    words: list[str | None]
    special: list[bool]
    batches: Sequence[pa.RecordBatch]
    rows: dict[str, tuple[int, int]]

    def of(self, text: str) -> tuple[list[str], dict[int, list[int]], list[int]]:
        """Return a text's words, the predicted tokens by word index, and the indices of words of several tokens."""
        batch, row = self.rows[text]
        values = {
            name: self.batches[batch].column(name)[row].as_py() for name in ("words", "asked", "pieces", "several")
        }
        masked, tokens = values["asked"], values["pieces"]
        each = len(tokens) // max(len(masked), 1)
        return (
            values["words"],
            {index: tokens[i * each : (i + 1) * each] for i, index in enumerate(masked)},
            values["several"],
        )

    def split_words(self) -> Iterator[str]:
        """Yield the words of several tokens of all distinct texts, duplicates included."""
        for batch in self.batches:
            for words, split in zip(
                batch.column("words").to_pylist(), batch.column("several").to_pylist(), strict=True
            ):
                yield from (words[index] for index in split)


def open_candidates(artifact: Artifact) -> Candidates:
    """Open finished candidates.

    Args:
        artifact: made by `propose`.

    Returns:
        The candidates; the batches are memory-mapped.

    Raises:
        HornbookError: a file is missing or changed.
    """
    vocabulary = pa.ipc.open_file(pa.memory_map(str(artifact.file(_WORDS)))).read_all()
    reader = pa.ipc.open_file(pa.memory_map(str(artifact.file(_TEXTS))))
    batches = [reader.get_batch(i) for i in range(reader.num_record_batches)]
    rows = {
        text: (number, row)
        for number, batch in enumerate(batches)
        for row, text in enumerate(batch.column("text").to_pylist())
    }
    return Candidates(vocabulary.column("word").to_pylist(), vocabulary.column("special").to_pylist(), batches, rows)


def predict_tokens(
    model: "MaskedModel",
    texts: Sequence[TokenizedText],
    mask: int,
    pad: int,
    count: int,
    advance: Callable[[float], None] = lambda _: None,
) -> list[NDArray[np.int32]]:
    """Return the most likely tokens for each masked word, best first.

    Inputs are batched by length, across texts.

    Args:
        model: the masked language model.
        texts: the texts.
        mask: the id of the mask token.
        pad: the id of the padding token.
        count: tokens per word.
        advance: called with the fraction done.

    Returns:
        An array of token ids for each text, int32, [masked words, count].
    """
    from hornbook.models.encode import Encoded

    lengths = np.array([len(text.ids) for text in texts], np.int64)
    encoded = Encoded(
        values=np.concatenate([text.ids for text in texts]),
        starts=np.cumsum(lengths) - lengths,
        lengths=lengths,
        second=np.array([text.second for text in texts], np.int32),
        pad=pad,
    )
    masked = np.array([len(text.masked) for text in texts])
    owner = np.repeat(np.arange(len(texts)), masked)
    position = np.array([position for text in texts for position in text.positions], np.int64)
    order = np.argsort(-lengths[owner], kind="stable")
    best = np.empty((len(order), count), np.int32)
    batch_tokens = _BATCH_TOKENS[model.device.type]
    start = 0
    while start < len(order):
        part = order[start:][: max(1, batch_tokens // int(lengths[owner[order[start]]]))]
        batch = encoded.batch(owner[part])
        batch["input_ids"][np.arange(len(part)), position[part]] = mask
        best[part] = model.best(batch, position[part], count)
        start += len(part)
        advance(start / len(order))
    return np.split(best, np.cumsum(masked)[:-1])


def _build(config: AugmentedConfig, task: Artifact, context: StageContext) -> None:
    from hornbook.models.loading import load_masked_lm
    from hornbook.models.masked import MaskedModel
    from hornbook.models.predict import best_device
    from hornbook.models.tokenizers import load_tokenizer

    tokenizer, about = load_tokenizer(config.model), load_config(config.model)
    mask = check_mask(tokenizer, config.model)
    if config.vectors is not None:
        read_vectors(config.vectors, config.vector_rows)
    limit = tokenizer.model_max_length
    positions = min(limit, getattr(about, "max_position_embeddings", limit))
    masked_tokenizer = MaskedLMTokenizer(tokenizer, config.max_length, positions, config.language or ENGLISH)
    texts = open_task(task).anchors()
    model = MaskedModel(load_masked_lm(config.model), best_device())
    context.measured |= {"model": config.model, "device": model.device.type}
    count = min(config.candidates, int(about.vocab_size))
    blocks = [context.resume / f"{start:09d}.arrow" for start in range(0, len(texts), BLOCK_TEXTS)]
    with progress("Predicting masked words", len(texts), "texts") as counter:
        for number, path in enumerate(blocks):
            part = texts[number * BLOCK_TEXTS :][:BLOCK_TEXTS]
            if path.is_file():
                counter.skip(len(part))
                continue
            tokenized = [masked_tokenizer.tokenize(text) for text in part]
            advance = _in_texts(counter, len(part))
            tokens = predict_tokens(model, tokenized, mask, tokenizer.pad_token_id, count, advance)
            advance(1.0)
            _write_block(path, _batch(part, tokenized, tokens))
    _join_blocks(blocks, context)
    _write_vocabulary(context.path / _WORDS, masked_tokenizer.vocabulary(), tokenizer.all_special_ids)


def _in_texts(counter: Counter, texts: int) -> Callable[[float], None]:
    """Return a function that advances a counter to a fraction of `texts`."""
    before = counter.done
    return lambda fraction: counter.advance(before + round(fraction * texts) - counter.done)


def _batch(
    texts: Sequence[str], tokenized: Sequence[TokenizedText], tokens: Sequence[NDArray[np.int32]]
) -> pa.RecordBatch:
    columns = {
        "text": list(texts),
        "words": [text.words for text in tokenized],
        "asked": [text.masked for text in tokenized],
        "pieces": [best.ravel() for best in tokens],
        "several": [text.split for text in tokenized],
        "beyond": [text.truncated for text in tokenized],
    }
    return pa.record_batch([pa.array(columns[field.name], field.type) for field in SCHEMA], SCHEMA)


def _write_block(path: Path, batch: pa.RecordBatch) -> None:
    partial = path.with_suffix(".partial")
    with pa.ipc.new_file(partial, batch.schema) as writer:
        writer.write_batch(batch)
    partial.replace(path)


def _join_blocks(blocks: Sequence[Path], context: StageContext) -> None:
    """Write all blocks to one file and count their words."""
    counts = dict.fromkeys(("texts", "cut", "words_replaceable", "words_masked", "words_of_several_pieces"), 0)
    beyond = 0
    with pa.ipc.new_file(context.path / _TEXTS, SCHEMA) as writer:
        for path in blocks:
            batch = pa.ipc.open_file(path).get_batch(0)
            writer.write_batch(batch)
            truncated = batch.column("beyond").to_numpy()
            counts["texts"] += batch.num_rows
            counts["cut"] += int(np.count_nonzero(truncated))
            counts["words_masked"] += len(batch.column("asked").values)
            counts["words_of_several_pieces"] += len(batch.column("several").values)
            beyond += int(truncated.sum())
    counts["words_replaceable"] = counts["words_masked"] + counts["words_of_several_pieces"] + beyond
    context.counts |= counts
    if counts["cut"]:
        logger.info(
            "%s of %s texts are longer than the model's limit: %s words past it are not replaced",
            f"{counts['cut']:,}",
            f"{counts['texts']:,}",
            f"{beyond:,}",
        )


def _write_vocabulary(path: Path, words: Sequence[str | None], special: Sequence[int]) -> None:
    is_special = np.isin(np.arange(len(words)), special)
    with pa.ipc.new_file(path, VOCABULARY) as writer:
        writer.write_batch(pa.record_batch([pa.array(words, pa.string()), pa.array(is_special)], VOCABULARY))

"""What a masked language model puts for the words of a task's texts (TinyBERT, Jiao et al. 2020, algorithm 1).

The costly part of an augmented textbook, kept as an artefact of its own: textbooks that differ in seed, mode, number
of variants, probability or word vectors share it.
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

from hornbook.machine.progress import Counter, progress
from hornbook.models.source import load_config, model_key
from hornbook.recipe import AugmentedConfig
from hornbook.store import Artifact, Destination, StageContext, Store, make
from hornbook.tasks import open_task
from hornbook.textbook.augmentation.tokenize import Reader, Reading, check_mask
from hornbook.textbook.augmentation.vectors import read_vectors

if TYPE_CHECKING:
    from hornbook.models.masked import MaskedModel

logger = logging.getLogger("hornbook")

STAGE = "candidates"
VERSION = 1
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
"""A row for each distinct text: its words, the indices of those asked of the model, the ids of the likeliest pieces
for each of these one after another (as many for each), the indices of the words of several pieces, and how many words
lie beyond what the model reads."""
VOCABULARY = pa.schema([("word", pa.string()), ("special", pa.bool_())])
"""A row for each piece, by id: the word that it is, null where it begins none, and whether it is a special token."""
_TEXTS, _WORDS = "candidates.arrow", "vocabulary.arrow"
BLOCK_TEXTS = 500
"""Texts whose masked inputs are sorted by length together, and of which a run that died keeps all or nothing."""
_TOKENS_AT_ONCE = {"cpu": 2_000, "cuda": 65_536}


def propose(config: AugmentedConfig, task: Artifact, out: Destination) -> Artifact:
    """Ask the model once for each distinct text of train and each word of it that may be replaced.

    Args:
        config: the model, and how many candidates a word has.
        task: whose texts are read.
        out: where the textbook goes; the candidates lie beside it, under their key.

    Returns:
        The artefact, for `open_candidates`. Counts: texts, cut (texts with words beyond what the model reads),
        words_replaceable, words_masked (asked of the model), words_of_several_pieces.

    Raises:
        HornbookError: the model cannot be loaded, is no masked language model or has no mask token; the word vectors
            cannot be read, which is looked at before the long work.
    """
    from hornbook.models.loading import check_masked_lm  # needs torch, which other textbooks do not

    check_masked_lm(config.model)
    return make(
        out if isinstance(out, Store) else Store(Path(out).parent),
        stage=STAGE,
        version=VERSION,
        config={"candidates": config.candidates, "max_length": config.max_length},
        inputs={"task": task.key, "model": model_key(config.model)},
        build=partial(_build, config, task),
    )


@dataclass(frozen=True)
class Candidates:
    """Finished candidates.

    Attributes:
        words: for each piece the word that it is, None where it begins none.
        special: whether a piece is a special token.
        batches: tables of `SCHEMA`, memory-mapped.
        rows: where each text stands: its batch and its row there.
    """

    words: list[str | None]
    special: list[bool]
    batches: Sequence[pa.RecordBatch]
    rows: dict[str, tuple[int, int]]

    def of(self, text: str) -> tuple[list[str], dict[int, list[int]], list[int]]:
        """Return a text's words, the pieces for those that were asked, by index, and those of several pieces."""
        batch, row = self.rows[text]
        found = {
            name: self.batches[batch].column(name)[row].as_py() for name in ("words", "asked", "pieces", "several")
        }
        asked, pieces = found["asked"], found["pieces"]
        each = len(pieces) // max(len(asked), 1)
        return (
            found["words"],
            {index: pieces[i * each : (i + 1) * each] for i, index in enumerate(asked)},
            found["several"],
        )

    def words_of_several_pieces(self) -> Iterator[str]:
        """Yield each word of several pieces as often as it stands in a distinct text."""
        for batch in self.batches:
            for words, several in zip(
                batch.column("words").to_pylist(), batch.column("several").to_pylist(), strict=True
            ):
                yield from (words[index] for index in several)


def open_candidates(artifact: Artifact) -> Candidates:
    """Open finished candidates.

    Raises:
        HornbookError: a file of theirs is missing or changed.
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


def ask(
    model: "MaskedModel",
    readings: Sequence[Reading],
    mask: int,
    pad: int,
    count: int,
    advance: Callable[[float], None] = lambda _: None,
) -> list[NDArray[np.int32]]:
    """Return the likeliest pieces for each word asked of each text, [words asked, count], the likeliest first.

    Inputs of like length go together, whatever texts they are of.

    Args:
        model: the masked language model.
        readings: the texts.
        mask: the id of the mask.
        pad: the id to pad with.
        count: pieces for a word.
        advance: told now and then what share of all is done.
    """
    from hornbook.models.encode import Encoded

    lengths = np.array([len(reading.ids) for reading in readings], np.int64)
    encoded = Encoded(
        values=np.concatenate([reading.ids for reading in readings]),
        starts=np.cumsum(lengths) - lengths,
        lengths=lengths,
        second=np.array([reading.second for reading in readings], np.int32),
        pad=pad,
    )
    asked = np.array([len(reading.asked) for reading in readings])
    text = np.repeat(np.arange(len(readings)), asked)
    position = np.array([position for reading in readings for position in reading.positions], np.int64)
    order = np.argsort(-lengths[text], kind="stable")
    best = np.empty((len(order), count), np.int32)
    tokens = _TOKENS_AT_ONCE[model.device.type]
    start = 0
    while start < len(order):
        part = order[start:][: max(1, tokens // int(lengths[text[order[start]]]))]
        batch = encoded.batch(text[part])
        batch["input_ids"][np.arange(len(part)), position[part]] = mask
        best[part] = model.best(batch, position[part], count)
        start += len(part)
        advance(start / len(order))
    return np.split(best, np.cumsum(asked)[:-1])


def _build(config: AugmentedConfig, task: Artifact, context: StageContext) -> None:
    from hornbook.models.loading import load_masked_lm
    from hornbook.models.masked import MaskedModel
    from hornbook.models.predict import best_device
    from hornbook.models.tokenizers import load_tokenizer

    tokenizer, about = load_tokenizer(config.model), load_config(config.model)
    mask = check_mask(tokenizer, config.model)
    if config.vectors is not None:
        read_vectors(config.vectors, config.vector_rows)
    longest = tokenizer.model_max_length
    reader = Reader(tokenizer, config.max_length, min(longest, getattr(about, "max_position_embeddings", longest)))
    texts = open_task(task).anchors()
    model = MaskedModel(load_masked_lm(config.model), best_device())
    context.measured |= {"model": config.model, "device": model.device.type}
    count = min(config.candidates, int(about.vocab_size))
    kept = [context.resume / f"{start:09d}.arrow" for start in range(0, len(texts), BLOCK_TEXTS)]
    with progress("Asking the masked language model", len(texts), "texts") as counter:
        for number, path in enumerate(kept):
            part = texts[number * BLOCK_TEXTS :][:BLOCK_TEXTS]
            if path.is_file():
                counter.skip(len(part))
                continue
            readings = [reader.read(text) for text in part]
            advance = _in_texts(counter, len(part))
            pieces = ask(model, readings, mask, tokenizer.pad_token_id, count, advance)
            advance(1.0)
            _keep(path, _batch(part, readings, pieces))
    _join(kept, context)
    _write_vocabulary(context.path / _WORDS, reader.vocabulary(), tokenizer.all_special_ids)


def _in_texts(counter: Counter, texts: int) -> Callable[[float], None]:
    """Return what advances a counter by a share of so many texts."""
    before = counter.done
    return lambda share: counter.advance(before + round(share * texts) - counter.done)


def _batch(texts: Sequence[str], readings: Sequence[Reading], pieces: Sequence[NDArray[np.int32]]) -> pa.RecordBatch:
    columns = {
        "text": list(texts),
        "words": [reading.words for reading in readings],
        "asked": [reading.asked for reading in readings],
        "pieces": [found.ravel() for found in pieces],
        "several": [reading.several for reading in readings],
        "beyond": [reading.beyond for reading in readings],
    }
    return pa.record_batch([pa.array(columns[field.name], field.type) for field in SCHEMA], SCHEMA)


def _keep(path: Path, batch: pa.RecordBatch) -> None:
    partial = path.with_suffix(".partial")
    with pa.ipc.new_file(partial, batch.schema) as writer:
        writer.write_batch(batch)
    partial.replace(path)


def _join(kept: Sequence[Path], context: StageContext) -> None:
    """Put what was kept into one file, and count it."""
    counts = dict.fromkeys(("texts", "cut", "words_replaceable", "words_masked", "words_of_several_pieces"), 0)
    beyond = 0
    with pa.ipc.new_file(context.path / _TEXTS, SCHEMA) as writer:
        for path in kept:
            batch = pa.ipc.open_file(path).get_batch(0)
            writer.write_batch(batch)
            left = batch.column("beyond").to_numpy()
            counts["texts"] += batch.num_rows
            counts["cut"] += int(np.count_nonzero(left))
            counts["words_masked"] += len(batch.column("asked").values)
            counts["words_of_several_pieces"] += len(batch.column("several").values)
            beyond += int(left.sum())
    counts["words_replaceable"] = counts["words_masked"] + counts["words_of_several_pieces"] + beyond
    context.counts |= counts
    if counts["cut"]:
        logger.info(
            "%s of %s texts are longer than the model reads: %s words beyond are not replaced",
            f"{counts['cut']:,}",
            f"{counts['texts']:,}",
            f"{beyond:,}",
        )


def _write_vocabulary(path: Path, words: Sequence[str | None], special: Sequence[int]) -> None:
    is_special = np.isin(np.arange(len(words)), special)
    with pa.ipc.new_file(path, VOCABULARY) as writer:
        writer.write_batch(pa.record_batch([pa.array(words, pa.string()), pa.array(is_special)], VOCABULARY))

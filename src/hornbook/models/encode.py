"""Texts as token ids, stored flat, without padding."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from numpy.typing import NDArray
from torch import Tensor

from hornbook.errors import HornbookError, one_line
from hornbook.models.families import defaults_of
from hornbook.models.segments import BERT, Segments, counted, segments_of
from hornbook.tasks import Task

Batch = dict[str, Tensor]
Texts = tuple[Sequence[str], Sequence[str | None] | None]
"""Texts, and second texts or None."""

SCHEMA = pa.schema([("ids", pa.list_(pa.int32())), ("second", pa.int32()), ("cut", pa.bool_())])
"""Stored token ids, a row for each sequence: its ids, the start of its second text (its length if it has none), and
whether it was truncated."""
_BATCH = 8192


@dataclass(frozen=True)
class Encoded:
    """Token ids of many sequences, special tokens included.

    Attributes:
        values: the ids of all sequences; in a mapped file also other bytes between them; shape (any,).
        starts: the start of each sequence in `values`, shape (sequences,).
        lengths: tokens of each sequence, shape (sequences,).
        second: the start of the second text of a pair in each sequence; its length if it has none; shape
            (sequences,).
        pad: the id to pad with.
        cut: the number of truncated sequences.
        segments: the tokenizer's token type ids.
    """

    values: NDArray[np.int32]
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    second: NDArray[np.int32]
    pad: int
    cut: int = 0
    segments: Segments = BERT

    def __len__(self) -> int:
        """Return the number of sequences."""
        return len(self.lengths)

    def ids(self, index: int) -> NDArray[np.int32]:
        """Return the token ids of one sequence."""
        start = self.starts[index]
        return self.values[start : start + self.lengths[index]]

    def subset(self, indices: NDArray[np.int64]) -> "Encoded":
        """Return some of the sequences, in the given order, without copying their ids."""
        return replace(
            self,
            starts=self.starts[indices],
            lengths=self.lengths[indices],
            second=self.second[indices],
        )

    def batch(self, indices: NDArray[Any]) -> Batch:
        """Return sequences padded to the longest of them: three tensors of shape (sequences, length)."""
        lengths = self.lengths[indices][:, None]
        positions = np.arange(lengths.max())
        mask = positions < lengths
        # Past its end a sequence reads whatever follows; "clip" keeps the last one inside the array.
        ids = self.values.take(self.starts[indices][:, None] + positions, mode="clip")
        types = np.where(mask, self.segments.types(positions, lengths, self.second[indices][:, None]), 0)
        return {
            "input_ids": torch.from_numpy(np.where(mask, ids, self.pad).astype(np.int64)),
            "attention_mask": torch.from_numpy(mask.astype(np.int64)),
            "token_type_ids": torch.from_numpy(types.astype(np.int64)),
        }


def encode_batches(texts: Iterable[Texts], tokenizer: Any, max_length: int) -> Iterator[pa.RecordBatch]:
    """Yield token ids for batches of texts or pairs.

    Args:
        texts: non-empty batches of (texts, second texts or None); within a batch some second texts may be None.
        tokenizer: a fast tokenizer; its own template places the special tokens.
        max_length: truncate inputs to this many tokens, the longer side of pairs first; to fewer if the tokenizer's
            model takes fewer.

    Yields:
        record batches of `SCHEMA`.
    """
    limit = min(max_length, tokenizer.model_max_length)
    closing = len(segments_of(tokenizer).pair.after)
    for first, pairs in texts:
        inputs = list(first) if pairs is None else [_input(*both) for both in zip(first, pairs, strict=True)]
        unused = {"return_attention_mask": False, "return_token_type_ids": False}
        encoded = tokenizer(inputs, truncation=True, max_length=limit, padding=False, **unused)
        ids = encoded["input_ids"]
        paired = [not isinstance(text, str) for text in inputs]
        second = [_second_start(encoded.sequence_ids(i), closing) if paired[i] else len(x) for i, x in enumerate(ids)]
        cut = [len(x) >= limit and bool(encoded.encodings[i].overflowing) for i, x in enumerate(ids)]
        yield pa.record_batch([pa.array(ids, SCHEMA.field("ids").type), pa.array(second, pa.int32()), cut], SCHEMA)


def _input(text: str, pair: str | None) -> str | tuple[str, str]:
    return text if pair is None else (text, pair)


def _second_start(texts: Sequence[int | None], closing: int) -> int:
    """Return where the second text of a pair begins; before the tokens that close it if nothing is left of it."""
    return texts.index(1) if 1 in texts else len(texts) - closing


def encode(texts: Sequence[str], pairs: Sequence[str | None] | None, tokenizer: Any, max_length: int) -> Encoded:
    """Return texts, or pairs of texts, as token ids in memory; see `encode_batches`."""
    slices = [slice(start, start + _BATCH) for start in range(0, len(texts), _BATCH)]
    parts = ((texts[s], pairs[s] if pairs is not None else None) for s in slices)
    table = pa.Table.from_batches(encode_batches(parts, tokenizer, max_length), SCHEMA)
    ids = table["ids"].combine_chunks()
    offsets = ids.offsets.to_numpy().astype(np.int64)
    return Encoded(
        values=ids.values.to_numpy(),
        starts=offsets[:-1],
        lengths=np.diff(offsets),
        second=table["second"].to_numpy(),
        pad=tokenizer.pad_token_id,
        cut=int(pc.sum(table["cut"]).as_py() or 0),
        segments=segments_of(tokenizer),
    )


def encode_split(task: Task, split: str, tokenizer: Any, max_length: int) -> tuple[Encoded, NDArray[Any]]:
    """Return the token ids of a task's split and its gold labels (see `Task.gold`)."""
    table = task.split(split)
    pairs = table["text_pair"].to_pylist() if task.pair else None
    return encode(table["text"].to_pylist(), pairs, tokenizer, max_length), task.gold(split)


def open_encoded(path: Path, pad: int, segments: Segments = BERT) -> Encoded:
    """Return the token ids in an Arrow file of `SCHEMA`, memory-mapped, without reading them.

    One memory map holds all record batches, so a sequence of any of them is found by adding offsets.

    Args:
        path: the file.
        pad: the id to pad batches with.
        segments: of the tokenizer that made the ids.

    Returns:
        the sequences; `values` covers the whole file.

    Raises:
        HornbookError: hornbook did not write this file.
    """
    try:
        whole = pa.memory_map(str(path)).read_buffer()
        reader = pa.ipc.open_file(whole)
        if reader.schema != SCHEMA:
            raise ValueError("other columns")
        batches = [reader.get_batch(i) for i in range(reader.num_record_batches)]
        starts = [_starts(batch.column("ids"), whole) for batch in batches]
    except (OSError, ValueError) as error:
        said = one_line(error)
        raise HornbookError(f"{path}: not token ids as hornbook writes them ({said}); make them again") from None
    return Encoded(
        values=np.frombuffer(whole, np.int32, count=whole.size // 4),
        starts=_joined(starts, np.int64),
        lengths=_joined([np.diff(batch.column("ids").offsets.to_numpy()) for batch in batches], np.int64),
        second=_joined([batch.column("second").to_numpy() for batch in batches], np.int32),
        pad=pad,
        segments=segments,
    )


def _starts(ids: pa.ListArray, whole: pa.Buffer) -> NDArray[np.int64]:
    """Return where each list of ids begins in the mapped file `whole`, in numbers of int32."""
    offsets: NDArray[np.int64] = ids.offsets.to_numpy().astype(np.int64)
    if not len(ids.values):
        return offsets[:-1]
    distance = ids.values.buffers()[1].address - whole.address
    # Compressed ids would be unpacked to another buffer.
    if distance % 4 or not 0 <= distance < whole.size:
        raise ValueError("compressed or not aligned")
    first = distance // 4 + ids.values.offset
    return offsets[:-1] + np.int64(first)


def _joined(parts: Sequence[NDArray[Any]], kind: type[Any]) -> NDArray[Any]:
    return np.concatenate([np.empty(0, kind), *parts], dtype=kind)


def input_names(model: Any) -> tuple[str, ...]:
    """Return the names of what a model's forward pass takes of a tokenizer (some families have no segments)."""
    segments = ("token_type_ids",) if counted(model.config) else ()
    return "input_ids", "attention_mask", *segments


def model_inputs(model: Any, batch: Batch) -> Batch:
    """Return the part of a batch that the model's forward pass takes."""
    inputs = {name: batch[name] for name in input_names(model)}
    if defaults_of(model.config).global_first:
        inputs["global_attention_mask"] = torch.zeros_like(batch["attention_mask"])
        inputs["global_attention_mask"][:, 0] = 1
    return inputs

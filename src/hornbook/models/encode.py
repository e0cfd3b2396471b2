"""Text to token ids, kept flat: no padding at rest."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

Batch = dict[str, Tensor]
_BATCH = 8192


@dataclass(frozen=True)
class Encoded:
    """Token ids of many sequences, special tokens included.

    Attributes:
        parts: for each part of the file its flat ids and its offsets (sequences + 1).
        starts: the number of the first sequence of each part.
        lengths: tokens of each sequence, shape (sequences,).
        second: where the second text of a pair begins in each sequence; its length where there is none.
        pad: the id to pad with.
    """

    parts: Sequence[tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]]
    starts: np.ndarray[Any, np.dtype[np.int64]]
    lengths: np.ndarray[Any, np.dtype[np.int64]]
    second: np.ndarray[Any, np.dtype[np.int32]]
    pad: int

    def __len__(self) -> int:
        """Return the number of sequences."""
        return len(self.lengths)

    def ids(self, index: int) -> np.ndarray[Any, Any]:
        """Return the token ids of one sequence."""
        part = int(np.searchsorted(self.starts, index, side="right")) - 1
        values, offsets = self.parts[part]
        row = index - int(self.starts[part])
        return values[offsets[row] : offsets[row + 1]]

    def batch(self, indices: np.ndarray[Any, Any]) -> Batch:
        """Return sequences padded to the longest of them: three tensors of shape (sequences, length)."""
        lengths = self.lengths[indices]
        longest = int(lengths.max())
        ids = np.full((len(indices), longest), self.pad, dtype=np.int64)
        for row, index in enumerate(indices):
            ids[row, : lengths[row]] = self.ids(int(index))
        positions = np.arange(longest)
        mask = positions < lengths[:, None]
        types = (positions >= self.second[indices][:, None]) & mask
        return {
            "input_ids": torch.from_numpy(ids),
            "attention_mask": torch.from_numpy(mask.astype(np.int64)),
            "token_type_ids": torch.from_numpy(types.astype(np.int64)),
        }


def encode_batches(
    texts: Iterable[tuple[Sequence[str], Sequence[str | None] | None]], tokenizer: Any, max_length: int
) -> Iterable[pa.RecordBatch]:
    """Yield token ids for batches of texts or pairs.

    Args:
        texts: batches of (texts, second texts or None).
        tokenizer: a fast tokenizer; its own template places the special tokens.
        max_length: longer inputs are cut to this many tokens, pairs at their longer side first; to fewer if the
            tokenizer's model takes no more.

    Yields:
        record batches of `ids: list<int32>` and `second: int32`.
    """
    for first, pairs in texts:
        pair = list(pairs) if pairs is not None and any(p is not None for p in pairs) else None
        encoded = tokenizer(
            list(first),
            pair,
            truncation=True,
            max_length=min(max_length, tokenizer.model_max_length),
            padding=False,
            return_attention_mask=False,
        )
        ids = encoded["input_ids"]
        second = [_second_start(encoded.sequence_ids(i)) if pair else len(x) for i, x in enumerate(ids)]
        yield pa.record_batch({"ids": pa.array(ids, pa.list_(pa.int32())), "second": pa.array(second, pa.int32())})


def _second_start(segments: Sequence[int | None]) -> int:
    return segments.index(1) if 1 in segments else len(segments)


def encode(texts: Sequence[str], pairs: Sequence[str | None] | None, tokenizer: Any, max_length: int) -> Encoded:
    """Return texts, or pairs of texts, as token ids in memory; see `encode_batches`."""
    slices = [slice(start, start + _BATCH) for start in range(0, len(texts), _BATCH)]
    batches = encode_batches(
        ((texts[s], pairs[s] if pairs is not None else None) for s in slices), tokenizer, max_length
    )
    return _from_batches(list(batches), tokenizer.pad_token_id)


def open_encoded(path: Path, pad: int) -> Encoded:
    """Return the token ids in an Arrow file, memory-mapped."""
    reader = pa.ipc.open_file(pa.memory_map(str(path)))
    return _from_batches([reader.get_batch(i) for i in range(reader.num_record_batches)], pad)


def _from_batches(batches: Sequence[pa.RecordBatch], pad: int) -> Encoded:
    parts = []
    for batch in batches:
        column = batch.column("ids")
        parts.append((column.values.to_numpy(), column.offsets.to_numpy()))
    second = [batch.column("second").to_numpy() for batch in batches]
    sizes = np.array([batch.num_rows for batch in batches], dtype=np.int64)
    return Encoded(
        parts=parts,
        starts=np.cumsum(sizes) - sizes,
        lengths=np.concatenate([np.diff(offsets).astype(np.int64) for _, offsets in parts]),
        second=np.concatenate(second),
        pad=pad,
    )


def model_inputs(model: Any, batch: Batch) -> Batch:
    """Return the part of a batch that the model's forward pass takes (some families know no segments)."""
    if getattr(model.config, "type_vocab_size", 0) > 1:
        return {name: batch[name] for name in ("input_ids", "attention_mask", "token_type_ids")}
    return {name: batch[name] for name in ("input_ids", "attention_mask")}

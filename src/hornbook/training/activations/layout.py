"""The rows in which a teacher's activations are stored: one for each token, in float16 or int8."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hornbook.errors import HornbookError
from hornbook.models.families import sizes_of
from hornbook.models.taps import LOGITS_TAP, OutputTap, Tap, Taps
from hornbook.recipe import FamilyConfig

FLOAT16, INT8 = "float16", "int8"
_LARGEST_CODE = 127
_LARGEST = {FLOAT16: torch.finfo(torch.float16).max, INT8: torch.finfo(torch.float32).max}
_OF_TOKENS = ("hidden_states", "last_hidden_state")


@dataclass(frozen=True)
class Layout:
    """How the activations of a token, and the logits of a sequence, are stored.

    A row of int8 has a scale for each tap: the largest magnitude of its numbers has the code 127.

    Attributes:
        taps: the distinct taps that give a vector for each token.
        widths: the width of each.
        outputs: the number of logits of a sequence, 0 if they are not tapped; these stay float32.
        dtype: "float16" or "int8".
    """

    taps: tuple[Tap | OutputTap, ...]
    widths: tuple[int, ...]
    outputs: int
    dtype: str

    @property
    def row(self) -> np.dtype[Any]:
        """The type of a token's row: its values, for int8 also the scale of each tap."""
        width = sum(self.widths)
        if self.dtype == INT8:
            return np.dtype([("values", "<i1", (width,)), ("scales", "<f4", (len(self.taps),))])
        return np.dtype([("values", "<f2", (width,))])

    def slices(self) -> dict[Tap | OutputTap, slice]:
        """Return where each tap's numbers are in a row."""
        ends = np.cumsum(self.widths, dtype=int).tolist()
        return {tap: slice(end - width, end) for tap, width, end in zip(self.taps, self.widths, ends, strict=True)}

    def size(self, tokens: int, sequences: int) -> int:
        """Return the bytes that a number of tokens and sequences take."""
        return tokens * self.row.itemsize + sequences * self.outputs * 4

    def for_key(self) -> dict[str, Any]:
        """Return what identifies it, ready for JSON."""
        return {
            "taps": [asdict(tap) for tap in self.taps],
            "outputs": self.outputs,
            "dtype": self.dtype,
            "bytes_token": self.row.itemsize,
        }

    def rows(self, tensors: Sequence[Tensor], mask: Tensor) -> NDArray[Any]:
        """Return the rows of the real tokens of a batch, those of its first sequence first.

        Args:
            tensors: the vectors of each tap, shape (sequences, length, width).
            mask: 1 for tokens, 0 for padding, shape (sequences, length).

        Returns:
            shape (tokens,), of the type `row`.

        Raises:
            HornbookError: a tap gives another shape than expected, or a number too large for float16.
        """
        real = mask.bool()
        rows = np.empty(int(real.sum()), self.row)
        for number, ((tap, part), tensor) in enumerate(zip(self.slices().items(), tensors, strict=True)):
            if tensor.shape != (*mask.shape, self.widths[number]):
                raise _not_cached(f"{tap} gives the shape {tuple(tensor.shape)}")
            values = tensor[real].float()
            largest = float(values.abs().max())
            if not largest <= _LARGEST[self.dtype]:  # nor a not-a-number
                raise HornbookError(
                    f"distil.cache: the teacher gives {largest:g}, which {self.dtype} does not hold; set it to "
                    f"{'int8 or none' if largest < math.inf else 'none'}"
                )
            if self.dtype == INT8:
                scales = values.abs().amax(dim=1, keepdim=True) / _LARGEST_CODE
                rows["scales"][:, number] = scales.squeeze(1).cpu().numpy()
                codes = (values / scales.clamp(min=torch.finfo(torch.float32).tiny)).round().to(torch.int8)
            else:
                codes = values.half()
            rows["values"][:, part] = codes.cpu().numpy()
        return rows

    def padded(self, sequences: Sequence[NDArray[Any]]) -> NDArray[Any]:
        """Return the values of some sequences, padded with zeros to the longest of them.

        Args:
            sequences: the rows of each.

        Returns:
            shape (sequences, length, sum of widths): float16 as stored, int8 as float32.
        """
        shape = len(sequences), max(map(len, sequences)), sum(self.widths)
        if self.dtype != INT8:
            values = np.zeros(shape, "<f2")
            for number, rows in enumerate(sequences):
                values[number, : len(rows)] = rows["values"]
            return values
        codes, scales = np.zeros(shape, "<i1"), np.zeros((*shape[:2], len(self.taps)), "<f4")
        for number, rows in enumerate(sequences):
            codes[number, : len(rows)] = rows["values"]
            scales[number, : len(rows)] = rows["scales"]
        whole = torch.from_numpy(codes).float()
        for number, part in enumerate(self.slices().values()):
            whole[..., part] *= torch.from_numpy(scales[..., number, None])
        decoded: NDArray[Any] = whole.numpy()
        return decoded


def layout_of(taps: Taps, config: Any, dtype: str, family: FamilyConfig | None = None) -> Layout:
    """Return how the tensors that objectives tap from a teacher are stored.

    Args:
        taps: of the teacher, by any names.
        config: its Hugging Face configuration.
        dtype: "float16" or "int8".
        family: the paths of its projections, if not in the table.

    Returns:
        the layout.

    Raises:
        HornbookError: a tap gives neither a vector of known width for each token nor the logits.
    """
    distinct = dict.fromkeys(taps.values())
    hidden = sizes_of(config, family).hidden
    of_tokens = {tap: _width(tap, hidden) for tap in distinct if tap != LOGITS_TAP}
    outputs = int(config.num_labels) if LOGITS_TAP in distinct else 0
    return Layout(tuple(of_tokens), tuple(of_tokens.values()), outputs, dtype)


def _width(tap: Tap | OutputTap, hidden: int) -> int:
    if isinstance(tap, Tap) and tap.width is not None:
        return tap.width // tap.parts
    if isinstance(tap, OutputTap) and tap.field in _OF_TOKENS:
        return hidden
    raise _not_cached(f"no vector of known width for each token: {tap}")


def _not_cached(why: str) -> HornbookError:
    return HornbookError(f"distil.cache: an objective taps what cannot be kept ({why}); set it to none")

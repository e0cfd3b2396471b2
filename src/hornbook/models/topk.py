"""Indices of the largest numbers, faster than `torch.topk` on CPUs."""

import torch
from torch import Tensor

CHUNK = 64


def topk_indices(values: Tensor, count: int) -> Tensor:
    """Return the indices of the largest values of each row, the largest first, as `torch.topk` does.

    The largest `count` values are in the `count` chunks with the largest maxima, and maxima are cheap.

    Args:
        values: shape (rows, width).
        count: how many; at most the width.

    Returns:
        indices, int64, shape (rows, count); among equal values, any.
    """
    rows, width = values.shape
    chunks = width // CHUNK
    if chunks <= count:
        return values.topk(count).indices
    maxima = values[:, : chunks * CHUNK].reshape(rows, chunks, CHUNK).amax(dim=-1)
    starts = maxima.topk(count).indices * CHUNK
    within = torch.arange(CHUNK, device=values.device)
    rest = torch.arange(chunks * CHUNK, width, device=values.device).expand(rows, -1)
    places = torch.cat([(starts[..., None] + within).flatten(1), rest], dim=1)
    return places.gather(1, values.gather(1, places).topk(count).indices)

"""The largest few of many numbers."""

import torch
from torch import Tensor

CHUNK = 64


def topk_indices(values: Tensor, count: int) -> Tensor:
    """Return where the largest values of each row stand, the largest first, as `torch.topk` does but faster on CPUs.

    The largest `count` values stand in those `count` chunks that have the largest maxima, and maxima are cheap.

    Args:
        values: [rows, width].
        count: how many; not more than the width.

    Returns:
        indices, int64, [rows, count]; of equal values any.
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

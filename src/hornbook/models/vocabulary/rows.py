"""Leave rows out of a model's table of embeddings, and out of its head for masked tokens."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray


def keep_rows(model: Any, kept: NDArray[np.int64]) -> None:
    """Keep some rows of a model's token embeddings, in place; on the others' tokens it computes what it did.

    The head of a masked language model keeps the same outputs. The ids of special tokens in the configuration are
    numbered again.

    Args:
        model: a transformers model, with or without a head.
        kept: the old id of each new one, ascending, shape (rows,); see `Trimmed`.
    """
    table, head = model.get_input_embeddings(), model.get_output_embeddings()
    rows = torch.from_numpy(kept).to(table.weight.device)
    count, before, padding = len(kept), len(table.weight), table.padding_idx
    parameters = {id(p): p for module in (table, head) if module is not None for p in module.parameters()}
    with torch.no_grad():
        for parameter in parameters.values():  # tied ones once
            parameter[:count] = parameter[rows]
    model.resize_token_embeddings(count)  # keeps the first rows
    new = {int(old): i for i, old in enumerate(kept)}
    table = model.get_input_embeddings()
    table.padding_idx = None if padding is None else new.get(padding % before)
    for name, value in model.config.to_dict().items():
        if name.endswith("_token_id") and isinstance(value, int | list):
            ids = [new.get(i % before) for i in (value if isinstance(value, list) else [value])]
            setattr(model.config, name, ids if isinstance(value, list) else ids[0])

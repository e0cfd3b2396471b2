"""MiniLMv2's objective the obvious way: what distil_step.py measures against, and an oracle for the tests.

Written from the description (Wang et al. 2021, section 3.1) as the public implementations go about it: both models
run whole and hand out all hidden states and attentions, the tapped layer's query, key and value modules are applied
once more to the hidden states below it, and a Python loop takes each example's relations at its own length.
For models whose layers stand where BERT's do.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


def obvious_loss(teacher: Any, student: Any, batch: dict[str, Tensor], layer: int, heads: int) -> Tensor:
    """Return the loss of a batch, averaged over its sequences; the three relations are summed.

    Args:
        teacher: a base encoder with eager attention, frozen.
        student: a base encoder with eager attention; its last layer learns.
        batch: what both models take, with an `attention_mask` of shape (sequences, length).
        layer: the teacher's layer, counted from 1.
        heads: relation heads.
    """
    with torch.no_grad():
        expected = projections(teacher, batch, layer)
    found = projections(student, batch, student.config.num_hidden_layers)
    return obvious_relation_loss(expected, found, batch["attention_mask"], heads)


def projections(model: Any, batch: dict[str, Tensor], layer: int) -> list[Tensor]:
    """Return queries, keys and values of a layer, each of shape (sequences, length, hidden)."""
    outputs = model(**batch, output_hidden_states=True, output_attentions=True)
    below = outputs.hidden_states[layer - 1]
    attention = model.encoder.layer[layer - 1].attention.self
    return [attention.query(below), attention.key(below), attention.value(below)]


def obvious_relation_loss(teacher: Sequence[Tensor], student: Sequence[Tensor], mask: Tensor, heads: int) -> Tensor:
    """Return the loss of three pairs of projections, each of shape (sequences, length, its model's width)."""
    divergence = nn.KLDivLoss(reduction="sum")
    lengths = mask.sum(dim=1).tolist()
    total = torch.zeros((), device=mask.device)
    for expected, found in zip(teacher, student, strict=True):
        expected_products, found_products = products(expected, heads), products(found, heads)
        for example, length in enumerate(lengths):
            own = (example, slice(None), slice(length), slice(length))
            relation = torch.softmax(expected_products[own], dim=-1)
            log_relation = functional.log_softmax(found_products[own], dim=-1)
            total = total + divergence(log_relation, relation) / (heads * length)
    return total / len(lengths)


def products(projection: Tensor, heads: int) -> Tensor:
    """Return scaled dot products of shape (sequences, heads, length, length)."""
    sequences, length, width = projection.shape
    x = projection.view(sequences, length, heads, width // heads).transpose(1, 2)
    return x @ x.transpose(2, 3) / math.sqrt(width // heads)

"""MiniLMv2's objective: the student's self-attention relations follow the teacher's (Wang et al. 2021)."""

import math
from typing import Any

import torch
from torch import Tensor

from hornbook.errors import HornbookError
from hornbook.models.taps import Projections

MOST_RELATION_HEADS = 64
# Far enough below every dot product that its share is 0, and finite, so that 0 x difference is not NaN.
_PADDED = -1e9


def legal_relation_heads(teacher_hidden: int, student_hidden: int) -> list[int]:
    """Return the numbers of relation heads that divide both widths, ascending."""
    common = math.gcd(teacher_hidden, student_hidden)
    return [n for n in range(1, common + 1) if common % n == 0]


def relation_heads(asked: int | None, teacher_hidden: int, student_hidden: int) -> int:
    """Return the number of relation heads: what is asked for, else the paper's for the teacher's size.

    The defaults (facts, section 3): 48 for base-size teachers, 64 for large and other ones, or the largest
    legal number below.

    Raises:
        HornbookError: the number asked for does not divide both widths.
    """
    legal = legal_relation_heads(teacher_hidden, student_hidden)
    if asked is None:
        most = 48 if teacher_hidden == 768 else MOST_RELATION_HEADS
        return max(n for n in legal if n <= most)
    if asked not in legal:
        raise HornbookError(
            f"distil.relation_heads: {asked} does not divide both the teacher's width {teacher_hidden} and the "
            f"student's {student_hidden}; legal are {', '.join(map(str, legal))}"
        )
    return asked


def relation_loss(teacher: Projections, student: Projections, mask: Tensor, heads: int) -> Tensor:
    """Return the relation loss of a batch, averaged over its sequences.

    For each of queries, keys and values, cut into `heads` relation heads, the relation of a position to the
    others is softmax(x x' / sqrt(width of a head)) over the real tokens. The loss is KL(teacher || student),
    the mean over heads and a sequence's own positions; the three relations are summed with weight 1
    (Wang et al. 2021, section 3.1; facts, section 3).

    Args:
        teacher: projections of shape (sequences, length, teacher's width).
        student: projections of shape (sequences, length, student's width).
        mask: 1 for tokens, 0 for padding, shape (sequences, length).
        heads: the number of relation heads; must divide both widths.

    Returns:
        a float32 scalar.
    """
    real = mask.bool()
    weights = real / (real.sum(dim=1, keepdim=True) * heads * len(mask))
    losses = [
        _divergence(_logits(t, real, heads), _logits(s, real, heads), weights)
        for t, s in zip(teacher, student, strict=True)
    ]
    return torch.stack(losses).sum()


def _logits(projection: Tensor, real: Tensor, heads: int) -> Tensor:
    """Return scaled dot products of shape (sequences, heads, length, length), padded columns far below all."""
    sequences, length, width = projection.shape
    x = projection.float().view(sequences, length, heads, width // heads).transpose(1, 2)
    x = x * (width // heads) ** -0.25
    products: Tensor = x @ x.transpose(2, 3)
    return products.masked_fill_(~real[:, None, None, :], _PADDED)


def _divergence(teacher: Tensor, student: Tensor, weights: Tensor) -> Tensor:
    loss: Tensor = _RelationDivergence.apply(teacher, student, weights)  # type: ignore[no-untyped-call]
    return loss


class _RelationDivergence(torch.autograd.Function):
    """The weighted sum of KL(softmax(teacher) || softmax(student)) over rows.

    Written out because its gradient, softmax(student) - softmax(teacher), needs one matrix kept where the
    derivative of the composed formula needs four: the loss is a third of a small student's step.
    """

    @staticmethod
    def forward(ctx: Any, teacher: Tensor, student: Tensor, weights: Tensor) -> Tensor:
        """Take logits of shape (sequences, heads, length, length) and weights of (sequences, length)."""
        teacher_log = torch.log_softmax(teacher, dim=-1)
        student_log = torch.log_softmax(student, dim=-1)
        expected = teacher_log.exp()
        per_row = teacher_log.sub_(student_log).mul_(expected).sum(dim=(1, 3))
        ctx.save_for_backward(student_log.exp_().sub_(expected), weights)
        return (per_row * weights).sum()

    @staticmethod
    def backward(ctx: Any, *outputs: Tensor) -> tuple[None, Tensor, None]:
        """Return the gradient of the student's logits; the teacher gets none."""
        difference, weights = ctx.saved_tensors
        return None, difference * (weights * outputs[0])[:, None, :, None], None

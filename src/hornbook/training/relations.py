"""MiniLMv2's objective: the student's self-attention relations follow the teacher's (Wang et al. 2021)."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from hornbook.errors import HornbookError
from hornbook.models.taps import PROJECTIONS

RELATIONS = PROJECTIONS  # of each projection with itself
MOST_RELATION_HEADS = 64
# Entries of a relation that are computed at once: a processor's second cache holds the few matrices of a chunk
# (docs/log.md has the timings); a GPU wants its work in large pieces.
_CHUNK = {"cpu": 1 << 17, "cuda": 1 << 25}
# Far enough below every dot product that its share is 0, and finite, so that 0 x difference is not NaN.
_PADDED = -1e9
# The exponential of less than this is next to nothing, but takes a processor ten times as long.
_VANISHING = -80.0


def legal_relation_heads(*widths: int) -> list[int]:
    """Return the numbers of relation heads that divide all widths, ascending."""
    common = math.gcd(*widths)
    return [n for n in range(1, common + 1) if common % n == 0]


def relation_heads(asked: int | None, teacher_hidden: int, student_hidden: int, keys: int = 0) -> int:
    """Return the number of relation heads: what is asked for, else the paper's for the teacher's size.

    The defaults (facts, section 3): 48 for base-size teachers, 64 for large and other ones, or the largest
    legal number below.

    Args:
        asked: what the recipe says.
        teacher_hidden: the teacher's width.
        student_hidden: the student's width.
        keys: what the widths of both models' keys and values have in common, where several queries share them.

    Raises:
        HornbookError: the number asked for does not divide both widths.
    """
    legal = legal_relation_heads(teacher_hidden, student_hidden, keys)
    if asked is None:
        most = 48 if teacher_hidden == 768 else MOST_RELATION_HEADS
        return max(n for n in legal if n <= most)
    if asked not in legal:
        both = math.gcd(teacher_hidden, student_hidden)
        raise HornbookError(
            f"distil.relation_heads: {asked} does not divide both the teacher's width {teacher_hidden} and the "
            f"student's {student_hidden}{', and those of their keys' if legal[-1] < both else ''}; "
            f"legal are {', '.join(map(str, legal))}"
        )
    return asked


def relation_loss(
    teacher: Mapping[str, Tensor], student: Mapping[str, Tensor], mask: Tensor, heads: int
) -> dict[str, Tensor]:
    """Return the relation losses of a batch, each averaged over its sequences; the objective is their sum.

    For each of queries, keys and values, cut into `heads` relation heads, the relation of a position to the
    others is softmax(x x' / sqrt(width of a head)) over the real tokens. The loss is KL(teacher || student),
    the mean over heads and a sequence's own positions; the three relations are summed with weight 1
    (Wang et al. 2021, section 3.1; facts, section 3).

    Args:
        teacher: "query", "key" and "value" projections of shape (sequences, length, teacher's width).
        student: the same of shape (sequences, length, student's width).
        mask: 1 for tokens, 0 for padding, shape (sequences, length).
        heads: the number of relation heads; must divide both widths.

    Returns:
        a float32 scalar for each of "query", "key" and "value".
    """
    loss: Any = _RelationLoss.apply
    return {name: loss(student[name], teacher[name], mask, heads) for name in RELATIONS}


class _RelationLoss(torch.autograd.Function):
    """One relation's loss, chunk by chunk; a chunk's gradient is taken while its matrices are in the cache.

    The loss is a sum over heads of sequences, so nothing but the gradient of the student's projection (its own
    size) is kept from the forward pass to the backward pass, and no length x length matrix outlives its chunk.
    With R = softmax(x x'), D = R(student) - R(teacher) and w the weight of a row, the gradient of
    sum w KL(R(teacher) || R(student)) with respect to the student's x is w D x + D' (w x).
    """

    @staticmethod
    def forward(ctx: Any, student: Tensor, teacher: Tensor, mask: Tensor, heads: int) -> Tensor:
        """Take projections of shape (sequences, length, width) and a mask of shape (sequences, length)."""
        real = mask.bool()
        weights = _per_head(real / (real.sum(dim=1, keepdim=True) * heads * len(real)), heads)
        bias = _per_head(torch.zeros_like(real, dtype=torch.float32).masked_fill_(~real, _PADDED), heads)
        with torch.autocast(student.device.type, enabled=False):
            s, t = _split(student, heads), _split(teacher, heads)
            gradient = torch.empty_like(s)
            loss = torch.zeros((), device=s.device)
            size = max(1, _CHUNK.get(s.device.type, _CHUNK["cuda"]) // mask.shape[1] ** 2)
            for i in range(0, len(s), size):
                chunk = slice(i, i + size)
                loss += _chunk(t[chunk], s[chunk], bias[chunk], weights[chunk], gradient[chunk])
        ctx.save_for_backward(_join(gradient, student))
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *outputs: Tensor) -> tuple[Tensor, None, None, None]:
        """Return the gradient of the student's projection; the teacher gets none."""
        (gradient,) = ctx.saved_tensors
        return gradient * outputs[0], None, None, None


def _chunk(teacher: Tensor, student: Tensor, bias: Tensor, weights: Tensor, gradient: Tensor) -> Tensor:
    """Return the loss of some heads; write the gradient of `student`.

    Args:
        teacher: shape (heads, length, width of a head), scaled.
        student: the same with its own width.
        bias: 0 for tokens, far below for padding, shape (heads, length).
        weights: of each position, shape (heads, length).
        gradient: written, shaped as `student`.
    """
    expected = _log_relation(teacher, bias)
    found = _log_relation(student, bias)
    relation = expected.clamp(min=_VANISHING).exp_()
    loss: Tensor = (torch.linalg.vecdot(relation, expected.sub_(found)) * weights).sum()
    difference = found.clamp_(min=_VANISHING).exp_().sub_(relation)
    rows = weights.unsqueeze(-1)
    torch.bmm(difference, student, out=gradient)
    gradient.mul_(rows).baddbmm_(difference.transpose(1, 2), student * rows)
    # the dot products were scaled on both sides by the fourth root, so this side carries it once more
    gradient.mul_(student.shape[-1] ** -0.25)
    return loss


def _log_relation(x: Tensor, bias: Tensor) -> Tensor:
    products = torch.baddbmm(bias.unsqueeze(1), x, x.transpose(1, 2))
    return torch.log_softmax(products, dim=-1)


def _split(projection: Tensor, heads: int) -> Tensor:
    """Return relation heads of shape (sequences x heads, length, width of a head), so scaled that x x' is final."""
    sequences, length, width = projection.shape
    x = projection.float().view(sequences, length, heads, width // heads).transpose(1, 2)
    scaled: Tensor = x * (width // heads) ** -0.25
    return scaled.reshape(sequences * heads, length, width // heads)


def _join(x: Tensor, like: Tensor) -> Tensor:
    sequences, length, width = like.shape
    x = x.view(sequences, -1, length, x.shape[-1]).transpose(1, 2)
    return x.reshape(sequences, length, width).to(like.dtype)


def _per_head(x: Tensor, heads: int) -> Tensor:
    return x.repeat_interleave(heads, dim=0)

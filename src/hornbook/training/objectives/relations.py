"""MiniLMv2's objective: the student's self-attention relations follow the teacher's (Wang et al. 2021)."""

import math
from collections.abc import Mapping
from typing import Any, Self

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from hornbook.errors import HornbookError
from hornbook.models.families import key_widths
from hornbook.models.taps import PROJECTIONS, Taps
from hornbook.training.objectives.base import Objective, Pair

RELATIONS = PROJECTIONS  # each projection with itself
MOST_RELATION_HEADS = 64
# Entries of a relation that are computed at once: a processor's second-level cache holds the few matrices of a chunk
# (docs/log.md has the timings); a GPU is fastest with large pieces.
_CHUNK = {"cpu": 1 << 17, "cuda": 1 << 25}
# Far enough below every dot product that its share is 0, and finite, so that 0 x difference is not NaN.
_PADDED = -1e9
# The exponential of less than this is next to nothing, but takes a processor ten times as long.
_VANISHING = -80.0


class Relations(Objective):
    """The relations of queries, of keys and of values among themselves (Wang et al. 2021, section 3.1).

    Args:
        heads: relation heads, into which the projections are split.
        pair: teacher and student; needed for `taps` only.
    """

    def __init__(self, heads: int, pair: Pair | None = None) -> None:
        super().__init__()
        self.heads, self.pair = heads, pair

    @classmethod
    def create(cls, pair: Pair, options: Any) -> Self:
        """Return the objective with `distil.relation_heads`.

        Args:
            pair: the configurations of teacher and student, and the settings.
            options: none.

        Returns:
            the objective.

        Raises:
            HornbookError: the number of relation heads does not divide both widths.
        """
        hidden, keys = key_widths(pair.teacher, pair.family)
        student_hidden, student_keys = key_widths(pair.student, pair.family)
        common = math.gcd(keys, student_keys)
        return cls(relation_heads(pair.config.relation_heads, hidden, student_hidden, common), pair)

    def taps(self) -> tuple[Taps, Taps]:
        """Return the taps of the projections of `Pair.relation_layer`, and of the student's last layer."""
        assert self.pair is not None
        return self.pair.projection_taps(self.pair.relation_layer)

    def forward(
        self, teacher: Mapping[str, Tensor], student: Mapping[str, Tensor], mask: Tensor
    ) -> dict[str, Tensor]:
        """Return the losses of queries, keys and values; see `relation_loss`."""
        return relation_loss(teacher, student, mask, self.heads)

    def info(self) -> dict[str, Any]:
        """Return the teacher's layer and the number of relation heads, for the manifest."""
        layer = {} if self.pair is None else {"teacher_layer": self.pair.relation_layer}
        return {**layer, "relation_heads": self.heads}


def legal_relation_heads(*widths: int) -> list[int]:
    """Return the numbers of relation heads that divide all widths, ascending."""
    common = math.gcd(*widths)
    return [n for n in range(1, common + 1) if common % n == 0]


def relation_heads(requested: int | None, teacher_hidden: int, student_hidden: int, keys: int = 0) -> int:
    """Return the number of relation heads: the requested one, else the paper's for the teacher's size.

    The defaults (Wang et al. 2021, section 4.1): 48 for base-size teachers, 64 for large and other ones, or the
    largest valid number below.

    Args:
        requested: the recipe's number; None for the default.
        teacher_hidden: the teacher's width.
        student_hidden: the student's width.
        keys: the greatest common divisor of the widths of both models' keys and values, if several queries share
            them.

    Returns:
        a divisor of all widths.

    Raises:
        HornbookError: the requested number does not divide both widths.
    """
    legal = legal_relation_heads(teacher_hidden, student_hidden, keys)
    if requested is None:
        most = 48 if teacher_hidden == 768 else MOST_RELATION_HEADS
        return max(n for n in legal if n <= most)
    if requested not in legal:
        both = math.gcd(teacher_hidden, student_hidden)
        raise HornbookError(
            f"distil.relation_heads: {requested} does not divide both the teacher's width {teacher_hidden} and the "
            f"student's {student_hidden}{', and those of their keys' if legal[-1] < both else ''}; "
            f"legal are {', '.join(map(str, legal))}"
        )
    return requested


def relation_loss(
    teacher: Mapping[str, Tensor], student: Mapping[str, Tensor], mask: Tensor, heads: int
) -> dict[str, Tensor]:
    """Return the relation losses of a batch; the objective is their sum, each with weight 1.

    Args:
        teacher: "query", "key" and "value" projections of shape (sequences, length, teacher's width).
        student: the same of shape (sequences, length, student's width).
        mask: 1 for tokens, 0 for padding, shape (sequences, length).
        heads: the number of relation heads; must divide both widths.

    Returns:
        a float32 scalar for each of "query", "key" and "value"; see `relation_divergence`.
    """
    return {name: relation_divergence(teacher[name], student[name], mask, heads) for name in RELATIONS}


def relation_divergence(
    teacher: Tensor,
    student: Tensor,
    mask: Tensor,
    heads: int,
    *,
    teacher_keys: Tensor | None = None,
    student_keys: Tensor | None = None,
) -> Tensor:
    """Return how far a relation of the student is from the teacher's, averaged over the sequences.

    Everything is split into `heads` heads. The relation of a position to the others is softmax(x y' / sqrt(width of a
    head)) over the real tokens, where y is x itself or the keys. The loss is KL(teacher || student), averaged over
    heads and a sequence's own positions (Wang et al. 2020, section 3.1; Wang et al. 2021, section 3.1).

    Args:
        teacher: x of the teacher, shape (sequences, length, teacher's width); it gets no gradient.
        student: x of the student, shape (sequences, length, student's width).
        mask: 1 for tokens, 0 for padding, shape (sequences, length).
        heads: the number of heads; must divide both widths.
        teacher_keys: y of the teacher, shaped as its x; by default x.
        student_keys: y of the student, shaped as its x; by default x.

    Returns:
        a float32 scalar.
    """
    apply: Any = _RelationLoss.apply
    loss: Tensor = apply(student, student_keys, teacher, teacher_keys, mask, heads)
    return loss


class _RelationLoss(torch.autograd.Function):
    """One relation's loss, chunk by chunk; a chunk's gradient is computed while its matrices are in the cache.

    The loss is a sum over heads of sequences, so the forward pass keeps only the gradients of the student's
    projections (their own size) for the backward pass, and no length x length matrix outlives its chunk. With
    R = softmax(x y'), D = R(student) - R(teacher) and w the weight of a row, the gradient of
    sum w KL(R(teacher) || R(student)) is w D y for the student's x and D' (w x) for its y; where y is x, their sum.
    """

    @staticmethod
    def forward(
        ctx: Any,
        student: Tensor,
        student_keys: Tensor | None,
        teacher: Tensor,
        teacher_keys: Tensor | None,
        mask: Tensor,
        heads: int,
    ) -> Tensor:
        """Take projections of shape (sequences, length, width) and a mask of shape (sequences, length)."""
        real = mask.bool()
        weights = _per_head(real / (real.sum(dim=1, keepdim=True) * heads * len(real)), heads)
        bias = _per_head(torch.zeros_like(real, dtype=torch.float32).masked_fill_(~real, _PADDED), heads)
        with torch.autocast(student.device.type, enabled=False):
            s, t = _split(student, heads), _split(teacher, heads)
            s_keys = s if student_keys is None else _split(student_keys, heads)
            t_keys = t if teacher_keys is None else _split(teacher_keys, heads)
            gradient = torch.empty_like(s)
            key_gradient = gradient if student_keys is None else torch.zeros_like(s_keys)
            loss = torch.zeros((), device=s.device)
            size = max(1, _CHUNK.get(s.device.type, _CHUNK["cuda"]) // mask.shape[1] ** 2)
            for i in range(0, len(s), size):
                of_chunk = [x[i : i + size] for x in (t, t_keys, s, s_keys, bias, weights, gradient, key_gradient)]
                loss += _chunk(*of_chunk)
        ctx.save_for_backward(
            _join(gradient, student), None if student_keys is None else _join(key_gradient, student_keys)
        )
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *outputs: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of the student's projections; the teacher gets none."""
        gradient, of_keys = ctx.saved_tensors
        return gradient * outputs[0], None if of_keys is None else of_keys * outputs[0], None, None, None, None


def _chunk(
    teacher: Tensor,
    teacher_keys: Tensor,
    student: Tensor,
    student_keys: Tensor,
    bias: Tensor,
    weights: Tensor,
    gradient: Tensor,
    key_gradient: Tensor,
) -> Tensor:
    """Return the loss of some heads; write the gradients of the student.

    Args:
        teacher: shape (heads, length, width of a head), scaled.
        teacher_keys: the same shape.
        student: the same with its own width.
        student_keys: shaped as `student`.
        bias: 0 for tokens, far below for padding, shape (heads, length).
        weights: of each position, shape (heads, length).
        gradient: written, shaped as `student`.
        key_gradient: added to, shaped as `student`; may be `gradient` itself.
    """
    expected = _log_relation(teacher, teacher_keys, bias)
    found = _log_relation(student, student_keys, bias)
    relation = expected.clamp(min=_VANISHING).exp_()
    loss: Tensor = (torch.linalg.vecdot(relation, expected.sub_(found)) * weights).sum()
    difference = found.clamp_(min=_VANISHING).exp_().sub_(relation)
    rows = weights.unsqueeze(-1)
    torch.bmm(difference, student_keys, out=gradient)
    gradient.mul_(rows)
    key_gradient.baddbmm_(difference.transpose(1, 2), student * rows)
    # the dot products were scaled on both sides by the fourth root, so each side carries it once more
    gradient.mul_(student.shape[-1] ** -0.25)
    if key_gradient.data_ptr() != gradient.data_ptr():
        key_gradient.mul_(student.shape[-1] ** -0.25)
    return loss


def _log_relation(x: Tensor, y: Tensor, bias: Tensor) -> Tensor:
    products = torch.baddbmm(bias.unsqueeze(1), x, y.transpose(1, 2))
    return torch.log_softmax(products, dim=-1)


def _split(projection: Tensor, heads: int) -> Tensor:
    """Return heads of shape (sequences x heads, length, width of a head), scaled so that x y' is final."""
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

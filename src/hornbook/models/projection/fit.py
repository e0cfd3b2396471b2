"""Least squares: what a student's maps and norms must be to give what the teacher's give."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

RIDGE = 1e-1
"""Weight of the change of a map, in units of the mean square of its inputs."""
_LEAST = 1e-12


def fit_map(module: nn.Module, inputs: Sequence[Tensor], targets: Sequence[Tensor], ridge: float = RIDGE) -> None:
    """Change a linear map so that it gives the targets, by ridge regression on the change of its weights.

    Args:
        module: with a weight of shape (out, in), and perhaps a bias.
        inputs: its inputs, parts of shape (tokens, in).
        targets: what it should give, parts of shape (tokens, out).
        ridge: see `RIDGE`.
    """
    weight, bias = _parameters(module)
    width = weight.shape[1]
    square = torch.zeros(width + 1, width + 1, dtype=torch.float64)
    product = torch.zeros(width + 1, weight.shape[0], dtype=torch.float64)
    for given, target in zip(inputs, targets, strict=True):
        one = torch.cat([given, torch.ones(len(given), 1)], dim=1)
        square += (one.T @ one).double()
        product += (one.T @ (target - module(given))).double()
    if bias is None:
        square, product = square[:width, :width], product[:width]
    penalty = torch.full((len(square),), ridge * float(square.diagonal()[:width].mean()), dtype=torch.float64)
    penalty[width:] = 1e-6 * penalty[0]
    change = torch.linalg.solve(square + torch.diag(penalty), product)
    weight += change[:width].T.float()
    if bias is not None:
        bias += change[width].float()


def fit_norm(module: nn.Module, outputs: Sequence[Tensor], targets: Sequence[Tensor]) -> None:
    """Change a norm's gain and bias so that it gives the targets, by least squares for each coordinate.

    Args:
        module: with a weight of shape (width,), and perhaps a bias.
        outputs: what it gives, parts of shape (tokens, width).
        targets: what it should give, parts of shape (tokens, width).
    """
    of_outputs, _, product, mean, wanted = _moments(module, outputs, targets)
    slope = product / of_outputs.clamp_min(_LEAST)
    _scale(module, slope, wanted - slope * mean)


def match_norm(module: nn.Module, outputs: Sequence[Tensor], targets: Sequence[Tensor]) -> None:
    """Change a norm's gain and bias so that each coordinate has the mean and the deviation of the targets.

    Args:
        module: as for `fit_norm`.
        outputs: as for `fit_norm`.
        targets: as for `fit_norm`.
    """
    of_outputs, of_targets, _, mean, wanted = _moments(module, outputs, targets)
    slope = (of_targets.clamp_min(_LEAST) / of_outputs.clamp_min(_LEAST)).sqrt()
    _scale(module, slope, wanted - slope * mean)


def before_norm(module: nn.Module, given: Tensor, target: Tensor) -> Tensor:
    """Return what a norm must be given to give the targets, up to rounding and what a norm cannot give.

    A norm forgets the scale and, where it subtracts one, the mean of what it is given; these stay as they are.

    Args:
        module: with a weight of shape (width,), and perhaps a bias.
        given: what it is given now, shape (tokens, width).
        target: what it should give, shape (tokens, width).

    Returns:
        shape (tokens, width).
    """
    weight, bias = _parameters(module)
    wanted = (target if bias is None else target - bias) / weight
    mean = given.mean(dim=-1, keepdim=True)
    centred = wanted - wanted.mean(dim=-1, keepdim=True)
    scale = (given - mean).norm(dim=-1, keepdim=True) / centred.norm(dim=-1, keepdim=True).clamp_min(_LEAST)
    aim: Tensor = centred * scale + mean
    return aim


def _moments(module: nn.Module, outputs: Sequence[Tensor], targets: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Return variances of outputs and targets, their covariance and their means; about 0 where there is no bias."""
    total = sum(len(part) for part in outputs)
    sums = torch.zeros(5, outputs[0].shape[1], dtype=torch.float64)
    for one, other in zip(outputs, targets, strict=True):
        x, y = one.double(), other.double()
        sums += torch.stack([(x * x).sum(0), (y * y).sum(0), (x * y).sum(0), x.sum(0), y.sum(0)])
    xx, yy, xy, x, y = sums / total
    if _parameters(module)[1] is None:
        x, y = torch.zeros_like(x), torch.zeros_like(y)
    return xx - x * x, yy - y * y, xy - x * y, x, y


def _scale(module: nn.Module, slope: Tensor, offset: Tensor) -> None:
    weight, bias = _parameters(module)
    weight.copy_(weight.double() * slope)
    if bias is not None:
        bias.copy_(bias.double() * slope + offset)


def _parameters(module: nn.Module) -> tuple[Tensor, Tensor | None]:
    named = dict(module.named_parameters(recurse=False))
    return named["weight"], named.get("bias")

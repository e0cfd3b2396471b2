"""Least squares: what a student's maps and norms must be to give what the teacher's give."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

RIDGE = 1e-2
"""Weight of the change of a map, in units of the mean square of its inputs."""


def fit_map(module: nn.Module, inputs: Sequence[Tensor], targets: Sequence[Tensor], ridge: float = RIDGE) -> None:
    """Change a linear map so that it gives the targets, by ridge regression on the change of its weights.

    Args:
        module: with a weight of shape (out, in), and perhaps a bias.
        inputs: its inputs, parts of shape (tokens, in).
        targets: what it should give, parts of shape (tokens, out).
        ridge: see `RIDGE`.
    """
    weight, bias = module.weight, module.bias
    assert isinstance(weight, Tensor)
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
    with torch.no_grad():
        weight += change[:width].T.float()
        if bias is not None:
            bias += change[width].float()  # type: ignore[operator]


def fit_norm(module: nn.Module, outputs: Sequence[Tensor], targets: Sequence[Tensor]) -> None:
    """Change a norm's gain and bias so that it gives the targets, by least squares for each coordinate.

    Args:
        module: with a weight of shape (width,), and perhaps a bias.
        outputs: what it gives, parts of shape (tokens, width).
        targets: what it should give, parts of shape (tokens, width).
    """
    weight, bias = module.weight, getattr(module, "bias", None)
    assert isinstance(weight, Tensor)
    total = sum(len(part) for part in outputs)
    moments = torch.zeros(4, len(weight), dtype=torch.float64)
    for x, y in zip(outputs, targets, strict=True):
        x, y = x.double(), y.double()
        moments += torch.stack([x.sum(0), y.sum(0), (x * x).sum(0), (x * y).sum(0)])
    x, y, xx, xy = moments / total
    if bias is None:
        x, y = torch.zeros_like(x), torch.zeros_like(y)
    slope = (xy - x * y) / (xx - x * x).clamp_min(1e-12)
    with torch.no_grad():
        weight *= slope.float()
        if bias is not None:
            bias.copy_(bias.double() * slope + y - slope * x)

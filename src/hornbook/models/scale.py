"""Scores in any unit, learned at mean 0 and deviation 1: the unit goes back into the head when a model is saved."""

import dataclasses
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from hornbook.errors import HornbookError
from hornbook.models.encode import Encoded
from hornbook.models.predict import predict
from hornbook.tasks.metrics import worse_than_the_mean

logger = logging.getLogger("hornbook")

# A saved head holds mean and deviation in float32, so it can tell scores apart down to the spacing of such numbers.
_MOST_SPACING = 0.1
_RANGE = 1e-30, 1e30
_LOOKED_AT = 512


@dataclass(frozen=True)
class Scale:
    """Where scores lie.

    Attributes:
        mean: what is 0 to the head while it learns.
        deviation: what is 1 to it.
    """

    mean: float
    deviation: float

    def standardised(self, scores: NDArray[Any]) -> NDArray[np.float32]:
        """Return scores in the task's unit as a head learns them."""
        return np.asarray((scores.astype(np.float64) - self.mean) / self.deviation, np.float32)

    def in_unit(self, outputs: NDArray[Any]) -> NDArray[np.float64]:
        """Return what a head that learns says, in the task's unit."""
        return np.asarray(outputs.astype(np.float64) * self.deviation + self.mean)


def scale_of(scores: NDArray[Any], whose: str, *, centred: bool = True) -> Scale:
    """Return the mean and the standard deviation of scores.

    Args:
        scores: of any shape.
        whose: what they are, for messages.
        centred: False for a head without a bias, which cannot hold a mean: the mean is left at 0, and the deviation
            is that from 0.

    Raises:
        HornbookError: they are all the same, or so large beside their differences, so large or so small that 32-bit
            floats do not hold them.
    """
    values = scores.astype(np.float64)
    largest = float(np.abs(values).max())
    if not np.isfinite(largest) or largest > _RANGE[1]:
        raise HornbookError(f"{whose}: a score of {largest:g} is too large for 32-bit floats; divide the scores")
    mean, deviation = float(values.mean()), float(values.std())
    if deviation == 0:
        raise HornbookError(f"{whose}: all scores are the same ({mean:g})")
    if float(np.spacing(np.float32(largest))) > _MOST_SPACING * deviation and largest > _RANGE[0]:
        raise HornbookError(
            f"{whose}: scores lie around {mean:.9g} and differ by {deviation:.3g} only, which 32-bit floats cannot "
            f"tell apart; subtract {mean:.9g} from them"
        )
    if deviation < _RANGE[0]:
        raise HornbookError(f"{whose}: scores differ by {deviation:.3g}, too little for 32-bit floats; multiply them")
    return _moments(values, centred)


def output_layer(model: Any, probe: Encoded) -> nn.Linear:
    """Return the layer of a regression's head that makes its output.

    It is the last linear layer above the encoder with one output. A forward pass confirms it: with this layer's
    weights and bias doubled, what the model says doubles.

    Args:
        model: a classifier with one output.
        probe: some inputs.

    Raises:
        HornbookError: no layer of the head is like that.
    """
    below = f"{model.base_model_prefix}."
    linear = [m for name, m in model.named_modules() if isinstance(m, nn.Linear) and not name.startswith(below)]
    some = evenly(probe, 2)
    for layer in reversed([m for m in linear if m.out_features == model.config.num_labels]):
        expected = 2 * predict(model, some)
        with in_unit(layer, Scale(0.0, 2.0)):
            found = predict(model, some)
        if np.allclose(found, expected, rtol=1e-5, atol=1e-6 * float(np.abs(expected).max())):
            return layer
    raise HornbookError(
        f"the head of this {model.config.model_type} model does not end in a linear layer, so the unit of a "
        "regression's scores cannot be put into it; take an encoder of another family"
    )


def rescale(layer: nn.Linear, scale: Scale) -> None:
    """Make a layer say `scale.in_unit` of what it said."""
    with torch.no_grad():
        layer.weight.copy_(layer.weight.double() * scale.deviation)
        if layer.bias is not None:
            layer.bias.copy_(layer.bias.double() * scale.deviation + scale.mean)


def standardise(layer: nn.Linear, scale: Scale) -> None:
    """Make a layer say `scale.standardised` of what it said; undone by `rescale`."""
    rescale(layer, Scale(-scale.mean / scale.deviation, 1 / scale.deviation))


@contextmanager
def in_unit(layer: nn.Linear | None, scale: Scale | None) -> Iterator[None]:
    """Rescale a layer for a while, where there is a scale; afterwards it is, bit by bit, as it was."""
    if layer is None or scale is None:
        yield
        return
    kept = [parameter.detach().clone() for parameter in layer.parameters()]
    rescale(layer, scale)
    try:
        yield
    finally:
        with torch.no_grad():
            for parameter, before in zip(layer.parameters(), kept, strict=True):
                parameter.copy_(before)


def take_up(model: Any, layer: nn.Linear, scale: Scale, probe: Encoded, wanted: NDArray[Any], where: str) -> None:
    """Bring a head that has learned scores before to the scale on which it goes on.

    Where what it says is further from the scores than their mean is, it learned another unit: then it is its own
    outputs that get mean 0 and deviation 1.

    Args:
        model: the classifier.
        layer: its output layer.
        scale: of the scores that it is to learn.
        probe: inputs; some of the first that have scores are looked at.
        wanted: their scores, standardised, shape (sequences,).
        where: the model, for messages.
    """
    said, expected = _said(model, probe, wanted)
    if worse_than_the_mean(scale.in_unit(expected), said):
        logger.warning(
            "%s: its scores lie around %.4g, the task's around %.4g: taken for another unit and brought to "
            "the task's",
            where,
            said.mean(),
            scale.mean,
        )
        scale = _moments(said, layer.bias is not None)
    standardise(layer, scale)


def fitted(model: Any, layer: nn.Linear, scale: Scale, probe: Encoded, wanted: NDArray[Any]) -> Scale:
    """Return the scale to save a head with: the one by which its outputs on some of the train split fit best.

    Least squares, so that correlations stay. Weights are chosen by a correlation on dev, and those of an early step
    may order texts well and yet hardly differ in what they say; the scale of the scores alone would leave that so.

    Args:
        model: the classifier, trained on `scale`.
        layer: its output layer.
        scale: on which it was trained.
        probe: inputs; some of the first that have scores are looked at.
        wanted: their scores, standardised, shape (sequences,).
    """
    said, expected = _said(model, probe, wanted)
    centre, middle = (said.mean(), expected.mean()) if layer.bias is not None else (0.0, 0.0)
    square = float(((said - centre) ** 2).sum())
    slope = float(((said - centre) * (expected - middle)).sum()) / square if square else 0.0
    if slope <= 0:  # it says one thing of all texts, or the opposite of what it should: nothing to fit
        return scale
    return Scale(scale.mean + scale.deviation * float(middle - slope * centre), scale.deviation * slope)


def _said(model: Any, probe: Encoded, wanted: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return what a model says of some of the inputs that have scores, and these scores."""
    places = _places(len(wanted), _LOOKED_AT)
    return predict(model, _taken(probe, places))[:, 0], wanted[places].astype(np.float64)


def evenly(encoded: Encoded, most: int) -> Encoded:
    """Return up to `most` of the sequences, at even spacing."""
    return _taken(encoded, _places(len(encoded), most))


def _taken(encoded: Encoded, places: NDArray[np.int64]) -> Encoded:
    return dataclasses.replace(
        encoded, starts=encoded.starts[places], lengths=encoded.lengths[places], second=encoded.second[places]
    )


def _moments(values: NDArray[np.float64], centred: bool) -> Scale:
    mean = float(values.mean()) if centred else 0.0
    return Scale(mean, float(np.sqrt(((values - mean) ** 2).mean())) or 1.0)


def _places(count: int, most: int) -> NDArray[np.int64]:
    return np.linspace(0, count - 1, min(count, most)).astype(np.int64)

"""Regression scores are standardised for training; the unit goes back into the head when a model is saved."""

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

# A saved head holds mean and deviation in float32, so it resolves scores down to the spacing of such numbers.
_MOST_SPACING = 0.1
_RANGE = 1e-30, 1e30
_SAMPLE = 512


@dataclass(frozen=True)
class Scale:
    """Mean and standard deviation of scores.

    Attributes:
        mean: the score that is 0 to the head during training.
        deviation: the difference of scores that is 1 to it.
    """

    mean: float
    deviation: float

    def standardised(self, scores: NDArray[Any]) -> NDArray[np.float32]:
        """Standardise scores in the task's unit."""
        return np.asarray((scores.astype(np.float64) - self.mean) / self.deviation, np.float32)

    def in_unit(self, outputs: NDArray[Any]) -> NDArray[np.float64]:
        """Return standardised outputs in the task's unit."""
        return np.asarray(outputs.astype(np.float64) * self.deviation + self.mean)


def scale_of(scores: NDArray[Any], whose: str, *, centred: bool = True) -> Scale:
    """Return the mean and the standard deviation of scores.

    Args:
        scores: the scores, of any shape.
        whose: a name for the scores in messages.
        centred: False for a head without a bias, which cannot hold a mean: the mean is 0, and the deviation is
            measured from 0.

    Returns:
        mean and standard deviation, in the unit of the scores.

    Raises:
        HornbookError: they are all the same, or 32-bit floats cannot hold them: too large, too small, or too close
            together for their size.
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
    """Return the output layer of a regression's head.

    It is the last linear layer above the encoder with one output. A forward pass confirms it: with this layer's
    weights and bias doubled, the model's output doubles.

    Args:
        model: a classifier with one output.
        probe: some inputs.

    Returns:
        the layer, with one output.

    Raises:
        HornbookError: no layer of the head does this.
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
    """Change a layer in place so that its outputs go through `scale.in_unit`."""
    with torch.no_grad():
        layer.weight.copy_(layer.weight.double() * scale.deviation)
        if layer.bias is not None:
            layer.bias.copy_(layer.bias.double() * scale.deviation + scale.mean)


def standardise(layer: nn.Linear, scale: Scale) -> None:
    """Change a layer in place so that its outputs go through `scale.standardised`; `rescale` undoes it."""
    rescale(layer, Scale(-scale.mean / scale.deviation, 1 / scale.deviation))


@contextmanager
def in_unit(layer: nn.Linear | None, scale: Scale | None) -> Iterator[None]:
    """Rescale a layer within this context, if there is a scale, and restore it bit by bit."""
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
    """Bring an already trained head to the scale that its training continues on.

    If its outputs are further from the scores than the scores' mean is, it learned another unit: then its own outputs
    are standardised.

    Args:
        model: the classifier.
        layer: its output layer.
        scale: the scale of the scores to learn.
        probe: inputs; a sample of those with scores is used.
        wanted: their scores, standardised, shape (sequences,).
        where: the model's name, for messages.
    """
    outputs, expected = _outputs(model, probe, wanted)
    if worse_than_the_mean(scale.in_unit(expected), outputs):
        logger.warning(
            "%s: its scores lie around %.4g, the task's around %.4g: taken for another unit and brought to "
            "the task's",
            where,
            outputs.mean(),
            scale.mean,
        )
        scale = _moments(outputs, layer.bias is not None)
    standardise(layer, scale)


def fitted(model: Any, layer: nn.Linear, scale: Scale, probe: Encoded, wanted: NDArray[Any]) -> Scale:
    """Return the scale to save a head with: the one with which its outputs on a sample of train fit best.

    A linear least-squares fit, so correlations do not change. Weights are selected by a correlation on dev, and those
    of an early step may rank texts well although their outputs hardly differ; the scale of the scores would keep
    that.

    Args:
        model: the classifier, trained on `scale`.
        layer: its output layer.
        scale: the one it was trained on.
        probe: inputs; a sample of those with scores is used.
        wanted: their scores, standardised, shape (sequences,).

    Returns:
        mean and standard deviation; `scale` itself if the outputs do not rise with the scores.
    """
    outputs, expected = _outputs(model, probe, wanted)
    centre, middle = (outputs.mean(), expected.mean()) if layer.bias is not None else (0.0, 0.0)
    square = float(((outputs - centre) ** 2).sum())
    slope = float(((outputs - centre) * (expected - middle)).sum()) / square if square else 0.0
    if slope <= 0:  # the outputs are all the same, or fall as the scores rise: nothing to fit
        return scale
    return Scale(scale.mean + scale.deviation * float(middle - slope * centre), scale.deviation * slope)


def _outputs(model: Any, probe: Encoded, wanted: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return a model's outputs on a sample of the inputs with scores, and these scores."""
    places = _places(len(wanted), _SAMPLE)
    return predict(model, _taken(probe, places))[:, 0], wanted[places].astype(np.float64)


def evenly(encoded: Encoded, most: int) -> Encoded:
    """Return up to `most` of the sequences, evenly spaced."""
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

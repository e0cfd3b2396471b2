"""Scales of scores, and the layer of a head that a scale is put into."""

import re

import numpy as np
import pytest
import torch
from tiny_encoders import ALL
from torch import nn

from hornbook.errors import HornbookError
from hornbook.models.encode import Encoded
from hornbook.models.predict import predict
from hornbook.models.scale import Scale, in_unit, output_layer, rescale, scale_of, standardise


def numbers(count=4):
    return Encoded(
        values=np.tile(np.array([3, 5, 7, 9, 4], np.int32), count),
        starts=np.arange(count) * 5,
        lengths=np.array([5, 4, 3, 2][:count]),
        second=np.array([5, 4, 3, 2][:count], np.int32),
        pad=1,
    )


@pytest.mark.parametrize("family", ALL)
def test_the_output_layer_of_every_family(family):
    model = ALL[family].classifier(labels=1).eval()
    layer, probe = output_layer(model, numbers()), numbers()
    before = predict(model, probe)
    with in_unit(layer, Scale(676.0, 130.0)):
        assert predict(model, probe) == pytest.approx(before * 130 + 676, rel=1e-5)
    assert (predict(model, probe) == before).all()
    rescale(layer, Scale(676.0, 130.0))
    standardise(layer, Scale(676.0, 130.0))
    assert predict(model, probe) == pytest.approx(before, abs=1e-5)


def test_a_head_that_does_not_end_in_its_layer_is_refused():
    model = ALL["bert"].classifier(labels=1).eval()
    model.classifier = nn.Sequential(nn.Linear(24, 1), nn.Tanh())
    with torch.no_grad():
        model.classifier[0].weight.mul_(100)
    with pytest.raises(HornbookError, match="the head of this bert model does not end in a linear layer") as caught:
        output_layer(model, numbers())
    assert "\n" not in str(caught.value)


def test_a_head_without_a_bias_is_only_scaled():
    scores = np.array([500.0, 700.0, 850.0])
    scale = scale_of(scores, "here", centred=False)
    assert (scale.mean, scale.deviation) == (0.0, pytest.approx(np.sqrt((scores**2).mean())))


def test_the_scale_of_scores():
    scores = np.array([[500.0], [700.0], [850.0]], np.float32)
    scale = scale_of(scores, "here")
    assert (scale.mean, scale.deviation) == (pytest.approx(scores.mean()), pytest.approx(scores.std()))
    assert scale.standardised(scores).mean() == pytest.approx(0, abs=1e-6)
    assert scale.in_unit(scale.standardised(scores)) == pytest.approx(scores, rel=1e-6)


@pytest.mark.parametrize(
    ("scores", "said"),
    [
        ([3.0, 3.0], "here: all scores are the same (3)"),
        ([1e9, 1e9 + 2], "scores lie around 1e+09 and differ by 1 only, which 32-bit floats cannot tell apart"),
        ([1e31, -1e31], "a score of 1e+31 is too large"),
        ([1e-33, 2e-33], "scores differ by 5e-34, too little"),
    ],
)
def test_scores_that_floats_do_not_hold(scores, said):
    with pytest.raises(HornbookError, match=re.escape(said)) as caught:
        scale_of(np.array(scores), "here")
    assert "\n" not in str(caught.value)

"""What a classifier's outputs are compared with, beside slow and obvious ways to say the same."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_sample_weight

from hornbook.errors import HornbookError
from hornbook.training.labels import balanced_weights, gold_loss, soft_loss


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def slow_soft_loss(kind, outputs, expected, temperature):
    """One sequence and one label at a time, in Python's own floats."""
    losses = []
    for found, wanted in zip(outputs.tolist(), expected.tolist(), strict=True):
        if kind == "regression":
            losses.append((found[0] - wanted[0]) ** 2)
        elif kind == "classification":
            p, q = ([math.exp(x / temperature) for x in row] for row in (wanted, found))
            p, q = [x / sum(p) for x in p], [x / sum(q) for x in q]
            losses.append(temperature**2 * sum(a * math.log(a / b) for a, b in zip(p, q, strict=True)))
        else:
            each = []
            for x, y in zip(found, wanted, strict=True):
                p, q = sigmoid(y / temperature), sigmoid(x / temperature)
                each.append(p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q)))
            losses.append(temperature**2 * sum(each) / len(each))
    return losses


@given(
    st.sampled_from(["classification", "multilabel", "regression"]),
    st.integers(1, 5),
    st.integers(2, 4),
    st.floats(0.5, 5),
    st.integers(0, 1000),
)
def test_soft_loss_is_what_the_books_say(kind, rows, labels, temperature, seed):
    random = torch.Generator().manual_seed(seed)
    shape = (rows, 1 if kind == "regression" else labels)
    outputs, expected = (torch.randn(shape, generator=random, dtype=torch.float64) * 3 for _ in range(2))
    found = soft_loss(kind, outputs, expected, temperature)
    assert found.tolist() == pytest.approx(slow_soft_loss(kind, outputs, expected, temperature), rel=1e-6, abs=1e-9)
    assert soft_loss(kind, outputs, outputs, temperature).abs().max() < 1e-9


def test_soft_loss_has_the_gradient_of_the_soft_cross_entropy():
    expected = torch.randn(4, 3)
    outputs = torch.randn(4, 3, requires_grad=True)
    (of_kl,) = torch.autograd.grad(soft_loss("classification", outputs, expected, 2.0).sum(), outputs)
    cross_entropy = -(torch.softmax(expected / 2, -1) * torch.log_softmax(outputs / 2, -1)).sum() * 4
    (of_cross_entropy,) = torch.autograd.grad(cross_entropy, outputs)
    assert torch.allclose(of_kl, of_cross_entropy, atol=1e-6)


def test_gold_losses():
    outputs = torch.tensor([[2.0, 0.0], [0.0, 1.0]])
    classes = gold_loss("classification", outputs, torch.tensor([0, 0]))
    assert classes.tolist() == pytest.approx([math.log(1 + math.exp(-2)), math.log(1 + math.exp(1))])
    several = gold_loss("multilabel", outputs, torch.tensor([[1.0, 0.0], [1.0, 1.0]]))
    expected = [-math.log(sigmoid(2)), math.log(2), math.log(2), -math.log(sigmoid(1))]
    assert several.flatten().tolist() == pytest.approx(expected)
    assert gold_loss("regression", outputs[:, :1], torch.tensor([5.0, 1.0])).tolist() == [9.0, 1.0]


@given(st.lists(st.integers(0, 3), min_size=2, max_size=40))
def test_balanced_weights_of_classes_are_scikit_learns(gold):
    gold = np.array(gold)
    weights = balanced_weights("classification", gold, 4)
    assert weights == pytest.approx(compute_sample_weight("balanced", gold), rel=1e-6)
    assert weights.mean() == pytest.approx(1, rel=1e-6)


def test_balanced_weights_of_several_labels_weigh_presence_and_absence_alike():
    gold = np.array([[1, 0, 1], [0, 0, 1], [0, 1, 1], [0, 0, 1]], np.float32)
    weights = balanced_weights("multilabel", gold, 3)
    assert weights[:, 0].tolist() == pytest.approx([2, 2 / 3, 2 / 3, 2 / 3])
    assert weights[:, 2].tolist() == [1, 1, 1, 1]  # nothing to weigh where all rows have a label
    for column in (0, 1):
        present = gold[:, column] == 1
        assert weights[present, column].sum() == pytest.approx(weights[~present, column].sum())


def test_a_regression_has_no_classes_to_weigh():
    with pytest.raises(HornbookError, match="class_weights: a regression has no classes; set it to none"):
        balanced_weights("regression", np.array([0.5, 1.5]), 0)

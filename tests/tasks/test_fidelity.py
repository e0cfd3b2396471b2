"""Agreement and divergence, against loops."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hornbook.tasks.fidelity import agreement_by_class, fidelity, logits_of
from hornbook.tasks.kinds import KINDS


def outputs(rows, labels):
    numbers = st.floats(-8, 8, width=32)
    return st.lists(st.lists(numbers, min_size=labels, max_size=labels), min_size=rows, max_size=rows).map(np.array)


def shares(row):
    powers = [math.exp(one) for one in row]
    return [one / sum(powers) for one in powers]


def kl(wanted, found):
    return sum(p * math.log(p / q) for p, q in zip(wanted, found, strict=True))


@given(outputs(6, 3), outputs(6, 3))
def test_of_classes(taught, found):
    said = fidelity(KINDS["classification"], taught, found)
    same = [t.argmax() == f.argmax() for t, f in zip(taught, found, strict=True)]
    assert said["agreement"] == pytest.approx(sum(same) / 6)
    each = [kl(shares(t), shares(f)) for t, f in zip(taught, found, strict=True)]
    assert said["kl"] == pytest.approx(sum(each) / 6, abs=1e-9)
    by_class = agreement_by_class(KINDS["classification"], taught.argmax(axis=1), found)
    for label in range(3):
        own = [s for s, t in zip(same, taught, strict=True) if t.argmax() == label]
        assert by_class[label] == (pytest.approx(sum(own) / len(own)) if own else None)


@given(outputs(5, 2), outputs(5, 2))
def test_of_sets_of_labels(taught, found):
    kind = KINDS["multilabel"]
    said = fidelity(kind, taught, found)
    assert said["agreement"] == pytest.approx(((taught > 0) == (found > 0)).all(axis=1).mean())
    each = []
    for row, other in zip(taught, found, strict=True):
        for x, y in zip(row, other, strict=True):
            p, q = 1 / (1 + math.exp(-x)), 1 / (1 + math.exp(-y))
            each.append(kl([1 - p, p], [1 - q, q]))
    assert said["kl"] == pytest.approx(sum(each) / 10, abs=1e-9)
    by_class = agreement_by_class(kind, kind.predicted(taught), found)
    for label in range(2):
        own = (found[:, label] > 0)[taught[:, label] > 0]
        assert by_class[label] == (pytest.approx(own.mean()) if len(own) else None)


def test_of_scores():
    said = fidelity(KINDS["regression"], np.array([[1.0], [2.0], [4.0]]), np.array([[2.0], [3.0], [5.0]]))
    assert said == {"correlation": pytest.approx(1), "mean_difference": pytest.approx(1)}


def test_a_model_follows_itself_and_no_name_is_an_accuracy():
    for name, kind in KINDS.items():
        own = np.random.default_rng(0).normal(size=(9, 1 if name == "regression" else 3))
        said = fidelity(kind, own, own)
        assert next(iter(said.values())) == pytest.approx(1)
        assert not any("acc" in one or "f1" in one for one in said)


@pytest.mark.parametrize("name", ["classification", "multilabel"])
def test_logits_have_their_probabilities(name):
    kind = KINDS[name]
    given_ = np.array([[0.2, 0.8], [0.5, 0.5], [1.0, 0.0]])
    np.testing.assert_allclose(kind.probabilities(logits_of(kind, given_)), given_, atol=2e-6)

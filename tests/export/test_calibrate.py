"""The temperature and the table of thresholds."""

import numpy as np
import pytest
from scipy.special import softmax

from hornbook.export.calibrate import calibration, fit_temperature, loss, thresholds
from hornbook.export.gate import Sample
from hornbook.tasks.kinds import KINDS

KIND = KINDS["classification"]


def drawn(temperature, count=4000):
    """Return logits and labels drawn from their probabilities at a temperature."""
    random = np.random.default_rng(0)
    logits = random.normal(size=(count, 3)) * 4
    gold = np.array([random.choice(3, p=row) for row in softmax(logits / temperature, axis=1)])
    return logits, gold


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_temperature_that_labels_were_drawn_at_is_found(temperature):
    logits, gold = drawn(temperature)
    found = fit_temperature(KIND, logits, gold)
    assert found == pytest.approx(temperature, rel=0.1)
    grid = np.geomspace(0.1, 10, 200)
    slow = [-np.log(softmax(logits / t, axis=1)[np.arange(len(gold)), gold]).mean() for t in grid]
    assert loss(KIND, logits / found, gold) <= min(slow) + 1e-9


def test_several_labels_have_one_temperature():
    random = np.random.default_rng(1)
    logits = random.normal(size=(4000, 2)) * 5
    gold = (random.random((4000, 2)) < 1 / (1 + np.exp(-logits / 2))).astype(np.float32)
    kind = KINDS["multilabel"]
    assert fit_temperature(kind, logits, gold) == pytest.approx(2, rel=0.1)
    shares = kind.probabilities(logits)
    slow = -(gold * np.log(shares) + (1 - gold) * np.log(1 - shares)).mean()
    assert loss(kind, logits, gold) == pytest.approx(slow)


def test_fewer_answers_are_better_ones():
    logits, gold = drawn(2.0)
    shares = softmax(logits / 2, axis=1)
    rows = thresholds(KIND, shares, gold)
    for row in rows:
        chosen = [i for i in range(len(gold)) if shares[i].max() >= row["threshold"]]
        assert row["answered"] == len(chosen) / len(gold)
        if chosen:
            assert row["accuracy"] == pytest.approx(np.mean([shares[i].argmax() == gold[i] for i in chosen]))
    answered = [row["answered"] for row in rows]
    assert answered[0] == 1
    assert answered == sorted(answered, reverse=True)
    assert rows[-1]["accuracy"] > rows[0]["accuracy"] + 0.1
    assert thresholds(KIND, np.full((5, 3), 1 / 3), gold[:5])[-1] == {
        "threshold": 0.99,
        "answered": 0,
        "accuracy": None,
    }


def test_what_is_recorded():
    logits, gold = drawn(2.0)
    swapped = Sample("dev", [], logits[:, ::-1], gold, [2, 1, 0], "accuracy")
    found = calibration(KIND, [Sample("textbook", [], logits), swapped])
    assert found["temperature"] == pytest.approx(2, rel=0.1)
    assert found["examples"] == len(gold)
    assert found["error_after"] < 0.03 < found["error_before"]
    assert calibration(KIND, [Sample("textbook", [], logits)]) is None
    assert calibration(KINDS["regression"], [swapped]) is None

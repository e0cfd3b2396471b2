import math

import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import f1_score, matthews_corrcoef

from hornbook.tasks.metrics import check_against_chance, classification_scores, scores, wilson_interval


def test_scores_equal_their_libraries():
    random = np.random.default_rng(0)
    gold, logits = random.integers(0, 3, 60), random.normal(size=(60, 3))
    found = scores("classification", gold.astype(float), logits)
    predicted = logits.argmax(1)
    assert found["accuracy"] == np.mean(gold == predicted)
    assert found["macro_f1"] == f1_score(gold, predicted, average="macro")
    assert found["matthews"] == matthews_corrcoef(gold, predicted)
    assert "f1" not in found
    target, output = random.normal(size=50), random.normal(size=(50, 1))
    found = scores("regression", target, output)
    assert found["spearman"] == spearmanr(target, output[:, 0]).statistic
    assert found["pearson"] == pearsonr(target, output[:, 0]).statistic


def test_one_class_predicted_has_no_correlation_and_constants_count_as_zero():
    found = classification_scores(np.array([0, 1, 1]), np.array([1, 1, 1]))
    assert found["matthews"] == 0.0
    assert found["f1"] == pytest.approx(0.8)
    assert scores("regression", np.array([1.0, 2.0, 3.0]), np.full((3, 1), 7.0)) == {"spearman": 0.0, "pearson": 0.0}


def test_wilsons_interval_by_hand():
    # 8 of 10: centre (0.8 + 0.19207) / (1 + 0.38415) = 0.71674, half width 0.22656 (Wilson 1927).
    low, high = wilson_interval(0.8, 10)
    assert (round(low, 3), round(high, 3)) == (0.490, 0.943)


def test_chance_is_the_majority_class_or_zero():
    gold = np.array([0.0] * 60 + [1.0] * 40)
    assert check_against_chance("classification", gold, {"accuracy": 0.60}).chance == 0.6
    assert not check_against_chance("classification", gold, {"accuracy": 0.65}).passed
    assert check_against_chance("classification", gold, {"accuracy": 0.75}).passed
    assert not check_against_chance("regression", gold, {"spearman": 0.1}).passed
    found = check_against_chance("regression", gold, {"spearman": 0.5})
    assert found.passed
    assert found.low == pytest.approx(math.tanh(math.atanh(0.5) - 1.96 / math.sqrt(97)), abs=1e-3)

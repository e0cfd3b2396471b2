import itertools
import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import f1_score, matthews_corrcoef

from hornbook.metrics import score_of
from hornbook.tasks.kinds import KINDS
from hornbook.tasks.metrics import score_doubt, wilson_interval

CLASSES, SETS, SCORES = (KINDS[name] for name in ("classification", "multilabel", "regression"))


def chance(kind, gold, outputs):
    """The comparison under the kind's default metric."""
    return kind.check_against_chance(gold, outputs, kind.default_metric)


@pytest.mark.filterwarnings("ignore:A single label was found")
@given(st.integers(1, 40), st.integers(2, 4), st.integers(0, 1000))
def test_scores_of_classes_by_hand_and_by_their_library(rows, classes, seed):
    random = np.random.default_rng(seed)
    gold, logits = random.integers(0, classes, rows), random.normal(size=(rows, classes))
    said = logits.argmax(1)
    found = CLASSES.scores(gold, logits)
    seen = sorted({*gold, *said})
    f1 = {c: 2 * np.sum((gold == c) & (said == c)) / (np.sum(gold == c) + np.sum(said == c)) for c in seen}
    # Matthews is the correlation of the two one-hot tables (Gorodkin 2004); undefined counts as 0
    one, two = (np.eye(classes)[x] - np.eye(classes)[x].mean(axis=0) for x in (gold, said))
    spread = math.sqrt((one**2).sum() * (two**2).sum())
    assert found["accuracy"] == np.mean(gold == said)
    assert found["macro_f1"] == pytest.approx(np.mean(list(f1.values())))
    assert found["macro_f1"] == pytest.approx(f1_score(gold, said, average="macro"))
    assert found["matthews"] == pytest.approx((one * two).sum() / spread if spread > 1e-9 else 0.0, abs=1e-9)
    assert found["matthews"] == pytest.approx(matthews_corrcoef(gold, said))
    assert ("f1" in found) == (classes == 2)
    assert found.get("f1", 0) == pytest.approx(f1.get(1, 0) if "f1" in found else 0)


@given(st.integers(3, 40), st.booleans(), st.integers(0, 1000))
def test_correlations_by_hand_and_by_their_library(rows, with_ties, seed):
    random = np.random.default_rng(seed)
    target, output = random.normal(size=(2, rows)).round(0 if with_ties else 9)
    assume(np.ptp(target) > 0 and np.ptp(output) > 0)
    found = SCORES.scores(target, output[:, None])
    ranks = [np.array([np.sum(x < v) + (np.sum(x == v) + 1) / 2 for v in x]) for x in (target, output)]
    assert found["pearson"] == pytest.approx(np.corrcoef(target, output)[0, 1], abs=1e-9)
    assert found["spearman"] == pytest.approx(np.corrcoef(*ranks)[0, 1], abs=1e-9)
    assert found["pearson"] == pytest.approx(pearsonr(target, output).statistic)
    assert found["spearman"] == pytest.approx(spearmanr(target, output).statistic)


def test_one_class_predicted_has_no_correlation_and_constants_count_as_zero():
    found = CLASSES.scores(np.array([0, 1, 1]), np.eye(2)[[1, 1, 1]])
    assert found["matthews"] == 0.0
    assert found["f1"] == pytest.approx(0.8)
    found = SCORES.scores(np.array([1.0, 2.0, 3.0]), np.full((3, 1), 7.0))
    assert (found["spearman"], found["pearson"], found["mae"]) == (0.0, 0.0, 5.0)


def test_wilsons_interval_by_hand():
    # 8 of 10: centre (0.8 + 0.19207) / (1 + 0.38415) = 0.71674, half width 0.22656 (Wilson 1927).
    low, high = wilson_interval(0.8, 10)
    assert (round(low, 3), round(high, 3)) == (0.490, 0.943)


def outputs_right_in(gold, share):
    """Logits of two classes, right about the first rows of each class."""
    right = np.concatenate([np.arange(n) < round(share * n) for n in np.bincount(gold)])
    return np.eye(2)[np.where(right, gold, 1 - gold)]


def test_chance_is_the_majority_class_or_zero():
    gold = np.array([0] * 60 + [1] * 40)
    assert chance(CLASSES, gold, np.eye(2)[np.zeros(100, int)]).chance == 0.6
    assert not chance(CLASSES, gold, outputs_right_in(gold, 0.65)).passed
    assert chance(CLASSES, gold, outputs_right_in(gold, 0.75)).passed
    random = np.random.default_rng(0)
    target = random.normal(size=100)
    assert not chance(SCORES, target, random.normal(size=(100, 1))).passed
    found = chance(SCORES, target, (target + random.normal(size=100))[:, None])
    assert found.passed
    assert found.low == pytest.approx(math.tanh(math.atanh(found.score) - 1.96 / math.sqrt(97)), abs=1e-3)


def test_a_rare_label_that_is_found_is_better_than_chance():
    gold = np.array([0] * 98 + [1] * 2)
    perfect, majority = np.eye(2)[gold], np.eye(2)[np.zeros(100, int)]
    assert not chance(CLASSES, gold, perfect).passed
    found = CLASSES.check_against_chance(gold, perfect, "macro_f1")
    assert found.passed
    assert (found.score, found.chance, found.high) == (1, 0.5, 1)
    # Of 2 found 2: at least 0.3424; of 98 found 98: 0.9623 (Wilson 1927); so 1 - sqrt(0.6576**2 + 0.0377**2) / 2.
    assert found.low == pytest.approx(0.6707, abs=1e-4)
    assert not CLASSES.check_against_chance(gold, majority, "macro_f1").passed


def test_chance_of_several_labels_is_the_best_constant_answer():
    random = np.random.default_rng(0)
    gold = (random.random((300, 4)) < [0.7, 0.5, 0.2, 0.05]).astype(np.float32)
    constants = [np.tile(answer, (300, 1)) for answer in itertools.product([0, 1], repeat=4)]
    best = max(f1_score(gold, answer, average="micro", zero_division=0) for answer in constants)
    perfect = chance(SETS, gold, gold * 2 - 1)
    assert perfect.chance == pytest.approx(best)
    assert (perfect.score, perfect.low, perfect.high) == (1, 1, 1)
    lazy = chance(SETS, gold, np.tile([1, 1, -1, -1], (300, 1)))
    assert not lazy.passed
    assert lazy.low < lazy.score < lazy.high
    assert lazy.score == pytest.approx(SETS.scores(gold, np.tile([1, 1, -1, -1], (300, 1)))["micro_f1"])


def test_the_interval_of_micro_f1_is_that_of_rows_drawn_again():
    random = np.random.default_rng(1)
    gold = random.random((200, 3)) < [0.6, 0.3, 0.1]
    outputs = np.where(random.random((200, 3)) < 0.8, gold, ~gold) * 2.0 - 1
    found = chance(SETS, gold.astype(np.float32), outputs)
    drawn = []
    for _ in range(4000):
        rows = random.integers(0, 200, 200)
        drawn.append(score_of("multilabel", "micro_f1", gold[rows].astype(int), (outputs[rows] > 0).astype(int)))
    assert (found.low, found.high) == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=0.01)
    assert found == chance(SETS, gold.astype(np.float32), outputs)


@given(st.integers(1, 30), st.integers(1, 4), st.integers(0, 1000))
def test_scores_of_several_labels_count_by_hand(rows, labels, seed):
    random = np.random.default_rng(seed)
    gold, outputs = random.integers(0, 2, (rows, labels)), random.normal(size=(rows, labels))
    found = SETS.scores(gold.astype(np.float32), outputs)
    of_label = []
    for j in range(labels):
        counts = [0, 0, 0]  # true positives, false positives, false negatives
        for i in range(rows):
            said = outputs[i, j] > 0
            counts[0] += said and gold[i, j] == 1
            counts[1] += said and gold[i, j] == 0
            counts[2] += (not said) and gold[i, j] == 1
        of_label.append(counts)
    f1 = lambda tp, fp, fn: 2 * tp / (2 * tp + fp + fn) if tp else 0.0  # noqa: E731
    assert found["micro_f1"] == pytest.approx(f1(*np.sum(of_label, axis=0)))
    assert found["macro_f1"] == pytest.approx(np.mean([f1(*counts) for counts in of_label]))
    assert found["accuracy"] == np.mean([(gold[i] == (outputs[i] > 0)).all() for i in range(rows)])
    if labels > 1:
        for average in ("micro", "macro"):
            expected = f1_score(gold, outputs > 0, average=average, zero_division=0)
            assert found[f"{average}_f1"] == pytest.approx(expected)


@given(st.sampled_from(["classification", "multilabel"]), st.integers(1, 40), st.integers(2, 4), st.integers(0, 1000))
def test_calibration_error_bin_by_bin(kind, rows, labels, seed):
    random = np.random.default_rng(seed)
    outputs = random.normal(size=(rows, labels)) * 3
    if kind == "classification":
        gold = random.integers(0, labels, rows)
        decisions = []
        for row, right in zip(outputs, gold, strict=True):
            shares = np.exp(row) / np.exp(row).sum()
            decisions.append((shares.max(), shares.argmax() == right))
    else:
        gold = random.integers(0, 2, (rows, labels))
        shares = 1 / (1 + np.exp(-outputs))
        decisions = [(max(p, 1 - p), (p > 0.5) == g) for p, g in zip(shares.ravel(), gold.ravel(), strict=True)]
    expected = 0.0
    for low in range(15):
        inside = [d for d in decisions if low / 15 <= d[0] < (low + 1) / 15 or (low == 14 and d[0] == 1)]
        if inside:
            distance = np.mean([c for c, _ in inside]) - np.mean([right for _, right in inside])
            expected += abs(distance) * len(inside) / len(decisions)
    assert KINDS[kind].calibration_error(gold, outputs) == pytest.approx(expected, abs=1e-9)
    assert SCORES.calibration_error(gold, outputs) is None


def test_probabilities():
    outputs = np.array([[0.0, math.log(3)]])
    assert CLASSES.probabilities(outputs)[0] == pytest.approx([0.25, 0.75])
    assert SETS.probabilities(outputs)[0] == pytest.approx([0.5, 0.75])
    assert SCORES.probabilities(outputs[:, 1:])[0] == pytest.approx([math.log(3)])


def test_confusion():
    gold, outputs = np.array([0, 1, 1, 2]), np.eye(3)[[0, 1, 2, 2]]
    table = CLASSES.confusion(gold, outputs, ("a", "b", "c"))
    assert table.to_pydict() == {"gold": ["a", "b", "c"], "a": [1, 0, 0], "b": [0, 1, 0], "c": [0, 1, 1]}
    several = SETS.confusion(np.array([[1, 0], [1, 1], [0, 1]]), np.array([[1, 1], [-1, 1], [1, -1]]), ("a", "b"))
    assert several.to_pydict() == {
        "label": ["a", "b"],
        "true_positives": [1, 1],
        "false_positives": [1, 1],
        "true_negatives": [0, 0],
        "false_negatives": [1, 1],
    }
    assert SCORES.confusion(gold, outputs, ()) is None


def test_an_undefined_correlation_is_told(caplog):
    SCORES.scores(np.array([1.0, 2.0]), np.array([[1.0], [1.0]]))
    assert caplog.messages == ["all predictions are the same: their correlation is undefined and counts as 0"]


def test_errors_of_scores_are_in_their_unit():
    gold = np.array([500.0, 600.0, 700.0, 850.0])
    found = SCORES.scores(gold, np.array([[510.0], [580.0], [700.0], [850.0]]))
    assert found["mae"] == pytest.approx((10 + 20) / 4)
    assert found["rmse"] == pytest.approx(np.sqrt((10**2 + 20**2) / 4))
    assert found["spearman"] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ([1.5, 1.5, 1.5, 1.5], "predicts 1.5 for every text (the scores are 662.5 ± 129)"),
        ([1.5, 1.4, 1.6, 1.5], "predicts nearly 1.5 for every text"),
        ([5.0, 300.0, 7.0, 8.5], "is larger than that of always predicting the mean; are its scores in another unit"),
        ([600.0, 600.0, 700.0, 700.0], None),
    ],
)
def test_what_is_wrong_with_predictions_as_a_whole(said, words):
    found = score_doubt(np.array([500.0, 600.0, 700.0, 850.0]), np.array(said))
    assert found is None if words is None else words in found


def test_one_score_far_away_makes_no_prediction_constant():
    gold, said = np.array([1.0, 2.0, 3.0, 4.0] * 8 + [1e6]), np.array([1.1, 2.1, 3.0, 3.9] * 8 + [3.0])
    assert "learned nothing" not in (score_doubt(gold, said) or "")


def test_nothing_is_said_of_scores_that_are_all_the_same():
    assert score_doubt(np.array([2.0, 2.0]), np.array([1.0, 1.0])) is None

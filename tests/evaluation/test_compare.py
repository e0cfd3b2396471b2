import numpy as np
import pytest

from hornbook.evaluation.compare import compact, difference, expanded, resampled
from hornbook.metrics import score_of

GOLD = {"kind": "classification", "metric": "accuracy", "labels": ["no", "yes"]}


def rows(said):
    return [{"seed": seed, "predicted": compact(one)} for seed, one in enumerate(said)]


def compared(better, worse, gold):
    return difference(*({row["seed"]: resampled(row, gold) for row in group} for group in (better, worse)))


def made_up(examples=400, share=0.8, seed=0):
    random = np.random.default_rng(seed)
    gold = random.integers(2, size=examples)
    wrong = random.random((2, examples)) > share
    return gold, [np.where(one, 1 - gold, gold).tolist() for one in wrong]


def test_the_mean_is_the_difference_of_scores():
    gold, better = made_up(share=0.9)
    _, worse = made_up(share=0.7, seed=0)
    found = compared(rows(better), rows(worse), GOLD | {"dev": compact(gold.tolist())})
    expected = np.mean(
        [(np.array(a) == gold).mean() - (np.array(b) == gold).mean() for a, b in zip(better, worse, strict=True)]
    )
    assert found.mean == pytest.approx(expected)
    assert found.low < found.mean < found.high
    assert found.seeds == 2
    assert found.clear


def test_the_interval_is_that_of_a_naive_bootstrap():
    gold, better = made_up(share=0.85)
    _, worse = made_up(share=0.8, seed=1)
    found = compared(rows(better), rows(worse), GOLD | {"dev": compact(gold.tolist())})
    each = np.mean(
        [(np.array(a) == gold) * 1.0 - (np.array(b) == gold) for a, b in zip(better, worse, strict=True)], axis=0
    )
    error = each.std() / np.sqrt(len(each))
    assert found.high - found.low == pytest.approx(2 * 1.96 * error, rel=0.1)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_scores_of_any_scale_are_kept_apart(scale):
    scores = [scale * (1 + i / 100) for i in range(50)]
    assert expanded(compact(scores)) == pytest.approx(scores, rel=1e-5)
    assert len(set(compact(scores))) == 50


def test_equal_students_differ_by_nothing():
    gold, same = made_up()
    found = compared(rows(same), rows(same), GOLD | {"dev": compact(gold.tolist())})
    assert (found.mean, found.low, found.high, found.clear) == (0, 0, 0, False)


def test_only_seeds_that_both_have_are_compared():
    gold, said = made_up()
    found = compared(rows(said), rows(said)[1:], GOLD | {"dev": compact(gold.tolist())})
    assert found.seeds == 1
    with pytest.raises(ValueError, match="no two rows have the same seed"):
        compared(rows(said)[:1], rows(said)[1:], GOLD | {"dev": compact(gold.tolist())})


@pytest.mark.parametrize("metric", ["matthews", "macro_f1"])
def test_scores_that_are_no_mean_over_examples(metric, monkeypatch):
    monkeypatch.setattr("hornbook.evaluation.compare.RESAMPLES", 50)
    gold, better = made_up(share=0.95)
    _, worse = made_up(share=0.6, seed=0)
    found = compared(rows(better), rows(worse), GOLD | {"metric": metric, "dev": compact(gold.tolist())})
    assert 0 < found.low <= found.mean <= found.high


def test_several_labels_an_example():
    random = np.random.default_rng(0)
    gold = random.integers(2, size=(200, 3))
    wrong = np.where(random.random((2, 200, 3)) < [[[0.1]], [[0.4]]], 1 - gold, gold)
    about = {"kind": "multilabel", "metric": "micro_f1", "labels": ["a", "b", "c"], "dev": compact(gold.tolist())}
    found = compared(rows([wrong[0].tolist()]), rows([wrong[1].tolist()]), about)
    better, worse = (score_of("multilabel", "micro_f1", gold, one) for one in wrong)
    assert found.mean == pytest.approx(better - worse)
    assert found.clear


def test_a_regression(monkeypatch):
    monkeypatch.setattr("hornbook.evaluation.compare.RESAMPLES", 50)
    random = np.random.default_rng(0)
    gold = random.random(200) * 5
    better, worse = ([(gold + noise * random.normal(size=200)).tolist()] for noise in (0.3, 3))
    about = {"kind": "regression", "metric": "spearman", "labels": [], "dev": compact(gold.tolist())}
    assert compared(rows(better), rows(worse), about).low > 0


@pytest.mark.parametrize("values", [[0, 1, 9], [0, 12], [0.25, 3.5], [[0, 1], []], []])
def test_what_is_made_short_comes_back(values):
    assert expanded(compact(values)) == values

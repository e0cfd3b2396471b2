import numpy as np
import pytest

from hornbook.metrics import score_of
from hornbook.results import CellResult, GoldLabels
from hornbook.results.differences import difference, differences, resampled_cells
from hornbook.results.predictions import compact, expanded, resampled

GOLD = {"kind": "classification", "metric": "accuracy", "labels": ("no", "yes")}


def rows(said):
    return {seed: compact(one) for seed, one in enumerate(said)}


def compared(a, b, gold):
    labels = GoldLabels(**gold)
    return difference(*({seed: resampled(one, labels) for seed, one in group.items()} for group in (a, b)))


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
    found = compared(rows(said), {1: compact(said[1])}, GOLD | {"dev": compact(gold.tolist())})
    assert found.seeds == 1
    with pytest.raises(ValueError, match="no two rows have the same seed"):
        compared({0: compact(said[0])}, {1: compact(said[1])}, GOLD | {"dev": compact(gold.tolist())})


@pytest.mark.parametrize("metric", ["matthews", "macro_f1"])
def test_scores_that_are_no_mean_over_examples(metric, monkeypatch):
    monkeypatch.setattr("hornbook.results.predictions.RESAMPLES", 50)
    gold, better = made_up(share=0.95)
    _, worse = made_up(share=0.6, seed=0)
    found = compared(rows(better), rows(worse), GOLD | {"metric": metric, "dev": compact(gold.tolist())})
    assert 0 < found.low <= found.mean <= found.high


def test_several_labels_an_example():
    random = np.random.default_rng(0)
    gold = random.integers(2, size=(200, 3))
    wrong = np.where(random.random((2, 200, 3)) < [[[0.1]], [[0.4]]], 1 - gold, gold)
    about = {"kind": "multilabel", "metric": "micro_f1", "labels": ("a", "b", "c"), "dev": compact(gold.tolist())}
    found = compared(rows([wrong[0].tolist()]), rows([wrong[1].tolist()]), about)
    better, worse = (score_of("multilabel", "micro_f1", gold, one) for one in wrong)
    assert found.mean == pytest.approx(better - worse)
    assert found.clear


def test_a_regression(monkeypatch):
    monkeypatch.setattr("hornbook.results.predictions.RESAMPLES", 50)
    random = np.random.default_rng(0)
    gold = random.random(200) * 5
    better, worse = ([(gold + noise * random.normal(size=200)).tolist()] for noise in (0.3, 3))
    about = {"kind": "regression", "metric": "spearman", "labels": (), "dev": compact(gold.tolist())}
    assert compared(rows(better), rows(worse), about).low > 0


@pytest.mark.parametrize("values", [[0, 1, 9], [0, 12], [0.25, 3.5], [[0, 1], []], []])
def test_what_is_made_short_comes_back(values):
    assert expanded(compact(values)) == values


def cell(seed, textbook, predicted, **at):
    """A cell of a made-up experiment in which the gold labels are all 1."""
    dev = sum(map(int, predicted)) / len(predicted)
    measured = {"parameters": 1, "sentences_per_second": 1.0, "seconds": 1.0, "test": None, "share_cut": 0.0}
    measured |= {"textbook": None, "calibration_error": None, "metric": "accuracy", "minutes": 1.0}
    at = {"textbook": textbook, "seed": seed, **at}
    return CellResult(name="x", seed=seed, dev=dev, task="t", predicted=predicted, at=at, **measured)


def test_every_pair_of_an_axis_is_compared_once_where_the_others_agree():
    right = {"a": 90, "b": 70, "c": 50}
    rows = [
        cell(seed, book, "1" * (count - late) + "0" * (100 - count + late), steps=steps)
        for book, count in right.items()
        for steps, late in ((10, 9), (20, 0))
        for seed in (0, 1)
    ]
    gold = {"t": GoldLabels("classification", "accuracy", "1" * 100)}
    pairs = differences(rows, ("textbook", "steps", "seed"), resampled_cells(rows, gold))
    by_axis = [(pair.axis, pair.better, pair.worse, pair.at) for pair in pairs]
    assert by_axis == [
        *(
            ("textbook", a, b, {"steps": steps})
            for steps in (10, 20)
            for a, b in (("a", "b"), ("a", "c"), ("b", "c"))
        ),
        *(("steps", 20, 10, {"textbook": book}) for book in "abc"),
    ]
    assert all(pair.complete and pair.difference.clear for pair in pairs)
    assert pairs[0].difference.mean == pytest.approx(0.2)


def test_the_better_one_comes_first_and_its_interval_turns_with_it():
    rows = [cell(0, "low", "10" * 50), cell(0, "high", "1110" * 25)]
    gold = {"t": GoldLabels("classification", "accuracy", "1" * 100)}
    scores = resampled_cells(rows, gold)
    (pair,) = differences(rows, ("textbook",), scores)
    assert (pair.better, pair.worse) == ("high", "low")
    assert pair.difference == -difference({0: scores(0)}, {0: scores(1)})
    assert pair.difference.low < pair.difference.mean < pair.difference.high
    assert pair.difference.mean == pytest.approx(0.25)

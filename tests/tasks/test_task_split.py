"""Splits and samples: every row once, every stratum in its share."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hornbook.tasks.kinds import KINDS
from hornbook.tasks.split import sample_rows, split_rows

GROUPS = st.lists(st.integers(0, 4), min_size=10, max_size=200).map(np.array)


@given(GROUPS, st.integers(0, 9), st.booleans())
def test_each_row_is_in_one_split_and_each_stratum_within_one_row_of_its_share(groups, seed, with_test):
    parts = split_rows(groups, seed, with_test)
    assert list(parts) == (["train", "dev", "test"] if with_test else ["train", "dev"])
    together = np.concatenate(list(parts.values()))
    assert sorted(together.tolist()) == list(range(len(groups)))
    assert all((np.diff(rows) > 0).all() for rows in parts.values())
    for name in list(parts)[1:]:
        assert abs(len(parts[name]) - len(groups) / 10) < 1
        assert len(parts[name]) > 0
        for group in np.unique(groups):
            rows = np.sum(groups == group)
            assert abs(np.sum(groups[parts[name]] == group) - rows / 10) < 1
            assert rows < 2 or group in groups[parts["train"]]


@given(GROUPS, st.integers(1, 250), st.integers(0, 9))
def test_a_sample_has_its_size_and_each_stratum_within_one_row_of_its_share(groups, rows, seed):
    kept = sample_rows(groups, rows, seed)
    rows = min(rows, len(groups))
    assert len(set(kept.tolist())) == len(kept) == rows
    for group in np.unique(groups):
        share = np.sum(groups == group) * rows / len(groups)
        assert abs(np.sum(groups[kept] == group) - share) < 1


def test_seeds_decide_and_nothing_else():
    groups = np.arange(300) % 3
    assert np.array_equal(split_rows(groups, 1, True)["dev"], split_rows(groups, 1, True)["dev"])
    assert not np.array_equal(split_rows(groups, 1, True)["dev"], split_rows(groups, 2, True)["dev"])
    assert not np.array_equal(sample_rows(groups, 30, 1), sample_rows(groups, 30, 2))


@pytest.mark.parametrize("seed", range(3))
def test_rows_of_a_split_are_drawn_from_the_whole_stratum(seed):
    dev = split_rows(np.zeros(1000, dtype=np.int64), seed, True)["dev"]
    assert dev[0] < 100
    assert dev[-1] >= 900
    assert len(set(np.diff(dev).tolist())) > 5


def test_scores_fall_into_deciles():
    scores = [float(x) for x in np.random.default_rng(0).permutation(50)]
    assert KINDS["regression"].strata(scores).tolist() == [int(score // 5) for score in scores]
    assert KINDS["classification"].strata([2, 0, 1]).tolist() == [2, 0, 1]

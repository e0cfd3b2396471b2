import itertools

import hypothesis.strategies as st
import numpy as np
from hypothesis import given

from hornbook.models.encode import Encoded
from hornbook.training.steps import StepDataset, StepPlan, epoch_steps, micro_batches

LENGTHS = st.lists(st.integers(1, 60), min_size=1, max_size=300).map(np.array)


@given(LENGTHS, st.integers(1, 40), st.integers(0, 99), st.integers(0, 3))
def test_an_epoch_holds_every_sequence_once(lengths, batch, seed, epoch):
    steps = epoch_steps(lengths, batch, seed, epoch)
    assert sorted(np.concatenate(steps)) == list(range(len(lengths)))
    assert all(len(step) <= batch for step in steps)
    assert len(steps) == -(-len(lengths) // batch)


@given(LENGTHS, st.integers(1, 40), st.integers(1, 50))
def test_a_step_is_a_function_of_its_number_alone(lengths, batch, count):
    plan = StepPlan(lengths, batch, 5, steps=count)
    later = StepPlan(lengths, batch, 5, steps=count)
    for step in reversed(range(count)):
        assert (later.indices(step) == plan.indices(step)).all()
    assert plan.count == count


def test_a_token_budget_ends_with_the_step_that_reaches_it():
    lengths = np.full(100, 10)
    plan = StepPlan(lengths, 8, 0, tokens=1000)
    assert plan.tokens >= 1000 > plan.tokens - 80
    assert StepPlan(lengths, 8, 0, epochs=3).count == 39


def test_little_is_padded():
    lengths = np.random.default_rng(0).integers(5, 60, 20_000)
    steps = epoch_steps(lengths, 32, 0, 0)
    padded = sum(len(step) * lengths[step].max() for step in steps)
    assert 1 - lengths.sum() / padded < 0.03


@given(LENGTHS, st.integers(1, 200))
def test_micro_batches_hold_each_sequence_once_within_their_tokens(lengths, most):
    indices = np.random.default_rng(0).permutation(len(lengths))[: max(1, len(lengths) // 2)]
    cuts = micro_batches(indices, lengths, most)
    ordered = np.concatenate(cuts)
    assert sorted(ordered) == sorted(indices)
    assert (np.diff(lengths[ordered]) <= 0).all(), "the longest first"
    for cut in cuts:
        assert len(cut) == 1 or len(cut) * lengths[cut].max() <= most
    # and no two neighbours would fit together
    for first, second in itertools.pairwise(cuts):
        assert (len(first) + len(second)) * lengths[first].max() > most or len(first) == most // lengths[first].max()


@given(LENGTHS, st.integers(1, 40), st.integers(1, 200), st.integers(1, 4))
def test_the_shares_of_several_processes_make_up_the_step(lengths, batch, most, processes):
    ids = np.concatenate([np.full(n, i) for i, n in enumerate(lengths)]).astype(np.int32)
    starts = np.cumsum(lengths) - lengths
    encoded = Encoded(ids, starts, lengths, lengths.astype(np.int32), pad=-1)
    plan = StepPlan(lengths, batch, 0, steps=2)
    seen, weight = [], 0.0
    for process in range(processes):
        data = StepDataset(
            encoded,
            plan,
            {"labels": np.arange(len(lengths))},
            max_tokens=most,
            process=process,
            processes=processes,
        )
        for part in data[1]:
            weight += part.weight / processes
            if part.weight:
                seen += part.batch["input_ids"][:, 0].tolist()
                assert part.batch["labels"].tolist() == part.batch["input_ids"][:, 0].tolist()
                assert part.weight == processes * len(part.batch["labels"]) / len(plan.indices(1))
    assert sorted(seen) == sorted(plan.indices(1).tolist())
    assert abs(weight - 1) < 1e-9

import hypothesis.strategies as st
import numpy as np
from hypothesis import given

from hornbook.training.steps import StepPlan, epoch_steps

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

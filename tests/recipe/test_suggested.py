"""What `hornbook new` suggests for a model's size and a task's rows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hornbook.recipe import FinetuneConfig, suggested_batch, suggested_distil_rate, suggested_passes, suggested_rate

LAYERS = st.integers(1, 48)
WIDTHS = st.integers(8, 4096)
ROWS = st.integers(1, 10_000_000)


@pytest.mark.parametrize(
    ("layers", "hidden", "rate"),
    [
        (6, 384, 8e-5),  # tuned: recipes/laptop/sst2.yaml
        (12, 768, 2e-5),
        (24, 1024, 1e-5),
        (6, 768, 3e-5),
        (12, 384, 6e-5),
        (4, 256, 2e-4),
        (3, 192, 3e-4),
        (2, 32, 3e-4),
        (12, 4096, 1e-5),
    ],
)
def test_the_rate_of_known_sizes(layers, hidden, rate):
    assert suggested_rate(layers, hidden) == rate


def test_a_base_teacher_keeps_the_default():
    assert suggested_rate(12, 768) == FinetuneConfig().learning_rate


@pytest.mark.parametrize(
    ("rows", "passes", "batch"),
    [
        (1, 20, 16),
        (32, 20, 16),
        (100, 14, 16),
        (1_000, 6, 16),
        (2_000, 5, 16),
        (5_749, 4, 16),  # tuned: recipes/laptop/stsb.yaml
        (7_999, 3, 16),
        (8_000, 3, 32),  # tuned: recipes/laptop/textbooks.yaml
        (67_349, 2, 32),  # tuned: recipes/laptop/sst2.yaml
        (1_000_000, 2, 32),
    ],
)
def test_passes_and_batch_by_rows(rows, passes, batch):
    assert (suggested_passes(rows), suggested_batch(rows)) == (passes, batch)


@given(LAYERS, LAYERS, WIDTHS, WIDTHS)
def test_a_larger_model_never_gets_a_higher_rate(layers, more_layers, hidden, more_hidden):
    smaller = suggested_rate(min(layers, more_layers), min(hidden, more_hidden))
    larger = suggested_rate(max(layers, more_layers), max(hidden, more_hidden))
    assert 1e-5 <= larger <= smaller <= 3e-4


@given(ROWS, ROWS)
def test_more_rows_never_get_more_passes_or_smaller_batches(rows, more):
    few, many = min(rows, more), max(rows, more)
    assert 20 >= suggested_passes(few) >= suggested_passes(many) >= 2
    assert suggested_batch(few) <= suggested_batch(many)


@pytest.mark.parametrize(("hidden", "rate"), [(32, 2e-3), (192, 2e-3), (384, 1e-3), (768, 5e-4), (4096, 3e-4)])
def test_the_rate_of_a_distillation_falls_with_the_width(hidden, rate):
    assert suggested_distil_rate(hidden) == rate

import torch
from hypothesis import given
from hypothesis import strategies as st

from hornbook.models.topk import CHUNK, topk_indices


@given(
    rows=st.integers(1, 4),
    width=st.integers(1, 12 * CHUNK),
    count=st.integers(1, 20),
    distinct=st.sampled_from([3, 10_000]),
    seed=st.integers(0, 99),
)
def test_the_largest_are_those_of_topk(rows, width, count, distinct, seed):
    draw = torch.Generator().manual_seed(seed)
    values = torch.randint(distinct, (rows, width), generator=draw).float()
    values[torch.rand(rows, width, generator=draw) < 0.1] = -torch.inf
    count = min(count, width)
    found = topk_indices(values, count)
    assert found.shape == (rows, count)
    assert all(len(set(row)) == count for row in found.tolist())
    assert torch.equal(values.gather(1, found), values.topk(count).values)

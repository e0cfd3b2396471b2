import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings

from hornbook.errors import HornbookError
from hornbook.training.objectives import relations as relations_module
from hornbook.training.objectives.relations import RELATIONS, legal_relation_heads, relation_heads, relation_loss


def naive_loss(teacher, student, mask, heads):
    """MiniLMv2's loss as the paper writes it: one example, one relation head, one position at a time."""
    total = 0.0
    for example in range(len(mask)):
        length = int(mask[example].sum())
        for whole_t, whole_s in zip(teacher.values(), student.values(), strict=True):
            divergence = 0.0
            for head in range(heads):
                relations = []
                for whole in (whole_t, whole_s):
                    width = whole.shape[-1] // heads
                    x = whole[example, :length, head * width : (head + 1) * width].double()
                    relations.append(torch.softmax(x @ x.T / width**0.5, dim=-1))
                t, s = relations
                for position in range(length):
                    divergence = divergence + (t[position] * (t[position] / s[position]).log()).sum()
            total = total + divergence / (heads * length)
    return total / len(mask)


def example(seed, sequences, length, heads, width_t, width_s):
    random = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, length + 1, (sequences,), generator=random)
    lengths[0] = length
    mask = (torch.arange(length) < lengths[:, None]).long()
    draw = lambda width: torch.randn(sequences, length, heads * width, generator=random) * 2  # noqa: E731
    teacher = {name: draw(width_t) for name in RELATIONS}
    student = {name: draw(width_s).requires_grad_() for name in RELATIONS}
    return teacher, student, mask


def summed(*arguments):
    return sum(relation_loss(*arguments).values())


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 10**6),
    st.integers(1, 4),
    st.integers(1, 9),
    st.integers(1, 5),
    st.integers(1, 4),
    st.integers(1, 4),
    st.sampled_from([1, 100, 1 << 17]),
)
def test_loss_and_gradient_equal_the_naive_loop(seed, sequences, length, heads, width_t, width_s, chunk):
    teacher, student, mask = example(seed, sequences, length, heads, width_t, width_s)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(relations_module._CHUNK, "cpu", chunk)
        loss = summed(teacher, student, mask, heads)
    gradients = torch.autograd.grad(loss * 3, list(student.values()))
    expected = naive_loss(teacher, student, mask, heads)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-4, abs=1e-6)
    if length > 1:
        for got, want in zip(gradients, torch.autograd.grad(expected * 3, list(student.values())), strict=True):
            torch.testing.assert_close(got, want.float(), rtol=1e-3, atol=1e-5)


def test_each_relation_has_its_own_loss_and_gradient():
    teacher, student, mask = example(4, 2, 5, 2, 3, 3)
    losses = relation_loss({**teacher, "key": student["key"].detach()}, student, mask, 2)
    assert losses["key"].item() == pytest.approx(0.0, abs=1e-6)
    assert losses["query"].item() > 0.01
    losses["query"].backward()
    assert student["query"].grad is not None
    assert student["value"].grad is None


def test_padding_changes_nothing():
    teacher, student, mask = example(1, 3, 6, 2, 3, 2)
    wider = lambda p: {n: torch.nn.functional.pad(x, (0, 0, 0, 4), value=7.0) for n, x in p.items()}  # noqa: E731
    padded = summed(wider(teacher), wider(student), torch.nn.functional.pad(mask, (0, 4)), 2)
    torch.testing.assert_close(padded, summed(teacher, student, mask, 2))


def test_the_projections_of_padding_get_no_gradient():
    teacher, student, mask = example(5, 3, 6, 2, 3, 2)
    mask[1] = torch.tensor([1, 1, 0, 0, 0, 0])
    summed(teacher, student, mask, 2).backward()
    assert all((x.grad[1, 2:] == 0).all() and (x.grad[1, :2] != 0).any() for x in student.values())


def test_a_teacher_that_is_no_number_shows():
    teacher, student, mask = example(2, 2, 4, 2, 2, 2)
    teacher["query"][0, 0, 0] = float("nan")
    assert torch.isnan(summed(teacher, student, mask, 2))


def test_zero_when_student_equals_teacher():
    teacher, _, mask = example(3, 2, 5, 2, 3, 3)
    assert summed(teacher, teacher, mask, 2).item() == pytest.approx(0.0, abs=1e-6)


def test_half_precision_projections_are_compared_in_float32():
    teacher, student, mask = example(6, 2, 5, 2, 4, 4)
    half = {name: x.detach().bfloat16().requires_grad_() for name, x in student.items()}
    with torch.autocast("cpu", torch.bfloat16):
        loss = summed({n: x.bfloat16() for n, x in teacher.items()}, half, mask, 2)
    loss.backward()
    assert loss.dtype == torch.float32
    assert half["key"].grad.dtype == torch.bfloat16
    full = summed(
        {n: x.bfloat16().float() for n, x in teacher.items()}, {n: x.float() for n, x in half.items()}, mask, 2
    )
    torch.testing.assert_close(loss, full)


def test_relation_heads_follow_the_facts():
    assert legal_relation_heads(384, 192)[-3:] == [64, 96, 192]
    assert relation_heads(None, 768, 384) == 48
    assert relation_heads(None, 1024, 384) == 64
    assert relation_heads(None, 384, 192) == 64
    assert relation_heads(16, 1024, 384) == 16
    with pytest.raises(HornbookError, match=r"relation_heads: 5 .*legal are 1, 2, 3, 4, 6"):
        relation_heads(5, 384, 192)

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings

from hornbook.errors import HornbookError
from hornbook.models.taps import Projections
from hornbook.training.relations import legal_relation_heads, relation_heads, relation_loss


def naive_loss(teacher, student, mask, heads):
    """MiniLMv2's loss as the paper writes it: one example, one relation head, one position at a time."""
    total = 0.0
    for example in range(len(mask)):
        length = int(mask[example].sum())
        for whole_t, whole_s in zip(teacher, student, strict=True):
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
    teacher = Projections(*(draw(width_t) for _ in range(3)))
    student = Projections(*(draw(width_s).requires_grad_() for _ in range(3)))
    return teacher, student, mask


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 10**6),
    st.integers(1, 4),
    st.integers(1, 9),
    st.integers(1, 5),
    st.integers(1, 4),
    st.integers(1, 4),
)
def test_loss_and_gradient_equal_the_naive_loop(seed, sequences, length, heads, width_t, width_s):
    teacher, student, mask = example(seed, sequences, length, heads, width_t, width_s)
    loss = relation_loss(teacher, student, mask, heads)
    gradients = torch.autograd.grad(loss, list(student))
    expected = naive_loss(teacher, student, mask, heads)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-4, abs=1e-6)
    if length > 1:
        for got, want in zip(gradients, torch.autograd.grad(expected, list(student)), strict=True):
            torch.testing.assert_close(got, want.float(), rtol=1e-3, atol=1e-6)


def test_padding_changes_nothing():
    teacher, student, mask = example(1, 3, 6, 2, 3, 2)
    wider = lambda p: Projections(*(torch.nn.functional.pad(x, (0, 0, 0, 4), value=7.0) for x in p))  # noqa: E731
    padded = relation_loss(wider(teacher), wider(student), torch.nn.functional.pad(mask, (0, 4)), 2)
    torch.testing.assert_close(padded, relation_loss(teacher, student, mask, 2))


def test_a_teacher_that_is_no_number_shows():
    teacher, student, mask = example(2, 2, 4, 2, 2, 2)
    teacher.query[0, 0, 0] = float("nan")
    assert torch.isnan(relation_loss(teacher, student, mask, 2))


def test_zero_when_student_equals_teacher():
    teacher, _, mask = example(3, 2, 5, 2, 3, 3)
    assert relation_loss(teacher, teacher, mask, 2).item() == pytest.approx(0.0, abs=1e-6)


def test_relation_heads_follow_the_facts():
    assert legal_relation_heads(384, 192)[-3:] == [64, 96, 192]
    assert relation_heads(None, 768, 384) == 48
    assert relation_heads(None, 1024, 384) == 64
    assert relation_heads(None, 384, 192) == 64
    assert relation_heads(16, 1024, 384) == 16
    with pytest.raises(HornbookError, match=r"relation_heads: 5 .*legal are 1, 2, 3, 4, 6"):
        relation_heads(5, 384, 192)

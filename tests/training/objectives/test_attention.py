import sys
from contextlib import nullcontext
from pathlib import Path

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings
from transformers import BertConfig, BertModel

sys.path.append(str(Path(__file__).resolve().parents[2] / "models"))
from tiny_encoders import ENCODERS, UNKNOWN

from hornbook.errors import HornbookError
from hornbook.models.probe import check_attention
from hornbook.models.taps import PROJECTIONS, Tapped
from hornbook.recipe import DistilConfig
from hornbook.training.distillation import all_taps, create_objectives
from hornbook.training.objectives import Pair
from hornbook.training.objectives import relations as relations_module
from hornbook.training.objectives.attention import Attention

CONFIG = DistilConfig(objectives={"attention": 1.0})
POSITIONS = {"mpnet", "longformer", "deberta", "deberta-v2", "modernbert", "nomic_bert", "gte", "roformer"}


def naive_loss(teacher, student, mask, heads):
    """MiniLM's two losses as the paper writes them: one sequence, one head, one position at a time."""
    attention = values = 0.0
    for sequence in range(len(mask)):
        length = int(mask[sequence].sum())
        for head in range(heads):
            rows = []
            for model in (teacher, student):
                width = model["query"].shape[-1] // heads
                cut = slice(head * width, (head + 1) * width)
                q, k, v = (model[name][sequence, :length, cut].double() for name in PROJECTIONS)
                rows.append((torch.softmax(q @ k.T / width**0.5, -1), torch.softmax(v @ v.T / width**0.5, -1)))
            for position in range(length):
                (a, r), (b, s) = ((one[position], two[position]) for one, two in rows)
                attention = attention + (a * (a / b).log()).sum() / (heads * length * len(mask))
                values = values + (r * (r / s).log()).sum() / (heads * length * len(mask))
    return attention, values


@settings(max_examples=25)
@given(
    seed=st.integers(0, 10**6),
    sequences=st.integers(1, 3),
    length=st.integers(2, 6),
    heads=st.integers(1, 4),
    widths=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    chunk=st.sampled_from([1, 50, 1 << 17]),
)
def test_losses_and_gradients_equal_the_naive_loop(random_mask, seed, sequences, length, heads, widths, chunk):
    random = torch.Generator().manual_seed(seed)
    mask = random_mask(random, sequences, length)
    teacher, student = (
        {name: torch.randn(sequences, length, heads * width, generator=random) * 2 for name in PROJECTIONS}
        for width in widths
    )
    for tensor in student.values():
        tensor.requires_grad_()
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(relations_module._CHUNK, "cpu", chunk)
        losses = Attention(heads)(teacher, student, mask)
    for loss, expected, names in zip(
        losses.values(), naive_loss(teacher, student, mask, heads), (PROJECTIONS[:2], PROJECTIONS[2:]), strict=True
    ):
        assert loss.item() == pytest.approx(expected.item(), rel=1e-4, abs=1e-6)
        tensors = [student[name] for name in names]
        for got, want in zip(
            torch.autograd.grad(loss * 3, tensors), torch.autograd.grad(expected * 3, tensors), strict=True
        ):
            torch.testing.assert_close(got, want.float(), rtol=1e-3, atol=1e-5)


def bert(seed, layers, hidden, heads=4):
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=30,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=2 * hidden,
        initializer_range=0.5,
        attn_implementation="eager",
    )
    return BertModel(config).eval()


def test_the_loss_is_that_of_the_attentions_which_the_models_return(random_mask):
    teacher, student = bert(0, 3, 32), bert(1, 2, 16)
    mask = random_mask(torch.Generator().manual_seed(2), 3, 6)
    inputs = {"input_ids": torch.randint(1, 30, (3, 6)), "attention_mask": mask}
    (objective,) = create_objectives(Pair(teacher.config, student.config, CONFIG)).values()
    with torch.no_grad():
        t, s = (Tapped(m, x)(**inputs) for m, x in zip((teacher, student), objective.taps(), strict=True))
        a, b = (model(**inputs, output_attentions=True).attentions[-1] for model in (teacher, student))
    divergence = torch.where(a > 0, a * (a / b.clamp(min=1e-30)).log(), 0.0).sum(-1).mean(1)
    expected = ((divergence * mask).sum(1) / mask.sum(1)).mean()
    assert objective(t, s, mask)["attention"].item() == pytest.approx(expected.item(), rel=1e-4)
    assert expected > 0.1
    assert objective.info() == {"attention_layer": 3}


@pytest.mark.parametrize("kind", ENCODERS)
def test_families_whose_attention_depends_on_positions_are_refused(kind):
    config = ENCODERS[kind].config()
    says = {**dict.fromkeys(POSITIONS, f"the attention of {kind} models"), "eurobert": "several queries share a key"}
    with pytest.raises(HornbookError, match=says[kind]) if kind in says else nullcontext():
        check_attention(config)


@pytest.mark.parametrize("kind", ["bert", "mpnet", "modernbert"])
def test_wide_models_are_told_apart_too(kind):
    config = ENCODERS[kind].config(hidden_size=384, num_attention_heads=12)
    with pytest.raises(HornbookError, match="take relations") if kind != "bert" else nullcontext():
        check_attention(config)


def test_a_family_of_a_recipe_is_tried_too():
    check_attention(UNKNOWN.config(), UNKNOWN.family)
    swapped = UNKNOWN.family.model_copy(update={"projections": ("value", "key", "query")})
    with pytest.raises(HornbookError, match="the attention of layoutlm models"):
        check_attention(UNKNOWN.config(), swapped)


def test_as_many_heads_are_needed_in_the_student():
    pair = Pair(bert(0, 2, 32).config, bert(0, 2, 16, heads=2).config, CONFIG)
    with pytest.raises(HornbookError, match=r"heads in the student \(2\) .* \(4\); set student.heads to 4"):
        create_objectives(pair)


def test_a_layer_of_the_teacher_can_be_chosen():
    config = DistilConfig(objectives={"attention": 1.0, "relations": 0.5}, teacher_layer=1)
    objectives = create_objectives(Pair(bert(0, 3, 32).config, bert(0, 2, 16).config, config))
    teacher, student = all_taps(objectives)
    assert {name: tap.path for name, tap in teacher.items()} == {
        f"{objective}.{role}": f"encoder.layer.0.attention.self.{role}"
        for objective in ("attention", "relations")
        for role in PROJECTIONS
    }
    assert student["attention.query"].path == "encoder.layer.1.attention.self.query"

import pytest
import torch
from torch import nn

from hornbook.training.distillation import Distillation
from hornbook.training.objectives.logits import Logits
from hornbook.training.objectives.relations import Relations

MASK = torch.ones(3, 2)


class Speaks(nn.Module):
    """A model whose taps are its own parameters."""

    def __init__(self, taps):
        super().__init__()
        self.taps = taps
        self.own = nn.ParameterList(taps.values())
        self.model = nn.Module()
        self.model.config = type("Config", (), {"type_vocab_size": 0})

    def forward(self, **inputs):
        return {name: tensor * 1 for name, tensor in self.taps.items()}


def test_logits_follow_hinton():
    teacher, student = torch.randn(3, 4), torch.randn(3, 4)
    loss = Logits(temperature=2.0)({"logits": teacher}, {"logits": student}, MASK)["logits"]
    p, q = torch.softmax(teacher / 2, -1), torch.softmax(student / 2, -1)
    assert loss.item() == pytest.approx(4 * float((p * (p / q).log()).sum() / 3), rel=1e-5)
    assert Logits(2.0)({"logits": teacher}, {"logits": teacher}, MASK)["logits"].item() == pytest.approx(0, abs=1e-6)


def test_a_regression_is_compared_by_its_distance():
    loss = Logits(temperature=2.0, kind="regression")
    found = loss({"logits": torch.tensor([[1.0], [3.0]])}, {"logits": torch.zeros(2, 1)}, MASK)
    assert found["logits"].item() == 5.0


def test_objectives_add_up_with_their_weights():
    def random():
        taps = {f"relations.{name}": torch.randn(3, 2, 4) for name in ("query", "key", "value")}
        taps["logits.logits"] = torch.randn(3, 2)
        return {name: nn.Parameter(tensor) for name, tensor in taps.items()}

    teacher, student = Speaks(random()), Speaks(random())
    batch = {"input_ids": torch.ones(3, 2, dtype=torch.long), "attention_mask": MASK}
    objectives = {"relations": Relations(2), "logits": Logits(1.0)}
    losses = Distillation(teacher, objectives, {"relations": 1.0, "logits": 0.5})(student, batch)
    assert set(losses) == {"query", "key", "value", "logits"}
    logits = ({"logits": model()["logits.logits"]} for model in (teacher, student))
    alone = Logits(1.0)(*logits, MASK)["logits"]
    assert losses["logits"].item() == pytest.approx(0.5 * alone.item())
    sum(losses.values()).backward()
    assert all(p.grad is not None for p in student.parameters())
    assert all(p.grad is None for p in teacher.parameters())

"""One step of fine-tuning and one of distillation in every family of the table, from a folder, as the stages do."""

import sys
from pathlib import Path

import pytest
import torch

sys.path.append(str(Path(__file__).resolve().parents[1] / "models"))
from tiny_encoders import ENCODERS, batch

from hornbook.models.families import key_widths
from hornbook.models.loading import load_classifier, load_encoder
from hornbook.models.student import new_student, student_config
from hornbook.models.taps import Tapped, freeze, only_reached
from hornbook.recipe import DistilConfig, StudentConfig
from hornbook.training.distillation import Distillation, Learner, all_taps, create_objectives
from hornbook.training.finetune import task_loss
from hornbook.training.objectives import Pair

pytestmark = pytest.mark.slow  # seconds for two dozen families


def inputs():
    return {**batch(), "token_type_ids": torch.zeros(2, 4, dtype=torch.long)}


def stepped(model, loss):
    """Return the loss before and after some steps."""
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-3)
    values = []
    for _ in range(4):
        value = sum(loss(model).values())
        values.append(value.item())
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
    return values[0], values[-1]


@pytest.mark.parametrize("kind", ENCODERS)
def test_a_family_is_fine_tuned_distilled_and_adapted(kind, tmp_path):
    encoder = ENCODERS[kind]
    encoder.model().save_pretrained(tmp_path / "teacher")
    size = StudentConfig(layers=2, hidden=48, dropout=0.0)
    labels = {"gold": torch.tensor([0, 1]), "gold_weight": torch.ones(2)}
    torch.manual_seed(0)
    classifier = load_classifier(str(tmp_path / "teacher"), ("a", "b"), "classification", dropout=0.0)
    first, last = stepped(classifier, lambda model: task_loss("classification")(model, {**inputs(), **labels}))
    assert last < first
    classifier.save_pretrained(tmp_path / "tuned")
    teacher = freeze(load_encoder(str(tmp_path / "tuned")))
    student = new_student(teacher.config, size, 0, encoder=teacher)
    own, its = key_widths(teacher.config), key_widths(student_config(teacher.config, size))
    assert own == (24, encoder.keys)
    config = DistilConfig(teacher_layer=2, relation_heads=4 if its[1] % 4 == 0 else 2)
    objectives = create_objectives(Pair(teacher.config, student.config, config))
    learning = Learner(student, objectives)
    relations = Distillation(Tapped(teacher, all_taps(objectives)[0]), objectives, {"relations": 1.0})
    with only_reached(learning):
        first, last = stepped(learning, lambda model: relations(model, inputs()))
    assert last < first
    student.save_pretrained(tmp_path / "student")
    adapted = load_classifier(str(tmp_path / "student"), ("a", "b"), "classification")
    first, last = stepped(adapted, lambda model: task_loss("classification")(model, {**inputs(), **labels}))
    assert last < first

"""The benchmark's obvious re-implementation as the oracle of the whole path: taps, micro-batches, loss, gradient."""

import copy
import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel

from hornbook.models.encode import model_inputs
from hornbook.models.taps import Tapped, freeze
from hornbook.recipe import DistilConfig
from hornbook.training.distillation import Distillation, Learner, all_taps, create_objectives
from hornbook.training.objectives import Pair
from hornbook.training.steps import micro_batches

BENCHMARK = Path(__file__).resolve().parents[2] / "benchmarks" / "obvious_minilmv2.py"
LENGTHS = np.array([3, 17, 9, 1, 12, 17, 5])
TEACHER_LAYER, HEADS = 2, 4


@pytest.fixture(scope="module")
def obvious():
    spec = importlib.util.spec_from_file_location("obvious_minilmv2", BENCHMARK)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def bert(seed, layers, hidden):
    torch.manual_seed(seed)
    sizes = {"num_hidden_layers": layers, "hidden_size": hidden, "intermediate_size": 2 * hidden}
    config = BertConfig(vocab_size=99, num_attention_heads=2, initializer_range=0.3, **sizes)
    return BertModel(config).eval()


def batch(indices):
    """Sequences padded to the longest of them; a sequence's ids depend on its number alone."""
    ids = torch.zeros(len(indices), int(LENGTHS[indices].max()), dtype=torch.long)
    for row, index in enumerate(indices):
        own = torch.Generator().manual_seed(int(index))
        ids[row, : LENGTHS[index]] = torch.randint(1, 99, (LENGTHS[index],), generator=own)
    return {"input_ids": ids, "attention_mask": (ids > 0).long(), "token_type_ids": torch.zeros_like(ids)}


def eager(model):
    other = copy.deepcopy(model)
    other.set_attn_implementation("eager")
    return other


def obvious_gradients(obvious, teacher, student, indices):
    teacher, student = eager(teacher), eager(student)
    loss = obvious.obvious_loss(teacher, student, model_inputs(teacher, batch(indices)), TEACHER_LAYER, HEADS)
    loss.backward()
    return loss.item(), dict(student.named_parameters())


@pytest.mark.parametrize("max_tokens", [1000, 30])
def test_loss_and_gradient_equal_the_obvious_way(obvious, max_tokens):
    teacher, student = freeze(bert(1, 3, 32)), bert(2, 2, 16)
    indices = np.arange(len(LENGTHS))
    expected, wanted = obvious_gradients(obvious, teacher, student, indices)

    config = DistilConfig(teacher_layer=TEACHER_LAYER, relation_heads=HEADS)
    objectives = create_objectives(Pair(teacher.config, student.config, config))
    tapped = Learner(student, objectives)
    distillation = Distillation(Tapped(teacher, all_taps(objectives)[0]), objectives, {"relations": 1.0})
    total = 0.0
    for cut in micro_batches(indices, LENGTHS, max_tokens):
        loss = sum(distillation(tapped, batch(cut)).values()) * len(cut) / len(indices)
        loss.backward()
        total += loss.item()

    assert total == pytest.approx(expected, rel=1e-4)
    assert expected > 0.01
    for name, parameter in student.named_parameters():
        assert (parameter.grad is None) == (wanted[name].grad is None), name
    learning = [name for name, parameter in student.named_parameters() if parameter.grad is not None]
    ours = torch.cat([student.get_parameter(name).grad.flatten() for name in learning])
    theirs = torch.cat([wanted[name].grad.flatten() for name in learning])
    assert (ours - theirs).norm() < 1e-4 * theirs.norm()


def test_what_the_obvious_way_pads_changes_nothing(obvious):
    teacher, student = freeze(bert(1, 3, 32)), bert(2, 2, 16)
    together, _ = obvious_gradients(obvious, teacher, student, np.arange(len(LENGTHS)))
    alone = [obvious_gradients(obvious, teacher, student, np.array([i]))[0] for i in range(len(LENGTHS))]
    assert together == pytest.approx(sum(alone) / len(alone), rel=1e-5)

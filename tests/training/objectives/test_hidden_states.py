import hypothesis.strategies as st
import pyarrow.csv
import pytest
import torch
from hypothesis import given, settings
from safetensors.torch import load_file
from transformers import BertConfig, BertModel

from hornbook.models.taps import Tapped, only_reached
from hornbook.recipe import DistilConfig, StudentConfig
from hornbook.training import trainer as trainer_module
from hornbook.training.distil import distil
from hornbook.training.distillation import Distillation, Learner, all_taps, create_objectives
from hornbook.training.objectives import Pair
from hornbook.training.objectives.hidden_states import HiddenStates, mapped_layers

STUDENT = StudentConfig(layers=1, hidden=16, heads=4)
BOTH = {"attention": 1.0, "hidden_states": 0.1}


def naive_loss(teacher, student, mask, maps):
    """TinyBERT's loss: one sequence, one layer, one token, one number at a time."""
    total = 0.0
    for sequence in range(len(mask)):
        length = int(mask[sequence].sum())
        for layer, states in student.items():
            width = teacher[layer].shape[-1]
            for token in range(length):
                found = states[sequence, token].double()
                if maps:
                    found = maps[0 if layer == "0" else 1].weight.double() @ found
                for i in range(width):
                    error = (found[i] - teacher[layer][sequence, token, i].double()) ** 2
                    total = total + error / (width * length * len(mask))
    return total


@settings(max_examples=15)
@given(
    seed=st.integers(0, 10**6),
    sequences=st.integers(1, 3),
    length=st.integers(1, 4),
    layers=st.integers(1, 3),
    widths=st.sampled_from([(3, 3), (2, 4), (4, 2)]),
)
def test_loss_and_gradients_equal_the_naive_loop(random_mask, seed, sequences, length, layers, widths):
    random = torch.Generator().manual_seed(seed)
    mask = random_mask(random, sequences, length)
    torch.manual_seed(seed)
    objective = HiddenStates(mapped_layers(layers, 2 * layers), *widths)
    student, teacher = (
        {str(m): torch.randn(sequences, length, width, generator=random) for m in range(layers + 1)}
        for width in widths
    )
    maps = list(objective.parameters())
    assert len(maps) == (0 if widths[0] == widths[1] else 2)
    learning = [*(tensor.requires_grad_() for tensor in student.values()), *maps]
    loss = objective(teacher, student, mask)["hidden_states"]
    expected = naive_loss(teacher, student, mask, maps and [objective.embedding_map, objective.layer_map])
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    for got, want in zip(torch.autograd.grad(loss, learning), torch.autograd.grad(expected, learning), strict=True):
        torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-6)


def test_layers_are_mapped_evenly():
    assert mapped_layers(4, 12) == [0, 3, 6, 9, 12]  # TinyBERT's own
    assert mapped_layers(6, 12) == [0, 2, 4, 6, 8, 10, 12]
    assert mapped_layers(3, 12) == [0, 4, 8, 12]
    assert mapped_layers(5, 12) == [0, 2, 5, 7, 10, 12]
    assert mapped_layers(4, 6) == [0, 2, 3, 5, 6]
    assert mapped_layers(3, 2) == [0, 1, 1, 2]  # a student deeper than its teacher


@given(st.integers(1, 30), st.integers(1, 30))
def test_mapped_layers_begin_and_end_with_the_teacher_and_never_go_back(student, teacher):
    found = mapped_layers(student, teacher)
    assert (len(found), found[0], found[-1]) == (student + 1, 0, teacher)
    assert found == sorted(found)
    assert all(abs(layer * student - m * teacher) * 2 <= student for m, layer in enumerate(found))


def test_maps_learn_and_a_killed_run_goes_on_to_the_same(tmp_path, monkeypatch, tiny_teacher, small_book):
    config = DistilConfig(steps=14, objectives=BOTH, checkpoint_minutes=1e-9, batch=8)
    seen = []

    def watched(self, *arguments, original=trainer_module._StepTrainer.training_step, stop=None):
        maps = self.model.objectives[1]
        names = {id(p): name for name, p in self.model.named_parameters()}
        groups = [
            (group["weight_decay"], {names[id(p)] for p in group["params"]}) for group in self.optimizer.param_groups
        ]
        seen.append((maps.layer_map.weight.detach().clone(), groups))
        if stop and len(seen) == stop:
            raise KeyboardInterrupt
        return original(self, *arguments)

    step = "hornbook.training.trainer._StepTrainer.training_step"
    monkeypatch.setattr(step, watched)
    whole = distil(tiny_teacher, small_book, tmp_path / "whole", STUDENT, config)
    assert not torch.equal(seen[0][0], seen[-1][0])
    decayed = {name for decay, names in seen[0][1] if decay for name in names}
    assert {"objectives.1.embedding_map.weight", "objectives.1.layer_map.weight"} <= decayed
    assert not any("bias" in name or "LayerNorm" in name for name in decayed)
    del seen[:]
    with monkeypatch.context() as patch:
        patch.setattr(step, lambda *arguments: watched(*arguments, stop=13))
        with pytest.raises(KeyboardInterrupt):
            distil(tiny_teacher, small_book, tmp_path / "again", STUDENT, config)
    again = distil(tiny_teacher, small_book, tmp_path / "again", STUDENT, config)
    assert len(seen) < 13 + 14  # it went on from a checkpoint
    a, b = (load_file(student.path / "model.safetensors") for student in (whole, again))
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert not any("map" in name for name in a)
    assert (whole.path / "log.csv").read_bytes() == (again.path / "log.csv").read_bytes()
    log = pyarrow.csv.read_csv(whole.path / "log.csv")
    parts = ["loss_attention", "loss_hidden_states", "loss_value_relation"]
    assert [name for name in log.column_names if name.startswith("loss_")] == parts
    for row in log.to_pylist():
        assert sum(row[name] for name in parts) == pytest.approx(row["loss"], rel=1e-4)
    assert whole.info["teacher_layers"] == [0, 2]
    assert whole.info["attention_layer"] == 2


def test_maps_learn_in_several_processes(tmp_path):
    torch.manual_seed(0)
    sizes = {"vocab_size": 30, "num_attention_heads": 2, "intermediate_size": 32, "num_hidden_layers": 2}
    teacher, student = (BertModel(BertConfig(hidden_size=hidden, **sizes)) for hidden in (32, 16))
    config = DistilConfig(objectives={"hidden_states": 1.0})
    objectives = create_objectives(Pair(teacher.config, student.config, config))
    loss = Distillation(Tapped(teacher, all_taps(objectives)[0]), objectives, {"hidden_states": 1.0})
    learner = Learner(student, objectives)
    ids = torch.randint(1, 30, (3, 4))
    batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "token_type_ids": torch.zeros_like(ids)}
    store = torch.distributed.FileStore(str(tmp_path / "s"), 1)
    torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    try:
        with only_reached(learner):
            parallel = torch.nn.parallel.DistributedDataParallel(learner)
            for _ in range(3):  # a parameter without a gradient makes the second step fail
                sum(loss(parallel, batch).values()).backward()
            assert all(p.grad is not None for p in learner.parameters() if p.requires_grad)
    finally:
        torch.distributed.destroy_process_group()
    assert objectives["hidden_states"].layer_map.weight.grad.abs().sum() > 0

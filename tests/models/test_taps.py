import pytest
import torch
from transformers import (
    BertConfig,
    BertModel,
    DistilBertConfig,
    DistilBertModel,
    ElectraConfig,
    ElectraModel,
    RobertaConfig,
    RobertaModel,
)

from hornbook.errors import HornbookError
from hornbook.models.encode import model_inputs
from hornbook.models.student import new_student, student_config
from hornbook.models.taps import Tapped
from hornbook.recipe import StudentConfig

SIZES = {"hidden_size": 24, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 48}
MODELS = {
    "bert": lambda: BertModel(BertConfig(vocab_size=50, **SIZES)),
    "roberta": lambda: RobertaModel(RobertaConfig(vocab_size=50, **SIZES)),
    "electra": lambda: ElectraModel(ElectraConfig(vocab_size=50, embedding_size=16, **SIZES)),
    "distilbert": lambda: DistilBertModel(
        DistilBertConfig(vocab_size=50, dim=24, n_layers=3, n_heads=4, hidden_dim=48)
    ),
}
PATHS = {"distilbert": ("transformer.layer.{}.attention", ("q_lin", "k_lin", "v_lin"))}


def trained_parameters(tapped, **inputs):
    """Names of the parameters that the projections depend on, found by one backward pass."""
    sum(projection.sum() for projection in tapped(**inputs)).backward()
    return {name for name, parameter in tapped.named_parameters() if parameter.grad is not None}


def batch():
    ids = torch.tensor([[5, 6, 7, 8], [9, 10, 1, 1]])
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": torch.zeros_like(ids)}


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("layer", [1, 2, 3])
def test_taps_equal_projections_of_the_layers_input_to_the_last_bit(kind, layer):
    torch.manual_seed(0)
    model = MODELS[kind]().eval()
    inputs = model_inputs(model, batch())
    hidden = model(**inputs, output_hidden_states=True).hidden_states[layer - 1]
    path, names = PATHS.get(kind, ("encoder.layer.{}.attention.self", ("query", "key", "value")))
    attention = model.get_submodule(path.format(layer - 1))
    tapped = Tapped(model, layer)(**inputs)
    for got, name in zip(tapped, names, strict=True):
        assert got.shape == (2, 4, 24)
        projection = attention.get_submodule(name)
        assert torch.equal(got, torch.nn.functional.linear(hidden, projection.weight, projection.bias))


@pytest.mark.parametrize("kind", MODELS)
def test_what_lies_above_the_taps_never_learns(kind):
    model = MODELS[kind]()
    names = trained_parameters(Tapped(model, 2), **model_inputs(model, batch()))
    assert names
    assert not any(".layer.2." in name for name in names)
    assert not any(".layer.1." in name and ("output" in name or "intermediate" in name) for name in names)


@pytest.mark.parametrize("kind", MODELS)
def test_a_student_of_each_family_has_the_size_asked_for_and_takes_a_step(kind):
    student = new_student(MODELS[kind]().config, StudentConfig(layers=2, hidden=64), seed=3)
    config = student.config
    assert (config.num_hidden_layers, config.hidden_size, config.num_attention_heads) == (2, 64, 2)
    tapped = Tapped(student, 2)
    sum(p.square().mean() for p in tapped(**model_inputs(student, batch()))).backward()
    again = new_student(MODELS[kind]().config, StudentConfig(layers=2, hidden=64), seed=3)
    assert all(torch.equal(a, b) for a, b in zip(student.parameters(), again.parameters(), strict=True))


def test_errors_name_what_is_legal():
    config = MODELS["bert"]().config
    with pytest.raises(HornbookError, match="no layer 4 in an encoder of 3 layers"):
        Tapped(MODELS["bert"](), 4)
    with pytest.raises(HornbookError, match="5 heads do not divide a width of 64; legal are 1, 2, 4, 8"):
        student_config(config, StudentConfig(layers=2, hidden=64, heads=5))


def test_a_half_precision_teacher_does_not_make_a_half_precision_student():
    config = MODELS["bert"]().config
    config.dtype = torch.float16
    assert next(new_student(config, StudentConfig(layers=1, hidden=64), seed=0).parameters()).dtype == torch.float32

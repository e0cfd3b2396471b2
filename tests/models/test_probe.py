import pytest
import torch
import transformers
from tiny_encoders import ALL, SHARED, UNKNOWN_FAMILY

from hornbook.errors import HornbookError
from hornbook.models.families import FAMILIES, family_settings
from hornbook.models.probe import check_padding, check_settings, check_taps, max_positions
from hornbook.models.student import new_student, student_config
from hornbook.recipe import FamilyConfig, StudentConfig


def config_of(kind, **settings):
    return transformers.AutoConfig.for_model(kind, **{**SHARED, **settings})


def message_of(check, *args):
    with pytest.raises(HornbookError) as caught:
        check(*args)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("kind", ALL)
def test_families_and_their_students_are_found_sound(kind):
    encoder = ALL[kind]
    config = encoder.config()
    check_taps(config, encoder.family)
    student = student_config(config, StudentConfig(layers=4, hidden=64), encoder.family)
    check_settings(student)
    check_taps(student, encoder.family)


@pytest.mark.parametrize("kind", ALL)
def test_every_family_has_as_many_positions_as_is_said(kind):
    encoder = ALL[kind]
    model, most = encoder.model().eval(), max_positions(encoder.config())
    ids = torch.full((1, most), 7)
    further = {name: torch.nn.functional.pad(t[:1], (0, most - 4)) for name, t in encoder.further.items()}
    assert model(input_ids=ids, **further)[0].shape[1] == most


# The right number and one more, of families that are not in the table.
@pytest.mark.parametrize(
    ("kind", "most"),
    [("ibert", 38), ("luke", 38), ("markuplm", 39), ("lilt", 39), ("layoutlm", 40), ("mobilebert", 40), ("esm", 38)],
)
def test_positions_of_other_families(kind, most):
    further = {"lilt": {"channel_shrink_ratio": 1}, "markuplm": {}, "luke": {"entity_vocab_size": 9}}
    pad = {} if kind in ("markuplm", "lilt") else {"pad_token_id": 1}
    config = config_of(kind, **pad, **further.get(kind, {}))
    assert max_positions(config) == most
    model = transformers.AutoModel.from_config(config).eval()
    model(input_ids=torch.full((1, most), 7))
    with pytest.raises((IndexError, RuntimeError)):
        model(input_ids=torch.full((1, most + 1), 7))


def test_no_positions_no_limit():
    assert max_positions(transformers.XLNetConfig(vocab_size=50, d_model=24, n_head=4, n_layer=1, d_inner=48)) is None


SWAPPED = {
    "queries and keys": (("key", "query", "value"), "self.key gives is not the attention's query alone: a change"),
    "keys and values": (("query", "value", "key"), "self.value and .*self.key give are not the attention's keys and"),
    "queries and values": (
        ("value", "key", "query"),
        "self.value gives is not the attention's query alone: a change",
    ),
    "one thing three times": (
        ("query", "query", "query"),
        "self.query gives is not the attention's key: a change in",
    ),
}


@pytest.mark.parametrize("what", SWAPPED)
def test_wrong_order_of_projections_is_found(what):
    projections, says = SWAPPED[what]
    with pytest.raises(HornbookError, match=says):
        check_taps(ALL["layoutlm"].config(), UNKNOWN_FAMILY.model_copy(update={"projections": projections}))


def test_wrong_cuts_of_one_projection_are_found():
    family = FAMILIES["deberta"].model_copy(update={"fused": "blocks"})
    said = message_of(check_taps, ALL["deberta"].config(), family)
    assert "part 1 of encoder.layer.1.attention.self.in_proj gives is not the attention's query alone" in said
    family = FAMILIES["modernbert"].model_copy(update={"fused": "heads"})
    assert "is not the attention's query alone" in message_of(check_taps, ALL["modernbert"].config(), family)


def test_tensors_of_another_order_are_found():
    plain = FAMILIES["longformer"].model_copy(update={"sequence_first": False})
    said = message_of(check_taps, ALL["longformer"].config(), plain)
    assert "gives query as a tensor of shape (8, 2, 24)" in said
    assert said.endswith("set sequence_first: true")
    squeeze = transformers.SqueezeBertConfig(**SHARED, embedding_size=24)
    family = FamilyConfig(
        attention="encoder.layers.{layer}.attention",
        projections=("query", "key", "value"),
        dropouts=("hidden_dropout_prob",),
    )
    assert "gives query as a tensor of shape (2, 4, 4)" in message_of(check_taps, squeeze, family)


def test_biases_that_are_not_there_are_named():
    family = UNKNOWN_FAMILY.model_copy(update={"biases": ("q_bias", "", "")})
    assert message_of(check_taps, ALL["layoutlm"].config(), family).endswith("has no parameter 'q_bias'")


def test_families_that_mix_padding_in_are_refused():
    sizes = {"vocab_size": 50, "d_model": 24, "n_head": 4, "n_layer": 2, "d_inner": 48}
    for config in (transformers.XLNetConfig(**sizes), transformers.FNetConfig(**SHARED)):
        assert "outputs for a text depend on the padding beside it" in message_of(check_padding, config)
    for kind in ("convbert", "layoutlm", "mobilebert", "nystromformer"):
        check_padding(config_of(kind))


@pytest.mark.parametrize("kind", FAMILIES)
def test_families_of_the_table_do_not_mix_padding_in(kind, monkeypatch):
    monkeypatch.setattr("hornbook.models.probe.FAMILIES", {})
    check_padding(ALL[kind].config())


def test_a_family_without_a_classifier_is_refused():
    assert "transformers has no classifier of that family" in message_of(check_padding, config_of("bert-generation"))


def test_settings_that_do_not_fit_a_student_are_named():
    broken = ALL["longformer"].config(attention_window=[8, 8])
    said = message_of(check_settings, broken)
    assert "a longformer model of these settings cannot be made (AssertionError: " in said
    assert said.endswith("which of its other sizes does not fit? attention_window [8, 8]")


@pytest.mark.parametrize(("heads", "keys"), [(4, 2), (3, 3), (2, 1), (1, 1)])
def test_students_share_keys_as_their_teacher_does(heads, keys):
    config = student_config(ALL["eurobert"].config(), StudentConfig(layers=2, hidden=48, heads=heads))
    assert config.num_key_value_heads == keys
    assert config.head_dim == 48 // heads


def test_windows_of_layers_go_to_students():
    config = ALL["longformer"].config(attention_window=[4, 8, 16])
    windows = lambda **sizes: student_config(config, StudentConfig(**sizes)).attention_window  # noqa: E731
    assert windows(layers=2, hidden=48) == [4, 8]
    assert windows(layers=5, hidden=48) == [4, 8, 16, 16, 16]
    assert windows(layers=2, hidden=24, init="layers") == [4, 16]
    new_student(config, StudentConfig(layers=5, hidden=48), 0)


def test_what_came_later_counts_only_where_it_is_set():
    plain = family_settings(UNKNOWN_FAMILY)
    assert set(plain) == {"attention", "projections", "layers", "hidden", "heads", "feed_forward", "dropouts"}
    assert family_settings(UNKNOWN_FAMILY.model_copy(update={"fused": "heads"})) == {**plain, "fused": "heads"}
    assert family_settings(None) is None


def test_a_large_teacher_is_looked_at_with_few_rows_and_layers():
    config = transformers.XLMRobertaConfig(
        vocab_size=250_002, hidden_size=1024, num_hidden_layers=24, num_attention_heads=16, intermediate_size=4096
    )
    check_taps(config)
    assert config.vocab_size == 250_002
    assert config.num_hidden_layers == 24

import pytest
import torch
from tiny_encoders import ALL, ENCODERS, UNKNOWN, batch
from torch.nn.functional import linear

from hornbook.errors import HornbookError
from hornbook.models.encode import model_inputs
from hornbook.models.families import FAMILIES
from hornbook.models.taps import LOGITS_TAP, Tap, Tapped, freeze, hidden_state_tap, only_reached, projection_taps

ROLES = ("query", "key", "value")


def tapped_at(encoder, model, layer, further=None):
    return Tapped(model, {**projection_taps(model.config, layer, encoder.family), **(further or {})})


def by_hand(encoder, model, layer):
    """Project the hidden states that go into a layer, as the model's own whole pass gives them."""
    hidden = model(**encoder.batch(), output_hidden_states=True).hidden_states[layer - 1]
    block = model.get_submodule(encoder.layer.format(layer - 1))
    if encoder.norm:
        hidden = block.get_submodule(encoder.norm)(hidden)
    own = [block.get_submodule(path) for path in encoder.projections]
    return cut(encoder, block, [linear(hidden, p.weight, p.bias) for p in own])


def cut(encoder, block, projected):
    """Return query, key and value of what a layer's projections give, as its own attention cuts them."""
    if encoder.name == "Deberta":  # query, key and value of each head
        attention = block.attention.self
        query, key, value = attention.transpose_for_scores(projected[0]).chunk(3, dim=-1)
        query = query + attention.transpose_for_scores(attention.q_bias[None, None])
        value = value + attention.transpose_for_scores(attention.v_bias[None, None])
        return [tensor.transpose(1, 2).flatten(2) for tensor in (query, key, value)]
    return projected[0].split(24, dim=-1) if len(projected) == 1 else projected


def uncut(model, paths, inputs):
    """Catch what modules give while the whole model runs, each time they are called."""
    caught, hooks = {}, []
    for path in paths:

        def keep(_module, _inputs, output, path=path):
            caught.setdefault(path, []).append(output.clone() if isinstance(output, torch.Tensor) else output)

        hooks.append(model.get_submodule(path).register_forward_hook(keep))
    model(**inputs)
    for hook in hooks:
        hook.remove()
    return caught


def test_every_family_of_the_table_is_tested_here():
    assert FAMILIES.keys() == ENCODERS.keys()
    assert all(encoder.config().model_type == kind for kind, encoder in ALL.items())


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("layer", [1, 2, 3])
def test_taps_equal_projections_of_the_layers_input_to_the_last_bit(kind, layer):
    encoder = ALL[kind]
    model = encoder.model().eval()
    tapped = tapped_at(encoder, model, layer)(**encoder.batch())
    assert tuple(tapped) == ROLES
    for role, expected in zip(ROLES, by_hand(encoder, model, layer), strict=True):
        assert tapped[role].shape == (2, 4, 24 if role == "query" else encoder.keys)
        assert torch.equal(tapped[role], expected)
    assert not torch.equal(tapped["key"], tapped["value"])


@pytest.mark.parametrize("kind", ALL)
def test_the_cut_model_equals_the_uncut_one_with_dropout_on(kind):
    encoder = ALL[kind]
    model = encoder.model().train()
    paths = [f"{encoder.layer.format(1)}.{path}" for path in encoder.projections]
    torch.manual_seed(7)
    whole = uncut(model, paths, encoder.batch())
    given = [whole[path][1 if encoder.shared else 0] for path in paths]
    if encoder.name == "Longformer":  # sequence first, and as long as its window
        given = [tensor.transpose(0, 1)[:, :4] for tensor in given]
    expected = cut(encoder, model.get_submodule(encoder.layer.format(1)), given)
    torch.manual_seed(7)
    for got, wanted in zip(tapped_at(encoder, model, 2)(**encoder.batch()).values(), expected, strict=True):
        assert torch.equal(got, wanted)


@pytest.mark.parametrize("kind", [kind for kind in ALL if not ALL[kind].shared])
def test_nothing_above_the_taps_runs(kind):
    encoder = ALL[kind]
    model = encoder.model()
    ran = []
    for path in (encoder.layer.format(1), encoder.layer.format(2)):
        block = model.get_submodule(path)
        for name in encoder.above:
            block.get_submodule(name).register_forward_hook(lambda *_: ran.append(1))
    tapped = tapped_at(encoder, model, 2)
    tapped(**encoder.batch())
    assert not ran
    model(**encoder.batch())
    assert len(ran) == 2 * len(encoder.above)


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("headed", [False, True])
def test_unreached_are_exactly_the_parameters_above_the_taps(kind, headed):
    encoder = ALL[kind]
    model = encoder.classifier() if headed else encoder.model()
    tapped = tapped_at(encoder, model, 2)
    inner = f"model.{model.base_model_prefix}." if headed else "model."
    above = [f"{encoder.layer.format(1)}.{name}." for name in encoder.above]
    above += [f"{name}." for name in encoder.after]
    above += [] if encoder.shared else [f"{encoder.layer.format(2)}."]
    expected = {
        name
        for name, parameter in tapped.named_parameters()
        if parameter.requires_grad
        if not name.startswith(inner) or name.removeprefix(inner).startswith(tuple(above))
    }
    # A student's own pass agrees.
    sum(tensor.sum() for tensor in tapped(**encoder.batch()).values()).backward()
    assert expected == {name for name, p in tapped.named_parameters() if p.grad is None and p.requires_grad}
    tapped.zero_grad()
    names = {id(parameter): name for name, parameter in tapped.named_parameters()}
    assert {names[id(parameter)] for parameter in tapped.unreached()} == expected
    assert {names[id(parameter)] for parameter in tapped.unreached(**encoder.batch())} == expected


def test_looking_for_unreached_parameters_leaves_nothing_behind():
    model = ALL["bert"].model().train()
    model.embeddings.eval()
    model.embeddings.word_embeddings.weight.requires_grad_(False)
    tapped = tapped_at(ALL["bert"], model, 2)
    modes = [module.training for module in tapped.modules()]
    before = torch.get_rng_state()
    with only_reached(tapped):
        learning = {name for name, p in model.named_parameters() if p.requires_grad}
        assert "encoder.layer.1.attention.self.value.weight" in learning
        assert "embeddings.word_embeddings.weight" not in learning
        assert not any(".layer.2." in name or "pooler" in name for name in learning)
    assert modes == [module.training for module in tapped.modules()]
    assert torch.equal(before, torch.get_rng_state())
    assert all(p.grad is None for p in model.parameters())
    assert {n for n, p in model.named_parameters() if not p.requires_grad} == {"embeddings.word_embeddings.weight"}


def test_learning_is_restored_when_training_fails():
    tapped = tapped_at(ALL["bert"], ALL["bert"].model(), 1)
    with pytest.raises(KeyboardInterrupt), only_reached(tapped):
        raise KeyboardInterrupt
    assert all(parameter.requires_grad for parameter in tapped.parameters())


def test_a_frozen_model_has_nothing_to_reach():
    model = freeze(ALL["bert"].model().train())
    tapped = tapped_at(ALL["bert"], model, 1)
    assert tapped.unreached() == []
    assert not model.training


@pytest.mark.parametrize("kind", ALL)
def test_one_step_of_training_changes_what_the_taps_give(kind):
    encoder = ALL[kind]
    model = encoder.model()
    tapped = tapped_at(encoder, model, 3)
    with only_reached(tapped):
        before = {name: p.detach().clone() for name, p in tapped.named_parameters()}
        learning = {name for name, p in tapped.named_parameters() if p.requires_grad}
        optimizer = torch.optim.AdamW([p for p in tapped.parameters() if p.requires_grad], lr=1e-2)
        sum(tensor.square().mean() for tensor in tapped(**encoder.batch()).values()).backward()
        optimizer.step()
    changed = {name for name, p in tapped.named_parameters() if not torch.equal(p, before[name])}
    assert learning == changed


@pytest.mark.parametrize("kind", ENCODERS)
def test_logits_come_beside_the_taps_and_are_the_classifiers_own(kind):
    encoder = ALL[kind]
    model = encoder.classifier().eval()
    own = model(**encoder.batch()).logits
    base = getattr(model, model.base_model_prefix)
    tapped = tapped_at(encoder, model, 2, {"logits": LOGITS_TAP})(**encoder.batch())
    assert tuple(tapped) == (*ROLES, "logits")
    assert own.shape == (2, 3)
    assert torch.equal(tapped["logits"], own)
    for role, expected in zip(ROLES, by_hand(encoder, base, 2), strict=True):
        assert torch.equal(tapped[role], expected)
    cut = tapped_at(encoder, model, 2)(**encoder.batch())
    assert tuple(cut) == ROLES
    assert all(torch.equal(cut[role], tapped[role]) for role in ROLES)


@pytest.mark.parametrize("kind", ALL)
def test_hidden_states_of_all_layers_come_beside_the_taps(kind):
    encoder = ALL[kind]
    model = encoder.model().eval()
    hidden = {f"hidden_{layer}": hidden_state_tap(layer) for layer in range(4)}
    tapped = tapped_at(encoder, model, 2, hidden)(**encoder.batch())
    assert tuple(tapped) == (*ROLES, *hidden)
    assert all(tapped[name].shape == (2, 4, 24) for name in hidden)
    whole = model(**encoder.batch(), output_hidden_states=True)
    assert torch.equal(tapped["hidden_3"], whole.last_hidden_state)
    for layer in range(4):
        assert torch.equal(tapped[f"hidden_{layer}"], whole.hidden_states[layer])
    for role, expected in zip(ROLES, by_hand(encoder, model, 2), strict=True):
        assert torch.equal(tapped[role], expected)


def test_logits_alone_need_no_taps():
    model = ALL["bert"].classifier().eval()
    got = Tapped(model, {"logits": LOGITS_TAP})(**batch())
    assert torch.equal(got["logits"], model(**batch()).logits)
    assert tuple(got) == ("logits",)


def test_the_model_runs_whole_outside_and_after_an_error():
    model = ALL["bert"].model().eval()
    expected = model(**batch()).last_hidden_state
    tapped = tapped_at(ALL["bert"], model, 1)
    other = tapped_at(ALL["bert"], model, 3)
    tapped(**batch())
    with pytest.raises(IndexError):
        tapped(input_ids=torch.tensor([[999]]))
    assert torch.equal(model(**batch()).last_hidden_state, expected)
    assert torch.equal(other(**batch())["query"], by_hand(ALL["bert"], model, 3)[0])


def test_any_module_can_be_tapped():
    model = ALL["bert"].model().eval()
    tap = Tap("encoder.layer.1.output", part=1, parts=2)
    got = Tapped(model, {"half": tap})(**batch())["half"]
    assert torch.equal(got, model(**batch(), output_hidden_states=True).hidden_states[2][..., 12:])


@pytest.mark.parametrize("kind", ["bert", "modernbert"])
def test_a_tapped_student_trains_under_distributed_data_parallel(kind, tmp_path):
    encoder = ALL[kind]
    torch.distributed.init_process_group(
        "gloo", store=torch.distributed.FileStore(str(tmp_path / "s"), 1), rank=0, world_size=1
    )
    try:
        tapped = tapped_at(encoder, encoder.classifier(), 3)
        with only_reached(tapped):
            parallel = torch.nn.parallel.DistributedDataParallel(tapped)
            for _ in range(3):  # a parameter without a gradient makes the second step fail
                sum(tensor.square().mean() for tensor in parallel(**encoder.batch()).values()).backward()
        assert all(p.grad is None for p in tapped.unreached())
    finally:
        torch.distributed.destroy_process_group()


@pytest.mark.parametrize("layer", [0, 4])
def test_a_layer_that_is_not_there(layer):
    with pytest.raises(HornbookError, match=f"there is no layer {layer} in an encoder of 3 layers"):
        projection_taps(ALL["bert"].config(), layer)


def test_an_unknown_family_says_what_a_recipe_can_do():
    with pytest.raises(HornbookError, match=r"layoutlm models are not known .*teacher\.family in a recipe"):
        projection_taps(UNKNOWN.config(), 1)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"attention": "encoder.layer.{layer}.atention.self"}, "to 'atention' in encoder.layer.0 are attention, "),
        (
            {"attention": "layers.{layer}"},
            "has no module 'layers.0.query'; the nearest to 'layers' in its base model",
        ),
        ({"projections": ("query", "key", "w")}, "to 'w' in encoder.layer.0.attention.self are "),
        ({"hidden": "hiden_size"}, r"teacher.family.hidden: .* no hiden_size; .* names are hidden_size"),
    ],
)
def test_a_recipes_wrong_path_is_named_with_the_nearest(change, says):
    family = UNKNOWN.family.model_copy(update=change)
    with pytest.raises(HornbookError, match=says) as caught:
        Tapped(UNKNOWN.model(), projection_taps(UNKNOWN.config(), 1, family))
    assert "\n" not in str(caught.value)


def test_modules_that_are_no_projections_are_named():
    model = UNKNOWN.model()
    family = UNKNOWN.family.model_copy(update={"attention": "encoder.layer.{layer}.attention"})
    whole = family.model_copy(update={"projections": ("self", "output", "self")})
    with pytest.raises(HornbookError, match=r"attention\.self: gives a tuple, but a projection gives a tensor"):
        Tapped(model, projection_taps(model.config, 1, whole))(**batch())
    narrow = family.model_copy(update={"projections": ("self.query",)})
    with pytest.raises(HornbookError, match=r"self\.query gives 24 numbers a token, .* there would be 72"):
        Tapped(model, projection_taps(model.config, 1, narrow))
    uneven = Tap("encoder.layer.0.attention.self.query", 0, 5)
    with pytest.raises(HornbookError, match=r"gives 24 numbers a token, but .* of 5 equal parts"):
        Tapped(model, {"query": uneven})(**batch())


def test_longformers_first_token_is_read_globally_as_in_its_classifiers():
    encoder = ALL["longformer"]
    model = encoder.classifier().eval()
    inputs = model_inputs(model, {**batch(), "token_type_ids": torch.zeros(2, 4, dtype=torch.long)})
    assert inputs["global_attention_mask"].tolist() == [[1, 0, 0, 0], [1, 0, 0, 0]]
    assert torch.equal(model(**inputs).logits, model(**batch()).logits)
    tapped = tapped_at(encoder, model.longformer, 3)
    given = tapped(**inputs)["value"]
    assert torch.equal(given, tapped_at(encoder, model, 3)(**batch())["value"])
    assert not torch.equal(given, tapped(**batch())["value"])


def test_the_layers_of_a_shared_module_are_its_calls():
    encoder = ALL["albert"]
    model = encoder.model().eval()
    queries = [tapped_at(encoder, model, layer)(**batch())["query"] for layer in (1, 2, 3)]
    assert not torch.equal(queries[0], queries[1])
    assert not torch.equal(queries[1], queries[2])
    groups = encoder.config(num_hidden_groups=3)
    with pytest.raises(HornbookError, match=r"3 groups"):
        projection_taps(groups, 1)

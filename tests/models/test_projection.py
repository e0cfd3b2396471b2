"""A student that begins as a projection of its teacher."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_encoders import ALL
from torch import nn

from hornbook.errors import HornbookError
from hornbook.models.families import sizes_of
from hornbook.models.projection import project
from hornbook.models.projection.axes import Axis, Widths
from hornbook.models.projection.fit import before_norm, fit_map, fit_norm, match_norm
from hornbook.models.projection.structure import structure_of
from hornbook.models.projection.survey import Survey, directions
from hornbook.models.student import block_ends, student_config
from hornbook.recipe import StudentConfig

seeds = st.integers(0, 2**16)


def batches(rows=8):
    draw = torch.Generator().manual_seed(0)
    made = []
    for length in range(4, 10):
        ids = torch.randint(5, 50, (rows, length), generator=draw)
        mask = torch.ones_like(ids)
        made.append({"input_ids": ids, "attention_mask": mask, "token_type_ids": torch.zeros_like(ids)})
    return made


def projected(kind, refit=True, teacher=None, **sizes):
    encoder = ALL[kind]
    teacher = teacher or encoder.model().eval()
    config = student_config(teacher.config, StudentConfig(**{"init": "projected", **sizes}), encoder.family)
    layers = block_ends(sizes["layers"], sizes_of(teacher.config, encoder.family).layers)
    return teacher, project(teacher, config, layers, batches(), encoder.family, refit=refit)


def last(model):
    with torch.no_grad():
        return torch.cat(
            [
                model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"])[0].flatten(0, 1)
                for batch in batches()
            ]
        ).double()


@pytest.mark.parametrize("kind", ALL)
def test_a_teacher_of_each_family_is_projected(kind):
    teacher, plain = projected(kind, refit=False, layers=2, hidden=12)
    sizes = sizes_of(plain.config, ALL[kind].family)
    assert (sizes.layers, sizes.hidden, sizes.heads) == (2, 12, 2)
    _, fitted = projected(kind, layers=2, hidden=12)
    _, again = projected(kind, layers=2, hidden=12)
    assert all(torch.equal(a, b) for a, b in zip(fitted.parameters(), again.parameters(), strict=True))
    assert fitted(**ALL[kind].batch())[0].shape == (2, 4, 12)
    structure = structure_of(teacher, batches()[0], ALL[kind].family)
    basis = directions(Survey(teacher, structure, batches()).moment(), 12)
    wanted = last(teacher) @ basis
    error = lambda student: float((last(student) - wanted).square().sum())  # noqa: E731
    if kind == "albert":  # one module is all layers: projected only
        assert error(fitted) == error(plain)
    else:
        assert error(fitted) < min(error(plain), float((wanted - wanted.mean(0)).square().sum()))


def test_the_axes_of_a_bert():
    teacher = ALL["bert"].model()
    axes = structure_of(teacher, batches()[0]).axes
    hidden, heads, wide, kept = Axis.HIDDEN, Axis.HEADS, Axis.FEED_FORWARD, Axis.KEPT
    layer = {
        name.removeprefix("encoder.layer.1."): a for name, a in axes.items() if name.startswith("encoder.layer.1.")
    }
    assert layer.pop("attention.output.dense.weight") == (hidden, heads)
    assert layer.pop("attention.output.dense.bias") == (hidden,)
    assert (layer.pop("intermediate.dense.weight"), layer.pop("intermediate.dense.bias")) == ((wide, hidden), (wide,))
    assert (layer.pop("output.dense.weight"), layer.pop("output.dense.bias")) == ((hidden, wide), (hidden,))
    for name in ("query", "key", "value"):
        assert layer.pop(f"attention.self.{name}.weight") == (heads, hidden)
        assert layer.pop(f"attention.self.{name}.bias") == (heads,)
    assert set(layer.values()) == {(hidden,)}  # of the norms
    assert axes["embeddings.word_embeddings.weight"] == (kept, hidden)


@pytest.mark.parametrize(
    ("kind", "name", "expected"),
    [
        ("modernbert", "layers.1.attn.Wqkv.weight", (Axis.HEADS, Axis.HIDDEN)),
        ("modernbert", "layers.1.attn.Wo.weight", (Axis.HIDDEN, Axis.HEADS)),
        ("modernbert", "layers.1.mlp.Wi.weight", (Axis.FEED_FORWARD, Axis.HIDDEN)),
        ("deberta", "encoder.layer.0.attention.self.q_bias", (Axis.HEADS,)),
        ("deberta", "encoder.layer.0.attention.self.pos_proj.weight", (Axis.HEADS, Axis.HIDDEN)),
        ("deberta-v2", "encoder.rel_embeddings.weight", (Axis.KEPT, Axis.HIDDEN)),
        ("mpnet", "encoder.relative_attention_bias.weight", (Axis.KEPT, Axis.HEAD)),
        ("longformer", "encoder.layer.0.attention.self.key_global.weight", (Axis.HEADS, Axis.HIDDEN)),
        ("electra", "embeddings.word_embeddings.weight", (Axis.KEPT, Axis.KEPT)),
        ("electra", "embeddings_project.weight", (Axis.HIDDEN, Axis.KEPT)),
        ("eurobert", "layers.0.self_attn.k_proj.weight", (Axis.HEADS, Axis.HIDDEN)),
        ("albert", "encoder.albert_layer_groups.0.albert_layers.0.attention.LayerNorm.weight", (Axis.HIDDEN,)),
    ],
)
def test_axes_that_are_peculiar_to_a_family(kind, name, expected):
    assert structure_of(ALL[kind].model().eval(), batches()[0], ALL[kind].family).axes[name] == expected


def survey_of(kind, teacher):
    return Survey(teacher, structure_of(teacher, batches()[0], ALL[kind].family), batches())


def test_heads_and_neurons_that_give_nothing_are_left_out():
    teacher = ALL["bert"].model().eval()
    layer = teacher.encoder.layer[2]
    with torch.no_grad():
        layer.attention.output.dense.weight[:, 6:12] = 0  # head 1
        layer.attention.output.dense.weight[:, 18:] = 0  # head 3
        layer.output.dense.weight[:, ::2] = 0
    config = student_config(teacher.config, StudentConfig(layers=1, hidden=12, feed_forward=24, init="projected"))
    (picked,) = survey_of("bert", teacher).pick([2], sizes_of(config), Widths.of(teacher.config))
    assert picked.heads.tolist() == [0, 2]
    assert picked.neurons.tolist() == list(range(1, 48, 2))
    student = project(teacher, config, [2], batches(), refit=False)
    own, its = layer.attention.self.value.weight.detach(), student.encoder.layer[0].attention.self.value.weight
    basis = directions(survey_of("bert", teacher).moment(), 12)
    rows = [*range(6), *range(12, 18)]
    assert torch.allclose(its, (own[rows].double() @ basis).float(), atol=1e-6)


def test_queries_that_share_a_key_stay_together():
    teacher = ALL["eurobert"].model().eval()  # four heads, two keys
    config = student_config(teacher.config, StudentConfig(layers=1, hidden=12, init="projected"))
    assert (config.num_attention_heads, config.num_key_value_heads) == (2, 1)
    (picked,) = survey_of("eurobert", teacher).pick([2], sizes_of(config), Widths.of(teacher.config))
    assert picked.heads.tolist() in ([0, 1], [2, 3])
    widths = Widths.of(teacher.config)
    keys = widths.places(Axis.HEADS, 12, picked).tolist()
    assert keys == list(range(6)) if picked.heads[0] == 0 else list(range(6, 12))


@given(seeds, st.integers(2, 8))
def test_directions_are_the_principal_ones_and_add_up_to_zero(seed, wanted):
    states = np.random.default_rng(seed).standard_normal((40, 9)) * np.arange(1, 10)
    found = directions(torch.from_numpy(states.T @ states), wanted).numpy()
    top = np.linalg.svd(states, full_matrices=False)[2][: wanted - 1]
    assert np.allclose(found @ found.T, top.T @ top, atol=1e-8)  # the same projector
    assert np.allclose(found.sum(axis=1), 0, atol=1e-10)
    assert np.array_equal(found, directions(torch.from_numpy(states.T @ states), wanted).numpy())


@torch.no_grad()
@given(seeds, st.booleans())
def test_a_map_is_fitted_as_by_ridge_regression_on_all_rows_at_once(seed, biased):
    torch.manual_seed(seed)
    module = nn.Linear(4, 3, bias=biased)
    x, y = torch.randn(30, 4), torch.randn(30, 3)
    rows, rest = x.double().numpy(), (y - module(x)).double().numpy()
    scale = 0.5 * (rows**2).sum(axis=0).mean()
    penalty = np.full(4, scale)
    if biased:
        rows, penalty = np.hstack([rows, np.ones((30, 1))]), np.append(penalty, 1e-6 * scale)
    stacked = np.vstack([rows, np.diag(np.sqrt(penalty))])
    change = np.linalg.lstsq(stacked, np.vstack([rest, np.zeros((len(penalty), 3))]), rcond=None)[0]
    expected = module.weight.double().numpy() + change[:4].T
    fit_map(module, x.split(7), y.split(7), ridge=0.5)
    assert np.allclose(module.weight.numpy(), expected, atol=1e-4)


@torch.no_grad()
@given(seeds)
def test_a_norm_is_fitted_coordinate_by_coordinate(seed):
    torch.manual_seed(seed)
    module, x = nn.LayerNorm(5), torch.randn(40, 5) * 3
    y = torch.randn(40, 5) + module(x)
    lines = [np.polyfit(module(x)[:, i].numpy(), y[:, i].numpy(), 1) for i in range(5)]
    fit_norm(module, [module(x)], [y])
    assert np.allclose(np.stack([module.weight.numpy(), module.bias.numpy()], axis=1), lines, atol=1e-4)
    match_norm(module, module(x).split(9), y.split(9))
    assert torch.allclose(module(x).mean(0), y.mean(0), atol=1e-4)
    assert torch.allclose(module(x).std(0), y.std(0), atol=1e-4)


@torch.no_grad()
@given(seeds)
def test_what_stands_before_a_norm_makes_it_give_the_target(seed):
    torch.manual_seed(seed)
    module = nn.LayerNorm(6)
    module.weight.uniform_(0.5, 2)
    module.bias.normal_()
    target, given_now = module(torch.randn(20, 6)), torch.randn(20, 6) * 3 + 1
    aim = before_norm(module, given_now, target)
    assert torch.allclose(module(aim), target, atol=0.02)  # a norm's epsilon
    assert torch.allclose(aim.mean(-1), given_now.mean(-1), atol=1e-4)
    assert torch.allclose(aim.std(-1), given_now.std(-1), rtol=1e-4)


@pytest.mark.parametrize(
    ("wanted", "of", "ends"), [(3, 6, [1, 3, 5]), (4, 6, [1, 2, 4, 5]), (1, 3, [2]), (3, 3, [0, 1, 2])]
)
def test_a_student_stands_for_blocks_of_layers(wanted, of, ends):
    assert block_ends(wanted, of) == ends


@pytest.mark.parametrize(
    ("sizes", "says"),
    [
        (
            {"hidden": 16},
            "in heads of 6, cannot be projected to 16; the nearest legal widths are 12 and 18",
        ),
        ({"hidden": 30}, "cannot be projected to 30; the nearest legal widths are 24"),
        ({"hidden": 12, "heads": 3}, r"student\.heads: 3, but a projected .* makes 2 of them; set it to 2"),
        ({"hidden": 12, "layers": 4}, r"student\.layers: 4, but the teacher, .*, has 3; set it to at most 3"),
        ({"hidden": 12, "feed_forward": 96}, r"student\.feed_forward: 96, but .* has 48; set it to at most 48"),
    ],
)
def test_sizes_to_which_a_teacher_cannot_be_projected(sizes, says):
    with pytest.raises(HornbookError, match=says):
        student_config(ALL["bert"].config(), StudentConfig(**{"layers": 2, "init": "projected", **sizes}))


def test_a_teacher_whose_hidden_states_are_not_finite():
    teacher = ALL["bert"].model().eval()
    with torch.no_grad():
        teacher.encoder.layer[1].output.dense.bias[0] = float("nan")
    with pytest.raises(HornbookError, match=r"hidden states are not finite before its layer 3, so it cannot be proj"):
        projected("bert", teacher=teacher, layers=2, hidden=12)


def test_a_sample_that_is_too_small():
    teacher = ALL["bert"].model().eval()
    config = student_config(teacher.config, StudentConfig(layers=2, hidden=12, init="projected"))
    with pytest.raises(HornbookError, match=r"20 tokens .* too few to find 12 directions in; .* at least 24"):
        project(teacher, config, [0, 2], [{name: t[:5] for name, t in batches()[0].items()}])


def test_layers_between_which_more_happens_are_refused():
    teacher = ALL["deberta-v2"].model(conv_kernel_size=3).eval()
    with pytest.raises(HornbookError, match=r"a deberta-v2 model of .* changes its hidden states between layers"):
        projected("deberta-v2", teacher=teacher, layers=2, hidden=12)

import math
import shutil
from contextlib import nullcontext

import pytest
import torch
from tiny_encoders import ALL, ENCODERS, UNKNOWN, batch
from transformers import BertConfig, BertModel, RobertaForSequenceClassification

from hornbook.errors import HornbookError
from hornbook.models.families import defaults_of, sizes_of
from hornbook.models.loading import label_settings
from hornbook.models.source import load_config, model_key
from hornbook.models.student import check_student, even_layers, init_key, new_student, student_config
from hornbook.models.taps import Tapped, projection_taps
from hornbook.recipe import StudentConfig


def same(a, b):
    a, b = a.state_dict(), b.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.fixture
def general(tiny_teacher, tmp_path):
    """A student distilled before, for the tiny teacher: 1 layer of 32, with the same tokenizer."""
    folder = tmp_path / "general"
    shutil.copytree(tiny_teacher, folder)
    config = load_config(tiny_teacher)
    new_student(config, StudentConfig(layers=1, hidden=16, heads=2), seed=5).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize(("layers", "hidden"), [(2, 64), (5, 96), (1, 24)])
def test_a_student_of_each_family_has_the_size_asked_for_and_runs(kind, layers, hidden):
    encoder = ALL[kind]
    teacher = encoder.config()
    size = StudentConfig(layers=layers, hidden=hidden, dropout=0.25)
    student = new_student(teacher, size, 3, encoder.family)
    sizes = sizes_of(student.config, encoder.family)
    wide = {"modernbert": 1.5}.get(kind, 4)
    heads = {64: 2, 96: 3, 24: 1}[hidden]
    assert (sizes.layers, sizes.hidden, sizes.heads, sizes.feed_forward) == (layers, hidden, heads, wide * hidden)
    tapped = Tapped(student, projection_taps(student.config, layers, encoder.family))
    got = tapped(**encoder.batch())
    keys = hidden // math.gcd(2, heads) if kind == "eurobert" else hidden  # two queries share a key, if they can
    assert [tensor.shape for tensor in got.values()] == [(2, 4, hidden), (2, 4, keys), (2, 4, keys)]
    assert student(**encoder.batch()).last_hidden_state.shape == (2, 4, hidden)
    assert {m.p for m in student.modules() if isinstance(m, torch.nn.Dropout)} <= {0.25}
    assert type(student) is type(encoder.model())
    assert student.config.vocab_size == 50
    assert same(student, new_student(teacher, size, 3, encoder.family))
    assert not same(student, new_student(teacher, size, 4, encoder.family))


@pytest.mark.parametrize("kind", ENCODERS)
def test_a_students_config_survives_saving(kind, tmp_path):
    student = new_student(ALL[kind].config(), StudentConfig(layers=2, hidden=64), 3)
    student.save_pretrained(tmp_path)
    again = type(student).from_pretrained(tmp_path)
    assert same(student.eval(), again)
    assert torch.equal(student(**batch()).last_hidden_state, again(**batch()).last_hidden_state)


def test_a_random_bert_is_what_transformers_makes_of_the_sizes_and_the_seed():
    torch.manual_seed(11)
    before = torch.get_rng_state()
    student = new_student(ALL["bert"].config(), StudentConfig(layers=2, hidden=64), seed=3)
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(3)
    expected = BertModel(
        BertConfig(
            vocab_size=50,
            max_position_embeddings=40,
            num_hidden_layers=2,
            hidden_size=64,
            num_attention_heads=2,
            intermediate_size=256,
        )
    )
    assert same(student, expected)


def classes(*names):
    return label_settings(names, "classification")


def test_nothing_of_the_teachers_own_widths_is_left():
    student = new_student(ALL["electra"].config(), StudentConfig(layers=1, hidden=64), 0)
    assert student.config.embedding_size == 64
    assert not hasattr(student, "embeddings_project")
    deberta = ALL["deberta-v2"].config(attention_head_size=6)
    student = new_student(deberta, StudentConfig(layers=1, hidden=64), 0, head=classes("a", "b"))
    assert student.config.pooler_hidden_size == 64
    assert student.base_model.encoder.layer[0].attention.self.query_proj.out_features == 64
    assert student(**batch()).logits.shape == (2, 2)


def test_modernbert_students_look_near_and_far_as_their_teacher_does():
    config = ALL["modernbert"].config(layer_types=["full_attention", "full_attention", "sliding_attention"])
    kinds = lambda **sizes: student_config(config, StudentConfig(**sizes)).layer_types  # noqa: E731
    assert kinds(layers=2, hidden=64) == ["full_attention", "full_attention"]
    # deeper than the teacher: the pattern of the family
    assert kinds(layers=4, hidden=64) == [
        "full_attention",
        "sliding_attention",
        "sliding_attention",
        "full_attention",
    ]
    assert kinds(layers=2, hidden=24, init="layers") == ["full_attention", "sliding_attention"]


def test_heads_that_rotate_have_an_even_width():
    modern, bert = ALL["modernbert"].config(), ALL["bert"].config()
    heads = lambda config, hidden: student_config(config, StudentConfig(hidden=hidden)).num_attention_heads  # noqa: E731
    assert (heads(bert, 312), heads(modern, 312)) == (8, 6)  # 312 / 8 is 39
    assert (heads(bert, 384), heads(modern, 384)) == (12, 12)
    with pytest.raises(
        HornbookError, match="8 heads do not divide a width of 312 into even parts; legal are 1, 2, 3,"
    ):
        student_config(modern, StudentConfig(hidden=312, heads=8))
    with pytest.raises(HornbookError, match=r"student\.hidden: 33 is odd"):
        student_config(modern, StudentConfig(hidden=33))


@pytest.mark.parametrize("kind", ENCODERS)
def test_a_student_of_odd_width_runs_or_is_refused(kind):
    """A family whose heads rotate, but whose row in `FAMILY_DEFAULTS` is missing, makes a student that cannot run."""
    teacher = ENCODERS[kind]
    rotary = defaults_of(teacher.config()).rotary
    with pytest.raises(HornbookError, match="is odd") if rotary else nullcontext():
        new_student(teacher.config(), StudentConfig(layers=1, hidden=27), 0)(**teacher.batch())


def test_heads_that_do_not_divide_the_width_are_refused():
    with pytest.raises(HornbookError, match="5 heads do not divide a width of 64; legal are 1, 2, 4, 8"):
        student_config(ALL["bert"].config(), StudentConfig(layers=2, hidden=64, heads=5))


def test_a_half_precision_teacher_does_not_make_a_half_precision_student():
    config = ALL["bert"].config(dtype="float16")
    for init, hidden in (("random", 64), ("layers", 24)):
        size = StudentConfig(layers=1, hidden=hidden, init=init)
        student = new_student(config, size, 0, encoder=ALL["bert"].model().half())
        assert {p.dtype for p in student.parameters()} == {torch.float32}


@pytest.mark.parametrize("init", ["random", "layers"])
@pytest.mark.parametrize("kind", ALL)
def test_a_student_with_a_head_has_the_same_base_weights(kind, init):
    encoder = ALL[kind]
    size = StudentConfig(layers=2, hidden=24, init=init)
    make = lambda **more: new_student(encoder.config(), size, 3, encoder.family, encoder=encoder.model(), **more)  # noqa: E731
    plain, headed = make(), make(head=classes("no", "yes", "maybe"))
    inner = headed.base_model.state_dict()
    assert inner
    both = inner.keys() & plain.state_dict().keys()  # a pooler may be in one of them only
    assert all(torch.equal(inner[name], plain.state_dict()[name]) for name in both)
    assert all("pooler" in name for name in inner.keys() - both)
    assert headed(**encoder.batch()).logits.shape == (2, 3)
    assert headed.config.id2label == {0: "no", 1: "yes", 2: "maybe"}
    assert same(headed, make(head=classes("no", "yes", "maybe")))
    assert make(head=label_settings((), "regression")).config.problem_type == "regression"


@pytest.mark.parametrize(
    ("wanted", "of", "picked"),
    [(4, 12, [0, 4, 7, 11]), (6, 12, [0, 2, 4, 7, 9, 11]), (1, 12, [0]), (3, 3, [0, 1, 2]), (2, 24, [0, 23])],
)
def test_layers_are_picked_at_even_spacing(wanted, of, picked):
    assert even_layers(wanted, of) == picked


@pytest.mark.parametrize("kind", ALL)
def test_a_student_of_copied_layers(kind):
    encoder = ALL[kind]
    teacher = encoder.model(**({"n_layers": 4} if kind == "distilbert" else {"num_hidden_layers": 4}))
    size = StudentConfig(layers=3, hidden=24, init="layers", dropout=0.25)
    student = new_student(teacher.config, size, 3, encoder.family, encoder=teacher)
    assert sizes_of(student.config, encoder.family).heads == 4
    own = {name: tensor.clone() for name, tensor in teacher.state_dict().items()}
    layer = encoder.layer.format("")
    for name, tensor in student.state_dict().items():
        for copied, source in ((1, 2), (2, 3)):  # of four layers: 0, 2 (1.5 rounded up), 3
            if name.startswith(f"{layer}{copied}."):
                name = name.replace(f"{layer}{copied}.", f"{layer}{source}.", 1)
                break
        assert torch.equal(tensor, own.pop(name)), name
    assert all(name.startswith(f"{layer}1.") for name in own)
    # The copy is one: what the student learns does not reach its teacher.
    next(student.parameters()).data.zero_()
    assert next(teacher.parameters()).abs().sum() > 0
    assert {m.p for m in student.modules() if isinstance(m, torch.nn.Dropout)} <= {0.25}


def test_all_layers_copied_are_the_teacher_itself():
    for kind, encoder in ALL.items():
        teacher = encoder.model().eval()
        size = StudentConfig(layers=3, hidden=24, init="layers")
        student = new_student(teacher.config, size, 3, encoder.family, encoder=teacher).eval()
        assert torch.equal(
            student(**encoder.batch()).last_hidden_state, teacher(**encoder.batch()).last_hidden_state
        ), kind


def test_layers_are_copied_from_a_classifier_too():
    config = ALL["roberta"].config()
    torch.manual_seed(0)
    teacher = RobertaForSequenceClassification(config)  # its base has no pooler
    size = StudentConfig(layers=1, hidden=24, init="layers")
    student = new_student(config, size, 3, encoder=teacher)
    word = student.embeddings.word_embeddings.weight
    assert torch.equal(word, teacher.roberta.embeddings.word_embeddings.weight)
    assert same(student.encoder.layer[0], teacher.roberta.encoder.layer[0])


@pytest.mark.parametrize(
    ("sizes", "says"),
    [
        ({"hidden": 64}, "student.hidden: 64, but the teacher, whose layers are copied, has 24"),
        ({"hidden": 24, "heads": 2}, "student.heads: 2, but the teacher, whose layers are copied, has 4"),
        ({"hidden": 24, "feed_forward": 96}, "student.feed_forward: 96, but the teacher, .* has 48"),
        ({"hidden": 24, "layers": 5}, "student.layers: 5, but the teacher, whose layers are copied, has 3"),
    ],
)
def test_layers_are_not_copied_into_other_widths(sizes, says):
    with pytest.raises(HornbookError, match=says):
        student_config(ALL["bert"].config(), StudentConfig(**{"layers": 2, "init": "layers", **sizes}))


def test_a_student_begins_as_one_distilled_before(general, tiny_teacher):
    size = StudentConfig(layers=1, hidden=16, heads=2, init=str(general), dropout=0.25)
    check_student(tiny_teacher, size)
    student = new_student(load_config(tiny_teacher), size, seed=9)
    assert same(student, BertModel.from_pretrained(general))
    assert {m.p for m in student.modules() if isinstance(m, torch.nn.Dropout)} == {0.25}
    headed = new_student(load_config(tiny_teacher), size, seed=9, head=classes("a", "b"))
    assert same(headed.bert, student)
    assert headed.config.num_labels == 2


@pytest.mark.parametrize(
    ("sizes", "says"),
    [
        ({"layers": 2}, r"student\.layers: 2, but .*, named in student.init, has 1; set it to 1"),
        ({"hidden": 64, "heads": 2}, r"student\.hidden: 64, but .* has 16; set it to 16"),
        ({"heads": 4}, r"student\.heads: 4, but .* has 2; set it to 2"),
        ({"feed_forward": 32}, r"student\.feed_forward: 32, but .* has 64; set it to 64"),
    ],
)
def test_a_student_distilled_before_must_have_the_recipes_sizes(sizes, says, general, tiny_teacher):
    with pytest.raises(HornbookError, match=says):
        check_student(tiny_teacher, StudentConfig(**{"layers": 1, "hidden": 16, "init": str(general), **sizes}))


def test_a_student_distilled_before_must_read_as_the_teacher_does(general, tiny_teacher, tmp_path):
    size = StudentConfig(layers=1, hidden=16, init=str(general))
    tokenizer = (general / "tokenizer.json").read_text("utf-8")
    changed = tokenizer.replace('"Lowercase"', '"NFC"')
    assert changed != tokenizer
    (general / "tokenizer.json").write_text(changed, "utf-8")
    with pytest.raises(HornbookError, match=r"student\.init: .* has another tokenizer than the teacher"):
        check_student(tiny_teacher, size)
    config = load_config(general)
    config.vocab_size += 1
    config.save_pretrained(general)
    with pytest.raises(HornbookError, match=r"has a vocabulary of \d+ word pieces, but the teacher has one of \d+;"):
        check_student(tiny_teacher, size)
    ALL["distilbert"].config().save_pretrained(general)
    with pytest.raises(HornbookError, match="is a distilbert model, but the teacher is a bert model"):
        check_student(tiny_teacher, size)
    with pytest.raises(HornbookError, match=r"student\.init is none of random, layers, projected: .*no such folder"):
        check_student(tiny_teacher, size.model_copy(update={"init": str(tmp_path / "nothing")}))


def test_pickled_weights_are_found_before_anything_costly(general, tiny_teacher):
    size = StudentConfig(layers=1, hidden=16, init=str(general))
    (general / "model.safetensors").rename(general / "pytorch_model.bin")
    with pytest.raises(HornbookError, match=r"general: only pickled weights, which are never loaded"):
        check_student(tiny_teacher, size)
    with pytest.raises(HornbookError, match=r"general: only pickled weights, which are never loaded"):
        check_student(general, StudentConfig(layers=1, hidden=16))


def test_what_a_student_begins_as_has_a_key(general):
    assert init_key(StudentConfig()) is None
    assert init_key(StudentConfig(init="layers")) is None
    assert init_key(StudentConfig(init=str(general))) == model_key(general)
    with pytest.raises(HornbookError, match="none of random, layers, projected"):
        init_key(StudentConfig(init="./layer"))


def test_a_recipes_family_is_checked_before_anything_costly(tiny_teacher, tmp_path):
    shutil.copytree(tiny_teacher, tmp_path / "layoutlm")
    UNKNOWN.config(vocab_size=load_config(tiny_teacher).vocab_size).save_pretrained(tmp_path / "layoutlm")
    size = StudentConfig(layers=1, hidden=32)
    config = check_student(tmp_path / "layoutlm", size, UNKNOWN.family)
    assert (config.model_type, config.hidden_size) == ("layoutlm", 32)
    wrong = UNKNOWN.family.model_copy(update={"projections": ("query", "key", "w")})
    with pytest.raises(HornbookError, match=r"no module 'encoder\.layer\.1\.attention\.self\.w'"):
        check_student(tmp_path / "layoutlm", size, wrong)
    wrong = UNKNOWN.family.model_copy(update={"dropouts": ("hidden_dropout",)})
    with pytest.raises(HornbookError, match=r"dropouts: .* has no hidden_dropout; .* are hidden_dropout_prob"):
        check_student(tmp_path / "layoutlm", size, wrong)
    with pytest.raises(
        HornbookError, match=r"layoutlm models are not known here, .*; teacher\.family in a recipe can"
    ):
        check_student(tmp_path / "layoutlm", size)

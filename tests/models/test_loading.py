import builtins
import json
import shutil
import sys

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from tiny_encoders import ALL, ENCODERS, UNKNOWN
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import AutoModel, AutoTokenizer

from hornbook.errors import HornbookError
from hornbook.models.loading import (
    check_rows,
    label_order,
    load_classifier,
    load_encoder,
    load_masked_lm,
    load_ready_classifier,
)
from hornbook.models.source import load_config
from hornbook.models.tokenizers import load_tokenizer, save_tokenizer, tokenizer_key, warn_of_length


@pytest.fixture
def folder(tiny_teacher, tmp_path):
    """A copy of the tiny teacher that a test may spoil."""
    return shutil.copytree(tiny_teacher, tmp_path / "teacher")


def set_in(path, **values):
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), **values}), "utf-8")


def message_of(load, *args):
    with pytest.raises(HornbookError) as caught:
        load(*args)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def dropouts(model):
    """All probabilities of dropout in a model, those of its attention too."""
    of_attention = [getattr(m, "attention_dropout", 0.5) for m in model.modules()]
    found = {m.p for m in model.modules() if isinstance(m, torch.nn.Dropout)}
    return found | {p for p in of_attention if isinstance(p, float) and p != 0.5}


@pytest.mark.parametrize("kind", ENCODERS)
def test_dropout_can_be_set_in_every_family(kind, tmp_path):
    ALL[kind].model().save_pretrained(tmp_path)
    labels = ("a", "b", "c")
    for load in (
        lambda **more: load_encoder(str(tmp_path), **more),
        lambda **more: load_classifier(str(tmp_path), labels, "classification", **more),
    ):
        assert 0.1 in dropouts(load())  # the model's own
        assert (
            dropouts(load(dropout=0.25)) <= {0.25, 0.0}
            if kind in ("deberta", "deberta-v2")
            else dropouts(load(dropout=0.25)) == {0.25}
        )
        assert dropouts(load(dropout=0.0)) <= {0.0}


def test_dropout_of_a_recipes_family(tmp_path):
    UNKNOWN.model().save_pretrained(tmp_path)
    assert dropouts(load_encoder(str(tmp_path), dropout=0.25, family=UNKNOWN.family)) == {0.25}
    assert "layoutlm models are not known here" in message_of(lambda: load_encoder(str(tmp_path), dropout=0.25))
    assert dropouts(load_encoder(str(tmp_path))) == {0.1}


def test_dropout_does_not_change_the_weights(folder):
    plain, without = load_encoder(str(folder)).state_dict(), load_encoder(str(folder), dropout=0.0).state_dict()
    assert all(torch.equal(plain[name], without[name]) for name in plain)


def test_a_classifier_has_the_labels_asked_for_and_the_weights_of_the_folder(folder):
    model = load_classifier(str(folder), ("no", "yes", "maybe"), "classification")
    assert model.config.id2label == {0: "no", 1: "yes", 2: "maybe"}
    assert model.config.label2id == {"no": 0, "yes": 1, "maybe": 2}
    assert (model.config.num_labels, model.classifier.out_features) == (3, 3)
    base = load_encoder(str(folder)).state_dict()
    assert all(torch.equal(tensor, base[name]) for name, tensor in model.bert.state_dict().items())
    model.save_pretrained(folder)
    assert load_ready_classifier(str(folder)).config.id2label[1] == "yes"
    other = load_classifier(str(folder), (), "regression")  # a head of another size begins anew
    assert (other.config.problem_type, other.classifier.out_features) == ("regression", 1)
    assert all(torch.equal(tensor, base[name]) for name, tensor in other.bert.state_dict().items())


def test_code_of_the_models_own_is_never_run_and_never_asked_about(folder, monkeypatch):
    monkeypatch.setattr(builtins, "input", lambda *_: pytest.fail("a prompt"))
    (folder / "own.py").write_text("raise SystemExit('it ran')", "utf-8")
    set_in(
        folder / "config.json",
        model_type="strange",
        auto_map={
            "AutoConfig": "own.Config",
            "AutoModel": "own.Model",
            "AutoModelForSequenceClassification": "own.Model",
        },
    )
    for load in (load_config, load_encoder, load_tokenizer, load_ready_classifier):
        assert "needs to run program code of its own (trust_remote_code), which hornbook never" in message_of(
            load, str(folder)
        )
    assert "program code of its own" in message_of(load_classifier, str(folder), ("a", "b"), "classification")


def test_a_tokenizer_with_code_of_its_own(folder, monkeypatch):
    monkeypatch.setattr(builtins, "input", lambda *_: pytest.fail("a prompt"))
    (folder / "own.py").write_text("raise SystemExit('it ran')", "utf-8")
    set_in(
        folder / "tokenizer_config.json",
        tokenizer_class="StrangeTokenizer",
        auto_map={"AutoTokenizer": ["own.Strange", "own.StrangeFast"]},
    )
    # tokenizer.json says all; the code is not needed
    assert type(load_tokenizer(str(folder))).__module__.startswith("transformers")


def test_pickled_weights_are_refused_with_the_way_out(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    said = message_of(load_encoder, str(folder))
    assert "only pickled weights, which are never loaded" in said
    assert "save_pretrained(FOLDER)" in said
    assert said == message_of(load_classifier, str(folder), ("a",), "classification")
    (folder / "pytorch_model.bin").unlink()
    assert message_of(load_encoder, str(folder)).endswith("no model.safetensors in it")


def without(folder, *names):
    """Leave weights out of a model folder."""
    kept = {n: t for n, t in load_file(folder / "model.safetensors").items() if not n.startswith(names)}
    save_file(kept, folder / "model.safetensors", {"format": "pt"})


@pytest.mark.parametrize("kind", ENCODERS)
def test_a_masked_model_is_refused_without_its_head_and_not_for_tied_weights(kind, tmp_path):
    name, config = ALL[kind].name, ALL[kind].config()
    masked = getattr(transformers, f"{name}ForMaskedLM")
    for tied in (True, False):
        folder = tmp_path / str(tied)
        config.tie_word_embeddings = tied
        masked(config).save_pretrained(folder)
        load_masked_lm(str(folder))
    below = load_masked_lm(str(tmp_path / "True")).base_model_prefix
    saved = load_file(tmp_path / "False" / "model.safetensors")
    head = [n for n in saved if not n.startswith(f"{below}.")]
    decoder = [n for n in head if saved[n].shape[0] == config.vocab_size and saved[n].dim() == 2]
    assert decoder
    for lost in (decoder, head):
        without(tmp_path / "False", *lost)
        assert f"{len(lost)} of its weights are missing" in message_of(load_masked_lm, str(tmp_path / "False"))
    if own := [name for name in head if name not in decoder]:  # EuroBERT's head is the tied decoder alone
        without(tmp_path / "True", *own)
        assert "of its weights are missing" in message_of(load_masked_lm, str(tmp_path / "True"))


def hub_model(cache, name, source, files):
    """Lay files into a hub's cache as a download would."""
    commit = "a" * 40
    root = cache / f"models--{name.replace('/', '--')}"
    (root / "refs").mkdir(parents=True)
    (root / "refs" / "main").write_text(commit, "utf-8")
    (root / "snapshots" / commit).mkdir(parents=True)
    for file in files:
        shutil.copy(source / file, root / "snapshots" / commit / file)


def test_a_hub_model_in_the_cache(tiny_teacher, tmp_path, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    files = ("config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors")
    hub_model(tmp_path, "some/teacher", tiny_teacher, files)
    expected = load_encoder(str(tiny_teacher)).state_dict()
    got = load_encoder("some/teacher").state_dict()
    assert all(torch.equal(got[name], expected[name]) for name in expected)
    hub_model(tmp_path, "some/pickle", tiny_teacher, files[:3])
    assert "no model.safetensors in the hub's cache" in message_of(load_encoder, "some/pickle")
    assert "no such model in the hub's cache" in message_of(load_encoder, "some/other")


def test_a_tokenizer_without_a_pad_token_is_refused(folder):
    set_in(folder / "tokenizer_config.json", pad_token=None)
    assert "its tokenizer has no pad token" in message_of(load_tokenizer, str(folder))


def test_how_inputs_were_cut_and_padded_does_not_change_a_tokenizers_key(folder):
    before = tokenizer_key(folder)
    tokenizer = load_tokenizer(str(folder)).backend_tokenizer
    tokenizer.enable_truncation(7)
    tokenizer.enable_padding()
    tokenizer.save(str(folder / "tokenizer.json"))
    assert tokenizer_key(folder) == before
    text = (folder / "tokenizer.json").read_text("utf-8")
    (folder / "tokenizer.json").write_text(text.replace('"Lowercase"', '"NFC"'), "utf-8")
    assert tokenizer_key(folder) != before


@pytest.mark.parametrize(("kind", "tokens"), [("bert", 40), ("roberta", 38), ("modernbert", 40), ("deberta-v2", 40)])
def test_inputs_are_cut_to_the_positions_that_a_family_has(kind, tokens, folder):
    (folder / "config.json").unlink()
    ALL[kind].config().save_pretrained(folder)
    assert load_tokenizer(str(folder)).model_max_length == tokens


@pytest.mark.parametrize(
    ("own", "names", "order"),
    [
        (["no", "Yes"], None, [1, 0]),
        (["Bug", "bug", "other"], None, [1, 2, 0]),  # the task has bug, other, Bug
        (["a", "b", "c"], {"a": "other", "b": "Bug", "c": "bug"}, [2, 0, 1]),
    ],
)
def test_labels_that_differ_in_case_alone_are_told_apart(own, names, order):
    task = ["yes", "NO"] if len(own) == 2 else ["bug", "other", "Bug"]
    assert label_order(dict(enumerate(own)), task, names, "m") == order


def renamed(folder, change):
    """Give the weights of a model folder other names; None: leave it out."""
    weights = load_file(folder / "model.safetensors")
    weights = {new: tensor for name, tensor in weights.items() if (new := change(name)) is not None}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize("load", [load_encoder, lambda path: load_classifier(path, ("a", "b"), "classification")])
def test_weights_that_would_be_drawn_at_random_are_refused(load, folder):
    load(str(folder))
    renamed(folder, lambda name: None if "layer.1.output.dense.weight" in name else name)
    with pytest.raises(HornbookError, match=r"1 of its weights are missing .*layer\.1\.output\.dense\.weight"):
        load(str(folder))
    renamed(folder, lambda name: f"_orig_mod.{name}")
    with pytest.raises(HornbookError, match="was it saved from a compiled or wrapped model"):
        load(str(folder))


def test_weights_by_earlier_names_are_saved_by_todays(folder, tmp_path):
    before = load_encoder(str(folder)).state_dict()
    earlier = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
    for ours, theirs in earlier.items():
        renamed(folder, lambda name, ours=ours, theirs=theirs: name.replace(ours, theirs))
    found = load_encoder(str(folder))
    assert all(torch.equal(found.state_dict()[name], weight) for name, weight in before.items())
    found.save_pretrained(tmp_path / "again")
    assert set(load_file(tmp_path / "again" / "model.safetensors")) == set(before)


SENTENCEPIECE = {
    "deberta-v2": "spm.model",
    "xlm-roberta": "sentencepiece.bpe.model",
    "camembert": "sentencepiece.bpe.model",
    "albert": "spiece.model",
}


@pytest.fixture(scope="module")
def pieces(tmp_path_factory):
    """A SentencePiece model of a few words."""
    import sentencepiece

    path = tmp_path_factory.mktemp("pieces") / "small"
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["the film is good", "the plot is bad", "a good plot", "a bad film"] * 20),
        model_prefix=str(path),
        vocab_size=60,
        hard_vocab_limit=False,
        control_symbols=["[CLS]", "[SEP]", "[MASK]"],
        pad_id=0,
        unk_id=1,
        bos_id=2,
        eos_id=3,
        minloglevel=2,
    )
    return path.with_suffix(".model").read_bytes()


def not_installed(*_):
    raise ImportError("requires the SentencePiece library")


@pytest.mark.parametrize(("kind", "name"), SENTENCEPIECE.items())
def test_a_folder_with_a_sentencepiece_model_alone_is_read(kind, name, pieces, tmp_path, monkeypatch):
    ALL[kind].model(vocab_size=70).save_pretrained(tmp_path)
    (tmp_path / name).write_bytes(pieces)
    tokenizer = load_tokenizer(str(tmp_path))
    assert tokenizer.is_fast
    ids = tokenizer("the film is good").input_ids
    assert tokenizer.decode(ids, skip_special_tokens=True) == "the film is good"
    assert ids[0] == tokenizer.cls_token_id
    assert ids[-1] == tokenizer.sep_token_id
    for package, module in (("sentencepiece", "sentencepiece"), ("protobuf", "google.protobuf")):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, module, None)
            patch.setattr(sys.modules["transformers.convert_slow_tokenizer"], "requires_backends", not_installed)
            said = message_of(lambda: load_tokenizer(str(tmp_path)))
        assert said.endswith(f"needs the package {package}, which is not installed: pip install {package}")


@pytest.mark.parametrize(("kind", "name"), SENTENCEPIECE.items())
def test_a_sentencepiece_model_keeps_its_normalisation(kind, name, pieces, tmp_path):
    import sentencepiece

    ALL[kind].model(vocab_size=70).save_pretrained(tmp_path)
    (tmp_path / name).write_bytes(pieces)
    truth = sentencepiece.SentencePieceProcessor(model_proto=pieces)
    tokenizer = load_tokenizer(str(tmp_path))
    tokenizer.save_pretrained(tmp_path / "saved")
    shutil.copy(tmp_path / "config.json", tmp_path / "saved")
    # a ligature, full-width letters, a no-break space, an ellipsis, a letter that no piece has
    for text in ("\ufb01lm", "\uff46\uff49\uff4c\uff4d", "good\u00a0plot", "a bad film\u2026", "\u00bd"):
        for read in (tokenizer, load_tokenizer(str(tmp_path / "saved"))):
            assert read.tokenize(text) == truth.encode(text, out_type=str)


@pytest.mark.parametrize("kind", ["bert", "roberta", "deberta-v2"])
def test_a_model_folder_without_a_tokenizer_is_refused(kind, tmp_path):
    ALL[kind].model().save_pretrained(tmp_path)
    assert "has no tokenizer (tokenizer.json, vocab.txt" in message_of(lambda: load_tokenizer(str(tmp_path)))


@pytest.mark.parametrize("settings", [{}, {"tokenizer_class": "BertTokenizer"}, {"do_lower_case": False}])
def test_a_tokenizer_reads_as_its_file_says_in_every_loader(settings, tmp_path):
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "Film", "film", "caf\u00e9", "cafe", "a-b", "a", "-", "b"]
    file = Tokenizer(models.WordPiece({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    file.normalizer = normalizers.BertNormalizer(lowercase=False, strip_accents=False)
    file.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    file.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    ALL["bert"].model(vocab_size=len(words) + 1).save_pretrained(tmp_path)
    file.save(str(tmp_path / "tokenizer.json"))
    more = {"added_tokens_decoder": {str(len(words)): {"content": "<user>", "special": False}}}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"model_max_length": 36, **more, **settings}), "utf-8")
    read = load_tokenizer(str(tmp_path))
    assert read.tokenize("Film <user>") == ["Film", "<user>"]
    assert read.get_vocab()["<user>"] == len(words)
    save_tokenizer(read, tmp_path / "saved", 32)
    shutil.copy(tmp_path / "config.json", tmp_path / "saved")
    again = AutoTokenizer.from_pretrained(tmp_path / "saved")
    assert (read.model_max_length, again.model_max_length) == (36, 32)
    for text in (("Film caf\u00e9 a-b",), ("Film", "a - b")):
        ids = file.encode(*text).ids
        assert (
            read(*text).input_ids
            == again(*text).input_ids
            == load_tokenizer(str(tmp_path / "saved"))(*text).input_ids
        )
        assert again(*text).input_ids == ids
    assert json.loads((tmp_path / "saved" / "tokenizer_config.json").read_text())["tokenizer_class"] == (
        "PreTrainedTokenizerFast"  # which transformers 4 knows too
    )


@pytest.mark.parametrize("stated", [{"model_max_length": 0}, {"model_max_length": -1}, {"longest_input": "many"}])
def test_a_length_that_leaves_no_text_counts_as_none(stated, folder):
    path = folder / "tokenizer_config.json"
    settings = {
        name: value for name, value in json.loads(path.read_text("utf-8")).items() if name != "model_max_length"
    }
    path.write_text(json.dumps(settings | stated), "utf-8")
    assert load_tokenizer(str(folder)).model_max_length == load_config(folder).max_position_embeddings


def test_a_tokenizer_with_more_ids_than_the_model_has_rows(tiny_teacher, tmp_path):
    folder = shutil.copytree(tiny_teacher, tmp_path / "m")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(["<user>", "<url>"])
    tokenizer.save_pretrained(folder)
    said = message_of(lambda: load_tokenizer(str(folder)))
    assert "its tokenizer has 50 ids, the model 48 rows; call model.resize_token_embeddings" in said
    model = AutoModel.from_pretrained(folder)
    model.resize_token_embeddings(len(tokenizer))
    model.save_pretrained(folder)
    assert load_tokenizer(str(folder)).get_vocab()["<url>"] == 49
    check_rows(str(folder))
    # more rows than ids are fine; a configuration that disagrees with the weights is not
    config = load_config(folder)
    config.vocab_size = 64
    config.save_pretrained(folder)
    assert len(load_tokenizer(str(folder))) == 50
    assert "config.json says vocab_size 64, but the weights have 50 rows" in message_of(
        lambda: check_rows(str(folder))
    )
    config.vocab_size, config.pad_token_id = 50, 50
    config.save_pretrained(folder)
    assert "names pad_token_id 50, but the model has 50 rows" in message_of(lambda: load_tokenizer(str(folder)))


def test_bigbird_is_read_with_full_attention(tmp_path):
    ALL["big_bird"].model(attention_type="block_sparse").save_pretrained(tmp_path)
    assert load_encoder(str(tmp_path)).attention_type == "original_full"


def test_more_length_than_positions_is_said(tiny_teacher, caplog):
    warn_of_length("distil.max_length", 64, tiny_teacher)
    assert not caplog.messages
    warn_of_length("distil.max_length", 65, tiny_teacher)
    assert caplog.messages == [
        f"distil.max_length is 65, but {tiny_teacher} takes 64 tokens; longer inputs are cut there"
    ]

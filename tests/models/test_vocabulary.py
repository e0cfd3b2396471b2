"""Trimmed tokenizers read what the whole ones read, and models keep the rows of what they keep."""

import copy
import json
import os
import random
from collections import Counter
from functools import cache
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
import transformers
from hypothesis import given, settings
from tiny_encoders import ENCODERS
from tiny_tokenizers import MADE, TRAINED_ON, made_up_texts, random_text, whole_tokenizer
from tokenizers import Tokenizer
from transformers import AutoTokenizer

from hornbook.errors import HornbookError
from hornbook.models.tokenizers import load_tokenizer, save_tokenizer
from hornbook.models.vocabulary.pieces import KINDS
from hornbook.models.vocabulary.rows import keep_rows
from hornbook.models.vocabulary.trim import Trimmed, plain_backend, trim
from hornbook.models.vocabulary.usage import count_pieces, mixed_share, most_frequent

RANDOM_TEXTS = int(os.environ.get("HORNBOOK_RANDOM_TEXTS", 100_000))  # of all tokenizers together
UNKNOWN = ("[UNK]", "<unk>")


@cache
def shares(kind: str) -> np.ndarray:
    return mixed_share([count_pieces([TRAINED_ON], whole_tokenizer(kind))], [1])


@cache
def trimmed(kind: str, coverage: float) -> Trimmed:
    wanted = most_frequent(shares(kind), coverage) if coverage else ()
    return trim(whole_tokenizer(kind), wanted)


def check_reading(whole, small: Trimmed, texts: list[str], decoded: int = 1000) -> int:
    """Check what must hold for each text, decoding the first ones; return how many are read exactly as before."""
    first, second = plain_backend(whole), plain_backend(small.tokenizer)
    unknown = {i for token, i in first.get_vocab().items() if token in UNKNOWN}
    kept, known = small.kept.tolist(), set(small.kept.tolist())
    before = [encoding.ids for encoding in first.encode_batch_fast(texts)]
    after = [encoding.ids for encoding in second.encode_batch_fast(texts)]
    assert first.decode_batch(before[:decoded]) == second.decode_batch(after[:decoded])
    alike = 0
    for text, a, b in zip(texts, before, after, strict=True):
        old = [kept[i] for i in b]
        assert all(old.count(i) == a.count(i) for i in unknown), text
        if known.issuperset(a):
            assert old == a, text
            alike += 1
    return alike


def context(piece: str, characters: str) -> list[str]:
    """Return words in which a piece may stand."""
    core = piece.removeprefix("##").removesuffix("</w>") or piece
    return [piece, core, *(f"{a}{core}{b}" for a in ["", *characters] for b in ["", *characters])]


def reachable(tokenizer, pieces: list[str]) -> set[str]:
    """Return the pieces that some word is read as, by the tokenizer's model alone."""
    model = tokenizer.backend_tokenizer.model
    characters = "".join(piece for piece in tokenizer.get_vocab() if len(piece) == 1 and ord(piece) > 127)[:4] + "x2"
    return {
        piece
        for piece in pieces
        if any(piece in {token.value for token in model.tokenize(word)} for word in context(piece, characters))
    }


@pytest.mark.parametrize("kind", MADE)
def test_texts_are_read_as_before_where_their_pieces_are_kept_and_never_get_an_unknown(kind):
    draw = random.Random(0)
    count = RANDOM_TEXTS // len(MADE) // 3
    for coverage in (0.0, 0.7, 0.95):
        texts = [random_text(draw) for _ in range(count)] + made_up_texts(300, seed=1)
        alike = check_reading(whole_tokenizer(kind), trimmed(kind, coverage), texts)
        assert 50 * (coverage > 0) < alike < len(texts)


def test_the_quickstarts_tokenizer_is_trimmed_to_its_characters_and_reads_on():
    folder = Path.home() / ".cache" / "hornbook" / "current" / "model"
    if not (folder / "tokenizer.json").is_file():
        pytest.skip(f"the quickstart has not run here: no {folder}")
    whole, draw = load_tokenizer(str(folder)), random.Random(2)
    texts = ["".join(chr(draw.randrange(32, 0x3000)) for _ in range(8)) for _ in range(2000)] + made_up_texts(200)
    wanted = most_frequent(count_pieces([texts], whole) / 1e9, 1.0)[::2]
    small = trim(whole, wanted, 4000)
    assert len(whole) == 30522
    assert len(trim(whole, ()).kept) == 1663  # 997 characters, 661 of them inside words too, and 5 special tokens
    assert check_reading(whole, small, texts) > 1000


@settings(max_examples=30)
@given(st.sampled_from(list(MADE)), st.data())
def test_any_pieces_can_be_kept_for_any_text(kind, data):
    whole = whole_tokenizer(kind)
    wanted = data.draw(st.lists(st.integers(0, len(whole) - 1), max_size=60))
    small = trim(whole, wanted)
    assert set(wanted) <= set(small.kept.tolist())
    check_reading(whole, small, data.draw(st.lists(st.text(max_size=20), min_size=1, max_size=20)))


def used_and_lost(kind: str, coverage: float) -> tuple[set[str], set[str]]:
    """Return the wanted pieces of a tokenizer, and those of its kept pieces that no word is read as any more."""
    whole = whole_tokenizer(kind)
    wanted = whole.convert_ids_to_tokens(most_frequent(shares(kind), coverage).tolist())
    small = trim(whole, most_frequent(shares(kind), coverage))
    kept = [token for token in small.tokenizer.get_vocab() if token not in small.tokenizer.get_added_vocab()]
    return set(wanted), reachable(whole, kept) - reachable(small.tokenizer, kept)


@pytest.mark.parametrize("kind", MADE)
def test_every_kept_piece_can_still_occur(kind):
    for coverage in (0.7, 0.95):
        wanted, lost = used_and_lost(kind, coverage)
        assert not lost
        assert len(wanted & reachable(trimmed(kind, coverage).tokenizer, list(wanted))) == len(wanted)


def test_without_the_chains_of_merges_pieces_are_lost(monkeypatch):
    monkeypatch.setattr(KINDS["BPE"], "parts", lambda self, piece: set())
    assert all(used_and_lost(kind, 0.7)[1] for kind in ("byte-level", "suffixed", "prefixed", "sentencepiece-bpe"))


@pytest.mark.parametrize("kind", ["wordpiece", "suffixed", "prefixed", "unigram"])
def test_without_what_is_needed_texts_get_unknowns(kind, monkeypatch):
    name = json.loads(whole_tokenizer(kind).backend_tokenizer.to_str())["model"]["type"]
    unknown = {whole_tokenizer(kind).unk_token_id}
    monkeypatch.setattr(KINDS[name], "needed", lambda self: unknown)
    monkeypatch.setattr(KINDS[name], "parts", lambda self, piece: set())
    with pytest.raises(AssertionError):
        check_reading(whole_tokenizer(kind), trim(whole_tokenizer(kind), ()), made_up_texts(100))


@pytest.mark.parametrize("kind", MADE)
def test_saved_files_give_the_same_ids_to_every_loader(kind, tmp_path):
    whole, small = whole_tokenizer(kind), trimmed(kind, 0.7)
    save_tokenizer(small.tokenizer, tmp_path, 32)
    loaded, plain = AutoTokenizer.from_pretrained(tmp_path), Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    assert loaded.get_vocab() == plain.get_vocab() == small.tokenizer.get_vocab()
    assert sorted(plain.get_vocab().values()) == list(range(len(small.kept)))
    assert loaded.model_max_length == 32
    assert loaded.special_tokens_map == whole.special_tokens_map
    mask = whole.mask_token or ""
    for pair in (("miser  ny", None), (f"gra {mask} zenzen", "un ding"), ("", None)):
        read = loaded(*pair)
        assert read["input_ids"] == plain.encode(*pair).ids == small.tokenizer(*pair)["input_ids"]
        assert whole.decode(small.kept[read["input_ids"]]) == whole.decode(whole(*pair)["input_ids"])
    for name, token in whole.special_tokens_map.items():
        assert small.kept[getattr(loaded, f"{name}_id")] == whole.convert_tokens_to_ids(token)


def test_special_and_added_tokens_keep_their_ways():
    whole, small = whole_tokenizer("byte-level"), trimmed("byte-level", 0.0).tokenizer
    flags = [
        {t.content: (t.special, t.lstrip, t.rstrip, t.single_word, t.normalized) for t in added.values()}
        for added in (whole.added_tokens_decoder, small.added_tokens_decoder)
    ]
    assert flags[0] == flags[1]
    assert small.tokenize("a <mask>xzenzen") == ["a", " <mask>", "x", "zenzen"]


def test_truncation_and_padding_stay():
    whole = copy.deepcopy(whole_tokenizer("byte-level"))
    whole.backend_tokenizer.enable_truncation(7, stride=1)
    whole.backend_tokenizer.enable_padding(pad_id=1, pad_token="<pad>", length=9)
    small = trim(whole, ()).tokenizer
    assert small.backend_tokenizer.truncation == whole.backend_tokenizer.truncation
    assert small.backend_tokenizer.padding == {**whole.backend_tokenizer.padding, "pad_id": small.pad_token_id}
    assert small.model_max_length == whole.model_max_length


def test_a_low_padding_id_does_not_change_for_families_that_count_from_it():
    whole = whole_tokenizer("sentencepiece-bpe")
    assert whole.pad_token_id == len(whole) - 1
    assert trimmed("sentencepiece-bpe", 0).tokenizer.pad_token_id == len(trimmed("sentencepiece-bpe", 0).kept) - 1
    for kind in ("byte-level", "unigram"):
        assert whole_tokenizer(kind).pad_token_id == trimmed(kind, 0).tokenizer.pad_token_id == 1


@pytest.mark.parametrize("kind", MADE)
def test_a_size_is_the_most_pieces_in_all_and_the_least_is_named(kind):
    whole, least = whole_tokenizer(kind), len(trimmed(kind, 0).kept)
    ranked = most_frequent(shares(kind), 1.0)
    for size in (least, least + 1, least + 37):
        small = trim(whole, ranked, size)
        assert least <= len(small.kept) <= size
        assert set(trimmed(kind, 0).kept) <= set(small.kept)
    assert len(small.kept) == size
    with pytest.raises(HornbookError) as caught:
        trim(whole, ranked, least - 1)
    assert str(caught.value) == (
        f"student.vocabulary: {least - 1} pieces are too few for this tokenizer: its characters and special tokens "
        f"alone are {least}"
    )
    assert set(ranked) <= set(trim(whole, ranked, 10**9).kept)


def test_everything_kept_is_the_whole_tokenizer():
    for kind in MADE:
        whole = whole_tokenizer(kind)
        small = trim(whole, range(len(whole)))
        assert json.loads(small.tokenizer.backend_tokenizer.to_str()) == json.loads(whole.backend_tokenizer.to_str())


def test_characters_that_are_always_words_of_their_own_have_no_piece_inside_words():
    whole, small = whole_tokenizer("wordpiece"), trimmed("wordpiece", 0).tokenizer.get_vocab()
    assert {"中", "##中", "##.", "##x", "3", "##3"} <= whole.get_vocab().keys()
    assert {"中", ".", "x", "##x", "3", "##3"} <= small.keys()
    assert not {"##中", "##."} & small.keys()


def test_pieces_whose_characters_are_no_pieces_are_kept():
    state = json.loads(whole_tokenizer("wordpiece").backend_tokenizer.to_str())
    vocab = state["model"]["vocab"]
    for odd in ("é", "##é", "q"):  # all words with é and all that begin with q
        if vocab.pop(odd, None) is None:
            assert odd == "é"
    state["model"]["vocab"] = {piece: i for i, piece in enumerate(vocab)}
    whole = transformers.PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(state)), pad_token="[PAD]", unk_token="[UNK]"
    )
    small = trim(whole, ()).tokenizer
    fragile = {piece for piece in whole.get_vocab() if "é" in piece or piece.startswith("q")}
    assert len(fragile) > 10
    assert fragile <= small.get_vocab().keys()
    words = [piece for piece in fragile if not piece.startswith("##")]
    assert small.unk_token not in {token for word in words for token in small.tokenize(word)}


def test_a_tokenizer_of_whole_words_cannot_be_trimmed(tiny_teacher):
    with pytest.raises(HornbookError) as caught:
        trim(load_tokenizer(str(tiny_teacher)), ())
    assert str(caught.value) == (
        "student.vocabulary: WordLevel tokenizers cannot be trimmed, only BPE, Unigram, WordPiece; set it to all"
    )


@pytest.mark.parametrize("size", [1, 7, 600])
def test_pieces_are_counted_whatever_the_batches(size):
    whole = copy.deepcopy(whole_tokenizer("byte-level"))
    whole.backend_tokenizer.enable_truncation(3)
    before = whole.backend_tokenizer.truncation
    counts = count_pieces((TRAINED_ON[i : i + size] for i in range(0, 600, size)), whole)
    plain = plain_backend(whole)
    slow = Counter(i for text in TRAINED_ON for i in plain.encode(text).ids)
    special = [whole.cls_token_id, whole.sep_token_id]
    assert {i: n for i, n in enumerate(counts.tolist()) if n} == {i: n for i, n in slow.items() if i not in special}
    assert len(counts) == len(whole)
    assert whole.backend_tokenizer.truncation == before


def test_a_mixture_counts_each_collection_by_its_weight_not_its_size():
    mixed = mixed_share([np.array([1, 1, 0]), np.array([0, 300, 100])], [3, 1])
    assert mixed.tolist() == [3 / 8, 3 / 8 + 3 / 16, 1 / 16]
    assert mixed_share([np.array([0, 0]), np.array([0, 5])], [1, 1]).tolist() == [0, 0.5]


@given(st.lists(st.integers(0, 9), min_size=2, max_size=12).filter(any), st.floats(0, 1))
def test_the_most_frequent_pieces_are_the_fewest_that_reach_a_share(counts, coverage):
    found = [*most_frequent(np.array(counts) / sum(counts), coverage)]
    ranked = sorted((-count, i) for i, count in enumerate(counts) if count)
    assert found == [i for _, i in ranked[: len(found)]]
    assert sum(counts[i] for i in found) >= coverage * sum(counts) - 1e-9
    assert len(found) == 1 or sum(counts[i] for i in found[:-1]) < coverage * sum(counts) + 1e-9


KEPT = np.array([0, 1, 2, 3, *range(5, 50, 3)])


def batch_before_and_after(encoder):
    """Return a batch of kept ids, with padding, in old and in new numbers."""
    batch = encoder.batch()
    new = torch.tensor([[4, 5, 6, 7], [9, 10, 1, 1]])
    return {**batch, "input_ids": torch.from_numpy(KEPT)[new]}, {**batch, "input_ids": new}


@pytest.mark.parametrize("family", ENCODERS)
def test_a_model_computes_the_same_on_the_rows_that_it_keeps(family, tmp_path):
    encoder = ENCODERS[family]
    model = encoder.model().eval()
    before, after = batch_before_and_after(encoder)
    with torch.no_grad():
        expected = model(**before)[0]
        keep_rows(model, KEPT)
        assert torch.equal(model(**after)[0], expected)
    assert model.config.vocab_size == len(model.get_input_embeddings().weight) == len(KEPT)
    assert not [name for name, weight in model.named_parameters() if 50 in weight.shape]
    model.save_pretrained(tmp_path)
    with torch.no_grad():
        assert torch.equal(type(model).from_pretrained(tmp_path).eval()(**after)[0], expected)


@pytest.mark.parametrize("family", [f for f in ENCODERS if hasattr(transformers, f"{ENCODERS[f].name}ForMaskedLM")])
def test_a_masked_models_head_keeps_the_same_outputs(family, tmp_path):
    encoder = ENCODERS[family]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = getattr(transformers, f"{encoder.name}ForMaskedLM")(encoder.config()).eval()
        head = model.get_output_embeddings()
        for parameter in head.parameters() if head is not None else ():  # biases begin at 0
            parameter.data += torch.randn_like(parameter)
    before, after = batch_before_and_after(encoder)
    with torch.no_grad():
        expected = model(**before).logits[..., KEPT]
        keep_rows(model, KEPT)
        torch.testing.assert_close(model(**after).logits, expected, rtol=1e-5, atol=1e-6)
        model.save_pretrained(tmp_path)
        again = type(model).from_pretrained(tmp_path).eval()
        torch.testing.assert_close(again(**after).logits, expected, rtol=1e-5, atol=1e-6)
    assert not [name for name, weight in model.named_parameters() if 50 in weight.shape]


def test_ids_in_the_configuration_follow(tmp_path):
    config = ENCODERS["bert"].config(pad_token_id=47, eos_token_id=[5, 8], bos_token_id=4)
    config.sep_token_id = 8
    model = transformers.BertForSequenceClassification(config).eval()
    keep_rows(model, KEPT)
    assert model.config.pad_token_id == model.get_input_embeddings().padding_idx == KEPT.tolist().index(47)
    assert (model.config.eos_token_id, model.config.sep_token_id, model.config.bos_token_id) == ([4, 5], 5, None)
    assert not model.get_input_embeddings().weight[model.config.pad_token_id].any()
    model.save_pretrained(tmp_path)
    assert transformers.AutoConfig.from_pretrained(tmp_path).pad_token_id == model.config.pad_token_id

"""Token ids at rest and in batches, against a slow reading of the same."""

import json
from pathlib import Path
from types import SimpleNamespace

import hypothesis.strategies as st
import numpy as np
import pyarrow as pa
import pytest
import torch
import xxhash
from hypothesis import given, settings
from tests.export.models import tokenizer as word_tokenizer
from tests.models.tiny_tokenizers import MADE, whole_tokenizer
from tokenizers import Tokenizer, processors
from transformers import (
    BertConfig,
    BertModel,
    DebertaV2Config,
    DebertaV2Model,
    ModernBertConfig,
    ModernBertModel,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaModel,
)

from hornbook.errors import HornbookError
from hornbook.models.encode import SCHEMA, encode, encode_batches, model_inputs, open_encoded
from hornbook.models.tokenizers import load_tokenizer, tokenizer_key, with_backend

PAD = 7


def write(path: Path, batches: list[list[tuple[list[int], int]]], schema: pa.Schema = SCHEMA, **options) -> Path:
    """Write record batches of (ids, where the second text begins)."""
    with (
        pa.OSFile(str(path), "wb") as sink,
        pa.ipc.new_file(sink, schema, options=pa.ipc.IpcWriteOptions(**options)) as writer,
    ):
        for rows in batches:
            table = {
                "ids": [ids for ids, _ in rows],
                "second": [second for _, second in rows],
                "cut": [False] * len(rows),
            }
            writer.write_batch(pa.record_batch({name: table[name] for name in schema.names}, schema))
    return path


def slow_batch(rows: list[tuple[list[int], int]], indices: list[int], pad: int) -> dict[str, torch.Tensor]:
    """Pad one sequence after the other."""
    drawn = [rows[i] for i in indices]
    longest = max(len(ids) for ids, _ in drawn)
    padded: dict[str, list[list[int]]] = {"input_ids": [], "attention_mask": [], "token_type_ids": []}
    for ids, second in drawn:
        more = longest - len(ids)
        padded["input_ids"].append(ids + [pad] * more)
        padded["attention_mask"].append([1] * len(ids) + [0] * more)
        padded["token_type_ids"].append([int(p >= second) for p in range(len(ids))] + [0] * more)
    return {name: torch.tensor(value, dtype=torch.int64) for name, value in padded.items()}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(a[n].dtype == b[n].dtype and torch.equal(a[n], b[n]) for n in a)


def with_second(ids: list[int]) -> st.SearchStrategy[tuple[list[int], int]]:
    return st.tuples(st.just(ids), st.integers(0, len(ids)))


IDS = st.lists(st.integers(0, 2**31 - 1), min_size=1, max_size=9)
BATCHES = st.lists(st.lists(IDS.flatmap(with_second), max_size=6), min_size=1, max_size=5).filter(any)


@settings(deadline=None)
@given(BATCHES, st.data())
def test_a_batch_of_a_mapped_file_is_what_a_slow_reader_pads(tmp_path_factory, batches, data):
    path = write(tmp_path_factory.mktemp("ids") / "tokens.arrow", batches)
    rows = [row for batch in batches for row in batch]
    encoded = open_encoded(path, PAD)
    assert len(encoded) == len(rows)
    assert encoded.lengths.dtype == encoded.starts.dtype == np.int64
    assert [list(encoded.ids(i)) for i in range(len(rows))] == [ids for ids, _ in rows]
    indices = data.draw(st.lists(st.integers(0, len(rows) - 1), min_size=1, max_size=12))
    assert same(encoded.batch(np.array(indices)), slow_batch(rows, indices, PAD))


def test_the_ids_of_a_file_are_mapped_not_copied(tmp_path):
    path = write(tmp_path / "tokens.arrow", [[([1, 2, 3], 3)], [], [([4], 1), ([5, 6], 2)]])
    encoded = open_encoded(path, PAD)
    assert encoded.values.size == path.stat().st_size // 4
    assert not encoded.values.flags.writeable
    assert not encoded.values.flags.owndata


def test_a_short_sequence_at_the_end_of_the_file_is_padded_too(tmp_path):
    encoded = open_encoded(write(tmp_path / "tokens.arrow", [[([9] * 5000, 5000)], [([4], 1)]]), PAD)
    batch = encoded.batch(np.array([1, 0]))
    assert batch["input_ids"][0].tolist() == [4] + [PAD] * 4999


@pytest.mark.parametrize("content", ["compressed", "other columns", "torn", "empty", "text"])
def test_a_file_that_hornbook_did_not_write_is_refused_in_one_line(tmp_path, content):
    path = tmp_path / "tokens.arrow"
    rows = [[(list(range(1000)), 0)]] * 3
    if content == "compressed":
        write(path, rows, compression="zstd")
    elif content == "other columns":
        write(path, rows, pa.schema([SCHEMA.field("ids"), SCHEMA.field("second")]))
    elif content == "torn":
        path.write_bytes(write(path, rows).read_bytes()[:-300])
    else:
        path.write_text("" if content == "empty" else "some text, and more of it\n" * 9)
    with pytest.raises(HornbookError, match="not token ids as hornbook writes them") as refused:
        open_encoded(path, PAD)
    assert "\n" not in str(refused.value)


@pytest.fixture(scope="module")
def tokenizer(tiny_teacher):
    return load_tokenizer(str(tiny_teacher))


TEXTS = st.lists(st.sampled_from(["the", "film", "bad", "strange"]), max_size=9).map(" ".join)


@settings(deadline=None)
@given(st.lists(st.tuples(TEXTS, st.none() | TEXTS), max_size=12), st.integers(5, 12), st.data())
def test_texts_and_pairs_are_what_the_tokenizer_makes_of_each_alone(tokenizer, rows, max_length, data):
    encoded = encode([text for text, _ in rows], [pair for _, pair in rows], tokenizer, max_length)
    assert len(encoded) == len(rows)
    alone = []
    for text, pair in rows:
        second = None if pair is None else [pair]
        (ids,) = tokenizer([text], second, truncation=True, max_length=max_length)["input_ids"]
        alone.append((ids, ids.index(3) + 1 if pair is not None else 99))
    assert [list(encoded.ids(i)) for i in range(len(rows))] == [ids for ids, _ in alone]
    if rows:
        indices = data.draw(st.lists(st.integers(0, len(rows) - 1), min_size=1))
        got, expected = encoded.batch(np.array(indices)), slow_batch(alone, indices, tokenizer.pad_token_id)
        assert same(got, expected)


TEMPLATES = {
    "bert": ("[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1"),
    "one type": ("[CLS] $A [SEP]", "[CLS] $A [SEP] [SEP] $B [SEP]"),
    "first end marked": ("[CLS] $A [SEP]:1", "[CLS]:1 $A [SEP]:1 $B:1 [SEP]"),
    "three types": ("$A:1 [SEP]:2 [CLS]:2", "$A [SEP]:1 $B:2 [SEP] [CLS]:1"),
    "no special tokens": ("$A:1", "$A:1 $B"),
    "nothing at the end": ("[CLS]:1 $A", "[CLS]:1 $A [CLS] $B:1"),
}
KINDS = {**dict.fromkeys(TEMPLATES), "none": None, **MADE}


def reader(name: str) -> PreTrainedTokenizerFast:
    """Return a tokenizer of a kind that can be trimmed, or one of words with a template."""
    if name in MADE:
        return whole_tokenizer(name)
    words = word_tokenizer()
    if name in TEMPLATES:
        special = [("[CLS]", 2), ("[SEP]", 3)]
        words.backend_tokenizer.post_processor = processors.TemplateProcessing(*TEMPLATES[name], special)
    else:
        state = json.loads(words.backend_tokenizer.to_str())
        words = with_backend(words, Tokenizer.from_str(json.dumps({**state, "post_processor": None})))
    return words


READERS = {name: reader(name) for name in KINDS}
SOME = st.lists(st.sampled_from(["w1", "w2", "bading", "é", "knolu", "☃"]), max_size=7).map(" ".join)


@settings(deadline=None, max_examples=20)
@pytest.mark.parametrize("name", KINDS)
@given(st.lists(st.tuples(SOME, st.none() | SOME), min_size=1, max_size=8), st.integers(6, 16))
def test_token_types_are_the_tokenizers_own(name, rows, max_length):
    tokenizer = READERS[name]
    encoded = encode([text for text, _ in rows], [pair for _, pair in rows], tokenizer, max_length)
    for i, (text, pair) in enumerate(rows):
        if not encoded.lengths[i]:
            continue
        how = {"truncation": True, "max_length": max_length, "return_token_type_ids": True}
        wanted = tokenizer([text], None if pair is None else [pair], **how)
        batch = encoded.batch(np.array([i]))
        assert batch["input_ids"].tolist() == wanted["input_ids"]
        assert batch["token_type_ids"].tolist() == wanted["token_type_ids"]


@pytest.mark.parametrize("pairs", [None, []])
def test_no_texts_give_no_sequences(tokenizer, pairs):
    encoded = encode([], pairs, tokenizer, 8)
    assert len(encoded) == len(encoded.starts) == len(encoded.second) == 0


def test_texts_of_several_batches_follow_each_other(tokenizer, monkeypatch):
    monkeypatch.setattr("hornbook.models.encode._BATCH", 2)
    texts = ["the film", "a", "music and plot it is", "bad night", "day"]
    encoded = encode(texts, None, tokenizer, 6)
    assert [list(encoded.ids(i)) for i in range(5)] == [
        tokenizer(text, truncation=True, max_length=6)["input_ids"] for text in texts
    ]


def test_what_is_cut_is_marked(tiny_teacher):
    tokenizer = load_tokenizer(str(tiny_teacher))
    texts = (["the film is", "the film is bad", "a", "the film"], [None, None, "a b c d", "a"])
    (batch,) = encode_batches([texts], tokenizer, 5)
    assert batch["cut"].to_pylist() == [False, True, True, True]
    assert [len(ids) for ids in batch["ids"].to_pylist()] == [5, 5, 5, 5]
    tokenizer.model_max_length = 4
    (batch,) = encode_batches([(texts[0], None)], tokenizer, 5)
    assert batch["cut"].to_pylist() == [True, True, False, False]


SMALL = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
SMALL |= {"vocab_size": 50, "pad_token_id": PAD}
MODELS = {
    "bert": (BertModel, BertConfig(**SMALL), True),
    "roberta": (RobertaModel, RobertaConfig(**SMALL, type_vocab_size=1), False),
    "deberta-v2": (DebertaV2Model, DebertaV2Config(**SMALL), False),
    "deberta-v2 with segments": (DebertaV2Model, DebertaV2Config(**SMALL, type_vocab_size=2), True),
    "modernbert": (ModernBertModel, ModernBertConfig(**SMALL), False),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_model_gets_what_its_forward_pass_takes(name, tmp_path):
    kind, config, segments = MODELS[name]
    rows = [([1, 2, 3, 4], 2), ([5, 6], 2)]
    batch = open_encoded(write(tmp_path / "tokens.arrow", [rows]), PAD).batch(np.array([0, 1]))
    model = kind(config).eval()
    inputs = model_inputs(model, {**batch, "labels": torch.zeros(2)})
    assert set(inputs) == {"input_ids", "attention_mask"} | ({"token_type_ids"} if segments else set())
    with torch.no_grad():
        whole = model(**inputs).last_hidden_state[1, :2]
        alone = model(**{name: t[1:, :2] for name, t in inputs.items()}).last_hidden_state[0]
    torch.testing.assert_close(whole, alone)


def test_a_model_that_says_nothing_of_segments_gets_none():
    batch = {name: torch.zeros(1, 1) for name in ("input_ids", "attention_mask", "token_type_ids")}
    for config in (SimpleNamespace(), SimpleNamespace(type_vocab_size=None)):
        assert "token_type_ids" not in model_inputs(SimpleNamespace(config=config), batch)


@pytest.mark.parametrize("name", ["bert", "one type", "three types"])
def test_other_token_types_give_a_model_that_takes_them_another_key(tmp_path, name):
    keys = {}
    for types in (1, 2, 3):
        folder = tmp_path / str(types)
        BertModel(BertConfig(**SMALL | {"pad_token_id": 0}, type_vocab_size=types)).save_pretrained(folder)
        READERS[name].save_pretrained(folder)
        if name == "three types" and types == 2:
            with pytest.raises(HornbookError, match=r"gives token type id 2, the model has 2 of them"):
                load_tokenizer(str(folder))
        else:
            keys[types] = tokenizer_key(str(folder))
    read = load_tokenizer(str(tmp_path / "1")).backend_tokenizer
    plain = xxhash.xxh3_128_hexdigest(read.to_str().encode())
    assert keys[1] == plain
    assert (keys[3] == plain) == (name == "bert")

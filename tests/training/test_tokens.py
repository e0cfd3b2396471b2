"""A textbook as token ids: packing, counts, keys, and files that are gone."""

from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from hornbook.errors import HornbookError
from hornbook.models.tokenizers import load_tokenizer, tokenizer_key
from hornbook.store import Artifact, StageContext, Store, make
from hornbook.textbook import store
from hornbook.training.tokens import ENCODED, encode_textbook, open_tokens, packed

UNITS = [
    "the film is good",
    "a story",
    "and the music was not very bad but it was slow and cold in the night",
    "plot",
    "the actor",
    "she and he",
    "day",
]


def make_book(folder: Path, texts: list[str], pairs: list[str | None] | None = None, shard: int = 3) -> Artifact:
    """Make a textbook of these units as they are, some to a shard."""
    import pyarrow as pa

    def build(context: StageContext) -> None:
        units = pa.table({"text": texts, "unit": range(len(texts))})
        second = {"text_pair": pa.array(pairs, pa.string())} if pairs else {}
        store.write(context.path, [store.table_of(units, **second)], shard)
        context.counts = {"units": len(texts)}
        context.info = {"kind": "general"}

    return make(folder, stage=store.STAGE, version=1, config={}, inputs={"t": repr((texts, pairs))}, build=build)


@pytest.fixture
def tokenizer(tiny_teacher):
    return load_tokenizer(str(tiny_teacher))


@pytest.fixture(scope="module")
def same_tokenizer(tiny_teacher):
    return load_tokenizer(str(tiny_teacher))


def slow_length(units: list[str], tokenizer, max_length: int) -> list[str]:
    """Join as long as the tokenizer finds the joined text short enough (this one counts a word as a token)."""
    joined: list[str] = []
    for unit in units:
        if joined and len(tokenizer(f"{joined[-1]} {unit}")["input_ids"]) <= max_length:
            joined[-1] += f" {unit}"
        else:
            joined.append(unit)
    return joined


def in_batches(units: list[str], sizes: list[int]) -> list[tuple[list[str], None]]:
    batches = []
    for size in sizes:
        batches.append((units[:size], None))
        units = units[size:]
    return [batch for batch in [*batches, (units, None)] if batch[0]]


WORDS = st.lists(st.sampled_from(["the", "film", "bad", "and"]), min_size=1, max_size=14).map(" ".join)
BOOKS = st.lists(WORDS, min_size=1, max_size=30)
SIZES = st.lists(st.integers(1, 5), max_size=10)


@settings(deadline=None)
@given(BOOKS, SIZES, st.integers(4, 20))
def test_units_are_joined_up_to_the_length_however_they_come(same_tokenizer, units, sizes, max_length):
    batches = list(packed(in_batches(units, sizes), same_tokenizer, max_length, "length"))
    assert all(texts and pairs is None for texts, pairs in batches)
    assert [text for texts, _ in batches for text in texts] == slow_length(units, same_tokenizer, max_length)


@settings(deadline=None)
@given(BOOKS, SIZES)
def test_two_neighbours_make_a_pair_however_they_come(units, sizes):
    batches = list(packed(in_batches(units, sizes), None, 8, "pairs"))
    got = [
        (text, pairs[i] if pairs is not None else None) for texts, pairs in batches for i, text in enumerate(texts)
    ]
    expected = [(units[i], units[i + 1] if i + 1 < len(units) else None) for i in range(0, len(units), 2)]
    assert got == expected


def test_joined_units_keep_to_what_the_model_takes(tokenizer):
    tokenizer.model_max_length = 8
    ((texts, _),) = list(packed([(UNITS[:2], None)], tokenizer, 128, "length"))[-1:]
    assert texts == ["the film is good a story"]
    tokenizer.model_max_length = 7
    batches = list(packed([(UNITS[:2], None)], tokenizer, 128, "length"))
    assert [text for texts, _ in batches for text in texts] == UNITS[:2]


def test_words_that_are_more_tokens_after_a_space_are_counted_so():
    bytewise = Tokenizer(models.BPE())
    bytewise.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(special_tokens=["<pad>"], initial_alphabet=alphabet, show_progress=False)
    bytewise.train_from_iterator(["day", "night"], trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bytewise, pad_token="<pad>")
    assert len(tokenizer("day night day")["input_ids"]) == 5
    batches = list(packed([(["day", "night"] * 6, None)], tokenizer, 6, "length"))
    assert [text for texts, _ in batches for text in texts] == ["day night day", "night day night"] * 2


@pytest.mark.parametrize("last_call_cut", [True, False])
def test_counts_do_not_depend_on_how_the_tokenizer_was_used_before(tokenizer, last_call_cut):
    if last_call_cut:
        tokenizer("the film is bad", truncation=True, max_length=3)
    batches = list(packed([(UNITS, None)], tokenizer, 10, "length"))
    assert [text for texts, _ in batches for text in texts] == slow_length(UNITS, tokenizer, 10)


def expected_ids(pack: str, tokenizer, max_length: int) -> list[list[int]]:
    cut = {"truncation": True, "max_length": max_length}
    if pack == "pairs":
        pairs = [tokenizer(UNITS[i], UNITS[i + 1], **cut)["input_ids"] for i in (0, 2, 4)]
        return [*pairs, tokenizer(UNITS[6], **cut)["input_ids"]]
    texts = slow_length(UNITS, tokenizer, max_length) if pack == "length" else UNITS
    return [tokenizer(text, **cut)["input_ids"] for text in texts]


@pytest.mark.parametrize(("pack", "sequences", "cut"), [("none", 7, 1), ("length", 3, 1), ("pairs", 4, 1)])
def test_a_textbook_becomes_token_ids(tmp_path, tiny_teacher, tokenizer, pack, sequences, cut):
    tokens = encode_textbook(make_book(tmp_path / "book", UNITS), str(tiny_teacher), tmp_path / "t", 12, pack)
    encoded = open_tokens(tokens, tokenizer)
    expected = expected_ids(pack, tokenizer, 12)
    assert [list(encoded.ids(i)) for i in range(len(encoded))] == expected
    assert tokens.counts == {"units": 7, "sequences": sequences, "tokens": sum(map(len, expected)), "cut": cut}
    seconds = (encoded.second < encoded.lengths).tolist()
    assert seconds == ([True, True, True, False] if pack == "pairs" else [False] * sequences)


@pytest.mark.parametrize("pack", ["none", "length", "pairs"])
def test_shards_and_batches_leave_no_trace(tmp_path, tiny_teacher, tokenizer, monkeypatch, pack):
    found = []
    for shard, batch in ((100, 4096), (2, 1), (3, 2)):
        monkeypatch.setattr("hornbook.training.tokens._BATCH_UNITS", batch)
        book = make_book(tmp_path / f"book-{shard}", UNITS, shard=shard)
        tokens = encode_textbook(book, str(tiny_teacher), tmp_path / f"tokens-{shard}", 16, pack)
        encoded = open_tokens(tokens, tokenizer)
        ids = [encoded.ids(i).tolist() for i in range(len(encoded))]
        found.append((ids, encoded.second.tolist(), tokens.counts))
    assert found[0] == found[1] == found[2]


def test_a_textbook_of_pairs_keeps_them_and_is_not_packed(tmp_path, tiny_teacher, tokenizer):
    pairs = [None, None, None, None, "it was", "day", None]
    book = make_book(tmp_path / "book", UNITS, pairs)
    tokens = encode_textbook(book, str(tiny_teacher), tmp_path / "tokens")
    encoded = open_tokens(tokens, tokenizer)
    assert list(encoded.ids(3)) == tokenizer(UNITS[3])["input_ids"]
    assert list(encoded.ids(4)) == tokenizer(UNITS[4], pairs[4])["input_ids"]
    for pack in ("length", "pairs"):
        with pytest.raises(HornbookError, match=rf"holds pairs of texts, which cannot be packed by {pack}"):
            encode_textbook(book, str(tiny_teacher), tmp_path / pack, 128, pack)
        assert not (tmp_path / pack).exists()


@pytest.fixture
def shorter(tmp_path, tiny_teacher, tokenizer) -> Path:
    """A model with the same tokenizer and positions for 16 tokens only."""
    folder = tmp_path / "shorter"
    config = BertConfig.from_pretrained(tiny_teacher, max_position_embeddings=16)
    BertModel(config).save_pretrained(folder)
    for path in tiny_teacher.glob("tokenizer*"):
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


def test_models_with_one_tokenizer_and_other_positions_share_ids_only_where_both_reach(
    tmp_path, tiny_teacher, tokenizer, shorter
):
    assert tokenizer_key(str(shorter)) == tokenizer_key(str(tiny_teacher))
    book, place = make_book(tmp_path / "book", UNITS), Store(tmp_path / "store")
    long, short = (encode_textbook(book, str(model), place, 64) for model in (tiny_teacher, shorter))
    assert long.key != short.key
    assert open_tokens(long, tokenizer).lengths.max() == 18
    assert open_tokens(short, tokenizer).lengths.max() == 16
    long, short = (encode_textbook(book, str(model), place, 8) for model in (tiny_teacher, shorter))
    assert long.key == short.key
    assert short.reused


def test_ways_of_packing_have_keys_of_their_own(tmp_path, tiny_teacher):
    book, place = make_book(tmp_path / "book", UNITS), Store(tmp_path / "store")
    made = [encode_textbook(book, str(tiny_teacher), place, 16, pack) for pack in ("none", "length", "pairs")]
    assert len({tokens.key for tokens in made}) == 3


def test_a_plan_needs_no_teacher_yet(tmp_path, tiny_teacher):
    inputs = {"tokenizer": tokenizer_key(str(tiny_teacher))}
    planned = Artifact(tmp_path / "none", {"stage": "model", "key": "0", "inputs": inputs})
    book = make_book(tmp_path / "book", UNITS)
    place = Store(tmp_path / "store", dry=True)
    asked = encode_textbook(book, planned, place, 64)
    assert asked.planned
    assert asked.key == encode_textbook(book, str(tiny_teacher), place, 64).key


def test_a_shard_that_is_missing_or_changed_stops_it(tmp_path, tiny_teacher):
    book = make_book(tmp_path / "book", UNITS)
    shard = book.path / "textbook-00001.parquet"
    content = shard.read_bytes()
    for change in (lambda: shard.write_bytes(content[:-1]), shard.unlink):
        change()
        with pytest.raises(HornbookError, match=r"textbook-00001.parquet: missing or changed since it was made"):
            encode_textbook(book, str(tiny_teacher), tmp_path / "tokens")
        assert not list(tmp_path.glob("*tokens*"))


def test_token_ids_that_are_missing_or_changed_stop_it(tmp_path, tiny_teacher, tokenizer):
    tokens = encode_textbook(make_book(tmp_path / "book", UNITS), str(tiny_teacher), tmp_path / "tokens")
    file = tokens.path / ENCODED
    content = file.read_bytes()
    for change in (lambda: file.write_bytes(content[:-8]), file.unlink):
        change()
        with pytest.raises(HornbookError, match=r"tokens.arrow: missing or changed since it was made"):
            open_tokens(tokens, tokenizer)

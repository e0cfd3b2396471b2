import importlib.util
import json
import random
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2_contingency, chisquare
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertForMaskedLM, PreTrainedTokenizerFast

from hornbook.errors import HornbookError
from hornbook.models.loading import load_masked_lm
from hornbook.models.masked import MaskedModel
from hornbook.models.tokenizers import load_tokenizer
from hornbook.recipe import AugmentedConfig, TaskConfig
from hornbook.store import StageContext
from hornbook.tasks import prepare
from hornbook.terms.stop_words import STOP_WORDS
from hornbook.textbook import build, open_textbook
from hornbook.textbook.augmentation import candidates
from hornbook.textbook.augmentation.candidates import open_candidates, predict_tokens
from hornbook.textbook.augmentation.tokenize import MaskedLMTokenizer
from hornbook.textbook.kinds import augmented
from hornbook.textbook.kinds.augmented import variants

WHOLE = [
    "film",
    "story",
    "actor",
    "music",
    "plot",
    "good",
    "dull",
    "warm",
    "the",
    "of",
    "is",
    "!",
    ",",
    "'",
    "s",
    "7",
]
PARTS = ["un", "##seen", "##heard", "##ly", "##s", "day", "##light"]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
TEXT_WORDS = [*WHOLE, "unseen", "unheard", "daylight", "Films", "GOOD", "xyz", "élan", "story,", "actor's"]
POSITIONS = 40


def save(folder, pieces=(*SPECIAL, *WHOLE, *PARTS), mask="[MASK]", architecture=BertForMaskedLM):
    """Save a random masked language model whose logits lie far apart, with a WordPiece tokenizer."""
    vocabulary = {piece: i for i, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    if mask:
        names["mask_token"] = mask
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=512, **names)
    fast.save_pretrained(folder)
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    config = BertConfig(vocab_size=len(vocabulary), max_position_embeddings=POSITIONS, initializer_range=1.0, **sizes)
    architecture(config).save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save(tmp_path_factory.mktemp("masked"))


@pytest.fixture(scope="module")
def vectors(tmp_path_factory):
    """Vectors of width 3 for all words but `unheard`."""
    draw = np.random.default_rng(0)
    words = [*WHOLE, "unseen", "daylight", "films", "elan"]
    path = tmp_path_factory.mktemp("vectors") / "vectors.txt"
    path.write_text("".join(f"{w} {' '.join(f'{x:.4f}' for x in draw.standard_normal(3))}\n" for w in words))
    return str(path)


@pytest.fixture(scope="module")
def obvious_module():
    path = Path(__file__).resolve().parents[2] / "benchmarks" / "obvious_augmented.py"
    spec = importlib.util.spec_from_file_location("obvious_augmented", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def obvious(obvious_module, model, vectors):
    """One word at a time, with the same model and vectors, three candidates and four variants."""
    lines = [line.split(" ") for line in Path(vectors).read_text().splitlines()]
    numbers = np.array([line[1:] for line in lines], float)
    words = [line[0] for line in lines]
    plain = BertForMaskedLM.from_pretrained(model).eval()
    return obvious_module.ObviousAugmenter(
        plain, load_tokenizer(model), words, numbers, STOP_WORDS, candidates=3, variants=4, positions=POSITIONS
    )


def task_of(folder, rows, pair=False):
    """Make a task of rows (text, label) or (text, text_pair, label)."""
    folder.mkdir()
    names = ["text", "second", "label"] if pair else ["text", "label"]
    for split, of_split in (
        ("train", rows),
        ("dev", [("so so", "well", "x")[-len(names) :], ("no", "yes", "y")[-len(names) :]]),
    ):
        columns = list(zip(*of_split, strict=True))
        pq.write_table(pa.table(dict(zip(names, map(list, columns), strict=True))), folder / f"{split}.parquet")
    source = {"source": str(folder / "train.parquet"), "dev": str(folder / "dev.parquet")}
    return prepare(TaskConfig(**source, text="text", text_pair="second" if pair else None), folder / "prepared")


def texts_of(count, seed=0, most=9):
    draw = random.Random(seed)
    return [" ".join(draw.choices(TEXT_WORDS, k=draw.randint(1, most))) for _ in range(count)]


def rows_of(artifact):
    return pa.Table.from_batches(open_textbook(artifact).batches(["text", "text_pair", "label"])).to_pylist()


def config_of(model, **settings):
    return AugmentedConfig(**{"model": model, "candidates": 3, "variants": 4, "contamination": "keep"} | settings)


def our_pieces(model_folder, texts, config):
    """Return each text as it is read, and the likeliest pieces for the words that are asked."""
    tokenizer = load_tokenizer(model_folder)
    reader = MaskedLMTokenizer(tokenizer, config.max_length, POSITIONS)
    readings = [reader.tokenize(text) for text in texts]
    masked = MaskedModel(load_masked_lm(model_folder), torch.device("cpu"))
    return readings, predict_tokens(masked, readings, tokenizer.mask_token_id, 0, config.candidates)


@settings(max_examples=25)
@given(st.lists(st.lists(st.sampled_from(TEXT_WORDS), max_size=30).map(" ".join), min_size=1, max_size=6))
def test_candidates_equal_asking_one_word_at_a_time(model, obvious, texts):
    readings, pieces = our_pieces(model, texts, config_of(model))
    reader = MaskedLMTokenizer(load_tokenizer(model), 512, POSITIONS)
    vocabulary = reader.vocabulary()
    for text, reading, best in zip(texts, readings, pieces, strict=True):
        assert reading.words == obvious.basic_words(text)
        replaceable = [i for i, word in enumerate(reading.words) if reader.is_replaceable(word)]
        theirs = {i: obvious.candidates_of(text, i, reading.words[i]) for i in replaceable}
        left = set(replaceable) - {*reading.masked, *reading.split}
        assert len(left) == reading.truncated
        assert all(theirs[index] == [reading.words[index]] for index in left)
        assert all(len(obvious.tokenizer.tokenize(reading.words[index])) > 1 for index in reading.split)
        for index, row in zip(reading.masked, best.tolist(), strict=True):
            assert ([vocabulary[i] for i in row if vocabulary[i] is not None] or [reading.words[index]]) == theirs[
                index
            ]


def test_what_is_written_equals_one_word_at_a_time(model, vectors, obvious, tmp_path):
    texts = texts_of(60, most=14)
    task = task_of(tmp_path / "task", [(text, "xy"[i % 2]) for i, text in enumerate(texts)])
    config = config_of(model, mode="reference", vectors=vectors, probability=1.0, variants=40)
    artifact = build(config, task=task, out=tmp_path / "books" / "one")
    proposed = candidates.propose(config, task, tmp_path / "books" / "one")
    assert proposed.reused
    found = open_candidates(proposed)
    near = augmented._neighbours(config, found, StageContext(tmp_path))
    proposals = augmented._Variator(config, found, near)
    asked = several = 0
    for text in texts:
        words, slots = proposals._slots(text)
        theirs = obvious.slots(text)
        # A word that only itself may stand for needs no place.
        mine = {index: slots.get(index, [words[index]]) for index in theirs}
        assert (mine, slots.keys() - theirs.keys()) == (theirs, set())
    for text in dict.fromkeys(texts):
        reading = MaskedLMTokenizer(load_tokenizer(model), 512, POSITIONS).tokenize(text)
        asked += len(reading.masked)
        several += sum(reading.words[i] in obvious.rows for i in reading.split)
    counts = artifact.counts
    assert (counts["cases"], counts["words_masked"], counts["words_by_vectors"]) == (60, asked, several)
    assert counts["variants"] == counts["units"] - 60
    assert artifact.info["kind"] == "augmented"
    rows = rows_of(artifact)
    assert {row["text_pair"] for row in rows} == {None}
    written = [(row["text"], row["label"]) for row in rows]
    assert {(text, "xy"[i % 2]) for i, text in enumerate(texts)} <= set(written)


def config_for_draws(**settings):
    return AugmentedConfig(**{"probability": 0.4, "variants": 1} | settings)


def test_a_variant_is_drawn_with_the_probabilities_of_the_settings():
    slots = {0: ["a", "b", "c"], 2: ["d"], 3: ["w3", "e"]}
    words = ["w0", "w1", "w2", "w3"]
    draws = 20_000
    found = Counter(
        tuple(variants("raw", words, slots, config_for_draws(mode="reference"), np.random.default_rng((0, i)))[1:])
        for i in range(draws)
    )
    expected = Counter()
    for first, p0 in [("w0", 0.6), *[(w, 0.4 / 3) for w in "abc"]]:
        for second, p2 in [("w2", 0.6), ("d", 0.4)]:
            for third, p3 in [("w3", 0.6 + 0.2), ("e", 0.2)]:
                expected[(f"{first} w1 {second} {third}",)] += p0 * p2 * p3 * draws
    assert found.keys() == expected.keys()
    assert chisquare([found[key] for key in expected], list(expected.values())).pvalue > 1e-4


def test_variants_are_distributed_as_one_word_at_a_time_draws_them(obvious_module, obvious, monkeypatch):
    text, slots = "Film, dull", {0: ["story", "film"], 2: ["good"]}
    monkeypatch.setattr(obvious, "slots", lambda _text: slots)
    monkeypatch.setattr(obvious, "variants", 3)
    draw = random.Random(0)
    theirs = Counter(tuple(obvious.augment(text, draw)) for _ in range(5_000))
    config = config_for_draws(mode="reference", variants=3)
    words = obvious.basic_words(text)
    ours = Counter(tuple(variants(text, words, slots, config, np.random.default_rng((1, i)))) for i in range(5_000))
    common = [key for key in theirs | ours if theirs[key] + ours[key] > 20]
    assert len(common) > 10
    assert chi2_contingency([[theirs[key] for key in common], [ours[key] for key in common]]).pvalue > 1e-4


def test_a_clean_variant_has_other_words_than_the_text_and_all_others():
    words, slots = ["film", ",", "dull"], {0: ["film", "story"], 2: ["good"]}
    for seed in range(30):
        draws = [
            variants(
                "Film, dull", words, slots, config_for_draws(mode=mode, variants=30), np.random.default_rng(seed)
            )
            for mode in ("clean", "reference")
        ]
        clean, reference = draws
        assert clean[0] == reference[0] == "Film, dull"
        assert len(set(clean)) == len(clean)
        assert "film , dull" not in clean
        assert "film , dull" in reference
        assert clean == [text for text in reference if text != "film , dull"]
    assert variants("dull", ["dull"], {}, config_for_draws(), np.random.default_rng(0)) == ["dull"]
    assert variants("Dull", ["dull"], {}, config_for_draws(), np.random.default_rng(0)) == ["Dull"]
    reference = config_for_draws(mode="reference", variants=3)
    assert variants("Dull", ["dull"], {}, reference, np.random.default_rng(0)) == ["Dull", "dull"]


@pytest.mark.parametrize("mode", ["clean", "reference"])
def test_pairs_are_varied_in_turn(model, tmp_path, obvious, monkeypatch, mode):
    pairs = {"x": ("good film", "dull story"), "y": ("the plot", "music !"), "z": ("of", "is")}
    task = task_of(tmp_path / "task", [(*pair, label) for label, pair in pairs.items()], pair=True)
    rows = rows_of(build(config_of(model, mode=mode, variants=9), task=task, out=tmp_path / "book"))
    single = task_of(tmp_path / "first", [(first, label) for label, (first, _) in pairs.items()])
    alone = rows_of(build(config_of(model, mode=mode, variants=9), task=single, out=tmp_path / "alone"))
    assert "".join(dict.fromkeys(row["label"] for row in rows)) == "xyz"
    for label, (first, second) in pairs.items():
        found = [(row["text"], row["text_pair"]) for row in rows if row["label"] == label]
        # The first text is varied as it would be without a second one.
        firsts = [row["text"] for row in alone if row["label"] == label]
        assert found[: len(firsts)] == [(text, second) for text in firsts]
        seconds = [second] * (mode == "clean") + [pair for _, pair in found[len(firsts) :]]
        assert seconds[0] == second
        assert len(set(seconds)) == len(seconds) > (label == "x")
        if mode == "clean":
            assert found[len(firsts) :] == [(first, pair) for pair in seconds[1:]]
        else:
            monkeypatch.setattr(obvious, "augment", lambda text, _, of={first: firsts, second: seconds}: of[text])
            assert found == obvious.augment_row((first, second), None)


def test_result_does_not_depend_on_pages_blocks_and_batches(model, vectors, tmp_path, monkeypatch):
    task = task_of(tmp_path / "task", [(text, "xy"[i % 2]) for i, text in enumerate(texts_of(40))])
    config = config_of(model, vectors=vectors, seed=3)
    whole = rows_of(build(config, task=task, out=tmp_path / "whole" / "book"))
    monkeypatch.setattr(augmented, "PAGE_ROWS", 7)
    monkeypatch.setattr(candidates, "BLOCK_TEXTS", 3)
    monkeypatch.setattr(candidates, "_BATCH_TOKENS", {"cpu": 30, "cuda": 30})
    assert rows_of(build(config, task=task, out=tmp_path / "cut" / "book")) == whole
    other = rows_of(build(config.model_copy(update={"seed": 4}), task=task, out=tmp_path / "cut" / "other"))
    assert other != whole
    assert {row["text"] for row in other} >= set(texts_of(40))


def test_each_word_is_asked_once_and_a_killed_run_goes_on(model, tmp_path, monkeypatch):
    texts = texts_of(30)
    task = task_of(tmp_path / "task", [(text, "xy"[i % 2]) for i, text in enumerate([*texts, *texts[:10]])])
    monkeypatch.setattr(candidates, "BLOCK_TEXTS", 4)
    asked, best = [], MaskedModel.best

    def counted(self, batch, masked, count):
        asked.extend(
            (tuple(row), position) for row, position in zip(batch["input_ids"].tolist(), masked.tolist(), strict=True)
        )
        if len(asked) > limit:
            raise KeyboardInterrupt
        return best(self, batch, masked, count)

    monkeypatch.setattr(MaskedModel, "best", counted)
    limit = 40
    with pytest.raises(KeyboardInterrupt):
        build(config_of(model), task=task, out=tmp_path / "book")
    before, limit = len(asked), 10_000
    made = build(config_of(model), task=task, out=tmp_path / "book")
    words = made.counts["words_masked"]
    assert before > 40
    assert len(asked) - before < words
    assert len(set(asked)) == words
    # What differs in seed, variants, probability, mode or vectors asks nothing more.
    limit = 0
    for number, changed in enumerate([{"seed": 1}, {"variants": 2}, {"probability": 1}, {"mode": "reference"}]):
        build(config_of(model, **changed), task=task, out=tmp_path / f"other-{number}")
    with pytest.raises(KeyboardInterrupt):
        build(config_of(model, candidates=2), task=task, out=tmp_path / "more")
    monkeypatch.undo()
    again = build(config_of(model), task=task, out=tmp_path / "whole" / "book")
    assert (again.counts, rows_of(again)) == (made.counts, rows_of(made))


@pytest.mark.parametrize("max_length", [512, 12])
def test_words_beyond_what_the_model_reads_stay(model, obvious, tmp_path, max_length):
    long, short = " ".join(["film", "of", "unseen"] * 20), "good film"
    task = task_of(tmp_path / "task", [(long, "x"), (short, "y")])
    config = config_of(model, mode="reference", max_length=max_length, probability=1.0, variants=30)
    made = build(config, task=task, out=tmp_path / "book")
    # A film every four pieces; one piece stands before the text.
    read = min(max_length, POSITIONS - 1)
    asked = len(range(0, read, 4))
    assert made.counts["cut"] == 1
    assert made.counts["words_masked"] == asked + 2
    assert made.counts["words_replaceable"] == 40 + 2
    rows = [row["text"].split(" ") for row in rows_of(made) if row["label"] == "x"]
    changed = {i for row in rows for i, word in enumerate(row) if word != long.split(" ")[i]}
    assert changed <= set(range(0, 3 * asked, 3))
    assert max(changed) == 3 * (asked - 1)
    if max_length == 512:
        theirs = obvious.slots(long)
        assert {i for i in theirs if i % 3 == 0 and theirs[i] != ["film"]} == changed


def test_without_vectors_words_of_several_pieces_stay(model, vectors, tmp_path):
    task = task_of(tmp_path / "task", [("unseen , unheard !", "x"), ("daylight of 7", "y")])
    without = build(config_of(model), task=task, out=tmp_path / "without")
    assert [row["text"] for row in rows_of(without)] == ["unseen , unheard !", "daylight of 7"]
    assert (without.counts["words_replaceable"], without.counts["words_by_vectors"]) == (3, 0)
    with_vectors = build(config_of(model, vectors=vectors), task=task, out=tmp_path / "with")
    assert with_vectors.counts["words_by_vectors"] == 2
    texts = [row["text"] for row in rows_of(with_vectors)]
    assert len(texts) > 3
    assert all(text.endswith((", unheard !", "of 7")) for text in texts)


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (
            {"pieces": [p for p in (*SPECIAL, *WHOLE) if p != "[MASK]"]},
            r"its tokenizer has \d+ ids, the model \d+ rows",
        ),
        ({"mask": None}, "its vocabulary has no mask token"),
        ({"architecture": "encoder"}, r"not a masked language model \(BertModel\)"),
    ],
)
def test_models_that_cannot_fill_a_mask_are_refused_first(tmp_path, monkeypatch, broken, message):
    from transformers import BertModel

    if "architecture" in broken:
        broken = {"architecture": BertModel}
    folder = save(tmp_path / "broken", **broken)
    monkeypatch.setattr(candidates, "predict_tokens", lambda *_: pytest.fail("the model was asked"))
    task = task_of(tmp_path / "task", [("good film", "x"), ("dull story", "y")])
    with pytest.raises(HornbookError, match=message) as raised:
        build(config_of(folder), task=task, out=tmp_path / "books" / "book")
    assert "\n" not in str(raised.value)
    assert not list((tmp_path / "books").rglob("*.arrow"))


def test_broken_vectors_are_found_before_the_model_is_asked(model, tmp_path, monkeypatch):
    path = tmp_path / "vectors.txt"
    path.write_text("a 1 2\nb 1\nc 1 x\n")
    monkeypatch.setattr(candidates, "predict_tokens", lambda *_: pytest.fail("the model was asked"))
    task = task_of(tmp_path / "task", [("good film", "x"), ("dull story", "y")])
    with pytest.raises(HornbookError, match="2 of the 3 lines read are broken; the first is line 2"):
        build(config_of(model, vectors=str(path)), task=task, out=tmp_path / "book")
    with pytest.raises(HornbookError, match="no-such"):
        build(config_of(model, vectors=str(tmp_path / "no-such.txt")), task=task, out=tmp_path / "book")


def test_special_tokens_are_no_words_of_a_clean_variant(model, tmp_path):
    task = task_of(tmp_path / "task", [(text, "xy"[i % 2]) for i, text in enumerate(texts_of(60))])
    found = {}
    for mode in ("clean", "reference"):
        config = config_of(model, mode=mode, candidates=12, variants=30, probability=1)
        found[mode] = {
            word for row in rows_of(build(config, task=task, out=tmp_path / mode)) for word in row["text"].split()
        }
    assert not found["clean"] & set(SPECIAL)
    assert found["reference"] & set(SPECIAL)
    assert not any(word.startswith("##") for words in found.values() for word in words)


def test_tokenizers_that_mark_beginnings(tmp_path):
    pieces = ["<pad>", "<unk>", "<mask>", "<s>", "</s>", *"abcdef\u0120", "\u0120a", "\u0120ab", "\u0120abc", "cd"]
    vocabulary = {piece: i for i, piece in enumerate(pieces)}
    merges = [("\u0120", "a"), ("\u0120a", "b"), ("\u0120ab", "c"), ("c", "d")]
    backend = Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 3), ("</s>", 4)]
    )
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, mask_token="<mask>", pad_token="<pad>")
    reader = MaskedLMTokenizer(tokenizer, 512, 30)
    words = reader.vocabulary()
    assert {piece: words[i] for piece, i in vocabulary.items() if words[i]} == {
        "\u0120a": "a",
        "\u0120ab": "ab",
        "\u0120abc": "abc",
    }
    reading = reader.tokenize("ab abcd,Abc")
    assert reading.words == ["ab", "abcd", ",", "Abc"]
    assert (reading.masked, reading.positions) == ([0], [1])
    assert reading.split == [1, 3]
    one = backend.encode(" ab abcd ,", add_special_tokens=False).ids
    assert reading.ids[: len(one) + 1].tolist() == [3, *one]
    assert np.count_nonzero(reading.ids == 4) == 3
    assert reading.ids[reading.second :].tolist() == [*reading.ids[1 : reading.second - 2], 4]


def test_settings_that_change_nothing_keep_the_key(model, vectors, tmp_path):
    task = task_of(tmp_path / "task", [("good film", "x"), ("unseen story", "y")])
    first = build(config_of(model, vectors=vectors), task=task, out=tmp_path / "books" / "first")
    moved = tmp_path / "moved.txt"
    moved.write_bytes(Path(vectors).read_bytes())
    second = build(config_of(model, vectors=str(moved)), task=task, out=tmp_path / "books" / "second")
    assert first.key == second.key
    assert json.loads((tmp_path / "books" / "first" / "manifest.json").read_text())["inputs"].keys() == {
        "candidates",
        "task",
        "vectors",
    }


def test_words_of_any_letters_are_replaced_in_other_languages(model):
    tokenizer = load_tokenizer(model)
    english, german = (MaskedLMTokenizer(tokenizer, 512, POSITIONS, language) for language in ("english", "german"))
    words = ["Häuser", "Haus", "für", "nicht", "der", "the", "3", "a-b", "книга"]
    assert [word for word in words if german.is_replaceable(word)] == ["Häuser", "Haus", "nicht", "the", "книга"]
    assert [word for word in words if english.is_replaceable(word)] == ["Haus", "nicht", "der"]
    # As this tokenizer's normalizer writes it.
    assert not german.is_replaceable(german.words("für")[0])

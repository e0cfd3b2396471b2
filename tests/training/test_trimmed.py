"""The vocabulary of a task and its textbooks, and a teacher that reads through it."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from test_tokens import make_book
from tiny_tokenizers import made_up_texts, whole_tokenizer
from transformers import AutoModel, AutoTokenizer, BertConfig, BertForMaskedLM, BertForSequenceClassification

from hornbook.errors import HornbookError
from hornbook.models.loading import load_as_saved
from hornbook.models.tokenizers import learned_length, load_tokenizer, save_tokenizer, tokenizer_key
from hornbook.models.vocabulary.trim import trim
from hornbook.models.vocabulary.usage import count_pieces, mixed_share, most_frequent
from hornbook.recipe import DistilConfig, StudentConfig, TaskConfig
from hornbook.store import Artifact, Store
from hornbook.tasks import open_task, prepare
from hornbook.training.distil import distil, undistilled_student
from hornbook.training.tokens import encode_textbook
from hornbook.training.vocabulary import kept_ids, task_vocabulary, trimmed_model

TEXTS = made_up_texts(120, seed=3)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory) -> Path:
    """A random classifier with a WordPiece tokenizer, saved to cut at 24 tokens although it takes 40."""
    folder = tmp_path_factory.mktemp("teacher")
    tokenizer = whole_tokenizer("wordpiece")
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    config = BertConfig(vocab_size=len(tokenizer), max_position_embeddings=40, **sizes)
    torch.manual_seed(0)
    BertForSequenceClassification(config).save_pretrained(folder)
    save_tokenizer(tokenizer, folder, 24)
    return folder


@pytest.fixture(scope="module")
def task(tmp_path_factory) -> Artifact:
    folder = tmp_path_factory.mktemp("task")
    rows = [f"{text}\t{'yes' if i % 2 else 'no'}" for i, text in enumerate(TEXTS)]
    (folder / "task.tsv").write_text("\n".join(["text\tlabel", *rows]) + "\n", "utf-8")
    return prepare(TaskConfig(source=str(folder / "task.tsv")), folder / "made")


@pytest.fixture
def books(tmp_path) -> list[Artifact]:
    second = [None, *made_up_texts(49, seed=8)]
    return [
        make_book(tmp_path / "a", made_up_texts(50, seed=5), shard=20),
        make_book(tmp_path / "b", made_up_texts(50, seed=6), second, shard=50),
    ]


def test_a_vocabulary_is_made_of_task_and_textbooks(tmp_path, teacher, task, books):
    made = task_vocabulary(str(teacher), task, books, tmp_path / "v")
    whole, small = load_tokenizer(str(teacher)), AutoTokenizer.from_pretrained(made.path)
    kept = kept_ids(made)
    assert kept.dtype == np.int64
    assert whole.convert_ids_to_tokens(kept.tolist()) == small.convert_ids_to_tokens(range(len(small)))
    assert made.counts["pieces"] == len(kept) < made.counts["pieces_before"] == len(whole)
    assert 1 < made.counts["tokens"] / made.counts["tokens_before"] < 1.07
    assert small.model_max_length == 24


def test_the_order_of_textbooks_and_the_length_of_batches_leave_no_trace(tmp_path, teacher, task, books, monkeypatch):
    place = Store(tmp_path / "store")
    first = task_vocabulary(str(teacher), task, books, place)
    assert task_vocabulary(str(teacher), task, books[::-1], place).reused
    monkeypatch.setattr("hornbook.training.vocabulary._BATCH", 7)
    again = task_vocabulary(str(teacher), task, books, tmp_path / "again")
    assert again.manifest["files"] == first.manifest["files"]
    others = [task_vocabulary(str(teacher), task, books[:1], place), task_vocabulary(str(teacher), task, [], place)]
    others.append(task_vocabulary(str(teacher), task, books, place, 200))
    assert len({first.key, *(other.key for other in others)}) == 4
    assert others[-1].counts["pieces"] == 200


def test_by_default_the_pieces_make_up_a_share_and_are_not_too_many(tmp_path, teacher, task, books, monkeypatch):
    place, whole = Store(tmp_path / "store"), load_tokenizer(str(teacher))
    share = task_vocabulary(str(teacher), task, books, place)
    needed = set(trim(whole, ()).kept.tolist())
    monkeypatch.setattr("hornbook.training.vocabulary.MOST", 60)
    few = task_vocabulary(str(teacher), task, books, place)
    assert few.key != share.key
    assert set(kept_ids(few)) < set(kept_ids(share))
    train = open_task(task).split("train")["text"].to_pylist()
    texts = [train, made_up_texts(50, seed=5), [*made_up_texts(50, seed=6), *made_up_texts(49, seed=8)]]
    read = [count_pieces([of_one], whole) for of_one in texts]
    wanted = most_frequent(mixed_share(read, [3, 1, 1]), 1.0).tolist()
    assert set(kept_ids(few).tolist()) == needed | set(wanted[:60])
    monkeypatch.setattr("hornbook.training.vocabulary.COVERAGE", 0.3)
    fewer = task_vocabulary(str(teacher), task, books, place)
    assert set(kept_ids(fewer)) < set(kept_ids(few))


def test_a_size_that_is_too_small_leaves_nothing(tmp_path, teacher, task, books):
    with pytest.raises(HornbookError, match=r"^student.vocabulary: 50 pieces are too few .* alone are \d+$"):
        task_vocabulary(str(teacher), task, books, tmp_path / "v", 50)
    assert not (tmp_path / "v").exists()


def aligned(model):
    """Copy the weights: in files they begin at other addresses modulo 64, which changes the rounding of products."""
    for parameter in model.parameters():
        parameter.data = parameter.data.clone()
    return model


def test_a_trimmed_teacher_says_the_same_where_its_pieces_are_kept(tmp_path, teacher, task, books):
    vocabulary = task_vocabulary(str(teacher), task, books, tmp_path / "v")
    small = trimmed_model(str(teacher), vocabulary, tmp_path / "small")
    before, after = (aligned(load_as_saved(str(folder)).eval()) for folder in (teacher, small.path))
    whole, read = load_tokenizer(str(teacher)), load_tokenizer(str(small.path))
    assert read.model_max_length == 40
    assert json.loads((small.path / "tokenizer_config.json").read_text("utf-8"))["model_max_length"] == 24
    kept, alike = set(kept_ids(vocabulary).tolist()), 0
    for text in TEXTS:
        if kept.issuperset(whole(text, truncation=True)["input_ids"]):
            with torch.no_grad():
                expected = before(**whole(text, truncation=True, return_tensors="pt")).logits
                assert torch.equal(after(**read(text, truncation=True, return_tensors="pt")).logits, expected)
            alike += 1
    assert alike > 20
    rows = len(whole) - len(kept)
    assert small.counts["parameters_before"] - small.counts["parameters"] == rows * 32
    assert tokenizer_key(small) == tokenizer_key(str(small.path)) == vocabulary.key
    assert learned_length(small) is None


@pytest.mark.parametrize("kind", [BertForMaskedLM, AutoModel])
def test_other_heads_are_kept(tmp_path, teacher, task, kind):
    shutil.copytree(teacher, tmp_path / "teacher")
    kind.from_pretrained(teacher).save_pretrained(tmp_path / "teacher")
    vocabulary = task_vocabulary(str(tmp_path / "teacher"), task, [], tmp_path / "v")
    small = trimmed_model(str(tmp_path / "teacher"), vocabulary, tmp_path / "small")
    names = [set(load_as_saved(str(folder)).state_dict()) for folder in (tmp_path / "teacher", small.path)]
    assert names[0] == names[1]


def test_a_vocabulary_of_another_tokenizer_is_refused(tmp_path, teacher, tiny_teacher, task):
    vocabulary = task_vocabulary(str(teacher), task, [], tmp_path / "v")
    with pytest.raises(HornbookError, match=r"was made from another tokenizer than that of"):
        trimmed_model(str(tiny_teacher), vocabulary, tmp_path / "small")


def test_a_student_of_a_trimmed_teacher_is_smaller(tmp_path, teacher, task, books):
    vocabulary = task_vocabulary(str(teacher), task, books, tmp_path / "v")
    small = trimmed_model(str(teacher), vocabulary, tmp_path / "small")
    tokens = encode_textbook(books[0], small, tmp_path / "tokens", 24)
    assert tokens.manifest["inputs"]["tokenizer"] == vocabulary.key
    size, config = StudentConfig(layers=1, hidden=16, heads=2), DistilConfig(tokens=None, steps=2, max_length=24)
    student = distil(small, tokens, tmp_path / "student", size, config)
    assert student.manifest["inputs"]["tokenizer"] == vocabulary.key
    assert load_as_saved(str(student.path)).config.vocab_size == vocabulary.counts["pieces"]
    with pytest.raises(HornbookError, match="made with another tokenizer than the teacher's"):
        distil(str(teacher), tokens, tmp_path / "other", size, config)


@pytest.mark.parametrize("labels", [1, 2])
def test_a_planned_teacher_of_a_regression_is_known_as_one(tmp_path, teacher, task, labels):
    saved = shutil.copytree(teacher, tmp_path / "teacher")
    sizes = BertConfig.from_pretrained(teacher, num_labels=labels)
    BertForSequenceClassification(sizes).save_pretrained(saved)
    vocabulary = task_vocabulary(str(saved), task, [], Store(tmp_path / "store"))
    config = DistilConfig(tokens=None, steps=1, objectives={"logits": 1.0})
    size = StudentConfig(layers=1, hidden=16, heads=2)
    book = make_book(tmp_path / "book", TEXTS[:9], shard=9)
    keys = []
    for place in (Store(tmp_path / "store", dry=True), Store(tmp_path / "store")):
        small = trimmed_model(str(saved), vocabulary, place)
        student = distil(small, book, Store(tmp_path / "store", dry=True), size, config)
        assert ("regression" in student.manifest["config"]) == (labels == 1)
        keys.append(student.key)
    assert keys[0] == keys[1]


def test_a_vocabulary_needs_a_recipe(tmp_path, teacher, task):
    book = make_book(tmp_path / "book", TEXTS[:9], shard=9)
    for init in ("random", "projected"):
        wrong = StudentConfig(layers=1, hidden=16, init=init, vocabulary="auto")
        with pytest.raises(
            HornbookError, match=r"^student\.vocabulary: auto, but only a recipe .* set it to all here"
        ):
            distil(str(teacher), book, tmp_path / "student", wrong)
    with pytest.raises(HornbookError, match=r"^student\.vocabulary: 300, but only a recipe"):
        undistilled_student(str(teacher), tmp_path / "student", wrong.model_copy(update={"vocabulary": 300}))
    assert not (tmp_path / "student").exists()


def test_all_of_it_can_be_planned(tmp_path, teacher, task, books):
    place = Store(tmp_path / "store", dry=True)
    vocabulary = task_vocabulary(str(teacher), task, books, place)
    small = trimmed_model(str(teacher), vocabulary, place)
    assert vocabulary.planned
    assert small.planned
    real = Store(tmp_path / "store")
    assert task_vocabulary(str(teacher), task, books, real).key == vocabulary.key
    assert trimmed_model(str(teacher), task_vocabulary(str(teacher), task, books, real), real).key == small.key

"""One bit is flipped in a finished artefact: whoever uses it next says so in one line, and makes nothing of it."""

import os
import shutil
from pathlib import Path

import pytest

from hornbook import corpus, tasks, textbook
from hornbook.corpus import open_corpus
from hornbook.errors import HornbookError
from hornbook.models.loading import load_encoder, load_ready_classifier
from hornbook.models.tokenizers import load_tokenizer
from hornbook.recipe import (
    CorpusConfig,
    DistilConfig,
    FinetuneConfig,
    GeneralConfig,
    StudentConfig,
    TaskConfig,
)
from hornbook.retrieval import retrieve
from hornbook.store import load
from hornbook.tasks import open_task
from hornbook.training.distil import distil, snapshot
from hornbook.training.finetune import adapt, finetune
from hornbook.training.tokens import encode_textbook


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    before = path.stat()
    path.write_bytes(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1_000_000))


@pytest.fixture(scope="module")
def sound(tmp_path_factory, tiny_teacher, reviews, general_text):
    folder = tmp_path_factory.mktemp("sound")
    task = tasks.prepare(TaskConfig(source=str(reviews)), folder / "task")
    units = corpus.build(CorpusConfig(sources=(str(general_text),)), folder / "corpus")
    book = textbook.build(GeneralConfig(units=100), corpus=units, out=folder / "book")
    encode_textbook(book, str(tiny_teacher), folder / "tokens", 128)
    finetune(str(tiny_teacher), task, folder / "teacher", FinetuneConfig(epochs=1, batch=8))
    config = DistilConfig(tokens=None, steps=12, snapshots=(4,))
    distil(str(tiny_teacher), book, folder / "student", StudentConfig(layers=1, hidden=16, heads=2), config)
    return folder


def use_shard(folder: Path, _: Path) -> None:
    retrieve(open_corpus(folder / "corpus"), [["good", "film"]], 2)


def use_texts(folder: Path, _: Path) -> None:
    list(open_corpus(folder / "corpus").batches())


def use_task(folder: Path, _: Path) -> None:
    open_task(load(folder / "task")).split("train")


def use_weights(folder: Path, _: Path) -> None:
    load_ready_classifier(str(folder / "teacher"))


def use_tokenizer(folder: Path, _: Path) -> None:
    load_tokenizer(str(folder / "teacher"))


def use_student(folder: Path, out: Path) -> None:
    adapt(load(folder / "student"), load(folder / "task"), out, None)


def use_encoder(folder: Path, _: Path) -> None:
    load_encoder(str(folder / "student"))


def use_snapshot(folder: Path, out: Path) -> None:
    snapshot(load(folder / "student"), 4, out)


def use_tokens(folder: Path, out: Path) -> None:
    teacher = str(folder / "teacher")
    config = DistilConfig(tokens=None, steps=2)
    distil(teacher, load(folder / "tokens"), out, StudentConfig(layers=1, hidden=16, heads=2), config)


def use_book(folder: Path, out: Path) -> None:
    encode_textbook(load(folder / "book"), str(folder / "teacher"), out, 128)


@pytest.mark.parametrize(
    ("name", "use"),
    [
        ("corpus/terms-00000.arrow", use_shard),
        ("corpus/blocks-00000.arrow", use_shard),
        ("corpus/units-00000.parquet", use_texts),
        ("task/train.parquet", use_task),
        ("teacher/model.safetensors", use_weights),
        ("teacher/config.json", use_weights),
        ("teacher/tokenizer.json", use_tokenizer),
        ("student/model.safetensors", use_student),
        ("student/model.safetensors", use_encoder),
        ("student/step-4/model.safetensors", use_snapshot),
        ("tokens/tokens.arrow", use_tokens),
        ("book/textbook-00000.parquet", use_book),
    ],
)
def test_a_flipped_bit_is_told_by_whoever_uses_the_file(sound, tmp_path, name, use):
    folder = tmp_path / "damaged"
    shutil.copytree(sound, folder)
    use(folder, tmp_path / "sound")
    flip(folder / name)
    with pytest.raises(HornbookError, match="remove") as caught:
        use(folder, tmp_path / "out")
    assert Path(name).name in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()

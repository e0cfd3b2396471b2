"""The teacher asked once: what is kept equals what it says, whoever asks, however often it was stopped."""

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from hornbook import corpus, tasks, textbook
from hornbook.errors import HornbookError
from hornbook.machine import disk
from hornbook.models.source import load_config
from hornbook.models.taps import LOGITS_TAP, OutputTap, Tap, hidden_state_tap
from hornbook.recipe import CorpusConfig, DistilConfig, FinetuneConfig, GeneralConfig, StudentConfig, TaskConfig
from hornbook.store import Store
from hornbook.training.activations import choice, record
from hornbook.training.activations.choice import Asked, Sharing
from hornbook.training.activations.layout import Layout, layout_of
from hornbook.training.activations.sampling import sample, sample_of
from hornbook.training.distil import distil
from hornbook.training.distillation import ask
from hornbook.training.finetune import finetune
from hornbook.training.tokens import encode_textbook

STUDENT = StudentConfig(layers=1, hidden=16, heads=2, dropout=0)
STEPS = DistilConfig(tokens=None, steps=6, batch=8)


@pytest.fixture(scope="module")
def task(tmp_path_factory, reviews):
    return tasks.prepare(TaskConfig(source=str(reviews)), tmp_path_factory.mktemp("t") / "task")


@pytest.fixture(scope="module")
def book(tmp_path_factory, general_text):
    folder = tmp_path_factory.mktemp("b")
    units = corpus.build(CorpusConfig(sources=(str(general_text),)), folder / "corpus")
    return textbook.build(GeneralConfig(units=300), corpus=units, out=folder / "book")


@pytest.fixture(scope="module")
def teacher(tmp_path_factory, tiny_teacher, task):
    config = FinetuneConfig(epochs=1, learning_rate=5e-3, batch=8)
    return finetune(str(tiny_teacher), task, tmp_path_factory.mktemp("m") / "teacher", config)


@pytest.fixture(scope="module")
def tokens(tmp_path_factory, book, teacher):
    return encode_textbook(book, teacher, tmp_path_factory.mktemp("k") / "tokens")


@pytest.fixture
def small_parts(monkeypatch):
    """Parts and batches so small that there are several."""
    monkeypatch.setattr(record, "_PART_TOKENS", 600)
    monkeypatch.setattr(record, "_BATCH_TOKENS", 100)


def changed(**settings):
    return STEPS.model_copy(update=settings)


def weights(artifact):
    return load_file(artifact.path / "model.safetensors")


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def stored(artifact):
    """The bytes of its files by name."""
    return {name: (artifact.path / name).read_bytes() for name in artifact.manifest["files"]}


def losses(student):
    return np.genfromtxt(student.path / "log.csv", delimiter=",", names=True)["loss"]


@pytest.mark.parametrize(("cache", "apart"), [("float16", 1e-3), ("int8", 0.02)])
def test_a_student_learns_from_the_disk_what_the_teacher_would_say(tmp_path, teacher, tokens, cache, apart):
    """With two passes both read all; every step's loss is that of the live teacher, but for the rounding."""
    objectives = {"relations": 1.0, "hidden_states": 0.1, "logits": 0.5, "attention": 0.5}
    given = {"objectives": objectives, "steps": None, "epochs": 2, "learning_rate": 1e-5}
    size = STUDENT.model_copy(update={"heads": 4})
    live = distil(teacher, tokens, tmp_path / "live", size, changed(**given))
    kept = distil(teacher, tokens, tmp_path / "kept", size, changed(**given, cache=cache))
    assert kept.key != live.key
    assert kept.counts == live.counts
    assert losses(kept) == pytest.approx(losses(live), rel=apart)
    assert not same(weights(kept), weights(live))

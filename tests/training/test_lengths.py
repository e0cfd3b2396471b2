"""One length everywhere: what a saved model is cut at, whoever loads it."""

import json
import shutil

import pyarrow.parquet as pq
import pytest
from tokenizers import Tokenizer
from transformers import AutoTokenizer, pipeline

from hornbook import corpus, tasks, textbook
from hornbook.evaluation.evaluate import evaluate
from hornbook.models.tokenizers import load_tokenizer, tokenizer_key
from hornbook.recipe import (
    AdaptConfig,
    CorpusConfig,
    DistilConfig,
    EvaluateConfig,
    FinetuneConfig,
    GeneralConfig,
    StudentConfig,
)
from hornbook.recipe import TaskConfig as Task
from hornbook.store import Store
from hornbook.training.distil import distil, snapshot, undistilled_student
from hornbook.training.finetune import adapt, finetune

LONG = "good film " * 1000
PAIR = "bad plot " * 50
SIZE = StudentConfig(layers=1, hidden=16, heads=2)
POSITIONS = 64


@pytest.fixture(scope="module")
def source(tmp_path_factory, tiny_teacher):
    """A model whose tokenizer.json pads and cuts, as some on the hub do."""
    folder = shutil.copytree(tiny_teacher, tmp_path_factory.mktemp("source") / "model")
    reader = Tokenizer.from_file(str(folder / "tokenizer.json"))
    reader.enable_truncation(12)
    reader.enable_padding(length=12)
    reader.save(str(folder / "tokenizer.json"))
    return str(folder)


@pytest.fixture(scope="module")
def task(tmp_path_factory, reviews):
    return tasks.prepare(Task(source=str(reviews)), tmp_path_factory.mktemp("t") / "task")


@pytest.fixture(scope="module")
def made(tmp_path_factory, source, task, general_text):
    """Every kind of model folder that is written, with the length that it should be cut at."""
    folder = tmp_path_factory.mktemp("made")
    units = corpus.build(CorpusConfig(sources=(str(general_text),)), folder / "corpus")
    book = textbook.build(GeneralConfig(units=40), corpus=units, out=folder / "book")
    teacher = finetune(source, task, folder / "teacher", FinetuneConfig(epochs=1, max_length=24))
    config = DistilConfig(tokens=None, steps=2, snapshots=(1,), max_length=32)
    student = distil(teacher, book, folder / "student", SIZE, config)
    return {
        "teacher": (teacher, 24),
        "beyond the positions": (
            finetune(source, task, folder / "beyond", FinetuneConfig(epochs=1, max_length=500)),
            POSITIONS,
        ),
        "student": (student, 32),
        "snapshot": (snapshot(student, 1, folder / "snapshot"), 32),
        "adapted": (adapt(student, task, folder / "adapted", AdaptConfig(epochs=1, max_length=16)), 16),
        "untaught": (undistilled_student(teacher, folder / "untaught", SIZE), POSITIONS),
    }


NAMES = ("teacher", "beyond the positions", "student", "snapshot", "adapted", "untaught")


@pytest.mark.parametrize("name", NAMES)
def test_a_saved_tokenizer_cuts_at_the_length_that_was_learned(name, made, source):
    model, length = made[name]
    settings = json.loads((model.path / "tokenizer_config.json").read_text("utf-8"))
    assert settings["model_max_length"] == length
    assert not settings.keys() & {"max_length", "stride", "truncation_strategy", "pad_to_multiple_of"}
    stored = json.loads((model.path / "tokenizer.json").read_text("utf-8"))
    assert (stored["truncation"], stored["padding"]) == (None, None)
    reader = AutoTokenizer.from_pretrained(model.path)
    assert len(reader(LONG, truncation=True)["input_ids"]) == length
    assert len(reader(LONG, PAIR, truncation=True)["input_ids"]) == length
    plain = Tokenizer.from_file(str(model.path / "tokenizer.json"))
    assert len(plain.encode("good film").ids) == 4
    assert len(plain.encode(LONG).ids) == 2002  # who uses tokenizers alone cuts by hand
    assert tokenizer_key(model.path) == tokenizer_key(source)


@pytest.mark.parametrize("name", ["teacher", "beyond the positions", "adapted"])
def test_the_pipeline_of_the_how_to_reads_any_text(name, made):
    model, length = made[name]
    classify = pipeline("text-classification", str(model.path), truncation=True)
    (long,) = classify(LONG)
    (cut,) = classify("good film " * (length // 2 - 1))
    assert long["score"] == pytest.approx(cut["score"], abs=1e-6)
    assert classify("")[0]["label"] in ("positive", "negative")
    assert classify({"text": LONG, "text_pair": PAIR})["label"] in ("positive", "negative")
    assert [one["label"] for one in classify([LONG, "good film"])]


def test_an_evaluation_reads_as_other_programs_do(tmp_path, made):
    rows = [{"text": "the film is " * 6 + f"{'good' if i % 2 else 'bad'} {i}", "label": i % 2} for i in range(40)]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n", "utf-8")
    names = ("negative", "positive")
    task = tasks.prepare(Task(source=str(tmp_path / "rows.jsonl"), label_names=names), tmp_path / "task")
    model, length = made["adapted"]  # shorter than these texts
    found = evaluate(model, task, tmp_path / "e", EvaluateConfig(speed_sentences=4))
    said = pq.read_table(found.file("predictions-dev.parquet")).to_pylist()
    classify = pipeline("text-classification", str(model.path), truncation=True)
    for row in said:
        assert max(row["probabilities"]) == pytest.approx(classify(row["text"])[0]["score"], abs=1e-4)
    assert found.info["share_cut"]["dev"] == 1.0
    assert found.manifest["config"]["cut"] == "as saved"
    same = EvaluateConfig(speed_sentences=4, max_length=length)
    assert "cut" not in evaluate(model, task, Store(tmp_path / "s", dry=True), same).manifest["config"]


def test_a_model_saved_for_short_texts_can_learn_longer_ones(tmp_path, made, task):
    adapted, length = made["adapted"]
    assert length == 16
    assert load_tokenizer(str(adapted.path)).model_max_length == POSITIONS
    longer = finetune(adapted, task, tmp_path / "longer", FinetuneConfig(epochs=1, max_length=40))
    assert AutoTokenizer.from_pretrained(longer.path).model_max_length == 40
    assert load_tokenizer(str(longer.path)).model_max_length == POSITIONS


def test_what_a_model_takes_stays_what_its_source_said(tmp_path, source, task):
    folder = shutil.copytree(source, tmp_path / "short")
    settings = json.loads((folder / "tokenizer_config.json").read_text("utf-8"))
    (folder / "tokenizer_config.json").write_text(json.dumps({**settings, "model_max_length": 20}), "utf-8")
    model = finetune(str(folder), task, tmp_path / "m", FinetuneConfig(epochs=1, max_length=40))
    assert AutoTokenizer.from_pretrained(model.path).model_max_length == 20
    assert load_tokenizer(str(model.path)).model_max_length == 20

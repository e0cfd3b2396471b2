"""Regression in any unit: learned at mean 0 and deviation 1, saved so that a model speaks in the task's own unit."""

import json
import logging

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline

from hornbook import corpus, tasks, textbook
from hornbook.evaluation.evaluate import evaluate
from hornbook.evaluation.tfidf_baseline import tfidf_baseline
from hornbook.recipe import (
    AdaptConfig,
    CorpusConfig,
    DistilConfig,
    EvaluateConfig,
    FinetuneConfig,
    GeneralConfig,
    StudentConfig,
    TaskConfig,
)
from hornbook.store import Artifact, Store
from hornbook.tasks import kind_version, open_task
from hornbook.training.distil import distil, snapshot
from hornbook.training.finetune import adapt, finetune
from hornbook.training.outputs import open_outputs, teacher_outputs

QUICK = FinetuneConfig(epochs=6, learning_rate=1e-2, dropout=0, batch=8)
SMALL = EvaluateConfig(speed_sentences=4)
WORTH = {"great": 1.5, "good": 0.5, "slow": -0.5, "dull": -1.5}
# What a score of the centred task is in each unit: factor and shift.
UNITS = {
    "stars": (1.0, 2.8),
    "essay marks": (100.0, 676.0),
    "prices": (50_000.0, 250_000.0),
    "negative and reversed": (-10.0, -300.0),
    "far away": (1.0, 1e6),
    "tiny": (1e-9, 2e-9),
}


def scored(folder, factor=1.0, shift=0.0, rows=120):
    """Prepare a task whose scores follow from one word of each text."""
    words = list(WORTH)
    draw = np.random.default_rng(0)
    texts = [f"the {words[i % 4]} film of {i}" for i in range(rows)]
    scores = [WORTH[words[i % 4]] + draw.normal(0, 0.05) for i in range(rows)]
    lines = [json.dumps({"text": t, "label": s * factor + shift}) for t, s in zip(texts, scores, strict=True)]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "rows.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    return tasks.prepare(TaskConfig(source=str(folder / "rows.jsonl"), kind="regression"), folder / "task")


def said_by(model, texts):
    """What a saved model says, as transformers loads it, one text at a time."""
    classifier = AutoModelForSequenceClassification.from_pretrained(model).eval()
    tokenizer = AutoTokenizer.from_pretrained(model)
    with torch.inference_mode():
        return np.array([classifier(**tokenizer(text, return_tensors="pt")).logits[0, 0].item() for text in texts])


@pytest.fixture(scope="module")
def centred(tmp_path_factory):
    return scored(tmp_path_factory.mktemp("c"))


@pytest.fixture(scope="module")
def dev(centred):
    return open_task(centred).split("dev")["text"].to_pylist()


@pytest.fixture(scope="module")
def teacher(tmp_path_factory, tiny_teacher, centred):
    return finetune(str(tiny_teacher), centred, tmp_path_factory.mktemp("m") / "teacher", QUICK)


@pytest.fixture(scope="module")
def marks(tmp_path_factory, tiny_teacher):
    """A task of essay marks, and a teacher that gives them."""
    folder = tmp_path_factory.mktemp("marks")
    task = scored(folder, *UNITS["essay marks"])
    return task, finetune(str(tiny_teacher), task, folder / "teacher", QUICK)


@pytest.mark.parametrize(
    "unit",
    [
        pytest.param(unit, marks=() if unit == "negative and reversed" else pytest.mark.slow)
        for unit in UNITS
        if unit != "essay marks"
    ],
)
def test_the_unit_changes_nothing(unit, tmp_path, tiny_teacher, teacher, dev):
    factor, shift = UNITS[unit]
    task = scored(tmp_path, factor, shift)
    model = finetune(str(tiny_teacher), task, tmp_path / "model", QUICK)
    assert teacher.info["best_dev"] > 0.85
    # all noise is that of scores and weights in 32-bit floats, of which 1e6 has few digits left
    assert model.info["best_dev"] == pytest.approx(teacher.info["best_dev"], abs=0.02)
    assert (said_by(model.path, dev) - shift) / factor == pytest.approx(said_by(teacher.path, dev), abs=0.15)
    found = evaluate(model, task, tmp_path / "e", SMALL).info
    assert found["scores"]["dev"]["mae"] < 0.5 * abs(factor)
    assert found["scores"]["dev"]["rmse"] >= found["scores"]["dev"]["mae"]
    assert "doubt" not in found


def test_essay_marks_are_predicted_as_such(marks, dev):
    task, model = marks
    gold, said = open_task(task).gold("dev"), said_by(model.path, dev)
    assert said.mean() == pytest.approx(gold.mean(), abs=0.2 * gold.std())
    assert said.std() == pytest.approx(gold.std(), rel=0.2)
    by_pipeline = pipeline("text-classification", str(model.path), truncation=True)(dev)
    assert [one["score"] for one in by_pipeline] == pytest.approx(said, rel=1e-4)


def test_weights_that_hardly_tell_texts_apart_still_predict_their_spread(tmp_path, tiny_teacher, marks, dev):
    task, _ = marks
    early = finetune(str(tiny_teacher), task, tmp_path / "early", FinetuneConfig(epochs=1, learning_rate=3e-3))
    said, gold = said_by(early.path, dev), open_task(task).gold("dev")
    assert early.info["best_dev"] > 0.7
    assert said.std() > 0.5 * gold.std()
    assert np.abs(said - gold).mean() < np.abs(gold - gold.mean()).mean()


def test_a_stopped_regression_goes_on_to_the_same_weights(tmp_path, monkeypatch, tiny_teacher, marks):
    from safetensors.torch import load_file
    from test_training import stopped_at

    config = QUICK.model_copy(update={"epochs": 2, "evaluate_steps": 5, "checkpoint_minutes": 1e-9})
    whole = finetune(str(tiny_teacher), marks[0], tmp_path / "whole", config)
    with stopped_at(13, monkeypatch):
        finetune(str(tiny_teacher), marks[0], tmp_path / "again", config)
    again = finetune(str(tiny_teacher), marks[0], tmp_path / "again", config)
    a, b = (load_file(made.path / "model.safetensors") for made in (whole, again))
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert whole.info == again.info


def test_a_head_that_has_learned_goes_on_where_it_was(tmp_path, marks, dev):
    task, model = marks
    still = finetune(model, task, tmp_path / "still", FinetuneConfig(epochs=1, learning_rate=1e-12))
    assert said_by(still.path, dev) == pytest.approx(said_by(model.path, dev), rel=1e-5)


def test_a_head_of_another_unit_is_brought_to_the_tasks(tmp_path, caplog, marks, centred, dev):
    _, model = marks
    moved = finetune(model, centred, tmp_path / "moved", FinetuneConfig(epochs=1, learning_rate=1e-12))
    assert "its scores lie around" in caplog.text
    before, after = said_by(model.path, dev), said_by(moved.path, dev)
    assert np.corrcoef(before, after)[0, 1] == pytest.approx(1.0, abs=1e-5)
    assert abs(after.mean()) < 0.3
    assert after.std() == pytest.approx(open_task(centred).gold("train").std(), rel=0.2)


@pytest.mark.parametrize("labels", ["teacher", "both"])
def test_a_student_of_a_teacher_speaks_in_the_tasks_unit(labels, tmp_path, tiny_teacher, marks, dev):
    task, teacher = marks
    outputs = teacher_outputs(teacher, task, tmp_path / "o")
    config = AdaptConfig(labels=labels, epochs=3, learning_rate=3e-3, batch=8)
    student = adapt(str(tiny_teacher), task, tmp_path / "s", config, outputs=outputs)
    assert said_by(student.path, dev) == pytest.approx(said_by(teacher.path, dev), abs=100)
    assert open_outputs(outputs).train.mean() == pytest.approx(676, abs=60)


def test_a_student_of_a_teacher_of_another_unit_speaks_in_the_teachers(
    tmp_path, caplog, tiny_teacher, marks, centred
):
    outputs = teacher_outputs(marks[1], centred, tmp_path / "o")
    (said,) = [message for message in caplog.messages if "the teacher predicts" in message]
    assert "another unit" in said
    assert "\n" not in said
    config = AdaptConfig(labels="teacher", epochs=1, learning_rate=3e-3, batch=8)
    student = adapt(str(tiny_teacher), centred, tmp_path / "s", config, outputs=outputs)
    texts = open_task(centred).split("train")["text"].to_pylist()[:20]
    assert said_by(student.path, texts).mean() == pytest.approx(open_outputs(outputs).train.mean(), abs=100)


def test_outputs_distilled_through_a_textbook_keep_the_teachers_unit(tmp_path, marks, general_text):
    units = corpus.build(CorpusConfig(sources=(str(general_text),)), tmp_path / "corpus")
    book = textbook.build(GeneralConfig(units=300), corpus=units, out=tmp_path / "book")
    teacher = marks[1]
    config = DistilConfig(objectives={"logits": 1.0}, tokens=None, steps=120, learning_rate=5e-3, snapshots=(120,))
    size = StudentConfig(layers=1, hidden=16, heads=2, dropout=0)
    student = distil(teacher, book, tmp_path / "s", size, config)
    texts = [t for b in textbook.open_textbook(book).batches(["text"]) for t in b["text"].to_pylist()][:60]
    expected, found = said_by(teacher.path, texts), said_by(student.path, texts)
    assert found.mean() == pytest.approx(expected.mean(), abs=0.5 * expected.std())
    assert np.corrcoef(expected, found)[0, 1] > 0.5
    early = snapshot(student, 120, tmp_path / "at-120")
    assert said_by(early.path, texts) == pytest.approx(found, rel=1e-6)
    assert student.manifest["config"]["regression"] == 2


def test_only_keys_of_regressions_have_changed(tmp_path, reviews, tiny_teacher, centred, teacher):
    classes = tasks.prepare(TaskConfig(source=str(reviews)), tmp_path / "task")
    assert (kind_version(classes), kind_version(centred)) == ({}, {"regression": 2})
    dry = Store(tmp_path / "store", dry=True)
    for task, has in ((classes, False), (centred, True)):
        made = [finetune(str(tiny_teacher), task, dry), evaluate(teacher, task, dry), tfidf_baseline(task, dry)]
        assert ["regression" in one.manifest["config"] for one in made] == [has] * 3


@pytest.mark.parametrize(
    ("config", "known"),
    [
        ({"kind": "auto", "name": "glue/stsb"}, True),
        ({"kind": "auto", "name": "glue/sst2"}, False),
        ({"kind": "regression", "name": "mine", "split": 2}, True),
        ({"kind": "auto", "name": "stsb", "split": 2}, False),
    ],
)
def test_the_kind_of_a_planned_task(tmp_path, config, known):
    assert bool(kind_version(Artifact(tmp_path, {"stage": "task", "key": "0", "config": config}))) == known


def test_a_constant_prediction_is_named(tmp_path, caplog, marks, dev):
    task, model = marks
    constant = AutoModelForSequenceClassification.from_pretrained(model.path)
    with torch.no_grad():
        constant.classifier.weight.mul_(1e-6)
        constant.classifier.bias.fill_(1.5)
    constant.save_pretrained(tmp_path / "m")
    AutoTokenizer.from_pretrained(model.path).save_pretrained(tmp_path / "m")
    with caplog.at_level(logging.WARNING):
        found = evaluate(str(tmp_path / "m"), task, tmp_path / "e", SMALL)
    assert "predicts nearly 1.5 for every text (the scores are" in found.info["doubt"]
    assert len([line for line in caplog.messages if "for every text" in line]) == 1

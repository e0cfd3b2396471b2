"""Three ways to adapt, grids, early stopping, on a model of 2 layers by 32."""

import json
import random

import numpy as np
import pyarrow.csv
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from hornbook import corpus, tasks, textbook
from hornbook.errors import HornbookError
from hornbook.models.loading import load_classifier
from hornbook.recipe import (
    AdaptConfig,
    CorpusConfig,
    FinetuneConfig,
    GeneralConfig,
    StudentConfig,
    TaskConfig,
    validate,
)
from hornbook.store import load
from hornbook.tasks import open_task
from hornbook.training import finetune as finetune_module
from hornbook.training import trainer as trainer_module
from hornbook.training.distil import undistilled_student
from hornbook.training.finetune import adapt, finetune, training_data
from hornbook.training.outputs import open_outputs, teacher_outputs

STUDENT = StudentConfig(layers=1, hidden=16, heads=2, dropout=0)
QUICK = {"epochs": 2, "learning_rate": 1e-2, "batch": 8}


@pytest.fixture(scope="module")
def task(tmp_path_factory, reviews):
    return tasks.prepare(TaskConfig(source=str(reviews)), tmp_path_factory.mktemp("t") / "task")


@pytest.fixture(scope="module")
def teacher(tmp_path_factory, tiny_teacher, task):
    config = FinetuneConfig(epochs=4, learning_rate=5e-3, batch=8)
    return finetune(str(tiny_teacher), task, tmp_path_factory.mktemp("m") / "teacher", config)


@pytest.fixture(scope="module")
def student(tmp_path_factory, teacher):
    return undistilled_student(teacher, tmp_path_factory.mktemp("s") / "student", STUDENT)


@pytest.fixture(scope="module")
def book(tmp_path_factory, general_text):
    folder = tmp_path_factory.mktemp("b")
    units = corpus.build(CorpusConfig(sources=(str(general_text),)), folder / "corpus")
    return textbook.build(GeneralConfig(units=60), corpus=units, out=folder / "book")


@pytest.fixture(scope="module")
def outputs(tmp_path_factory, teacher, task, book):
    folder = tmp_path_factory.mktemp("o")
    plain = teacher_outputs(teacher, task, folder / "plain")
    return {"plain": plain, "units": teacher_outputs(teacher, task, folder / "units", textbook=book, units=40)}


def one_by_one(teacher, texts):
    """What a teacher says, one text at a time."""
    model = AutoModelForSequenceClassification.from_pretrained(teacher.path).eval()
    tokenizer = AutoTokenizer.from_pretrained(teacher.path)
    with torch.inference_mode():
        return np.array([model(**tokenizer(text, return_tensors="pt")).logits[0].tolist() for text in texts])


def test_a_teacher_labels_train_and_units_of_a_textbook(teacher, task, book, outputs):
    found = open_outputs(outputs["units"])
    train = open_task(task).split("train")["text"].to_pylist()
    assert found.train == pytest.approx(one_by_one(teacher, train), abs=1e-4)
    assert found.units == pytest.approx(one_by_one(teacher, found.texts), abs=1e-4)
    units = [t for b in textbook.open_textbook(book).batches(["text"]) for t in b["text"].to_pylist()]
    assert len(set(found.texts)) == 40
    assert set(found.texts) <= set(units)
    assert found.pairs is None
    assert open_outputs(outputs["plain"]).texts == []


def test_labels_of_a_teacher_with_other_names_come_in_the_tasks_order(tmp_path, teacher, task, outputs):
    folder = tmp_path / "other"
    model = AutoModelForSequenceClassification.from_pretrained(teacher.path)
    model.config.id2label, model.config.label2id = {0: "yes", 1: "no"}, {"yes": 0, "no": 1}
    with torch.no_grad():
        for parameter in model.classifier.parameters():
            parameter.copy_(parameter.flip(0))
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(teacher.path).save_pretrained(folder)
    with pytest.raises(HornbookError, match=r"its labels .* are not the task's"):
        teacher_outputs(folder, task, tmp_path / "a")
    names = {"yes": "positive", "no": "negative"}
    found = open_outputs(teacher_outputs(folder, task, tmp_path / "b", label_names=names))
    assert found.train == pytest.approx(open_outputs(outputs["plain"]).train, abs=1e-4)


def test_what_is_learned_from(teacher, task, outputs):
    tokenizer = AutoTokenizer.from_pretrained(teacher.path)
    opened = open_task(task)
    rows = len(opened.split("train"))
    encoded, columns = training_data(opened, tokenizer, FinetuneConfig())
    assert len(encoded) == rows
    assert columns.keys() == {"gold", "gold_weight"}
    said = open_outputs(outputs["units"])
    encoded, columns = training_data(opened, tokenizer, AdaptConfig(labels="teacher", textbook_units=40), said)
    assert len(encoded) == rows + 40
    assert columns.keys() == {"teacher", "teacher_weight"}
    assert (columns["teacher_weight"] == 1).all()
    both = AdaptConfig(labels="both", gold_weight=0.25, textbook_units=40)
    encoded, columns = training_data(opened, tokenizer, both, said)
    assert {name: len(values) for name, values in columns.items()} == dict.fromkeys(columns, rows + 40)
    assert columns["gold_weight"].tolist() == [0.25] * rows + [0] * 40
    assert columns["teacher_weight"].tolist() == [0.75] * rows + [1] * 40


@pytest.mark.parametrize("labels", ["teacher", "both"])
def test_a_student_is_fitted_to_its_teachers_outputs(tmp_path, tiny_teacher, task, outputs, labels):
    config = AdaptConfig(labels=labels, epochs=4, learning_rate=5e-3, batch=8)
    adapted = adapt(str(tiny_teacher), task, tmp_path / "s", config, outputs=outputs["plain"])
    log = pyarrow.csv.read_csv(adapted.path / "log.csv")
    assert ("loss_gold" in log.column_names) == (labels == "both")
    losses = [loss for loss in log["loss"].to_pylist() if loss is not None]
    assert losses[-1] < losses[0] / 2
    assert adapted.info["best_dev"] > 0.9


def test_a_student_learns_from_a_teacher_alone_with_hardly_a_case(tmp_path, reviews, student, teacher, book):
    few = tasks.prepare(TaskConfig(source=str(reviews), train_rows=8), tmp_path / "few")
    said = teacher_outputs(teacher, few, tmp_path / "o", textbook=book, units=60)
    config = AdaptConfig(labels="teacher", textbook_units=60, **QUICK)
    adapted = adapt(student, few, tmp_path / "s", config, outputs=said)
    assert adapted.counts["steps"] == 2 * -(-68 // 8)


def test_a_task_of_pairs_is_given_pairs_of_units(tmp_path, teacher, tiny_teacher, book):
    rows = ["text\tother\tlabel", *(f"good film {i}\tbad plot {i}\t{'yn'[i % 2]}" for i in range(40))]
    (tmp_path / "pairs.tsv").write_text("\n".join(rows) + "\n", "utf-8")
    task = tasks.prepare(TaskConfig(source=str(tmp_path / "pairs.tsv"), text_pair="other"), tmp_path / "task")
    pairs = finetune(str(tiny_teacher), task, tmp_path / "teacher", FinetuneConfig(epochs=1))
    said = teacher_outputs(pairs, task, tmp_path / "o", textbook=book, units=10)
    found = open_outputs(said)
    assert len(found.texts) == len(found.pairs) == len(found.units) == 10
    assert not set(found.texts) & set(found.pairs)
    adapted = adapt(pairs, task, tmp_path / "s", AdaptConfig(labels="both", textbook_units=10, **QUICK), outputs=said)
    assert adapted.counts["steps"] == 2 * -(-42 // 8)


def test_outputs_are_needed_and_must_be_the_tasks(tmp_path, reviews, student, task, outputs):
    with pytest.raises(HornbookError, match=r"adapt\.labels: teacher needs a teacher"):
        adapt(student, task, tmp_path / "s", AdaptConfig(labels="teacher"))
    other = tasks.prepare(TaskConfig(source=str(reviews), split_seed=1), tmp_path / "other")
    with pytest.raises(HornbookError, match="does not hold a teacher's outputs for the task"):
        adapt(student, other, tmp_path / "s", AdaptConfig(labels="teacher"), outputs=outputs["plain"])


def test_settings_that_do_not_count_do_not_change_the_key(tmp_path, student, task):
    plain = AdaptConfig(epochs=1)
    a = adapt(student, task, tmp_path / "a", plain)
    b = adapt(student, task, tmp_path / "b", AdaptConfig(epochs=1, temperature=5.0, gold_weight=0.1))
    assert a.key == b.key
    c = adapt(student, task, tmp_path / "c", AdaptConfig(epochs=1, class_weights="balanced"))
    assert c.key != a.key


def test_a_grid_keeps_its_best_and_all_scores_and_goes_on(tmp_path, monkeypatch, tiny_teacher, task):
    config = FinetuneConfig(epochs=1, grid={"learning_rate": [1e-6, 1e-2], "batch": [8, 16]})
    trained = []

    def counted(*arguments, original=finetune_module._build):
        trained.append(arguments[3].learning_rate)
        if len(trained) == 3:
            raise KeyboardInterrupt
        original(*arguments)

    monkeypatch.setattr(finetune_module, "_build", counted)
    with pytest.raises(KeyboardInterrupt):
        finetune(str(tiny_teacher), task, tmp_path / "grid", config)
    model = finetune(str(tiny_teacher), task, tmp_path / "grid", config)
    assert trained == [1e-6, 1e-6, 1e-2, 1e-2, 1e-2]
    grid = model.info["grid"]
    assert [(row["learning_rate"], row["batch"]) for row in grid] == [(1e-6, 8), (1e-6, 16), (1e-2, 8), (1e-2, 16)]
    best = max(row["dev"] for row in grid)
    assert model.info["best_dev"] == best
    assert next(row for row in grid if row["dev"] == best).items() >= model.info["chosen"].items()
    chosen = FinetuneConfig(epochs=1, **model.info["chosen"])
    alone = finetune(str(tiny_teacher), task, tmp_path / "alone", chosen)
    expected, got = (load_file(a.path / "model.safetensors") for a in (alone, model))
    assert all(torch.equal(expected[name], got[name]) for name in expected)
    assert not list(tmp_path.glob(".*"))
    assert load(model.path).manifest["files"].keys() == alone.manifest["files"].keys()


def test_a_grid_stopped_in_its_first_cell_goes_on_from_its_checkpoint(tmp_path, monkeypatch, tiny_teacher, task):
    config = FinetuneConfig(
        epochs=2, batch=8, evaluate_steps=10, checkpoint_minutes=1e-9, grid={"learning_rate": [1e-3, 1e-2]}
    )
    step = trainer_module._StepTrainer.training_step
    steps = []

    def counted(self, *given, **more):
        steps.append(self.state.global_step)
        if len(steps) == 25:
            raise KeyboardInterrupt
        return step(self, *given, **more)

    monkeypatch.setattr(trainer_module._StepTrainer, "training_step", counted)
    with pytest.raises(KeyboardInterrupt):
        finetune(str(tiny_teacher), task, tmp_path / "grid", config)
    model = finetune(str(tiny_teacher), task, tmp_path / "grid", config)
    assert steps[25] == 20
    assert len(model.info["grid"]) == 2


def test_a_cell_that_diverges_is_noted_and_the_others_count(tmp_path, tiny_teacher, task):
    config = FinetuneConfig(epochs=1, batch=8, clip=1e30, grid={"learning_rate": [1e12, 5e-3]})
    model = finetune(str(tiny_teacher), task, tmp_path / "grid", config)
    failed, fine = model.info["grid"]
    assert failed["dev"] is None
    assert "the loss is" in failed["failed"]
    assert model.info["chosen"] == {"learning_rate": 5e-3}
    assert fine["dev"] == model.info["best_dev"]
    hopeless = FinetuneConfig(epochs=1, batch=8, clip=1e30, grid={"learning_rate": [1e12, 1e13]})
    with pytest.raises(HornbookError, match=r"every combination in the grid failed; the first: the loss is"):
        finetune(str(tiny_teacher), task, tmp_path / "hopeless", hopeless)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"grid": {"labels": ["gold", "teacher"]}}, "grid: no setting 'labels' that can vary"),
        (
            {"grid": {"learning_rte": [1e-3]}},
            "no setting 'learning_rte' that can vary; the nearest is 'learning_rate'",
        ),
        ({"grid": {"batch": [0]}}, "grid: batch: "),
        ({"grid": {"batch": []}}, "batch: give at least one value"),
        (
            {"labels": "teacher", "class_weights": "balanced"},
            "class_weights: weights gold labels, but labels is teacher",
        ),
        ({"textbook_units": 5}, "a textbook has no gold labels"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings, said):
    with pytest.raises(HornbookError, match=said) as caught:
        validate(AdaptConfig, settings, "adapt")
    assert "Value error" not in str(caught.value)


def test_a_head_for_other_labels_begins_anew(tmp_path, teacher, task):
    folder = tmp_path / "swapped"
    model = AutoModelForSequenceClassification.from_pretrained(teacher.path)
    model.config.id2label = {0: "positive", 1: "negative"}
    model.config.label2id = {"positive": 0, "negative": 1}
    model.save_pretrained(folder)
    own, labels = model.classifier.weight, open_task(task).labels
    torch.manual_seed(0)
    anew = load_classifier(str(folder), labels, "classification")
    assert not torch.equal(anew.classifier.weight, own)
    assert anew.config.id2label == dict(enumerate(labels))
    assert torch.equal(anew.bert.embeddings.word_embeddings.weight, model.bert.embeddings.word_embeddings.weight)
    kept = load_classifier(str(teacher.path), labels, "classification")
    assert torch.equal(kept.classifier.weight, own)


def test_training_stops_early_and_keeps_its_best(tmp_path, monkeypatch, student, task):
    scores = iter([0.5, 0.9, 0.8, 0.9, 0.95, 0.96])
    monkeypatch.setattr(finetune_module, "score_of", lambda *_: next(scores))
    config = AdaptConfig(epochs=6, batch=8, patience=2)
    adapted = adapt(student, task, tmp_path / "s", config)
    log = pyarrow.csv.read_csv(adapted.path / "log.csv")
    assert [score for score in log["score"].to_pylist() if score is not None] == [0.5, 0.9, 0.8, 0.9]
    assert adapted.info["best_dev"] == 0.9
    assert adapted.info["best_step"] == adapted.counts["steps"] // 2
    scores = iter([0.5, 0.9, 0, 0, 0, 0])
    whole = adapt(student, task, tmp_path / "w", AdaptConfig(epochs=6, batch=8))
    assert whole.counts["steps"] == adapted.counts["steps"] * 6 // 4
    expected, got = (load_file(a.path / "model.safetensors") for a in (whole, adapted))
    assert all(torch.equal(expected[name], got[name]) for name in expected)


def test_dev_is_looked_at_as_often_as_asked_and_at_the_end(tmp_path, student, task):
    adapted = adapt(student, task, tmp_path / "s", AdaptConfig(epochs=1, batch=8, evaluate_steps=7))
    log = pyarrow.csv.read_csv(adapted.path / "log.csv").to_pylist()
    assert [row["step"] for row in log if row["score"] is not None] == [7, 14, 20]


def test_several_labels_are_learned(tmp_path, tiny_teacher):
    words = {"good": "praise", "bad": "blame", "film": "film"}
    draw = random.Random(0)
    rows = []
    for i in range(300):
        chosen = [word for j, word in enumerate(words) if i >> j & 1]
        text = [*chosen, *draw.choices(["the", "story", "was", "music", "it"], k=4)]
        draw.shuffle(text)
        rows.append({"text": " ".join(text), "label": [words[word] for word in chosen]})
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n", "utf-8")
    task = tasks.prepare(TaskConfig(source=str(tmp_path / "rows.jsonl")), tmp_path / "task")
    config = FinetuneConfig(epochs=16, learning_rate=1e-3, batch=8, class_weights="balanced", precision="float32")
    model = finetune(str(tiny_teacher), task, tmp_path / "model", config)
    found = AutoModelForSequenceClassification.from_pretrained(model.path).config
    assert found.problem_type == "multi_label_classification"
    assert set(found.id2label.values()) == set(words.values())
    assert model.info["metric"] == "micro_f1"
    assert model.info["best_dev"] > 0.8
    said = teacher_outputs(model, task, tmp_path / "o")
    both = AdaptConfig(labels="both", epochs=16, learning_rate=1e-3, batch=8, precision="float32")
    assert adapt(str(tiny_teacher), task, tmp_path / "s", both, outputs=said).info["best_dev"] > 0.8


def test_the_share_of_inputs_that_are_cut_is_told(tmp_path, tiny_teacher, task):
    model = finetune(str(tiny_teacher), task, tmp_path / "m", FinetuneConfig(epochs=1, max_length=8))
    lengths = [len(text.split()) + 2 for text in open_task(task).split("train")["text"].to_pylist()]
    assert model.info["share_cut"] == pytest.approx(sum(n > 8 for n in lengths) / len(lengths))
    assert 0 < model.info["share_cut"] < 1

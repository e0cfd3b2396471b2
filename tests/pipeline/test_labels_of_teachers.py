"""Tasks without labels, and teachers that are files: whole runs of tiny models."""

import csv
import json
from contextlib import nullcontext

import numpy as np
import pyarrow.parquet as pq
import pytest
from scipy.special import softmax

from hornbook import pipeline, tasks
from hornbook.errors import HornbookError
from hornbook.models.encode import encode
from hornbook.models.loading import load_ready_classifier
from hornbook.models.predict import predict
from hornbook.models.tokenizers import load_tokenizer
from hornbook.pipeline.preconditions import refuse_unlabelled
from hornbook.pipeline.stages import run_stages
from hornbook.recipe import FinetuneConfig, Recipe, TaskConfig, validate
from hornbook.report import page
from hornbook.store import Store, load
from hornbook.tasks import open_task
from hornbook.textbook import open_textbook
from hornbook.training.finetune import finetune
from hornbook.training.outputs import file_outputs, open_outputs


@pytest.fixture(scope="module")
def teacher(tmp_path_factory, tiny_teacher, reviews):
    folder = tmp_path_factory.mktemp("ready")
    task = tasks.prepare(TaskConfig(source=str(reviews)), folder / "task")
    config = FinetuneConfig(epochs=4, learning_rate=5e-3, batch=8)
    return finetune(str(tiny_teacher), task, folder / "teacher", config)


@pytest.fixture(scope="module")
def texts(tmp_path_factory, reviews):
    """The texts of the reviews, without their labels."""
    file = tmp_path_factory.mktemp("texts") / "texts.csv"
    lines = [line.partition("\t")[0] for line in reviews.read_text("utf-8").splitlines()]
    file.write_text("\n".join(lines) + "\n", "utf-8")
    return file


@pytest.fixture(scope="module")
def values(small_recipe, texts, general_text, teacher):
    return small_recipe(texts, general_text, teacher.path) | {
        "name": "no-labels",
        "task": {"source": str(texts), "label": "none"},
        "textbooks": {"contextualized": {"kind": "contextualized", "share": 0.2, "min_units": 50}},
        "teacher": {"model": str(teacher.path), "kind": "ready"},
        "adapt": {"epochs": 1, "batch": 8, "textbook_units": 20},
        "seeds": [0],
    }


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def outcome(values, runs):
    return pipeline.run(validate(Recipe, values, "test"), runs)


def answers_of(teacher, texts):
    model, tokenizer = load_ready_classifier(str(teacher.path)), load_tokenizer(str(teacher.path))
    shares = softmax(predict(model, encode(texts, None, tokenizer, 128)).astype(np.float64), axis=1)
    names = [model.config.id2label[i] for i in range(shares.shape[1])]
    return [{"text": t, **dict(zip(names, row, strict=True))} for t, row in zip(texts, shares.tolist(), strict=True)]


def test_a_run_without_labels_reports_how_students_follow_their_teacher(outcome, runs):
    rows = {row.name: row for row in outcome.rows}
    assert list(rows) == ["teacher", "contextualized", "undistilled"]
    assert outcome.task.metric == "agreement"
    assert rows["teacher"].dev == 1
    student = rows["contextualized"]
    assert set(student.scores["dev"]) == {"agreement", "kl"}
    assert student.calibration_error is None
    task = open_task(runs / "no-labels" / "task")
    assert (task.by_teacher, task.kind, task.labels) == (True, "classification", ("negative", "positive"))
    found = pq.read_table(runs / "no-labels" / "evaluation-contextualized-seed0" / "predictions-dev.parquet")
    same = np.mean(
        [a == b for a, b in zip(found["teacher"].to_pylist(), found["predicted"].to_pylist(), strict=True)]
    )
    assert student.dev == pytest.approx(same)
    assert "gold" not in found.column_names
    assert set(student.by_class) == {"negative", "positive"}
    assert any("agreement with the teacher on dev, by the class" in line for line in outcome.remarks)


def test_nothing_is_called_accuracy(outcome, runs):
    _, twin = page.write_report(outcome.folder, runs / "page.html")
    for said in ((outcome.folder / "report.md").read_text("utf-8"), twin.read_text("utf-8")):
        assert "agreement" in said
        assert "accuracy" not in said.lower()
        assert "| gold" not in said


def test_textbooks_do_not_depend_on_the_teacher_that_labels(outcome, runs):
    made = load(runs / "no-labels" / "textbook-contextualized")
    assert made.manifest["inputs"]["task"] == load(runs / "no-labels" / "texts").key


def test_a_teacher_that_says_one_thing_stops_the_run(values, runs, tiny_teacher, tmp_path, monkeypatch):
    from hornbook.training import taught

    monkeypatch.setattr(
        taught, "predict", lambda model, encoded: np.tile([1.0, 0.0], (len(encoded), 1)).astype(np.float32)
    )
    with pytest.raises(HornbookError, match="the teacher says 'negative' of all 160 texts of train"):
        run_stages(validate(Recipe, values, "test"), Store(tmp_path / "artifacts"))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"teacher": {"model": "M", "kind": "task"}}, "set teacher.kind to ready"),
        ({"adapt": {"labels": "gold"}}, "set adapt.labels to teacher"),
        ({"teacher": {"model": "M", "kind": "file"}}, "teacher.file"),
        ({"task": {"source": "S", "label": "none", "metric": "accuracy"}}, "leave accuracy out"),
    ],
)
def test_settings_that_need_labels_are_refused(values, change, said):
    with pytest.raises(HornbookError, match=said):
        validate(Recipe, values | change, "test")


@pytest.mark.parametrize(
    ("adapt", "baselines", "said"),
    [
        ({"labels": "both"}, ["undistilled"], None),
        ({"labels": "both"}, ["logits"], "the baseline logits learns"),
        ({"labels": "teacher"}, [], "students learn"),
        ({"labels": "teacher", "textbook_units": 20}, [], None),
        ({"labels": "teacher", "textbook_units": 20}, ["undistilled"], "the baseline undistilled learns"),
    ],
)
def test_a_file_must_label_texts_that_nothing_else_labels(values, reviews, adapt, baselines, said):
    of_file = {"model": "M", "kind": "file", "file": "labels.jsonl"}
    changed = {"task": {"source": str(reviews)}, "teacher": of_file, "adapt": adapt, "baselines": baselines}
    recipe = validate(Recipe, values | changed, "test")
    refuse_unlabelled(recipe, "train", 1)
    refuse_unlabelled(recipe, "dev", 0)
    with nullcontext() if said is None else pytest.raises(HornbookError, match=f"no text of train, but {said}"):
        refuse_unlabelled(recipe, "train", 0)


@pytest.fixture(scope="module")
def asked(values, runs, outcome, reviews):
    """A run of logits alone whose teacher is asked directly; the task has its labels."""
    recipe = values | {
        "name": "asked",
        "task": {"source": str(reviews)},
        "distil": {**values["distil"], "tokens": 16_000, "objectives": {"logits": 1.0}},
        "adapt": {"epochs": 1, "batch": 8},
        "baselines": [],
    }
    return recipe, run_stages(validate(Recipe, recipe, "test"), Store(runs / "artifacts"))


def distilled(made):
    """Return the student of a run before it was adapted, and the losses of its distillation."""
    student = made.models[-1].distilled[-1]
    with student.file("log.csv").open(encoding="utf-8", newline="") as file:
        return student, [float(row["loss"]) for row in csv.DictReader(file) if row["loss"]]


def test_labels_of_a_file_teach_as_the_teacher_does(asked, teacher, tiny_teacher, tmp_path, runs):
    recipe, made = asked
    book = open_textbook(made.textbooks["contextualized"])
    units = [text for batch in book.batches(["text"]) for text in batch["text"].to_pylist()]
    file = tmp_path / "labels.jsonl"
    file.write_text("".join(f"{json.dumps(row)}\n" for row in answers_of(teacher, units)), "utf-8")
    # A random student has nothing of a general teacher but its family and tokenizer.
    of_file = recipe | {"teacher": {"model": str(tiny_teacher), "kind": "file", "file": str(file)}}
    again = run_stages(validate(Recipe, of_file, "test"), Store(runs / "artifacts"))
    (one, losses), (other, again_losses) = map(distilled, (made, again))
    assert one.manifest["inputs"]["textbook"] == other.manifest["inputs"]["textbook"]
    assert len(losses) > 3
    np.testing.assert_allclose(again_losses, losses, rtol=1e-3)
    assert again.teacher is None


def test_only_labelled_units_are_learned(asked, teacher, tiny_teacher, tmp_path, caplog):
    _, made = asked
    book = open_textbook(made.textbooks["contextualized"])
    units = [text for batch in book.batches(["text"]) for text in batch["text"].to_pylist()]
    train = open_task(made.task).split("train")["text"].to_pylist()
    rows = answers_of(teacher, [*units[::3], *train[:5], "a text that is nowhere"])
    file = tmp_path / "labels.jsonl"
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")
    answers = tasks.answers.answers(file, made.task, tmp_path / "answers")
    everything = open_outputs(
        labelled := file_outputs(
            answers, made.task, tmp_path / "outputs", textbook=made.textbooks["contextualized"], units=None
        )
    )
    assert everything.texts == units[::3]
    places = pq.read_table(labelled.file("units.parquet"))["place"].to_pylist()
    assert places == list(range(0, len(units), 3))
    assert np.isfinite(everything.train).all(axis=1).tolist() == [i < 5 for i in range(len(train))]
    assert "1 of the" in caplog.text
    assert "neither in the textbook nor in the task" in caplog.text

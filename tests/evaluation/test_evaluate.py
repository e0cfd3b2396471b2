"""What an evaluation leaves, beside what transformers itself says of each text."""

import csv
import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline

from hornbook import tasks
from hornbook.evaluation.evaluate import evaluate
from hornbook.evaluation.tfidf_baseline import tfidf_baseline
from hornbook.recipe import EvaluateConfig, FinetuneConfig, TaskConfig
from hornbook.tasks import open_task
from hornbook.training.finetune import finetune

SMALL = EvaluateConfig(speed_sentences=8)


@pytest.fixture(scope="module")
def task(tmp_path_factory, reviews):
    return tasks.prepare(TaskConfig(source=str(reviews)), tmp_path_factory.mktemp("t") / "task")


@pytest.fixture(scope="module")
def model(tmp_path_factory, tiny_teacher, task):
    config = FinetuneConfig(epochs=1, learning_rate=2e-3, batch=8)
    return finetune(str(tiny_teacher), task, tmp_path_factory.mktemp("m") / "model", config)


def rows_of(evaluation, split):
    return pq.read_table(evaluation.file(f"predictions-{split}.parquet")).to_pylist()


def slow_calibration_error(rows):
    bins = {}
    for row in rows:
        confidence = max(row["probabilities"])
        bins.setdefault(min(int(confidence * 15), 14), []).append((confidence, row["gold"] == row["predicted"]))
    distances = [abs(sum(right - confidence for confidence, right in inside)) for inside in bins.values()]
    return sum(distances) / len(rows)


def test_predictions_are_those_of_a_transformers_pipeline(tmp_path, model, task):
    evaluation = evaluate(model, task, tmp_path / "e", SMALL)
    classify = pipeline("text-classification", str(model.path), top_k=None)
    for split in ("dev", "test"):
        table = open_task(task).split(split)
        rows = rows_of(evaluation, split)
        assert [row["text"] for row in rows] == table["text"].to_pylist()
        assert [row["gold"] for row in rows] == [open_task(task).labels[i] for i in table["label"].to_pylist()]
        assert rows[0].keys() == {"text", "gold", "predicted", "probabilities"}
        for row in rows:
            said = {answer["label"]: answer["score"] for answer in classify([row["text"]])[0]}
            assert row["probabilities"] == pytest.approx([said["negative"], said["positive"]], abs=1e-4)
            assert row["predicted"] == max(said, key=said.get)
        right = np.mean([row["gold"] == row["predicted"] for row in rows])
        assert evaluation.info["scores"][split]["accuracy"] == pytest.approx(right)
    with evaluation.file("confusion-dev.csv").open() as file:
        table = {
            line["gold"]: {name: int(line[name]) for name in ("negative", "positive")}
            for line in csv.DictReader(file)
        }
    for row in (found := rows_of(evaluation, "dev")):
        table[row["gold"]][row["predicted"]] -= 1
    assert all(count == 0 for line in table.values() for count in line.values())
    assert len(found) == 20
    assert evaluation.info["calibration_error"] == pytest.approx(slow_calibration_error(found), abs=1e-4)
    assert evaluation.info["labels"] == ["negative", "positive"]
    assert evaluation.info["share_cut"] == {"dev": 0.0, "test": 0.0}


def test_inputs_that_are_cut_are_told(tmp_path, caplog, model, task):
    evaluation = evaluate(model, task, tmp_path / "e", EvaluateConfig(speed_sentences=8, max_length=8))
    texts = open_task(task).split("dev")["text"].to_pylist()
    longer = [len(text.split()) > 8 - 2 for text in texts]  # words are tokens here; two are special
    assert 0 < np.mean(longer) < 1
    assert evaluation.info["share_cut"]["dev"] == pytest.approx(np.mean(longer))
    assert any("of dev's inputs are truncated at max_length 8" in message for message in caplog.messages)


def test_the_message_names_the_limit_that_cut(tmp_path, caplog, model):
    rows = [{"text": "good film " * 40 + str(i), "label": i % 2} for i in range(40)]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n", "utf-8")
    names = ("negative", "positive")
    long = tasks.prepare(TaskConfig(source=str(tmp_path / "rows.jsonl"), label_names=names), tmp_path / "task")
    evaluation = evaluate(model, long, tmp_path / "e", EvaluateConfig(speed_sentences=8, max_length=512))
    assert evaluation.info["share_cut"]["dev"] == 1.0
    assert any("100.0% of dev's inputs are truncated at max_length 64" in message for message in caplog.messages)


def test_the_floor_leaves_what_a_model_does(tmp_path, model, task):
    ours, floors = evaluate(model, task, tmp_path / "e", SMALL), tfidf_baseline(task, tmp_path / "f", SMALL)
    assert floors.info.keys() - ours.info.keys() == {"strength"}
    assert ours.info.keys() <= floors.info.keys()
    assert ours.counts.keys() == floors.counts.keys()
    assert ours.measured.keys() == floors.measured.keys()
    assert ours.manifest["files"].keys() == floors.manifest["files"].keys()
    for split in ("dev", "test"):
        name = f"predictions-{split}.parquet"
        assert pq.read_schema(ours.file(name)) == pq.read_schema(floors.file(name))


def test_scores_and_sets_of_labels(tmp_path, tiny_teacher):
    rows = [
        {"text": f"good film {i}", "other": "bad plot", "score": i / 10, "label": ["a", "b"][: i % 3]}
        for i in range(40)
    ]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n", "utf-8")
    source = {"source": str(tmp_path / "rows.jsonl")}
    for name, settings in (("scores", {"label": "score", "text_pair": "other"}), ("sets", {})):
        task = tasks.prepare(TaskConfig(**source, **settings), tmp_path / f"task-{name}")
        model = finetune(str(tiny_teacher), task, tmp_path / f"model-{name}", FinetuneConfig(epochs=1))
        evaluation = evaluate(model, task, tmp_path / f"e-{name}", SMALL)
        found = rows_of(evaluation, "dev")
        gold = open_task(task).gold("dev")
        if name == "scores":
            assert [row["gold"] for row in found] == gold.tolist()
            assert found[0].keys() == {"text", "text_pair", "gold", "predicted"}
            assert evaluation.info["calibration_error"] is None
            assert "confusion-dev.csv" not in evaluation.manifest["files"]
            answer = pipeline("text-classification", str(model.path), function_to_apply="none")
            said = answer({"text": found[0]["text"], "text_pair": found[0]["text_pair"]})
            assert found[0]["predicted"] == pytest.approx(
                (said if isinstance(said, dict) else said[0])["score"], abs=1e-4
            )
        else:
            assert [row["gold"] for row in found] == [[n for n, g in zip("ab", r, strict=True) if g] for r in gold]
            assert all((row["probabilities"][0] > 0.5) == ("a" in row["predicted"]) for row in found)
            answer = pipeline("text-classification", str(model.path), top_k=None)([found[0]["text"]])[0]
            said = {label["label"]: label["score"] for label in answer}
            assert found[0]["probabilities"] == pytest.approx([said["a"], said["b"]], abs=1e-4)


def test_each_models_speed_is_measured_on_its_own_token_ids(tmp_path, tiny_teacher, model, task):
    # a teacher that knows fewer words: ids of the other's vocabulary would lie beyond its embeddings
    folder = tmp_path / "small"
    reader = AutoTokenizer.from_pretrained(tiny_teacher)
    words = json.loads(reader.backend_tokenizer.to_str())
    words["model"]["vocab"] = {word: i for word, i in words["model"]["vocab"].items() if i < 10}
    reader.backend_tokenizer.from_str(json.dumps(words)).save(str(tmp_path / "tokenizer.json"))
    small = AutoModelForSequenceClassification.from_pretrained(model.path)
    small.resize_token_embeddings(10)
    small.save_pretrained(folder)
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        if (tiny_teacher / name).is_file():
            (folder / name).write_bytes((tiny_teacher / name).read_bytes())
    (folder / "tokenizer.json").write_bytes((tmp_path / "tokenizer.json").read_bytes())
    evaluation = evaluate(model, task, tmp_path / "e", SMALL, teacher=folder)
    assert set(evaluation.measured["sentences_per_second"]) == {"model", "teacher"}

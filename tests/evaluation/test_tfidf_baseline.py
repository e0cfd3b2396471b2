"""The floor: logistic regression on word counts, beside scikit-learn used by hand."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from hornbook import tasks
from hornbook.errors import HornbookError
from hornbook.evaluation.tfidf_baseline import features, tfidf_baseline
from hornbook.recipe import TaskConfig
from hornbook.tasks import open_task


def prepared(tmp_path, rows, **settings):
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n", "utf-8")
    return tasks.prepare(TaskConfig(source=str(tmp_path / "rows.jsonl"), **settings), tmp_path / "task")


def probabilities(artifact, split="dev"):
    return np.array(pq.read_table(artifact.file(f"predictions-{split}.parquet"))["probabilities"].to_pylist())


@pytest.mark.parametrize("labels", [("no", "yes"), ("no", "perhaps", "yes")])
def test_it_is_scikit_learns(tmp_path, labels):
    rows = [
        {"text": f"this is {labels[i % len(labels)]} for {i % 7} all", "label": labels[i % len(labels)]}
        for i in range(90)
    ]
    artifact = tfidf_baseline(prepared(tmp_path, rows), tmp_path / "floor")
    assert artifact.info["scores"]["test"]["accuracy"] == 1.0
    task = open_task(tmp_path / "task")
    words = TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2), token_pattern=r"(?u)\b\w+\b")
    found = words.fit_transform(task.split("train")["text"].to_pylist())
    model = LogisticRegression(C=artifact.info["strength"], max_iter=1000).fit(found, task.gold("train"))
    expected = model.predict_proba(words.transform(task.split("dev")["text"].to_pylist()))
    assert probabilities(artifact) == pytest.approx(expected, abs=1e-5)
    assert artifact.counts["parameters"] == model.coef_.size + model.intercept_.size
    assert artifact.info["chance"]["metric"] == "accuracy"
    assert artifact.measured["sentences_per_second"]["model"] > 0


def test_how_words_are_written_makes_no_feature(tmp_path):
    written = {"one": "Café {} film", "two": "Cafe\u0301\u00a0{} fi\u00adlm"}
    found = []
    for name, text in written.items():
        (tmp_path / name).mkdir()
        rows = [{"text": text.format(i), "label": i % 2} for i in range(40)]
        found.append(features(open_task(prepared(tmp_path / name, rows)))("dev", None).toarray())
    assert np.array_equal(*found)


def test_the_strength_is_the_best_on_dev(tmp_path, monkeypatch):
    from hornbook.evaluation import tfidf_baseline as module

    rows = [{"text": f"{'good' if i % 2 else 'bad'} {i}", "label": i % 2} for i in range(60)]
    fitted = []
    monkeypatch.setattr(module, "score_of", lambda *_: {0: 0.5, 1: 0.7, 2: 0.7}[len(fitted) - 1])
    fit = module._fitted
    monkeypatch.setattr(module, "_fitted", lambda *given: fitted.append(given[-1]) or fit(*given))
    assert tfidf_baseline(prepared(tmp_path, rows), tmp_path / "floor").info["strength"] == 1.0
    assert fitted == [0.1, 1.0, 10.0]


def test_pairs_scores_and_sets_of_labels(tmp_path):
    words = ("red", "blue", "green")
    rows = [
        {
            "text": words[i % 3] + "!" * i,
            "other": words[i // 3 % 3],
            "label": "same" if i % 3 == i // 3 % 3 else "other",
        }
        for i in range(180)
    ]
    for row, i in zip(rows, range(180), strict=True):
        row |= {"score": i % 3 + i // 3 % 3 / 2, "sets": [words[i % 3]] if i % 2 else []}
    settings = {
        "pairs": {"text_pair": "other"},
        "scores": {"text_pair": "other", "label": "score"},
        "sets": {"label": "sets"},
    }
    found = {}
    for name, given in settings.items():
        (tmp_path / name).mkdir()
        found[name] = tfidf_baseline(prepared(tmp_path / name, rows, **given), tmp_path / name / "floor").info
    # equality of the sides is no sum of their words: it takes the products
    assert found["pairs"]["scores"]["dev"]["accuracy"] == 1.0
    assert found["scores"]["scores"]["dev"]["spearman"] > 0.95
    assert found["scores"]["calibration_error"] is None
    assert found["sets"]["metric"] == "micro_f1"
    assert found["sets"]["chance"]["score"] == pytest.approx(found["sets"]["scores"]["dev"]["micro_f1"], abs=1e-5)


def test_a_label_that_no_row_has_keeps_its_column(tmp_path):
    rows = [
        {"text": f"this is {'no' if i % 2 else 'yes'} for {i % 7} all" + "!" * i, "label": 2 if i % 2 else 0}
        for i in range(60)
    ]
    artifact = tfidf_baseline(prepared(tmp_path, rows, label_names=("yes", "perhaps", "no")), tmp_path / "floor")
    assert artifact.info["scores"]["test"]["accuracy"] == 1.0
    assert probabilities(artifact)[:, 1].tolist() == [0.0] * 6


@pytest.mark.filterwarnings("ignore:Label")
def test_labels_that_no_row_or_every_row_has_are_certain(tmp_path):
    rows = [{"text": f"{'good' if i % 2 else 'bad'} {i}", "label": ["all", *["good"] * (i % 2)]} for i in range(60)]
    artifact = tfidf_baseline(prepared(tmp_path, rows, label_names=("none", "good", "all")), tmp_path / "floor")
    found = probabilities(artifact)
    assert np.unique(found[:, [0, 2]], axis=0).tolist() == [[0.0, 1.0]]
    task = open_task(tmp_path / "task")
    words = TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2), token_pattern=r"(?u)\b\w+\b")
    taught = words.fit_transform(task.split("train")["text"].to_pylist())
    model = LogisticRegression(C=artifact.info["strength"], max_iter=1000).fit(taught, task.gold("train")[:, 1])
    expected = model.predict_proba(words.transform(task.split("dev")["text"].to_pylist()))[:, 1]
    assert found[:, 1] == pytest.approx(expected, abs=1e-5)


def test_a_single_label_has_one_column(tmp_path):
    rows = [{"text": f"{'good' if i % 2 else 'bad'} {i}", "label": ["good"] * (i % 2)} for i in range(60)]
    artifact = tfidf_baseline(prepared(tmp_path, rows), tmp_path / "floor")
    assert artifact.info["scores"]["dev"]["micro_f1"] == 1.0
    table = pq.read_table(artifact.file("predictions-dev.parquet")).to_pylist()
    assert all((row["probabilities"][0] > 0.5) == (row["gold"] == ["good"]) for row in table)


def test_texts_without_words_are_told(tmp_path):
    rows = [{"text": "!" * (1 + i), "label": i % 2} for i in range(60)]
    with pytest.raises(HornbookError, match="no words to count"):
        tfidf_baseline(prepared(tmp_path, rows), tmp_path / "floor")
    assert not (tmp_path / "floor").exists()


def test_many_texts_leave_out_words_of_one(tmp_path):
    for rows, widths in ((800, range(800, 9999)), (1400, range(2, 8))):
        (folder := tmp_path / str(rows)).mkdir()
        made = [{"text": f"{'good' if i % 2 else 'bad'} rare{i}", "label": i % 2} for i in range(rows)]
        assert features(open_task(prepared(folder, made)))("dev", None).shape[1] in widths

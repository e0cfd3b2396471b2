"""A loaded classifier: the same answers as each text alone, in every format; PyTorch only where it is needed."""

import json
import os
import shutil
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.export.models import LABELS, LENGTH, WORDS, save_classifier
from tests.inference.models import export
from transformers import AutoModelForSequenceClassification, AutoTokenizer

import hornbook
from hornbook.errors import HornbookError
from hornbook.inference import benchmark
from hornbook.inference import classifier as module
from hornbook.inference.runtimes import OnnxRuntime, similar
from hornbook.recipe import BenchmarkConfig

LONG = " ".join(WORDS[i % 45] for i in range(300))
TEXTS = ["", " \n", LONG, "w1", "w2 w3 naïve", "W5 " * 12, "w9 w8 w7 w6", *(f"w{i} w{i + 1}" for i in range(40))]


def slow_logits(folder, texts, pairs=None):
    """Return what transformers answers to each text alone."""
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    read = AutoTokenizer.from_pretrained(folder)
    answers = []
    for i, text in enumerate(texts):
        second = None if pairs is None else pairs[i]
        inputs = read(text, second, truncation=True, return_token_type_ids=True, return_tensors="pt")
        with torch.inference_mode():
            answers.append(model(**inputs).logits.double()[0].numpy())
    return np.array(answers)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    return export(tmp_path_factory.mktemp("export") / "out")


@pytest.mark.parametrize("format", ["onnx", "pytorch"])
def test_answers_are_those_of_each_text_alone(exported, format):
    classify = hornbook.load_classifier(exported, format=format, threads=2 if format == "onnx" else 1)
    assert (classify.labels, classify.kind, classify.format) == (list(LABELS), "classification", format)
    for pairs in (None, TEXTS[::-1]):
        # An empty second text of a single pair is dropped by transformers, and has no segment in PyTorch.
        given = None if pairs is None else [pair if pair.strip() else "w1" for pair in pairs]
        shares = torch.tensor(slow_logits(exported, TEXTS, given)).softmax(-1).numpy()
        found = classify(TEXTS, given)
        assert found.probabilities == pytest.approx(shares, abs=1e-5)
        assert found.labels == [LABELS[i] for i in shares.argmax(-1)]
        assert len(set(found.labels)) > 1
    nothing = classify([])
    assert (nothing.labels, nothing.probabilities.shape) == ([], (0, 3))
    with pytest.raises(HornbookError, match="takes a list of texts"):
        classify("w1")


def test_several_labels_and_scores(tmp_path):
    several = hornbook.load_classifier(save_classifier(tmp_path / "several", kind="multilabel"))
    shares = 1 / (1 + np.exp(-slow_logits(tmp_path / "several", TEXTS)))
    found = several(TEXTS)
    assert found.probabilities == pytest.approx(shares, abs=1e-5)
    assert found.labels == [[name for name, p in zip(LABELS, row, strict=True) if p > 0.5] for row in shares]
    scores = hornbook.load_classifier(save_classifier(tmp_path / "scores", kind="regression"))
    wanted = slow_logits(tmp_path / "scores", TEXTS)
    assert scores(TEXTS).labels == pytest.approx(wanted[:, 0], abs=1e-5)
    assert scores(TEXTS).probabilities == pytest.approx(wanted, abs=1e-5)


def test_long_inputs_are_classified_in_windows(exported, monkeypatch):
    classify = hornbook.load_classifier(exported)
    whole = classify(TEXTS, TEXTS[::-1])
    monkeypatch.setattr(module, "_WINDOW", 7)
    parts = classify(TEXTS, TEXTS[::-1])
    assert parts.labels == whole.labels
    assert parts.probabilities == pytest.approx(whole.probabilities, abs=1e-6)


def test_texts_that_are_cut_are_counted_in_both_formats(exported):
    exact = " ".join(WORDS[: LENGTH - 2])
    for format in ("onnx", "pytorch"):
        classify = hornbook.load_classifier(exported, format=format)
        texts = [LONG, "w1", exact, f"{exact} w1"]
        ((tag, answer),) = classify.answers([("tag", texts, None)])
        assert (tag, answer.cut) == ("tag", 2)


def test_the_fastest_format_is_taken(exported, tmp_path):
    folder = shutil.copytree(exported, tmp_path / "copy")
    assert hornbook.load_classifier(folder).format == "onnx"
    for graph in module.GRAPHS["int8"]:
        (folder / graph).parent.mkdir(exist_ok=True)
        shutil.copy(folder / "onnx" / "model.onnx", folder / graph)
        assert module.formats_of(folder) == ("int8", "onnx", "pytorch")
        assert hornbook.load_classifier(folder).format == "int8"
        (folder / graph).unlink()
    (folder / "model.safetensors").unlink()
    assert module.formats_of(folder) == ("onnx",)
    with pytest.raises(HornbookError, match="has no int8 format, but onnx; `hornbook export` makes ONNX"):
        hornbook.load_classifier(folder, format="int8")


def test_a_temperature_changes_probabilities_and_no_label(exported, tmp_path):
    plain = hornbook.load_classifier(exported)(TEXTS)
    folder = shutil.copytree(exported, tmp_path / "copy")
    (folder / "calibration.json").write_text('{"temperature": 2.0}')
    cooled = hornbook.load_classifier(folder)(TEXTS)
    wanted = np.sqrt(plain.probabilities) / np.sqrt(plain.probabilities).sum(axis=1, keepdims=True)
    assert cooled.probabilities == pytest.approx(wanted, abs=1e-5)
    assert cooled.labels == plain.labels
    for wrong in ('{"temperature": 0}', "{}", "no"):
        (folder / "calibration.json").write_text(wrong)
        with pytest.raises(HornbookError, match=r"calibration\.json: states no temperature above 0"):
            hornbook.load_classifier(folder)


def test_an_export_runs_without_pytorch_and_reads_the_standard_input(exported):
    texts = TEXTS[2:]
    program = (
        "import sys\n"
        "from hornbook.cli.main import app\n"
        f"try: app(['predict', {str(exported)!r}])\n"
        "except SystemExit as end: assert not end.code\n"
        "assert not {'torch', 'transformers'} & set(sys.modules)\n"
    )
    lines = "".join(json.dumps({"text": text}) + "\n" for text in texts)
    alone = {**os.environ, "OMP_NUM_THREADS": "1"}  # no line about other programs on a busy machine
    done = subprocess.run(
        [sys.executable, "-c", program], input=lines, capture_output=True, text=True, check=False, env=alone
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == f"{len(texts)} rows, 1 text cut at the model's length\n"
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    found = hornbook.load_classifier(exported)(texts)
    assert [row["label"] for row in rows] == found.labels
    assert [row["text"] for row in rows] == texts


def test_each_model_is_measured_at_each_batch_size(exported, tmp_path):
    folder = shutil.copytree(exported, tmp_path / "copy")
    (folder / "model.safetensors").unlink()  # loading PyTorch takes seconds
    config = BenchmarkConfig(batches=(1, 3), rounds=2, seconds=0.01)
    rows = benchmark.benchmark([folder], (TEXTS, None), config)
    assert [(row.model, row.format, row.batch) for row in rows] == [(str(folder), "onnx", n) for n in (1, 3)]
    for row in rows:
        assert 0 < row.p50_ms <= row.p95_ms
        assert row.mb == round((folder / "onnx" / "model.onnx").stat().st_size / 1e6, 1)
        assert row.peak_mb > 50
        # A mean call takes at least half as long as the median one.
        assert 0 < row.sentences_per_second < row.batch / row.p50_ms * 2000
    assert benchmark._loaded is None  # all of it in other processes


@settings(max_examples=60)
@given(st.lists(st.integers(0, 9000), max_size=200))
def test_batches_hold_each_text_once_and_not_too_much(lengths):
    batches = similar(lengths)
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    for batch in batches:
        own = [lengths[i] for i in batch]
        assert len(own) <= 32
        assert len(own) == 1 or len(own) * max(own) <= 4096
    longest = [max(lengths[i] for i in batch) for batch in batches]
    assert longest == sorted(longest, reverse=True)


def test_stored_answers_are_checked_where_int8_runs(monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(
        "hornbook.export.session.OnnxClassifier", lambda *args, **more: SimpleNamespace(labels=[], kind=None)
    )
    monkeypatch.setattr("hornbook.export.answers.check_answers", lambda model, folder: asked.append(folder))
    OnnxRuntime("here", "onnx/model.onnx")
    assert not asked
    OnnxRuntime("here", "onnx/model_quantized.onnx")
    assert asked == ["here"]

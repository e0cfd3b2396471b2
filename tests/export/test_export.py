"""Exports: what they hold, that they answer as the student does, in any batch."""

import dataclasses
import json
import shutil
from functools import partial

import numpy as np
import onnx
import pytest
import torch
from tests.export.models import LABELS, LENGTH, WORDS, save_classifier, tokenizer
from tokenizers import Tokenizer, processors
from transformers import AutoModelForSequenceClassification, AutoTokenizer, BertConfig, BertForSequenceClassification

from hornbook.errors import HornbookError
from hornbook.export import build, graph, verify
from hornbook.export.build import export_student
from hornbook.export.files import write_files
from hornbook.export.session import OnnxClassifier
from hornbook.inference.classifier import load_classifier
from hornbook.models.segments import BERT, Segments
from hornbook.models.tokenizers import load_tokenizer

ONE_TYPE = Segments(BERT.single, BERT.single)
LONG = " ".join(WORDS[i % 45] for i in range(2000))
TEXTS = ["", "  \n\t ", LONG, "w1", "w2 w3 naïve 🎬", "W5 " * 12, "w9 w8 w7 w6"]


def ragged(count: int) -> list[str]:
    random = np.random.default_rng(3)
    return [" ".join(random.choice(WORDS, int(n))) for n in random.integers(1, 40, count)]


def slow_probabilities(folder, texts, pairs=None):
    """Return what transformers answers to each text alone, with the segments that hornbook trains with."""
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    read = partial(AutoTokenizer.from_pretrained(folder), truncation=True, return_token_type_ids=True)
    answers = []
    for i, text in enumerate(texts):
        inputs = read(text, None if pairs is None else pairs[i], return_tensors="pt")
        with torch.inference_mode():
            answers.append(model(**inputs).logits.double().softmax(-1)[0].numpy())
    return np.array(answers)


@pytest.fixture(scope="module")
def student(tmp_path_factory):
    return save_classifier(tmp_path_factory.mktemp("student") / "bert")


@pytest.fixture(scope="module")
def exported(tmp_path_factory, student):
    return export_student(student, tmp_path_factory.mktemp("export") / "out")


def test_an_export_has_the_layout_and_names_that_servers_look_for(exported):
    files = {"config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors", "onnx/model.onnx"}
    assert set(exported.manifest["files"]) == files
    assert len({exported.file(name).stat().st_mode for name in files}) == 1  # any server can read them
    found = onnx.load(exported.file("onnx/model.onnx")).graph
    shapes = {
        value.name: [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in (*found.input, *found.output)
    }
    texts = ["batch", "length"]
    assert shapes == {
        "input_ids": texts,
        "attention_mask": texts,
        "token_type_ids": texts,
        "logits": ["batch", len(LABELS)],
    }
    assert found.output[0].type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    config = json.loads(exported.file("config.json").read_text("utf-8"))
    assert config["problem_type"] == "single_label_classification"
    assert config["id2label"] == {str(i): name for i, name in enumerate(LABELS)}
    assert config["label2id"] == {name: i for i, name in enumerate(LABELS)}
    assert config["architectures"] == ["BertForSequenceClassification"]
    assert config["pad_token_id"] == 0
    assert exported.counts["compared_texts"] == 2000
    assert 0 < exported.measured["largest_difference"] < 1e-4


def test_names_of_labels_that_transformers_leaves_out_are_written(student, tmp_path):
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    model = BertForSequenceClassification(BertConfig(vocab_size=50, **sizes))
    assert "id2label" not in model.config.to_diff_dict()
    write_files(model, load_tokenizer(student), tmp_path, 16)
    config = json.loads((tmp_path / "config.json").read_text("utf-8"))
    assert config["id2label"] == {"0": "LABEL_0", "1": "LABEL_1"}
    assert config["label2id"] == {"LABEL_0": 0, "LABEL_1": 1}


def test_every_loader_truncates_at_the_length_that_the_student_learned(exported):
    plain = Tokenizer.from_file(str(exported.file("tokenizer.json")))
    assert plain.padding is None
    settings = json.loads(exported.file("tokenizer_config.json").read_text("utf-8"))
    assert settings["model_max_length"] == LENGTH == exported.info["max_length"]
    own, auto = load_tokenizer(str(exported.path)), AutoTokenizer.from_pretrained(exported.path)
    assert own.model_max_length == LENGTH
    for pair in ((LONG,), (LONG, "w1 w2"), ("w1 w2", LONG)):
        ids = plain.encode(*pair).ids
        assert len(ids) == LENGTH
        assert ids == auto(*pair, truncation=True)["input_ids"]
    # This tokenizer has no class of its own; transformers would pass no segments.
    assert auto("w1", "w2", truncation=True)["token_type_ids"] == plain.encode("w1", "w2").type_ids == [0, 0, 0, 1, 1]


def test_answers_are_those_of_pytorch_for_each_text_alone(exported, student):
    classify = OnnxClassifier(exported.path, threads=1)
    texts = [*TEXTS, *ragged(60)]
    wanted = slow_probabilities(student, texts)
    assert np.ptp(wanted, axis=0).min() > 0.1  # the texts get different outputs
    assert classify(texts) == pytest.approx(wanted, abs=1e-5)
    # Of a single pair, not of a batch, transformers drops an empty second text with its separator.
    pairs = [*reversed(ragged(60)), *(text or "w1" for text in TEXTS)]
    assert classify(texts, pairs) == pytest.approx(slow_probabilities(student, texts, pairs), abs=1e-5)
    some = [pair if i % 2 else None for i, pair in enumerate(pairs)]
    assert classify(texts, some)[::2] == pytest.approx(wanted[::2], abs=1e-5)


def test_an_answer_does_not_depend_on_its_batch(exported):
    classify = OnnxClassifier(exported.path, threads=1)
    texts = [*TEXTS, *ragged(40)]
    together = classify.logits(texts, batch=50)
    for batch in (1, 2, 7):
        assert classify.logits(texts, batch=batch) == pytest.approx(together, abs=1e-5)
    backwards = classify.logits(texts[::-1], batch=7)[::-1]
    assert backwards == pytest.approx(together, abs=1e-5)
    padded = classify.run(classify.inputs(classify.encode(texts[3:5]), 30))
    assert padded == pytest.approx(together[3:5], abs=1e-5)
    assert classify([]).shape == (0, len(LABELS))


def test_a_finished_export_is_reused_and_another_is_refused(exported, student, tmp_path):
    assert export_student(student, exported.path).reused
    other = shutil.copytree(student, tmp_path / "other")
    settings = json.loads((other / "tokenizer_config.json").read_text("utf-8"))
    (other / "tokenizer_config.json").write_text(json.dumps({**settings, "model_max_length": 12}), "utf-8")
    with pytest.raises(HornbookError, match="made from other settings or inputs; choose another folder"):
        export_student(other, exported.path)


@pytest.fixture
def no_exporter(monkeypatch, exported):
    """Take the graph that is there, for tests of what comes after."""
    monkeypatch.setattr(build, "write_graph", lambda _, path: shutil.copy(exported.file("onnx/model.onnx"), path))


def test_a_graph_that_answers_otherwise_is_not_published(no_exporter, monkeypatch, student, tmp_path):
    load = build.load_ready_classifier

    def moved(path):
        model = load(path)
        model.classifier.bias.data[1] += 2e-4
        return model

    monkeypatch.setattr(build, "load_ready_classifier", moved)
    with pytest.raises(HornbookError, match=r"^the exported bert model differs from PyTorch by 0\.0002 in a logit"):
        export_student(student, tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_an_answer_that_depends_on_its_batch_is_not_published(no_exporter, monkeypatch, student, tmp_path):
    run = OnnxClassifier.run

    def moved(self, inputs):
        return run(self, inputs) + (2e-4 if inputs["input_ids"].shape[0] == 1 else 0)

    monkeypatch.setattr(OnnxClassifier, "run", moved)
    with pytest.raises(HornbookError, match=r"differs from PyTorch by 0\.0002"):
        export_student(student, tmp_path / "out")


def test_a_tokenizer_that_reads_otherwise_is_not_published(no_exporter, monkeypatch, student, tmp_path):
    write = build.write_files
    monkeypatch.setattr(build, "write_files", lambda m, t, folder, length: write(m, t, folder, length - 1))
    with pytest.raises(HornbookError, match=r"the exported tokenizer reads .* otherwise than the student's"):
        export_student(student, tmp_path / "out")


def test_token_types_that_differ_are_not_published(no_exporter, monkeypatch, student, tmp_path):
    read = verify.encode
    monkeypatch.setattr(verify, "encode", lambda *given: dataclasses.replace(read(*given), segments=ONE_TYPE))
    with pytest.raises(HornbookError, match=r"the exported tokenizer reads .* otherwise than the student's"):
        export_student(student, tmp_path / "out")


def test_a_student_with_other_token_types_answers_alike(no_exporter, tmp_path):
    """Its tokenizer marks the end of the first text and not the second text."""
    reader = tokenizer()
    reader.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]:1", pair="[CLS] $A [SEP]:1 $B [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    student = save_classifier(tmp_path / "student", reader=reader)
    assert export_student(student, tmp_path / "out").measured["largest_difference"] < 1e-4
    texts, pairs = ["w1 w2", "w3", "w4"], ["w5", "w6 w7", None]
    wanted = slow_probabilities(student, texts, pairs)
    for format in ("onnx", "pytorch"):
        assert load_classifier(tmp_path / "out", format=format)(texts, pairs).probabilities == pytest.approx(
            wanted, abs=1e-5
        )


def test_a_full_disk_leaves_nothing_and_says_so(monkeypatch, student, tmp_path):
    def full(_, path):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(build, "write_graph", full)
    with pytest.raises(HornbookError, match=r"the disk is full .*make room there"):
        export_student(student, tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_a_model_whose_code_cannot_be_traced_is_named_in_one_line(monkeypatch, student, tmp_path):
    def fail(*_, **__):
        raise RuntimeError("step 1/3") from ValueError("data-dependent\nbranch")

    monkeypatch.setattr(torch.onnx, "export", fail)
    wanted = r"^bert models cannot be exported to ONNX by torch \S+ \(ValueError: data-dependent branch\); use the"
    with pytest.raises(HornbookError, match=wanted):
        export_student(student, tmp_path / "out")


def test_a_damaged_or_mixed_export_is_refused(exported, tmp_path):
    copy = shutil.copytree(exported.path, tmp_path / "copy")
    (copy / "tokenizer.json").write_text("{}", "utf-8")
    with pytest.raises(HornbookError, match=r"tokenizer\.json: missing or changed since it was made"):
        OnnxClassifier(copy)
    (copy / "manifest.json").unlink()
    with pytest.raises(HornbookError, match="not an exported classifier that can be loaded"):
        OnnxClassifier(copy)
    reader = Tokenizer.from_file(str(exported.file("tokenizer.json")))
    reader.add_tokens(["more"])
    reader.save(str(copy / "tokenizer.json"))
    with pytest.raises(HornbookError, match="its tokenizer has 51 ids, the model 50 rows"):
        OnnxClassifier(copy)
    (copy / "onnx" / "model.onnx").write_bytes(b"no graph")
    with pytest.raises(HornbookError, match="not an exported classifier that can be loaded"):
        OnnxClassifier(copy)


def test_texts_to_compare_are_the_same_every_time_and_ragged(student):
    reader = load_tokenizer(str(student))
    texts = verify.texts_to_compare(reader, 300, None, None)
    assert texts == verify.texts_to_compare(reader, 300, None, None)
    assert len(texts) == 300
    lengths = [len(first.split()) for first, _ in texts]
    assert {0, 1, 2000} < set(lengths)
    assert len(set(lengths)) > 50
    assert 90 < sum(second is not None for _, second in texts) < 110


def test_a_model_too_large_for_one_file_is_refused_before_it_is_traced(student, monkeypatch, tmp_path):
    monkeypatch.setattr(graph, "_MOST_BYTES", 1000)
    with pytest.raises(HornbookError, match="of weights; one ONNX file takes 2 GB"):
        export_student(student, tmp_path / "out")

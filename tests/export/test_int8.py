"""int8 graphs: an answer depends on its text alone, and nothing is published that fails the gate."""

import json
import shutil

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from tests.export.models import LABELS, LENGTH, WORDS, save_classifier
from typer.testing import CliRunner

from hornbook import tasks
from hornbook.cli.main import app
from hornbook.errors import HornbookError
from hornbook.export import answers, build, int8, quantize
from hornbook.export.build import export_student
from hornbook.export.gate import Comparison, Sample, compare_outputs, faults
from hornbook.export.ranges import activation_ranges
from hornbook.export.session import OnnxClassifier
from hornbook.machine.processor import processor
from hornbook.recipe import ExportConfig, TaskConfig
from hornbook.results.differences import Difference
from hornbook.store import Store
from hornbook.tasks.kinds import KINDS

LOOSE = ExportConfig(agreement=0.8, most_loss=20)
KIND = KINDS["classification"]


@pytest.fixture(scope="module")
def student(tmp_path_factory):
    return save_classifier(tmp_path_factory.mktemp("student") / "bert")


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    folder = tmp_path_factory.mktemp("task")
    random = np.random.default_rng(5)
    rows = [
        {"text": f"{i} " + " ".join(random.choice(WORDS, int(random.integers(1, 40)))), "label": LABELS[i % 3]}
        for i in range(400)
    ]
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    return tasks.prepare(TaskConfig(source=str(folder / "rows.jsonl")), folder / "task")


@pytest.fixture(scope="module")
def exported(tmp_path_factory, student, task):
    return export_student(student, tmp_path_factory.mktemp("export") / "out", LOOSE, task=task)


@pytest.fixture
def no_exporter(monkeypatch, exported):
    """Take the graph that is there, and compare on few texts."""
    monkeypatch.setattr(build, "write_graph", lambda _, path: shutil.copy(exported.file("onnx/model.onnx"), path))
    monkeypatch.setattr(build, "_COMPARED", 100)


@pytest.fixture(scope="module", params=quantize.VARIANTS)
def variant(request, tmp_path_factory, exported):
    folder = tmp_path_factory.mktemp("variant")
    shutil.copytree(exported.path, folder, dirs_exist_ok=True)
    (folder / "manifest.json").unlink()
    ranges = activation_ranges(folder, [(" ".join(WORDS[i : i + 9]), None) for i in range(20)])
    quantize.quantize(folder / "onnx" / "model.onnx", folder / "onnx" / "one.onnx", request.param, ranges)
    return OnnxClassifier(folder, "onnx/one.onnx", threads=1)


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_an_answer_depends_on_its_text_alone(variant, data):
    """Whatever its batch mates, its place and the padding, for every way to quantize."""
    text = st.lists(st.sampled_from(WORDS), max_size=40).map(" ".join)
    texts = data.draw(st.lists(text, min_size=1, max_size=9))
    place = data.draw(st.integers(0, len(texts) - 1))
    padded = data.draw(st.integers(1, 38))
    encodings = variant.encode(texts)
    alone = variant.run(variant.inputs([encodings[place]]))[0]
    assert variant.run(variant.inputs(encodings, padded))[place] == pytest.approx(alone, abs=1e-4)


def test_the_table_and_the_products_are_integers(exported, tmp_path):
    model = onnx.load(exported.file("onnx/model_quantized.onnx"))
    onnx.checker.check_model(model)
    assert {one.domain for one in model.opset_import} == {""}  # other runtimes than onnxruntime know these operators
    kinds = {tuple(one.dims): one.data_type for one in model.graph.initializer if len(one.dims) == 2}
    floats = onnx.load(exported.file("onnx/model.onnx")).graph
    weights = {one.name for one in floats.initializer}
    products = sum(node.op_type == "MatMul" and node.input[1] in weights for node in floats.node)
    made_by = {node.output[0]: node for node in model.graph.node}
    integers = sum(
        node.op_type == "MatMul" and all(made_by[name].op_type == "DequantizeLinear" for name in node.input)
        for node in model.graph.node
        if set(node.input) <= set(made_by)
    )
    assert 0 < integers == products
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    options.log_severity_level = 3
    onnxruntime.InferenceSession(exported.file("onnx/model_quantized.onnx"), options)
    run = [node.op_type for node in onnx.load(tmp_path / "optimized.onnx").graph.node]
    assert run.count("MatMulIntegerToFloat") == products  # not dequantized first
    assert TensorProto.INT8 in kinds.values()


def quantized_table(rows):
    table = np.random.default_rng(0).normal(size=(rows, 8)).astype(np.float32)
    table[3] *= 100  # would spoil a scale for all rows
    table[4] = 0
    graph = helper.make_graph(
        [helper.make_node("Gather", ["table", "ids"], ["out"])],
        "g",
        [helper.make_tensor_value_info("ids", TensorProto.INT64, ["n"])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, ["n", 8])],
        [numpy_helper.from_array(table, "table")],
    )
    return table, helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def test_rows_of_a_table_have_scales_of_their_own(tmp_path):
    table, model = quantized_table(300)
    onnx.save(model, tmp_path / "float.onnx")
    quantize.quantize(tmp_path / "float.onnx", tmp_path / "int8.onnx", "rows-8bit", {})
    session = onnxruntime.InferenceSession(tmp_path / "int8.onnx")
    (found,) = session.run(None, {"ids": np.arange(300)})
    largest = np.abs(table).max(axis=1, keepdims=True)
    assert (np.abs(found - table) <= largest / 254 * 1.001).all()
    assert (found[4] == 0).all()
    assert np.abs(found - table).max() > 0
    assert (tmp_path / "int8.onnx").stat().st_size < 0.6 * (tmp_path / "float.onnx").stat().st_size


def one_product(tmp_path):
    random = np.random.default_rng(1)
    weights = random.normal(size=(64, 16)).astype(np.float32)
    x = (random.normal(size=(3, 5, 64)) * np.exp(random.normal(size=(3, 5, 1)))).astype(np.float32)
    x[1, 2] = 0
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["b", "n", 64])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["b", "n", 16])],
        [numpy_helper.from_array(weights, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.save(model, tmp_path / "float.onnx")
    return x, weights


@pytest.mark.parametrize(("name", "largest"), [("rows-7bit", 63), ("rows-8bit", 127), ("static-7bit", 63)])
def test_a_product_is_that_of_the_rounded_numbers(tmp_path, name, largest):
    x, weights = one_product(tmp_path)
    least, most = float(x.min()) / 2, float(x.max())  # what is below is clipped
    quantize.quantize(tmp_path / "float.onnx", tmp_path / "int8.onnx", name, {"x": (least, most)})
    (found,) = onnxruntime.InferenceSession(tmp_path / "int8.onnx").run(None, {"x": x})
    columns = np.abs(weights).max(axis=0) / largest
    if name.startswith("rows"):
        rows = np.maximum(np.abs(x).max(axis=-1, keepdims=True) / 127, 1e-12)
        rounded = np.rint(x / rows) * rows
    else:
        scale = (most - least) / 255
        zero = round(-least / scale)
        rounded = (np.clip(np.rint(x / np.float32(scale)) + zero, 0, 255) - zero) * scale
    wanted = rounded @ np.rint(weights / columns) * columns
    assert found == pytest.approx(wanted, rel=1e-4, abs=1e-5 * float(np.abs(wanted).max()))
    exact = (x if name.startswith("rows") else np.maximum(x, least)) @ weights
    assert found == pytest.approx(exact, abs=0.05 * float(np.abs(wanted).max()))


@pytest.mark.parametrize(
    ("least", "most", "zero"), [(-1, 1, 128), (0.5, 2, 0), (-3, -1, 255), (0, 0, 0), (-0.17, 5, 8)]
)
def test_unsigned_bytes_reach_from_the_least_to_the_greatest_number_and_hold_zero(least, most, zero):
    scale, at = quantize.unsigned_scale(least, most)
    assert at == zero
    for number in (least, most, 0):
        assert abs((np.clip(np.rint(number / scale) + at, 0, 255) - at) * scale - number) <= scale
    assert scale > 0


def test_ranges_are_those_of_each_text_alone(exported):
    """By hand: the left side of the first product, asked text by text."""
    texts = [(" ".join(WORDS[i : i + 1 + i % 7]), None) for i in range(9)]
    found = activation_ranges(exported.path, texts)
    model = onnx.load(exported.file("onnx/model.onnx"))
    names = quantize.left_sides(model)
    assert list(found) == names
    assert len(names) == len(set(names)) < sum(node.op_type == "MatMul" for node in model.graph.node)
    name = names[0]
    model.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    session = onnxruntime.InferenceSession(model.SerializeToString())
    classify = OnnxClassifier(exported.path)
    sides = [session.run([name], classify.inputs(classify.encode([text])))[0] for text, _ in texts]
    assert found[name] == pytest.approx((min(map(np.min, sides)), max(map(np.max, sides))), rel=1e-5)
    assert activation_ranges(exported.path, []) == {}


def test_a_passed_gate_is_published_with_what_was_tried(exported, task):
    about = exported.info["int8"]
    assert about["published"] == "static-7bit" == about["tried"][-1]["variant"]
    assert about["processor"] == processor()
    assert about["tried"][-1]["faults"] == []
    assert about["tried"][-1]["compared"]["dev"]["agreement"] > 0.8
    assert about["bytes"] == exported.counts["int8_bytes"] < 0.9 * exported.counts["graph_bytes"]
    whole = exported.file("onnx/model_quantized.onnx").read_bytes()
    assert whole == exported.file("int8/model.onnx").read_bytes()
    small = ("config.json", "tokenizer.json", "tokenizer_config.json", "calibration.json", "answers.json")
    for name in small:
        assert exported.file(name).read_bytes() == exported.file(f"int8/{name}").read_bytes()
    texts = tasks.open_task(task).split("dev")["text"].to_pylist()
    by_folder = OnnxClassifier(exported.path / "int8", "model.onnx", threads=1)
    wanted = OnnxClassifier(exported.path, threads=1)(texts)
    assert (by_folder(texts).argmax(1) == wanted.argmax(1)).mean() == about["tried"][-1]["compared"]["dev"][
        "agreement"
    ]


def test_the_first_variant_that_passes_is_published(no_exporter, monkeypatch, student, task, tmp_path):
    real = int8.faults
    calls = []

    def first_fails(*arguments):
        calls.append(1)
        return ["it is bad"] if len(calls) == 1 else real(*arguments)

    monkeypatch.setattr(int8, "faults", first_fails)
    made = export_student(student, tmp_path / "out", LOOSE, task=task)
    assert [row["variant"] for row in made.info["int8"]["tried"]] == ["static-7bit", "rows-7bit"]
    assert made.info["int8"]["published"] == "rows-7bit"


def test_without_a_pass_float32_alone_is_published(no_exporter, monkeypatch, student, task, tmp_path, caplog):
    real = int8.activation_ranges
    monkeypatch.setattr(int8, "activation_ranges", lambda *given: dict.fromkeys(real(*given), (-0.01, 0.01)))
    strict = ExportConfig(agreement=1, most_loss=0)
    made = export_student(student, tmp_path / "out", strict, task=task)
    about = made.info["int8"]
    assert about["published"] is None
    assert [row["variant"] for row in about["tried"]] == list(quantize.VARIANTS)
    assert all(row["faults"] for row in about["tried"])
    assert not [name for name in made.manifest["files"] if "quantized" in name or "int8" in name]
    assert "int8 is not published: static-7bit, the fastest variant: its agreement with the student on dev is" in (
        caplog.text
    )
    loose = strict.model_copy(update={"allow_loss": True})
    allowed = export_student(student, tmp_path / "allowed", loose, task=task)
    assert allowed.info["int8"]["published"] == "static-7bit"
    assert allowed.info["int8"]["tried"][0]["faults"]


def test_without_texts_to_compare_on_float32_alone_is_published(no_exporter, student, tmp_path, caplog):
    made = export_student(student, tmp_path / "out")
    assert made.info["int8"]["published"] is None
    assert "neither a task nor a textbook was given to compare it on; give --task" in caplog.text


def test_an_int8_answer_that_depends_on_its_batch_is_never_published(
    no_exporter, monkeypatch, student, task, tmp_path
):
    run = OnnxClassifier.run

    def shifted(self, inputs):
        found = run(self, inputs)
        return found + np.float32(0.1) * (np.arange(3) == 0) if len(found) == 1 else found

    monkeypatch.setattr(build, "compare", lambda *_: 0.0)
    monkeypatch.setattr(OnnxClassifier, "run", shifted)
    made = export_student(student, tmp_path / "out", ExportConfig(agreement=0, allow_loss=True), task=task)
    assert made.info["int8"]["published"] is None
    assert all(row["depends_on_batch"] for row in made.info["int8"]["tried"])


def test_a_comparison_counts_labels_and_resamples_the_score():
    gold = np.array([0, 1, 1, 0] * 50)
    ours = np.eye(2)[gold] * 4
    found = ours.copy()
    found[:3] = found[:3, ::-1]  # three labels change, all for the worse
    sample = Sample("dev", [("", None)] * 200, ours, gold, [0, 1], "accuracy")
    compared = compare_outputs(KIND, sample, found)
    assert compared.agreement == 197 / 200
    assert compared.gain.mean == pytest.approx(-1.5)
    assert -4 < compared.gain.low < -1.5 < compared.gain.high <= 0
    # Labels in another order than the task's.
    swapped = Sample("dev", sample.texts, ours[:, ::-1], gold, [1, 0], "accuracy")
    assert compare_outputs(KIND, swapped, found[:, ::-1]).gain == compared.gain
    assert compare_outputs(KIND, Sample("textbook", sample.texts, ours), found).gain is None


def test_several_labels_agree_where_all_do():
    ours = np.array([[1.0, -1], [1, 1], [-1, -1]])
    found = np.array([[1.0, -1], [1, -1], [-1, -1]])
    compared = compare_outputs(KINDS["multilabel"], Sample("textbook", [], ours), found)
    assert compared.agreement == pytest.approx(2 / 3)


def test_scores_are_compared_by_correlation_and_distance():
    ours = np.linspace(0, 5, 50)[:, None]
    kind = KINDS["regression"]
    same = compare_outputs(kind, Sample("textbook", [], ours), (ours + 0.5).astype(np.float32))
    assert same.agreement == pytest.approx(1)
    assert same.mean_difference == pytest.approx(0.5 / ours.std())
    assert faults(kind, {"textbook": same}, ExportConfig()) == [
        "its scores on textbook differ by 0.34 standard deviations"
    ]
    assert not faults(kind, {"textbook": Comparison(0.99, 0.01)}, ExportConfig())


@pytest.mark.parametrize(
    ("one", "wrong"),
    [
        (Comparison(0.98, 0.1), ""),
        (Comparison(0.9799, 0.1), "agreement with the student on dev is 97.99%"),
        (Comparison(1, 0.1, Difference(-0.2, -0.5, 0.1, 1)), ""),
        (Comparison(1, 0.1, Difference(-0.2, -0.51, 0.1, 1)), "it may lose 0.51 points on dev"),
        (Comparison(float("nan"), 0.1), "agreement with the student on dev is nan%"),
    ],
)
def test_limits_of_the_gate(one, wrong):
    found = faults(KIND, {"dev": one}, ExportConfig())
    assert len(found) == bool(wrong)
    assert wrong in "".join(found)


def test_stored_answers_hold_no_text_and_are_checked_on_another_processor(exported, tmp_path, monkeypatch, caplog):
    stored = json.loads(exported.file("answers.json").read_text("utf-8"))
    assert len(stored["logits"]) == answers.COUNT == len(stored["inputs"]["input_ids"])
    assert max(map(len, stored["inputs"]["input_ids"])) <= LENGTH
    classify = OnnxClassifier(exported.path, "onnx/model_quantized.onnx", threads=1)
    monkeypatch.setattr(answers, "processor", lambda: {"name": "another"})
    assert answers.check_answers(classify, exported.path) is None
    stored["logits"] = [row[::-1] for row in stored["logits"]]
    (tmp_path / "answers.json").write_text(json.dumps(stored), "utf-8")
    said = answers.check_answers(classify, tmp_path)
    assert said in caplog.text
    assert "of 100 int8 answers differ here" in said
    assert "this one: another" in said
    monkeypatch.undo()
    assert answers.check_answers(classify, tmp_path) is None  # the processor that wrote them
    assert answers.check_answers(classify, tmp_path / "none") is None
    (tmp_path / "answers.json").write_text("[]", "utf-8")
    with pytest.raises(HornbookError, match="not the answers of an export"):
        answers.check_answers(classify, tmp_path)


def test_the_command_takes_the_limits(monkeypatch, tmp_path, exported):
    seen = {}

    def export(student, out, config, **given):
        seen.update(student=student, config=config, **given)
        return exported

    monkeypatch.setattr(build, "export_student", export)
    options = ["--allow-loss", "--no-calibrate", "--agreement", "0.9", "--most-loss", "1"]
    done = CliRunner().invoke(app, ["export", "model", "--out", str(tmp_path / "out"), *options])
    assert done.exit_code == 0, done.output
    assert seen["config"] == ExportConfig(agreement=0.9, most_loss=1, allow_loss=True, calibrate=False)


def test_a_variant_that_has_failed_is_compared_no_further(monkeypatch, tmp_path):
    (tmp_path / "onnx").mkdir()
    (tmp_path / "onnx" / "model_quantized.onnx").write_bytes(b"graph")
    wanted = np.array([[2.0, 0.0, 1.0]] * 4)
    asked = [Sample(name, [("w1", None)] * 4, wanted) for name in ("dev", "textbook")]
    found = {"right": wanted, "wrong": wanted[:, ::-1] * [1, 1, 3]}
    monkeypatch.setattr(int8, "OnnxClassifier", lambda *_: None)
    monkeypatch.setattr(int8, "moved", lambda *_: 0.0)
    for name, allow_loss, compared in (
        ("right", False, ["dev", "textbook"]),
        ("wrong", False, ["dev"]),
        ("wrong", True, ["dev", "textbook"]),
    ):
        monkeypatch.setattr(int8, "answers", lambda *_, name=name: found[name])
        row, speed = int8._try(tmp_path, KIND, asked, [], LENGTH, ExportConfig(allow_loss=allow_loss))
        assert list(row["compared"]) == compared
        assert bool(row["faults"]) == (name == "wrong")
        assert speed > 0


def test_settings_at_their_default_leave_the_key_of_an_export(student, tmp_path):
    def key(**settings):
        return export_student(student, Store(tmp_path, dry=True), ExportConfig(**settings)).manifest["config"]

    assert key().keys().isdisjoint({"units", "quantize"})
    assert (key(units=50)["units"], key(quantize=False)["quantize"]) == (50, False)

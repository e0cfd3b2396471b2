#!/usr/bin/env bash
# onnxruntime's default optimisations multiply a bias by the scale of its row: int8 products with a scale for each row.
#
# Packages: onnxruntime 1.32.0, onnx 1.23.2, numpy 2.4.6; on the CPU.
# A good guess: MatMulInteger -> Cast -> Mul(rows * columns) -> Add(bias) gives what the ONNX standard says.
# Seen: by default they become one MatMulIntegerToFloat, which answers product * rows * columns + bias * rows. No error, no
# warning. Without the bias, with MatMulIntegerToFloatFusion disabled, or with two Mul nodes in turn, the answer is right.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

SHAPE, OUTPUTS = (2, 3, 8), 5
random = np.random.default_rng(0)
tokens = random.integers(0, 256, SHAPE, dtype=np.uint8)
weights = random.integers(-127, 128, (SHAPE[-1], OUTPUTS), dtype=np.int8)
rows = random.uniform(0.001, 0.003, (*SHAPE[:-1], 1)).astype(np.float32)
columns = random.uniform(0.5, 2, OUTPUTS).astype(np.float32)
bias = random.uniform(1, 2, OUTPUTS).astype(np.float32)


def graph(scaling: list[onnx.NodeProto], biased: bool) -> onnx.ModelProto:
    """Return a product of integers, scaled as given, with or without a bias."""
    nodes = [
        helper.make_node("MatMulInteger", ["tokens", "weights", "zero"], ["whole"]),
        helper.make_node("Cast", ["whole"], ["product"], to=TensorProto.FLOAT),
        *scaling,
        helper.make_node(*(("Add", ["scaled", "bias"]) if biased else ("Identity", ["scaled"])), ["answer"]),
    ]
    constants = {"weights": weights, "zero": np.uint8(128), "columns": columns} | ({"bias": bias} if biased else {})
    made = helper.make_model(
        helper.make_graph(
            nodes,
            "product",
            [
                helper.make_tensor_value_info("tokens", TensorProto.UINT8, SHAPE),
                helper.make_tensor_value_info("rows", TensorProto.FLOAT, rows.shape),
            ],
            [helper.make_tensor_value_info("answer", TensorProto.FLOAT, (*SHAPE[:-1], OUTPUTS))],
            [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    onnx.checker.check_model(made, full_check=True)
    return made


def answer(model: onnx.ModelProto, disabled: list[str]) -> np.ndarray:
    """Return what onnxruntime makes of the input, with its default optimisations but those disabled."""
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"], disabled_optimizers=disabled
    )
    return session.run(None, {"tokens": tokens, "rows": rows})[0]


def same(left: np.ndarray, right: np.ndarray) -> bool:
    return np.allclose(left, right, rtol=1e-4, atol=1e-4)


together = [
    helper.make_node("Mul", ["rows", "columns"], ["both"]),
    helper.make_node("Mul", ["product", "both"], ["scaled"]),
]
apart = [
    helper.make_node("Mul", ["product", "rows"], ["some"]),
    helper.make_node("Mul", ["some", "columns"], ["scaled"]),
]
product = (tokens.astype(np.int32) - 128) @ weights.astype(np.int32) * rows * columns
right, wrong = product + bias, product + bias * rows

model = graph(together, biased=True)
found = answer(model, [])
print("first row, by the standard:  ", right[0, 0].round(3))
print("first row, onnxruntime:      ", found[0, 0].round(3))
print("product + bias * scale of row:", wrong[0, 0].round(3))
assert same(ReferenceEvaluator(model).run(None, {"tokens": tokens, "rows": rows})[0], right)
assert not same(found, right)
assert same(found, wrong)
assert same(answer(model, ["MatMulIntegerToFloatFusion"]), right)
assert same(answer(graph(apart, biased=True), []), right)
assert same(answer(graph(together, biased=False), []), product)
print("as recorded")
PYTHON

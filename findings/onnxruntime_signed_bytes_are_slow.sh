#!/usr/bin/env bash
# onnxruntime on x86: a product of int8 and int8 is several times as slow as uint8 and int8, and slower than float32.
#
# Packages: onnxruntime 1.32.0, onnx 1.23.2, numpy 2.4.6.
# A good guess: symmetric quantization (int8, zero point 0) is the simplest case and at least as fast as the asymmetric one.
# Seen: MatMulInteger with int8 on the left takes 10 to 14 times as long as with the same numbers shifted by 128 as uint8
# (AMD EPYC with AVX512-VNNI, one thread, 800 rows, 384 and 1536 columns), and 3 to 4 times as long as MatMul of float32. The
# answers are the same. By onnxruntime's source, x86 processors with AVX-VNNI-INT8 have a kernel for signed bytes on both
# sides, and so has Arm; there this script measures nothing.
set -euo pipefail
if [ "$(uname -m)" != x86_64 ] || grep -q avx_vnni_int8 /proc/cpuinfo; then
    echo "this processor multiplies signed bytes directly: nothing to compare"
    exit 0
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
from time import perf_counter

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

ROWS, REPEATS = 800, 30
random = np.random.default_rng(0)


def session(left: np.ndarray, weights: np.ndarray) -> onnxruntime.InferenceSession:
    """Return a session of one thread for a product with constant weights."""
    whole = left.dtype != np.float32
    constants = {"weights": weights}
    if whole:
        constants["zero"] = np.array(128 * (left.dtype == np.uint8), left.dtype)
    kind = helper.np_dtype_to_tensor_dtype(left.dtype)
    result = TensorProto.INT32 if whole else TensorProto.FLOAT
    model = helper.make_model(
        helper.make_graph(
            [helper.make_node("MatMulInteger" if whole else "MatMul", ["left", *constants], ["product"])],
            "product",
            [helper.make_tensor_value_info("left", kind, left.shape)],
            [helper.make_tensor_value_info("product", result, (len(left), weights.shape[1]))],
            [numpy_helper.from_array(value, name) for name, value in constants.items()],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


for inner, outer in ((384, 384), (384, 1536), (1536, 384)):
    # Weights of 7 bits: sums of two products stay within 16 bits on every processor.
    numbers, weights = random.integers(-127, 128, (ROWS, inner)), random.integers(-63, 64, (inner, outer))
    lefts = {
        "int8": numbers.astype(np.int8),
        "uint8": (numbers + 128).astype(np.uint8),
        "float32": numbers.astype(np.float32),
    }
    sessions = {
        name: session(left, weights.astype(np.float32 if name == "float32" else np.int8)) for name, left in lefts.items()
    }
    right = numbers.astype(np.float64) @ weights.astype(np.float64)  # exact: whole numbers below 2 ** 53
    times = {name: [] for name in lefts}
    for _ in range(REPEATS):  # interleaved, and only the quickest counts: other programs slow down some
        for name, left in lefts.items():
            start = perf_counter()
            (found,) = sessions[name].run(None, {"left": left})
            times[name].append(perf_counter() - start)
            assert np.array_equal(found, right)
    quickest = {name: 1000 * min(some) for name, some in times.items()}
    print(f"{ROWS} x {inner} x {outer}:", ", ".join(f"{name} {value:.2f} ms" for name, value in quickest.items()))
    assert quickest["int8"] > 2 * quickest["uint8"]
    assert quickest["int8"] > quickest["float32"]
print("as recorded")
PYTHON

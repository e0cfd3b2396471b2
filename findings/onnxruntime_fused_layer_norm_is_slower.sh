#!/usr/bin/env bash
# onnxruntime's default fusion of a sum and its layer norm makes both several times slower on the CPU.
#
# Packages: onnxruntime 1.32.0, onnx 1.23.2, numpy 2.4.6.
# A good guess: a fusion that is on by default is no slower than what it replaces.
# Seen: Add -> LayerNormalization of float32 becomes one SkipLayerNormalization, which takes 6 to 7 times as long as the two
# (x86 with AVX-512, one thread, 384 and 768 features). Disabling SkipLayerNormFusion is one way out; another is to write the
# sum with the operator Sum: only Add is fused.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import sys
from time import perf_counter

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

REPEATS = 40
random = np.random.default_rng(0)


def session(features: int, operator: str, disabled: list[str]) -> tuple[onnxruntime.InferenceSession, list[str]]:
    """Return a session of one thread, and the operators that onnxruntime runs in it."""
    shape = ("texts", "tokens", features)
    model = helper.make_model(
        helper.make_graph(
            [
                helper.make_node(operator, ["x", "y"], ["sum"]),
                helper.make_node("LayerNormalization", ["sum", "scale", "bias"], ["normed"], axis=-1, epsilon=1e-5),
            ],
            "norm",
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("x", "y")],
            [helper.make_tensor_value_info("normed", TensorProto.FLOAT, shape)],
            [
                numpy_helper.from_array(random.normal(size=features).astype(np.float32), name)
                for name in ("scale", "bias")
            ],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3  # no warning that the optimised file is for this machine
    options.optimized_model_filepath = f"{sys.argv[1]}/optimised.onnx"
    made = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"], disabled_optimizers=disabled
    )
    return made, [node.op_type for node in onnx.load(options.optimized_model_filepath).graph.node]


for texts, tokens, features in ((32, 25, 384), (32, 25, 768), (8, 128, 384)):
    x, y = random.normal(size=(2, texts, tokens, features)).astype(np.float32)
    ways = {
        "fused": session(features, "Add", []),
        "not fused": session(features, "Add", ["SkipLayerNormFusion"]),
        "Sum": session(features, "Sum", []),
    }
    assert [run for _, run in ways.values()] == [
        ["SkipLayerNormalization"], ["Add", "LayerNormalization"], ["Sum", "LayerNormalization"]
    ]
    times = {name: [] for name in ways}
    for _ in range(REPEATS):  # interleaved, and only the quickest counts: other programs slow down some
        for name, (way, _) in ways.items():
            start = perf_counter()
            way.run(None, {"x": x, "y": y})
            times[name].append(perf_counter() - start)
    quickest = {name: 1000 * min(some) for name, some in times.items()}
    print(f"{texts} x {tokens} x {features}:", ", ".join(f"{name} {value:.2f} ms" for name, value in quickest.items()))
    assert quickest["fused"] > 1.5 * quickest["not fused"]
    assert quickest["fused"] > 1.5 * quickest["Sum"]
print("as recorded")
PYTHON

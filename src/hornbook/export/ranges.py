"""Between which numbers activations lie: from some texts, for int8 graphs whose scales are fixed."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

from hornbook.export.files import GRAPH
from hornbook.export.quantize import left_sides
from hornbook.export.session import OnnxClassifier, Pairs


def activation_ranges(folder: Path, texts: Pairs) -> dict[str, tuple[float, float]]:
    """Return the least and the greatest number of the left side of each product with weights.

    Each text is read alone: padding has activations too, which no answer depends on.

    Args:
        folder: an export with its float32 graph.
        texts: what to run it on.

    Returns:
        both numbers by the name of the left side; nothing without texts.
    """
    if not texts:
        return {}
    model = onnx.load(folder / GRAPH)
    names = left_sides(model)
    bounds = [(op, f"{name}_{op}") for op in ("ReduceMin", "ReduceMax") for name in names]
    for (op, bound), name in zip(bounds, 2 * names, strict=True):
        model.graph.node.append(helper.make_node(op, [name], [bound], keepdims=0))
        model.graph.output.append(helper.make_tensor_value_info(bound, TensorProto.FLOAT, []))
    options: Any = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors alone
    session: Any = onnxruntime.InferenceSession(model.SerializeToString(), options)
    classify = OnnxClassifier(folder)
    outputs = [bound for _, bound in bounds]
    encodings = classify.encode(*map(list, zip(*texts, strict=True)))
    found = np.array([session.run(outputs, classify.inputs([one])) for one in encodings])
    least, greatest = found[:, : len(names)].min(axis=0), found[:, len(names) :].max(axis=0)
    return dict(zip(names, zip(least.tolist(), greatest.tolist(), strict=True), strict=True))

"""int8 graphs whose answers depend on nothing but the text.

`onnxruntime.quantization.quantize_dynamic` has one scale for the activations of a whole batch, so that an answer
changes with its batch and padding. Here each token's vector has a scale of its own, computed in the graph from
standard operators. Embedding tables have a scale for each row, weights one for each output.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Change = Callable[[Any], None]
"""Changes an ONNX model in place."""

# Smaller tables (of segments) are not worth two more nodes.
_MIN_ROWS = 256
# Activations are unsigned bytes around 128: on most x86, signed ones are slower than float32 in onnxruntime (1.32,
# findings/onnxruntime_signed_bytes_are_slow.sh). Weights of 7 bits keep the sum of two products within 16 bits, so
# that processors without VNNI do not saturate (255 * 63 * 2 < 2 ** 15).
_ZERO, _LARGEST = 128, 127
_BLOCK = 64


def quantize(graph: Path, target: Path, variant: str) -> None:
    """Write a float32 graph again with int8 weights.

    Args:
        graph: the float32 graph, as `hornbook.export.graph` writes it.
        target: the file to write.
        variant: a key of `VARIANTS`.
    """
    model = onnx.load(graph)
    _separate_sums(model)
    _quantize_tables(model)
    VARIANTS[variant](model)
    _drop_unused(model)
    onnx.save(model, target)


def quantize_columns(weights: NDArray[np.float32], largest: int) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Return a matrix as integers from -largest to largest, and a scale for each column.

    Args:
        weights: shape (rows, columns).
        largest: at most 127.

    Returns:
        the integers, shape (rows, columns), and the scales, shape (columns,).
    """
    scales = np.abs(weights).max(axis=0) / np.float32(largest)
    scales[scales == 0] = 1
    return np.rint(weights / scales).astype(np.int8), scales


def _separate_sums(model: Any) -> None:
    """Write sums before layer norms with an operator that onnxruntime does not fuse with them.

    Its SkipLayerNormalization is several times as slow on the CPU as the two operators (onnxruntime 1.32,
    findings/onnxruntime_fused_layer_norm_is_slower.sh).
    """
    made_by = {name: node for node in model.graph.node for name in node.output}
    for node in model.graph.node:
        before = made_by.get(node.input[0]) if node.op_type == "LayerNormalization" else None
        if before is not None and before.op_type == "Add":
            before.op_type = "Sum"


def _quantize_tables(model: Any) -> None:
    """Replace embedding tables by integers and a scale for each row; the rows looked up are multiplied out."""

    def lookup(node: Any, names: tuple[str, str]) -> Iterator[Any]:
        values, scales = names
        found = node.output[0]
        yield helper.make_node("Gather", [values, node.input[1]], [f"{found}_int8"])
        yield helper.make_node("Cast", [f"{found}_int8"], [f"{found}_float"], to=TensorProto.FLOAT)
        yield helper.make_node("Gather", [scales, node.input[1]], [f"{found}_scale"])
        yield helper.make_node("Mul", [f"{found}_float", f"{found}_scale"], [found])

    def quantized(table: NDArray[np.float32]) -> tuple[NDArray[Any], NDArray[Any]]:
        values, scales = quantize_columns(table.T, _LARGEST)
        return np.ascontiguousarray(values.T), scales[:, None]

    def is_table(node: Any, shape: Sequence[int]) -> bool:
        along_rows = all(one.i == 0 for one in node.attribute if one.name == "axis")
        return bool(node.op_type == "Gather" and along_rows and shape[0] >= _MIN_ROWS)

    _replace(model, 0, is_table, quantized, lookup)


def _quantize_products(model: Any, largest: int) -> None:
    """Replace products with weights by products of integers; each row of the left side has a scale of its own."""
    constants = {
        "row_last_axis": np.array([-1], np.int64),
        "row_largest": np.float32(_LARGEST),
        "row_smallest_scale": np.float32(1e-12),  # of a row of zeros
        "row_one": np.float32(1),
        "row_zero_point": np.uint8(_ZERO),
    }
    model.graph.initializer.extend(
        numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()
    )
    done: set[str] = set()

    def rows(x: str) -> Iterator[Any]:
        yield helper.make_node("Abs", [x], [f"{x}_abs"])
        yield helper.make_node("ReduceMax", [f"{x}_abs", "row_last_axis"], [f"{x}_max"], keepdims=1)
        yield helper.make_node("Div", [f"{x}_max", "row_largest"], [f"{x}_unclipped"])
        yield helper.make_node("Max", [f"{x}_unclipped", "row_smallest_scale"], [f"{x}_scale"])
        yield helper.make_node("Div", [x, f"{x}_scale"], [f"{x}_scaled"])
        # With a scale of 1 this rounds, adds the zero point and converts in one pass.
        yield helper.make_node("QuantizeLinear", [f"{x}_scaled", "row_one", "row_zero_point"], [f"{x}_uint8"])

    def product(node: Any, names: tuple[str, str]) -> Iterator[Any]:
        x, y = node.input[0], node.output[0]
        if x not in done:  # queries, keys and values have one left side
            done.add(x)
            yield from rows(x)
        yield helper.make_node("MatMulInteger", [f"{x}_uint8", names[0], "row_zero_point"], [f"{y}_int32"])
        yield helper.make_node("Cast", [f"{y}_int32"], [f"{y}_float"], to=TensorProto.FLOAT)
        # One after the other: multiplied together first, onnxruntime (1.32) fuses them with the bias that follows and
        # scales it by its row as well, which is wrong (findings/onnxruntime_fused_bias_is_scaled.sh).
        yield helper.make_node("Mul", [f"{y}_float", f"{x}_scale"], [f"{y}_rows"])
        yield helper.make_node("Mul", [f"{y}_rows", names[1]], [y])

    _replace(model, 1, lambda node, _: node.op_type == "MatMul", partial(quantize_columns, largest=largest), product)


def _quantize_blocks(model: Any) -> None:
    """Replace products with weights by onnxruntime's operator for weights with a scale for each block of inputs.

    Nearly exact and as small, but no faster than float32. The quantizer of onnxruntime (1.32) is not used: its
    import sets up logging for the whole process (findings/onnxruntime_quantizer_sets_up_logging.sh).
    """

    def quantized(weights: NDArray[np.float32]) -> tuple[NDArray[Any], NDArray[Any]]:
        padded = np.pad(weights, ((0, -len(weights) % _BLOCK), (0, 0)))
        blocks = padded.T.reshape(-1, _BLOCK)
        values, scales = quantize_columns(blocks.T, _LARGEST)
        shape = (weights.shape[1], -1)
        # Without zero points the operator takes 128 for zero.
        return (values.T.astype(np.int16) + _ZERO).astype(np.uint8).reshape(*shape, _BLOCK), scales.reshape(shape)

    def product(node: Any, names: tuple[str, str]) -> Iterator[Any]:
        rows, columns = shapes[node.input[1]]
        settings = {"K": rows, "N": columns, "bits": 8, "block_size": _BLOCK, "accuracy_level": 4}
        inputs = [node.input[0], *names]
        yield helper.make_node("MatMulNBits", inputs, list(node.output), domain="com.microsoft", **settings)

    shapes = {one.name: tuple(one.dims) for one in model.graph.initializer}
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    _replace(model, 1, lambda node, _: node.op_type == "MatMul", quantized, product)


VARIANTS: Mapping[str, Change] = {
    "rows-7bit": partial(_quantize_products, largest=63),
    "rows-8bit": partial(_quantize_products, largest=127),
    "blocks-8bit": _quantize_blocks,
}
"""Ways to quantize, by name: the fastest first, of equals the one that is exact on every processor."""


def _replace(
    model: Any,
    place: int,
    chosen: Callable[[Any, Sequence[int]], bool],
    quantized: Callable[[NDArray[np.float32]], tuple[NDArray[Any], NDArray[Any]]],
    nodes: Callable[[Any, tuple[str, str]], Iterator[Any]],
) -> None:
    """Replace nodes with a float32 matrix of weights; weights that several nodes share stay shared.

    Args:
        model: the ONNX model.
        place: which input is the matrix.
        chosen: whether a node with weights of this shape is replaced.
        quantized: returns the integers and scales of weights.
        nodes: yields what stands in a node's place, given the names of integers and scales.
    """
    graph = model.graph
    weights = {
        one.name: one for one in graph.initializer if one.data_type == TensorProto.FLOAT and len(one.dims) == 2
    }
    names: dict[str, tuple[str, str]] = {}
    after: list[Any] = []
    for node in graph.node:
        name = node.input[place] if len(node.input) > place else ""
        if name not in weights or not chosen(node, weights[name].dims):
            after.append(node)
            continue
        if name not in names:
            names[name] = (f"{name}_int8", f"{name}_scale")
            both = quantized(numpy_helper.to_array(weights[name]))
            graph.initializer.extend(
                numpy_helper.from_array(values, its) for values, its in zip(both, names[name], strict=True)
            )
        after.extend(nodes(node, names[name]))
    del graph.node[:]
    graph.node.extend(after)


def _drop_unused(model: Any) -> None:
    """Remove weights that no node reads any more, and shapes that are no longer those of the nodes."""
    used = {name for node in model.graph.node for name in node.input}
    kept = [one for one in model.graph.initializer if one.name in used]
    del model.graph.initializer[:], model.graph.value_info[:]
    model.graph.initializer.extend(kept)

"""int8 graphs whose answers depend on nothing but the text.

`onnxruntime.quantization.quantize_dynamic` has one scale for the activations of a whole batch, so that an answer
changes with its batch and padding. Here a scale is fixed, or each token's vector has its own, computed in the graph
from standard operators. Embedding tables have a scale for each row, weights one for each output.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Ranges = Mapping[str, tuple[float, float]]
"""The least and the greatest number of the left side of each product, by its name."""
Change = Callable[[Any, Ranges], None]
"""Changes an ONNX model in place."""

# Smaller tables (of segments) are not worth two more nodes.
_MIN_ROWS = 256
# Activations are unsigned bytes around 128: on most x86, signed ones are slower than float32 in onnxruntime (1.32,
# findings/onnxruntime_signed_bytes_are_slow.sh). Weights of 7 bits keep the sum of two products within 16 bits, so
# that processors without VNNI do not saturate (255 * 63 * 2 < 2 ** 15).
_ZERO, _LARGEST = 128, 127
_BLOCK = 64


def quantize(graph: Path, target: Path, variant: str, ranges: Ranges) -> None:
    """Write a float32 graph again with int8 weights.

    Args:
        graph: the float32 graph, as `hornbook.export.graph` writes it.
        target: the file to write.
        variant: a key of `VARIANTS`.
        ranges: the least and greatest number of each of `left_sides`; `static` variants alone read them.
    """
    model = onnx.load(graph)
    _separate_sums(model)
    _quantize_tables(model)
    VARIANTS[variant](model, ranges)
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


def unsigned_scale(least: float, greatest: float) -> tuple[np.float32, np.uint8]:
    """Return scale and zero point of unsigned bytes that reach from least to greatest, and to 0."""
    least, greatest = min(least, 0.0), max(greatest, 0.0)
    scale = (greatest - least) / 255 or 1.0
    return np.float32(scale), np.uint8(round(-least / scale))


def left_sides(model: Any) -> list[str]:
    """Return the names of what is multiplied with weights in a float32 graph, each once."""
    weights = {one.name for one in model.graph.initializer if len(one.dims) == 2}
    products = (node for node in model.graph.node if _is_product(node) and node.input[1] in weights)
    return list(dict.fromkeys(node.input[0] for node in products))


def _is_product(node: Any, _: Sequence[int] = ()) -> bool:
    return bool(node.op_type == "MatMul")


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


def _quantize_products(model: Any, ranges: Ranges, largest: int, fixed: bool) -> None:
    """Replace products with weights by products of integers.

    They are written as products of dequantized matrices, which onnxruntime runs on the integers themselves.

    Args:
        model: the ONNX model.
        ranges: the least and the greatest number of each left side.
        largest: of the weights' integers.
        fixed: whether the left side has one scale, from `ranges`; else each of its rows has its own.
    """
    done: set[str] = set()

    def constant(name: str, value: Any) -> str:
        if name not in done:
            done.add(name)
            model.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def left(x: str) -> Iterator[Any]:
        if fixed:
            scale, zero = unsigned_scale(*ranges[x])
            about = [constant(f"{x}_scale", scale), constant(f"{x}_zero", zero)]
            yield helper.make_node("QuantizeLinear", [x, *about], [f"{x}_uint8"])
        else:
            yield helper.make_node("Abs", [x], [f"{x}_abs"])
            axis = constant("row_last_axis", np.array([-1], np.int64))
            yield helper.make_node("ReduceMax", [f"{x}_abs", axis], [f"{x}_max"], keepdims=1)
            yield helper.make_node("Div", [f"{x}_max", constant("row_largest", np.float32(_LARGEST))], [f"{x}_any"])
            least = constant("row_least_scale", np.float32(1e-12))  # of a row of zeros
            yield helper.make_node("Max", [f"{x}_any", least], [f"{x}_scale"])
            yield helper.make_node("Div", [x, f"{x}_scale"], [f"{x}_scaled"])
            # With a scale of 1 this rounds, adds the zero point and converts in one pass.
            about = [constant("row_one", np.float32(1)), constant("row_zero", np.uint8(_ZERO))]
            yield helper.make_node("QuantizeLinear", [f"{x}_scaled", *about], [f"{x}_uint8"])
        yield helper.make_node("DequantizeLinear", [f"{x}_uint8", *about], [f"{x}_rounded"])

    def product(node: Any, names: tuple[str, str]) -> Iterator[Any]:
        x, y = node.input[0], node.output[0]
        if x not in done:  # queries, keys and values have one left side
            done.add(x)
            yield from left(x)
        yield helper.make_node("DequantizeLinear", list(names), [f"{y}_weights"], axis=1)
        product = y if fixed else f"{y}_columns"
        yield helper.make_node("MatMul", [f"{x}_rounded", f"{y}_weights"], [product])
        if not fixed:
            yield helper.make_node("Mul", [product, f"{x}_scale"], [y])

    _replace(model, 1, _is_product, partial(quantize_columns, largest=largest), product)


def _quantize_blocks(model: Any, _: Ranges) -> None:
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
    _replace(model, 1, _is_product, quantized, product)


VARIANTS: Mapping[str, Change] = {
    "static-7bit": partial(_quantize_products, largest=63, fixed=True),
    "rows-7bit": partial(_quantize_products, largest=63, fixed=False),
    "rows-8bit": partial(_quantize_products, largest=127, fixed=False),
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

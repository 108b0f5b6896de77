"""Size, parameters and operations of an ONNX file without its torch network."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import onnx
from onnx import GraphProto, NodeProto, TensorProto, shape_inference

from search.objectives.limits import MACS, PARAMETERS, SIZE
from search.records import Cost

_CONVOLUTIONS = {"Conv", "ConvInteger", "QLinearConv"}
_PRODUCTS = {"MatMul", "Gemm", "MatMulInteger"}
_SCALED = {"QuantizeLinear", "DequantizeLinear"}

Shapes = Mapping[str, Sequence[int]]


def count_onnx(path: Path, *, batch_shape: tuple[int, ...] | None) -> Cost:
    """Count an ONNX file's bytes, parameters, and multiply-accumulates for one image.

    Only convolutions and matrix products have multiply-accumulates. Scales, zero points and shapes
    are not parameters.

    Args:
        path: an ONNX file.
        batch_shape: the input's shape for one image. With None the file's own shape is used, and
            operators whose shape depends on the size of an image are not counted.
    """
    model = onnx.load(path)
    if batch_shape is not None:
        dims = model.graph.input[0].type.tensor_type.shape.dim
        for dim, length in zip(dims, batch_shape, strict=True):
            dim.dim_value = length
    graph = shape_inference.infer_shapes(model, data_prop=True).graph
    shapes = _shapes(graph)
    return {
        SIZE.cost: path.stat().st_size,
        PARAMETERS.cost: _parameters(graph),
        MACS.cost: sum(_macs(node, shapes) for node in graph.node),
    }


def _parameters(graph: GraphProto) -> int:
    scales = {name for node in graph.node if node.op_type in _SCALED for name in node.input[1:]}
    return sum(
        math.prod(each.dims)
        for each in graph.initializer
        if each.name not in scales and each.data_type != TensorProto.INT64
    )


def _shapes(graph: GraphProto) -> Shapes:
    values = [*graph.value_info, *graph.input, *graph.output]
    known: dict[str, Sequence[int]] = {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim] for value in values
    }
    return known | {each.name: list(each.dims) for each in graph.initializer}


def _macs(node: NodeProto, shapes: Shapes) -> int:
    """Return zero for other operators, and if a shape is unknown."""
    output = shapes.get(node.output[0], [])
    # A batch dimension without a fixed size appears as 0.
    outputs = math.prod(output[1:]) * max(output[0], 1) if output else 0
    if node.op_type in _CONVOLUTIONS:
        weight = shapes.get(node.input[3 if node.op_type == "QLinearConv" else 1], [0, 0])
        return outputs * math.prod(weight[1:])
    if node.op_type in _PRODUCTS:
        inner = shapes.get(node.input[0], [0])
        transposed = any(each.name == "transA" and each.i for each in node.attribute)
        return outputs * (inner[0] if transposed else inner[-1])
    return 0

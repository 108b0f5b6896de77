"""Removal of everything from an ONNX file that no runtime needs.

In an int8 file of a small network, names and zeros take up to a third of the bytes.
"""

from itertools import chain, count
from pathlib import Path

import onnx
from onnx import GraphProto, ModelProto, TensorProto, numpy_helper

from search.targets.onnx_export import INPUT
from search.targets.onnx_imports import all_nodes, remove_unused_imports

# ONNX Runtime multiplies by such weights in int8 without a zero point; a matrix product needs one.
_OPTIONAL_IN = frozenset({"Conv"})
_SIGNED = frozenset({TensorProto.INT8, TensorProto.INT32})


def slim(path: Path) -> None:
    """Remove unused imports, inferred shapes, comments, names and zero points of zero from a file.

    The names of inputs and outputs remain, and that of the student's input. The results and the
    speed are the same.
    """
    model = onnx.load(path)
    remove_unused_imports(model)
    del model.graph.value_info[:]
    del model.graph.quantization_annotation[:]
    for node in all_nodes(model.graph.node):
        for field in ("name", "doc_string", "metadata_props"):
            node.ClearField(field)
    _remove_zero_points(model.graph)
    if not _has_subgraphs(model):
        _shorten_names(model.graph)
    onnx.save(model, path)


def _remove_zero_points(graph: GraphProto) -> None:
    """Remove the zero points of weights and biases that are zero, which is the default."""
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    users: dict[str, set[str]] = {}
    for node in all_nodes(graph.node):
        for name in node.input:
            users.setdefault(name, set()).add(node.op_type)
    removed = set()
    for node in graph.node:
        if node.op_type != "DequantizeLinear" or len(node.input) < 3:
            continue
        zero_point = tensors.get(node.input[2])
        is_default = (
            node.input[0] in tensors
            and users.get(node.output[0], set()) <= _OPTIONAL_IN
            and zero_point is not None
            and zero_point.data_type in _SIGNED
            and not numpy_helper.to_array(zero_point).any()
        )
        if is_default:
            removed.add(node.input[2])
            del node.input[2]
    # Other tensors stay: a graph inside may return one that no node reads.
    unused = removed - {name for node in all_nodes(graph.node) for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name not in unused]
    del graph.initializer[:]
    graph.initializer.extend(kept)


def _has_subgraphs(model: ModelProto) -> bool:
    """Return whether nodes contain graphs, which can use names of the outer graph."""
    return sum(1 for _ in all_nodes(model.graph.node)) > len(model.graph.node)


def _shorten_names(graph: GraphProto) -> None:
    """Number all tensors except the inputs and outputs of the graph."""
    # The empty name stands for an optional input that a node does not use. The student's input is
    # inside the graph if the preprocessing is part of it.
    fixed = {"", INPUT, *(value.name for value in chain(graph.input, graph.output))}
    unused = (text for number in count() if (text := f"{number:x}") not in fixed)
    short: dict[str, str] = {name: name for name in fixed}

    def shortened(name: str) -> str:
        if name not in short:
            short[name] = next(unused)
        return short[name]

    for node in graph.node:
        node.input[:] = [shortened(name) for name in node.input]
        node.output[:] = [shortened(name) for name in node.output]
    for tensor in graph.initializer:
        tensor.name = shortened(tensor.name)
    for sparse in graph.sparse_initializer:
        sparse.values.name = shortened(sparse.values.name)

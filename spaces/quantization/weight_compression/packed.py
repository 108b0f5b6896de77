"""Packing of an ONNX model's weights, and unpacking to plain weights."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from spaces.quantization.weight_compression.decoders import (
    DOMAIN,
    OPSET,
    VERSION,
    decoders,
    format_version,
)
from spaces.quantization.weight_compression.encodings import Encoded, sparse, stored_bytes

# Approximate number of bytes for the decoding node of a tensor and its names.
_NODE_BYTES = 300


def pack(model: ModelProto, tensors: Mapping[str, Encoded]) -> ModelProto:
    """Return a copy of `model` with the initializers in `tensors` encoded, by name.

    Raises:
        ValueError: the model lacks an initializer, or its opset differs from the decoders' opset.
    """
    versions = {entry.domain: entry.version for entry in model.opset_import}
    if versions.get("", 0) != OPSET:
        raise ValueError(
            f"a model to pack must have opset {OPSET}, but has {versions.get('')}: export it again"
        )
    if unknown := tensors.keys() - {tensor.name for tensor in model.graph.initializer}:
        raise ValueError(
            f"tensors to pack must be initializers of the model, but {sorted(unknown)} are not"
        )
    packed = ModelProto()
    packed.CopyFrom(model)
    graph = packed.graph
    kept = [tensor for tensor in graph.initializer if tensor.name not in tensors]
    calls, parts = _calls(tensors)
    nodes = [*calls, *graph.node]
    del graph.initializer[:], graph.node[:]
    graph.initializer.extend([*kept, *parts])
    graph.node.extend(nodes)
    _declare(packed, {encoded.decoder for encoded in tensors.values()})
    return packed


def pack_sparse(model: ModelProto) -> ModelProto:
    """Return a copy of `model` with tensors stored sparsely where this saves bytes."""
    found = {}
    for tensor in model.graph.initializer:
        encoded = sparse(numpy_helper.to_array(tensor))
        if stored_bytes(encoded) + _NODE_BYTES < len(tensor.raw_data):
            found[tensor.name] = encoded
    return pack(model, found)


def unpacked(path: Path) -> ModelProto:
    """Return the model of a packed or plain ONNX file, with plain weights.

    Raises:
        ValueError: the file is not an ONNX model, is damaged, or has a newer packed format.
    """
    try:
        model = onnx.load(path)
    except DecodeError as error:
        raise ValueError(f"{path} must be an ONNX model, but can't be parsed: {error}") from error
    version = format_version(model)
    if version is None:
        return model
    if version > VERSION:
        raise ValueError(
            f"{path} must have packed format {VERSION} or older, but has format {version}: read it "
            "with a newer retort"
        )
    calls = [node for node in model.graph.node if node.domain == DOMAIN]
    weights = _decoded(model, calls, path)
    parts = {name for node in calls for name in node.input}
    kept = [tensor for tensor in model.graph.initializer if tensor.name not in parts]
    nodes = [node for node in model.graph.node if node.domain != DOMAIN]
    imports = [entry for entry in model.opset_import if entry.domain != DOMAIN]
    functions = [function for function in model.functions if function.domain != DOMAIN]
    del model.graph.initializer[:], model.graph.node[:], model.opset_import[:], model.functions[:]
    model.graph.initializer.extend([*kept, *weights])
    model.graph.node.extend(nodes)
    model.opset_import.extend(imports)
    model.functions.extend(functions)
    return model


def _calls(tensors: Mapping[str, Encoded]) -> tuple[list[NodeProto], list[TensorProto]]:
    """Return the decoding node of each tensor, and the encoded parts without duplicates."""
    parts: dict[tuple[str, tuple[int, ...], bytes], TensorProto] = {}
    calls = []
    for name, encoded in tensors.items():
        inputs = []
        for place, part in enumerate(encoded.inputs):
            key = part.dtype.str, part.shape, part.tobytes()
            if key not in parts:
                parts[key] = numpy_helper.from_array(part, f"{name}.{place}")
            inputs.append(parts[key].name)
        calls.append(helper.make_node(encoded.decoder, inputs, [name], domain=DOMAIN))
    return calls, list(parts.values())


def _declare(model: ModelProto, names: set[str]) -> None:
    """Add the decoders with these names to the model, if it lacks them."""
    known = {function.name for function in model.functions if function.domain == DOMAIN}
    functions = decoders()
    model.functions.extend(functions[name] for name in sorted(names - known))
    if names and format_version(model) is None:
        model.opset_import.append(helper.make_opsetid(DOMAIN, VERSION))


def _decoded(model: ModelProto, calls: list[NodeProto], path: Path) -> list[TensorProto]:
    """Run only the decoding nodes, and return the decoded tensors."""
    parts = {name for node in calls for name in node.input}
    names = [node.output[0] for node in calls]
    graph = helper.make_graph(
        calls,
        "weights",
        [],
        [onnx.ValueInfoProto(name=name) for name in names],
        [tensor for tensor in model.graph.initializer if tensor.name in parts],
    )
    decoding_model = helper.make_model(
        graph,
        opset_imports=model.opset_import,
        functions=model.functions,
        ir_version=model.ir_version,
    )
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(
            decoding_model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        values: list[np.ndarray] = session.run(names, {})
    # ONNX Runtime's errors have no common base class.
    except Exception as error:
        raise ValueError(
            f"the weights of {path} can't be decoded, so the file is damaged: {error}"
        ) from error
    return [numpy_helper.from_array(value, name) for name, value in zip(names, values, strict=True)]

"""Sensitivity of each layer to int8: the change of the output when only this layer is quantized.

One graph contains the fake quantization of all layers. An input of the graph has a switch for each
layer. So one session can measure all layers, and no model has to be built for each layer.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from spaces.quantization.ptq.int8 import largest_int8_weight
from spaces.quantization.qat import rounded_to_int8
from spaces.quantization.weight_compression.weights import Layer, weighted_layers

_SWITCHES = "switches"
_LEVELS = 255


def sensitivities(path: Path, images: np.ndarray) -> dict[str, float]:
    """Return the sensitivity of each layer, by the name of its node.

    The function quantizes the weights and the input of one layer at a time.

    Args:
        path: a plain float32 ONNX file with one input.
        images: normalised, [images, channels, height, width], float32.

    Returns:
        The mean divergence of the predictions from the float32 predictions, in nats.

    Source: Cai et al. 2020 (ZeroQ), arXiv:2001.00281, equation 3.
    """
    model = onnx.load(path)
    layers = weighted_layers(model)
    ranges = _input_ranges(model, layers, images)
    switched = _switched(model, layers, ranges)
    session = _session(switched)
    name = model.graph.input[0].name

    def predict(switches: np.ndarray) -> np.ndarray:
        logits: np.ndarray = session.run(None, {name: images, _SWITCHES: switches})[0]
        return logits

    reference = predict(np.zeros(len(layers), np.float32))
    one_hot = np.eye(len(layers), dtype=np.float32)
    return {
        layer.node.name: _divergence(reference, predict(switches))
        for layer, switches in zip(layers, one_hot, strict=True)
    }


def weight_counts(path: Path) -> dict[str, int]:
    """Return the number of weights of each layer in an ONNX file, by the name of its node."""
    model = onnx.load(path)
    numbers = {tensor.name: int(np.prod(tensor.dims)) for tensor in model.graph.initializer}
    return {layer.node.name: numbers[layer.name] for layer in weighted_layers(model)}


@dataclass(frozen=True)
class _Range:
    """The range of a layer's input; it includes zero."""

    low: float
    high: float


def _input_ranges(model: ModelProto, layers: Sequence[Layer], images: np.ndarray) -> list[_Range]:
    """Return the ranges of the layers' inputs on these images."""
    with_ranges = ModelProto()
    with_ranges.CopyFrom(model)
    names = list(dict.fromkeys(layer.node.input[0] for layer in layers))
    reduced = []
    for kind in ("ReduceMin", "ReduceMax"):
        for name in names:
            with_ranges.graph.node.append(
                helper.make_node(kind, [name], [f"{name}.{kind}"], keepdims=0)
            )
            reduced.append(f"{name}.{kind}")
    with_ranges.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, []) for name in reduced
    )
    values = _session(with_ranges).run(reduced, {model.graph.input[0].name: images})
    found = dict(zip(reduced, (float(value) for value in values), strict=True))
    return [
        _Range(
            min(0.0, found[f"{layer.node.input[0]}.ReduceMin"]),
            max(0.0, found[f"{layer.node.input[0]}.ReduceMax"]),
        )
        for layer in layers
    ]


def _switched(model: ModelProto, layers: Sequence[Layer], ranges: Sequence[_Range]) -> ModelProto:
    """Return the model with a switch for each layer; 1 enables its fake quantization."""
    switched = ModelProto()
    switched.CopyFrom(model)
    graph = switched.graph
    tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    replacements: dict[str, list[NodeProto]] = {}
    for place, (layer, found) in enumerate(zip(layers, ranges, strict=True)):
        prefix = f"{_SWITCHES}.{place}"
        scale = max((found.high - found.low) / _LEVELS, 1e-12)
        parts: dict[str, np.ndarray] = {
            "place": np.array(place, np.int64),
            "scale": np.array(scale, np.float32),
            "zero": np.array(round(-found.low / scale), np.uint8),
            "shift": _quantization_error(tensors[layer.name], layer),
        }
        graph.initializer.extend(
            numpy_helper.from_array(value, f"{prefix}.{part}") for part, value in parts.items()
        )
        replacements[layer.node.name] = _with_fake_quantization(prefix, layer.node)
    nodes = [new for node in graph.node for new in replacements.get(node.name, [node])]
    del graph.node[:]
    graph.node.extend(nodes)
    graph.input.append(helper.make_tensor_value_info(_SWITCHES, TensorProto.FLOAT, [len(layers)]))
    return switched


def _with_fake_quantization(prefix: str, node: NodeProto) -> list[NodeProto]:
    """Return the node, with nodes that add the quantization error of its inputs if switched on."""
    values, weights, *others = node.input
    place, scale, zero, shift = (f"{prefix}.{part}" for part in ("place", "scale", "zero", "shift"))
    own = NodeProto()
    own.CopyFrom(node)
    del own.input[:]
    own.input.extend([f"{prefix}.input", f"{prefix}.weights", *others])
    return [
        helper.make_node("Gather", [_SWITCHES, place], [f"{prefix}.on"]),
        helper.make_node("QuantizeLinear", [values, scale, zero], [f"{prefix}.bytes"]),
        helper.make_node("DequantizeLinear", [f"{prefix}.bytes", scale, zero], [f"{prefix}.near"]),
        helper.make_node("Sub", [f"{prefix}.near", values], [f"{prefix}.off"]),
        helper.make_node("Mul", [f"{prefix}.off", f"{prefix}.on"], [f"{prefix}.moved"]),
        helper.make_node("Add", [values, f"{prefix}.moved"], [f"{prefix}.input"]),
        helper.make_node("Mul", [shift, f"{prefix}.on"], [f"{prefix}.change"]),
        helper.make_node("Add", [weights, f"{prefix}.change"], [f"{prefix}.weights"]),
        own,
    ]


def _quantization_error(weights: np.ndarray, layer: Layer) -> np.ndarray:
    """Return the quantization error of the weights: quantized minus original weights."""
    ordered = np.moveaxis(weights, layer.channels, 0)
    rows = torch.from_numpy(np.array(ordered.reshape(ordered.shape[0], -1)))
    rounded = rounded_to_int8(rows, largest=largest_int8_weight()).numpy().reshape(ordered.shape)
    return np.ascontiguousarray(np.moveaxis(rounded, 0, layer.channels) - weights)


def _divergence(reference: np.ndarray, quantized: np.ndarray) -> float:
    """Return the mean Kullback-Leibler divergence of the predictions over the images, in nats."""
    expected = torch.from_numpy(reference).double().log_softmax(dim=1)
    found = torch.from_numpy(quantized).double().log_softmax(dim=1)
    return float((expected.exp() * (expected - found)).sum(dim=1).mean())


def _session(model: ModelProto) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    # A graph optimization could move or merge the fake quantization, which this code measures.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )

"""The weights of an ONNX model's layers, and their conversion to codes."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import ModelProto, NodeProto, numpy_helper

from spaces.quantization.weight_compression.codes import Coder
from spaces.quantization.weight_compression.encodings import Encoded, coded
from spaces.quantization.weight_compression.packed import pack

# With fewer numbers, a channel's scale takes as much as it saves, and the accuracy falls most.
_CHANNEL_AT_LEAST = 16


@dataclass(frozen=True)
class Layer:
    """A node that multiplies by constant weights.

    Attributes:
        node: a convolution or a matrix product.
        name: the weights' name.
        channels: the axis of the weights that holds output channels.
    """

    node: NodeProto
    name: str
    channels: int


def weighted_layers(model: ModelProto) -> list[Layer]:
    """Return the model's layers in the order of computing; of shared weights the first layer."""
    constants = {tensor.name: len(tensor.dims) for tensor in model.graph.initializer}
    found: dict[str, Layer] = {}
    for node in model.graph.node:
        if node.op_type in ("Conv", "Gemm", "MatMul") and node.input[1] in constants:
            layer = Layer(node, node.input[1], _channel_axis(node, constants[node.input[1]]))
            found.setdefault(layer.name, layer)
    return list(found.values())


def worth_coding(channels: int, numbers: int) -> bool:
    """Return whether few levels save bytes for these numbers of channels and of weights in each."""
    return channels > 1 and numbers >= _CHANNEL_AT_LEAST


def code_weights(source: Path, destination: Path, coder: Coder, *, ends: bool) -> None:
    """Write the ONNX file `source` with its layers' weights stored as codes.

    Args:
        source: the path of a plain file.
        destination: the path of the packed file.
        coder: maps weights [channels, numbers] to codes.
        ends: whether the first and the last layer are coded as well.
    """
    model = onnx.load(source)
    layers = weighted_layers(model)
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    chosen = layers if ends else layers[1:-1]
    found = {
        layer.name: encoded
        for layer in chosen
        for encoded in _encoded(numpy_helper.to_array(tensors[layer.name]), layer, coder)
    }
    onnx.save(pack(model, found), destination)


def _encoded(weights: np.ndarray, layer: Layer, coder: Coder) -> Iterator[Encoded]:
    """Yield the weights as codes, if that saves bytes."""
    ordered = np.moveaxis(weights, layer.channels, 0)
    channels = ordered.shape[0]
    if weights.dtype != np.float32 or not worth_coding(channels, weights.size // channels):
        return
    codes = coder(torch.from_numpy(np.array(ordered.reshape(channels, -1))))
    indices = np.moveaxis(codes.indices.numpy().reshape(ordered.shape), 0, layer.channels)
    scale = codes.scale.numpy().reshape(-1, *[1] * (weights.ndim - 1))
    yield coded(indices, codes.levels.numpy(), np.moveaxis(scale, 0, layer.channels))


def _channel_axis(node: NodeProto, dimensions: int) -> int:
    if node.op_type == "MatMul":
        return dimensions - 1
    transposed = {attribute.name: attribute.i for attribute in node.attribute}.get("transB", 0)
    return 0 if node.op_type == "Conv" or transposed else 1

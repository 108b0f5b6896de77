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

# With fewer weights per channel, the scale takes the bytes that the codes save, and the accuracy
# falls most.
_MIN_WEIGHTS_PER_CHANNEL = 16


@dataclass(frozen=True)
class Layer:
    """A node that multiplies its input by constant weights.

    Attributes:
        node: a convolution or a matrix product.
        name: name of the weights.
        channels: axis of the output channels in the weights.
    """

    node: NodeProto
    name: str
    channels: int


def weighted_layers(model: ModelProto) -> list[Layer]:
    """Return the model's layers in their order; for shared weights, only the first layer."""
    constants = {tensor.name: len(tensor.dims) for tensor in model.graph.initializer}
    found: dict[str, Layer] = {}
    for node in model.graph.node:
        if node.op_type in ("Conv", "Gemm", "MatMul") and node.input[1] in constants:
            layer = Layer(node, node.input[1], _channel_axis(node, constants[node.input[1]]))
            found.setdefault(layer.name, layer)
    return list(found.values())


def worth_coding(channels: int, numbers: int) -> bool:
    """Return whether codes save bytes, for the numbers of channels and of weights per channel."""
    return channels > 1 and numbers >= _MIN_WEIGHTS_PER_CHANNEL


def code_weights(source: Path, destination: Path, coder: Coder, *, ends: bool) -> None:
    """Write a copy of the ONNX file `source` with codes in place of the layers' weights.

    Args:
        source: path of a plain file.
        destination: path of the packed file.
        coder: maps weights, [channels, weights], to codes.
        ends: whether to code the first and the last layer too.
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
    """Yield the coded weights, if codes save bytes."""
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

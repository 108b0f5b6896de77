"""The weights of an ONNX model's layers, and their conversion to codes."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import ModelProto, NodeProto, numpy_helper
from torch import Tensor

from spaces.quantization.weight_compression.codes import Coder, Codes
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
    found = codes_of_layers(model, coder, ends=ends)
    onnx.save(packed_codes(model, found), destination)


def codes_of_layers(model: ModelProto, coder: Coder, *, ends: bool) -> list[tuple[Layer, Codes]]:
    """Return the layers whose codes save bytes, with the codes; see `code_weights`."""
    layers = weighted_layers(model)
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    return [
        (layer, coder(rows))
        for layer in (layers if ends else layers[1:-1])
        if (rows := _rows(numpy_helper.to_array(tensors[layer.name]), layer)) is not None
    ]


def packed_codes(model: ModelProto, found: Sequence[tuple[Layer, Codes]]) -> ModelProto:
    """Return a copy of `model` with codes in place of these layers' weights."""
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    encoded = {
        layer.name: _encoded(codes, layer, tuple(tensors[layer.name].dims))
        for layer, codes in found
    }
    return pack(model, encoded)


def _rows(weights: np.ndarray, layer: Layer) -> Tensor | None:
    """Return the weights, [channels, weights]; None if codes save no bytes."""
    ordered = np.moveaxis(weights, layer.channels, 0)
    channels = ordered.shape[0]
    if weights.dtype != np.float32 or not worth_coding(channels, weights.size // channels):
        return None
    return torch.from_numpy(np.array(ordered.reshape(channels, -1)))


def _encoded(codes: Codes, layer: Layer, shape: tuple[int, ...]) -> Encoded:
    """Return the encoded weights of this shape."""
    order = np.moveaxis(np.empty(shape, np.int8), layer.channels, 0).shape
    indices = np.moveaxis(codes.indices.numpy().reshape(order), 0, layer.channels)
    scale = codes.scale.numpy().reshape(-1, *[1] * (len(shape) - 1))
    return coded(indices, codes.levels.numpy(), np.moveaxis(scale, 0, layer.channels))


def _channel_axis(node: NodeProto, dimensions: int) -> int:
    if node.op_type == "MatMul":
        return dimensions - 1
    transposed = {attribute.name: attribute.i for attribute in node.attribute}.get("transB", 0)
    return 0 if node.op_type == "Conv" or transposed else 1

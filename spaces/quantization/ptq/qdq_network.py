"""The int8 file of ONNX Runtime's quantizer as a network whose weights and biases may change."""

import numpy as np
import torch
from onnx import ModelProto, NodeProto, helper
from torch import Tensor

from spaces.quantization.ptq.columns import ProductLayer
from spaces.quantization.ptq.graph import OnnxGraph, layers_with_own_weights
from spaces.quantization.ptq.quantized_network import QuantizedLayer, QuantizedNetwork
from spaces.quantization.weight_compression.weights import Layer

_DEQUANTIZE = "DequantizeLinear"


class QdqNetwork(QuantizedNetwork):
    """A model with QuantizeLinear and DequantizeLinear around its layers.

    Args:
        source: the float32 model that was quantized.
        quantized: the quantized model, whose layers have the same names; it is changed in place.
        largest: the largest magnitude of an integer weight.
    """

    def __init__(self, source: ModelProto, quantized: ModelProto, *, largest: int) -> None:
        super().__init__(source)
        self.model = quantized
        self._graph = OnnxGraph(quantized)
        self._largest = largest
        nodes = {node.name: node for node in quantized.graph.node}
        self.layers = [
            self._layer(layer, nodes[layer.node.name])
            for layer in layers_with_own_weights(source)
            if self._has_integer_weights(nodes[layer.node.name])
        ]

    def quantized_weights(self, layer: QuantizedLayer) -> np.ndarray:
        integers = self._graph.constant(self._weights(layer.node))
        rows = layer.product.rows(integers.astype(np.float32)) * layer.scale
        return layer.product.weights(rows.numpy())

    def set_integers(self, layer: QuantizedLayer, integers: Tensor) -> None:
        weights = layer.product.weights(integers.numpy().astype(np.int8))
        self._graph.set_constant(self._weights(layer.node), weights)

    def add_to_bias(self, layer: QuantizedLayer, change: np.ndarray) -> None:
        node = layer.node
        maker = self._graph.makers.get(node.input[2]) if len(node.input) > 2 else None
        if maker is not None and maker.op_type == _DEQUANTIZE:
            integers, scale = (self._graph.constant(name) for name in maker.input[:2])
            changed = (integers + np.rint(change.astype(np.float64) / scale)).astype(np.int32)
            self._graph.set_constant(str(maker.input[0]), changed)
        elif node.op_type != "MatMul" and len(node.input) < 3:
            self._add_bias(layer, change)
        else:
            self._graph.add_to_bias(node, change)

    def _layer(self, layer: Layer, node: NodeProto) -> QuantizedLayer:
        shape = self._source.constant(layer.name).shape
        scale = self._graph.constant(str(self._graph.makers[node.input[1]].input[1]))
        each = np.broadcast_to(scale.reshape(-1), shape[layer.channels])
        return QuantizedLayer(
            ProductLayer(layer, shape),
            node,
            torch.from_numpy(np.array(each, np.float32))[:, None],
            -self._largest,
            self._largest,
        )

    def _has_integer_weights(self, node: NodeProto) -> bool:
        maker = self._graph.makers.get(node.input[1])
        return maker is not None and maker.op_type == _DEQUANTIZE

    def _weights(self, node: NodeProto) -> str:
        return str(self._graph.makers[node.input[1]].input[0])

    def _add_bias(self, layer: QuantizedLayer, change: np.ndarray) -> None:
        """Add an int32 bias to a layer that has none; its step is that of the products."""
        name = self._graph.new_name(f"{layer.node.name}.bias")
        read = self._graph.constant(str(self._graph.makers[layer.input].input[1]))
        scale = (read * layer.scale[:, 0].numpy()).astype(np.float32)
        parts = {
            f"{name}_quantized": np.rint(change / scale).astype(np.int32),
            f"{name}_scale": scale,
            f"{name}_zero_point": np.zeros(len(scale), np.int32),
        }
        for part, values in parts.items():
            self._graph.set_constant(part, values)
        maker = helper.make_node(_DEQUANTIZE, list(parts), [name], f"{name}_{_DEQUANTIZE}", axis=0)
        self.model.graph.node.insert(0, maker)
        layer.node.input.append(name)
        self._graph.makers[name] = maker

"""A network with weights as integer codes, whose codes and biases may still change."""

from dataclasses import replace

import numpy as np
from onnx import ModelProto
from torch import Tensor

from spaces.quantization.ptq.columns import ProductLayer
from spaces.quantization.ptq.graph import OnnxGraph, layers_with_own_weights
from spaces.quantization.ptq.quantized_network import QuantizedLayer, QuantizedNetwork
from spaces.quantization.weight_compression.codes import Coder
from spaces.quantization.weight_compression.weights import codes_of_layers, packed_codes


class CodedNetwork(QuantizedNetwork):
    """A float network whose weights have the values of their codes.

    Args:
        source: the float32 model.
        coder: maps weights, [channels, weights], to codes; the levels must be consecutive integers.
        ends: whether to code the first and the last layer too.
    """

    def __init__(self, source: ModelProto, coder: Coder, *, ends: bool) -> None:
        super().__init__(source)
        self._graph = OnnxGraph.copy_of(source)
        self.model = self._graph.model
        self._codes = {
            layer.name: (layer, codes) for layer, codes in codes_of_layers(source, coder, ends=ends)
        }
        nodes = {node.name: node for node in self.model.graph.node}
        self.layers = []
        for layer in layers_with_own_weights(source):
            if layer.name not in self._codes:
                continue
            _, codes = self._codes[layer.name]
            found = QuantizedLayer(
                ProductLayer(layer, self._source.constant(layer.name).shape),
                nodes[layer.node.name],
                codes.scale,
                int(codes.levels[0]),
                int(codes.levels[-1]),
            )
            self.layers.append(found)
            self._set_weights(found, codes.values())

    def quantized_weights(self, layer: QuantizedLayer) -> np.ndarray:
        return self._graph.constant(layer.product.layer.name)

    def set_integers(self, layer: QuantizedLayer, integers: Tensor) -> None:
        own, codes = self._codes[layer.product.layer.name]
        changed = replace(codes, indices=integers.long() - layer.low)
        self._codes[own.name] = (own, changed)
        self._set_weights(layer, changed.values())

    def add_to_bias(self, layer: QuantizedLayer, change: np.ndarray) -> None:
        self._graph.add_to_bias(layer.node, change)

    def packed(self) -> ModelProto:
        """Return the network with codes in place of its weights."""
        return packed_codes(self.model, list(self._codes.values()))

    def _set_weights(self, layer: QuantizedLayer, values: Tensor) -> None:
        weights = layer.product.weights(values.numpy())
        self._graph.set_constant(layer.product.layer.name, weights)

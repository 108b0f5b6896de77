"""A quantized network whose weights and biases a technique may still change."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from onnx import ModelProto, NodeProto
from torch import Tensor

from spaces.quantization.ptq.columns import ProductLayer
from spaces.quantization.ptq.graph import OnnxGraph


@dataclass(frozen=True)
class QuantizedLayer:
    """A layer with quantized weights: its weights are integers times the channel's scale.

    Attributes:
        product: the layer in the float network.
        node: the layer in the quantized network.
        scale: the step of each channel, [channels, 1], float32.
        low: the least integer.
        high: the largest integer.
    """

    product: ProductLayer
    node: NodeProto
    scale: Tensor
    low: int
    high: int

    @property
    def input(self) -> str:
        """The name of the layer's input in the quantized network."""
        return str(self.node.input[0])

    @property
    def output(self) -> str:
        """The name of the layer's output in the quantized network."""
        return str(self.node.output[0])


class QuantizedNetwork(ABC):
    """A quantized network that ONNX Runtime can run, beside the float network.

    Attributes:
        model: the quantized network; the methods change it.
        layers: its layers with quantized weights, in the model's order.
    """

    model: ModelProto
    layers: Sequence[QuantizedLayer]

    def __init__(self, source: ModelProto) -> None:
        self._source = OnnxGraph(source)

    def float_weights(self, layer: QuantizedLayer) -> np.ndarray:
        """Return the layer's weights in the float network."""
        return self._source.constant(layer.product.layer.name)

    @abstractmethod
    def quantized_weights(self, layer: QuantizedLayer) -> np.ndarray:
        """Return the values of the layer's quantized weights, in the shape of its weights."""

    @abstractmethod
    def set_integers(self, layer: QuantizedLayer, integers: Tensor) -> None:
        """Replace the layer's integer weights, [channels, weights of a channel]."""

    @abstractmethod
    def add_to_bias(self, layer: QuantizedLayer, change: np.ndarray) -> None:
        """Add a change, [channels], to the layer's bias.

        A layer without a bias gets one. A matrix product has its bias in the addition that follows;
        if it has none, or one that is quantized, nothing is changed.
        """

"""A layer as a matrix product: its weights as rows, and its input as columns."""

from dataclasses import dataclass

import numpy as np
import torch
from onnx import NodeProto
from torch import Tensor
from torch.nn import functional

from spaces.quantization.ptq.graph import attributes
from spaces.quantization.weight_compression.weights import Layer


@dataclass(frozen=True)
class ProductLayer:
    """A convolution or a matrix product, whose output is `rows @ columns` for each group.

    Attributes:
        layer: the layer.
        shape: the shape of its weights.
    """

    layer: Layer
    shape: tuple[int, ...]

    @property
    def groups(self) -> int:
        """The number of groups of a convolution; 1 for a matrix product."""
        return int(str(attributes(self.layer.node).get("group", 1)))

    def rows(self, weights: np.ndarray) -> Tensor:
        """Return weights as rows, [channels, weights of a channel]."""
        ordered = np.moveaxis(weights, self.layer.channels, 0)
        return torch.from_numpy(np.array(ordered.reshape(ordered.shape[0], -1)))

    def weights(self, rows: np.ndarray) -> np.ndarray:
        """Return rows, [channels, weights of a channel], as weights."""
        order = np.moveaxis(np.empty(self.shape, np.int8), self.layer.channels, 0).shape
        return np.ascontiguousarray(np.moveaxis(rows.reshape(order), 0, self.layer.channels))

    def columns(self, values: np.ndarray, *, most: int, draw: torch.Generator) -> Tensor:
        """Return columns of the layer's input, drawn from all places of all images.

        Args:
            values: the layer's input, float32.
            most: the largest number of columns.
            draw: selects the places; equal states select equal places of equal shapes.

        Returns:
            [groups, columns, weights of a channel].
        """
        given = torch.from_numpy(np.array(values))
        if self.layer.node.op_type == "Conv":
            return self._patches(given, most=most, draw=draw)
        flat = given.reshape(-1, given.shape[-1])
        return flat[_places(len(flat), most, draw)][None]

    def _patches(self, images: Tensor, *, most: int, draw: torch.Generator) -> Tensor:
        """Return patches of the images; the patches that are not drawn are never copied."""
        windows = _windows(images, self.layer.node, kernel=self.shape[2:])
        batch, _, height, width = windows.shape[:4]
        places = _places(batch * height * width, most, draw)
        row = places // width
        # [places, channels, kernel height, kernel width]
        patches = windows[row // height, :, row % height, places % width]
        patches = patches.reshape(len(places), self.groups, -1)
        return patches.transpose(0, 1)


def _windows(images: Tensor, node: NodeProto, *, kernel: tuple[int, ...]) -> Tensor:
    """Return a view, [batch, channels, height, width, kernel height, kernel width]."""
    found = attributes(node)
    pads, strides, dilations = (
        _integers(found.get(name), default)
        for name, default in (("pads", (0, 0, 0, 0)), ("strides", (1, 1)), ("dilations", (1, 1)))
    )
    top, left, bottom, right = pads
    windows = functional.pad(images, (left, right, top, bottom))
    for axis in (0, 1):
        span = (kernel[axis] - 1) * dilations[axis] + 1
        windows = windows.unfold(2 + axis, span, strides[axis])
    return windows[..., :: dilations[0], :: dilations[1]]


def _integers(value: object, default: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(int(one) for one in value) if isinstance(value, list) else default


def _places(count: int, most: int, draw: torch.Generator) -> Tensor:
    if count <= most:
        return torch.arange(count)
    return torch.randperm(count, generator=draw)[:most].sort().values

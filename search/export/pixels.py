"""Preprocessing as part of the model: the input is the pixels of an image of any size.

This module inserts a graph before the student's graph. It computes what
`search.data.images.square` computes with Pillow, with the same weights: a bilinear filter that is
wider if the image is reduced, and whose window can reach beyond the square into the rest of the
image. Columns are filtered first, then rows; after each step the values are rounded to integer
levels. The graph consists of two products with matrices that it computes from the image's size, so
it uses only standard ONNX operators. (ONNX's `Resize` has no such window, and rounds differently.)

Source: Pillow's `src/libImaging/Resample.c`, `precompute_coeffs` and `ImagingResampleHorizontal`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

from search.data.dataset import DataInfo

PIXELS = "pixels"
"""The input's name: [batch, height, width, channels], uint8."""
_PREFIX = "preprocessing/"


def bake(source: Path, destination: Path, info: DataInfo) -> None:
    """Insert the preprocessing into the ONNX file `source`, and write the result.

    The new input is `pixels`, [batch, height, width, channels], uint8, of any height and width. The
    preprocessing crops each image to its largest centred square.

    Args:
        source: a student's ONNX file, whose input is normalised images.
        destination: the new file.
        info: the data that the student was trained on.
    """
    model = onnx.load(source)
    graph = model.graph
    builder = _Builder()
    builder.preprocess(info, graph.input[0].name)
    channels = info.channels
    pixels = helper.make_tensor_value_info(
        PIXELS, TensorProto.UINT8, ["batch", "height", "width", channels]
    )
    nodes = [*builder.nodes, *graph.node]
    del graph.node[:], graph.input[:]
    graph.node.extend(nodes)
    graph.input.append(pixels)
    graph.initializer.extend(builder.constants)
    onnx.checker.check_model(model)
    onnx.save(model, destination)


class _Builder:
    """The nodes and constants of the preprocessing, in the order of execution."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []

    def preprocess(self, info: DataInfo, output: str) -> None:
        size = info.image_size
        shape = self.add("Shape", PIXELS)
        height = self.add("Gather", shape, self.constant(np.int64(1)))
        width = self.add("Gather", shape, self.constant(np.int64(2)))
        side = self.add("Min", height, width)
        planes = self.add("Transpose", PIXELS, perm=[0, 3, 1, 2])  # [batch, channels, h, w]
        values = self.add("Cast", planes, to=TensorProto.FLOAT)
        across = self.add("Transpose", self.filters(width, side, size), perm=[1, 0])
        narrow = self.levels(self.add("MatMul", values, across))  # [batch, channels, h, size]
        small = self.levels(self.add("MatMul", self.filters(height, side, size), narrow))
        scaled = self.add("Div", small, self.constant(np.float32(255)))
        centred = self.add("Sub", scaled, self.per_channel(info.mean))
        self.add("Div", centred, self.per_channel(info.std), output=output)

    def filters(self, length: str, side: str, size: int) -> str:
        """Return [size, length], float32: the weight of each input pixel in each output pixel."""
        length, side = (self.add("Cast", name, to=TensorProto.DOUBLE) for name in (length, side))
        zero, half, one = (self.constant(np.float64(value)) for value in (0, 0.5, 1))
        margin = self.add("Sub", length, side)
        start = self.add("Floor", self.add("Mul", margin, half))
        scale = self.add("Div", side, self.constant(np.float64(size)))
        steps = self.constant(np.arange(size, dtype=np.float64)[:, None] + 0.5)
        centers = self.add("Add", start, self.add("Mul", steps, scale))  # [size, 1]
        pixels = self.add("Add", self.add("Range", zero, length, one), half)  # [length]
        distances = self.add("Abs", self.add("Sub", pixels, centers))  # [size, length]
        scaled_distances = self.add("Div", distances, self.add("Max", scale, one))
        weights = self.add("Max", self.add("Sub", one, scaled_distances), zero)
        total = self.add("ReduceSum", weights, self.constant(np.array([1])), keepdims=1)
        return self.add("Cast", self.add("Div", weights, total), to=TensorProto.FLOAT)

    def levels(self, values: str) -> str:
        """Round the values to integer levels as Pillow does: halves are rounded up."""
        shifted = self.add("Add", values, self.constant(np.float32(0.5)))
        lowest, highest = self.constant(np.float32(0)), self.constant(np.float32(255))
        return self.add("Clip", self.add("Floor", shifted), lowest, highest)

    def per_channel(self, values: Sequence[float]) -> str:
        return self.constant(np.array(values, np.float32).reshape(1, -1, 1, 1))

    def constant(self, value: np.generic | np.ndarray) -> str:
        name = f"{_PREFIX}constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def add(self, operator: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        """Add a node; return its output's name."""
        name = f"{_PREFIX}{operator}_{len(self.nodes)}"
        self.nodes.append(
            helper.make_node(operator, inputs, [output or name], name=name, **attributes)
        )
        return output or name

"""A runtime that is no part of retort, in the one file that adding one takes.

Its file is an archive of NumPy's: the weights, and the graph as JSON; PyTorch's functions run it.
"""

import json
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import onnx
import torch
from torch import Tensor
from torch.nn import functional

from search.errors import ArtifactError
from search.targets.float_student import FloatStudent
from search.targets.target import Runtime, ServedModel
from spaces.axes.quantization import Quantization
from spaces.quantization.float32 import Float32

Attributes = Mapping[str, Any]


class Probe(Runtime):
    """Plain PyTorch, of float32 alone, on the processor."""

    name: ClassVar[str] = "probe"
    title: ClassVar[str] = "Probe"
    file: ClassVar[str] = "model.probe"
    library: ClassVar[str] = "probe"

    def version(self) -> str:
        return "1.0"

    def conflict(self, quantization: Quantization) -> str | None:
        return None if isinstance(quantization, Float32) else "it holds 32-bit floats alone"

    def write(
        self,
        student: FloatStudent,
        destination: Path,
        *,
        quantization: Quantization,
        calibration: Iterable[np.ndarray],
    ) -> None:
        del quantization, calibration  # floats need none
        graph = onnx.load(student.onnx).graph
        if unknown := {node.op_type for node in graph.node} - _OPERATORS.keys():
            raise ValueError(f"operators must be among {sorted(_OPERATORS)}, got {unknown}")
        nodes = [
            [
                node.op_type, list(node.input), node.output[0],
                {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute},
            ]
            for node in graph.node
        ]  # fmt: skip
        told = {
            "nodes": nodes,
            "input": graph.input[0].name,
            "output": graph.output[0].name,
            "shape": student.image_shape,
        }
        weights = {one.name: onnx.numpy_helper.to_array(one) for one in graph.initializer}
        with destination.open("wb") as file:
            np.savez(file, allow_pickle=False, **weights, graph=np.array(json.dumps(told)))

    def load(self, path: Path, *, threads: int, device: str = "cpu") -> ServedModel:
        del threads  # it computes by those that PyTorch has
        self.check_device(device)
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
                return _Program({name: archive[name] for name in archive.files})
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise ArtifactError(f"Probe can't load {path}: {error}") from error


class _Program(ServedModel):
    """A file's graph and weights."""

    def __init__(self, parts: Mapping[str, np.ndarray]) -> None:
        self._told = json.loads(str(parts["graph"]))
        self._weights = {
            name: torch.from_numpy(part) for name, part in parts.items() if name != "graph"
        }

    @property
    def image_shape(self) -> tuple[int, int, int]:
        channels, height, width = self._told["shape"]
        return channels, height, width

    def predict(self, images: np.ndarray) -> np.ndarray:
        values = {**self._weights, self._told["input"]: torch.from_numpy(images)}
        if images.shape[1:] != self.image_shape:
            raise ArtifactError(f"images must be {self.image_shape}, but are {images.shape[1:]}")
        with torch.inference_mode():
            for operator, inputs, output, attributes in self._told["nodes"]:
                given = [values[name] for name in inputs]
                values[output] = _OPERATORS[operator](given, attributes)
        logits: np.ndarray = values[self._told["output"]].numpy()
        return logits


def _padded(image: Tensor, attributes: Attributes, value: float = 0.0) -> Tensor:
    top, left, bottom, right = attributes.get("pads", (0, 0, 0, 0))
    return functional.pad(image, (left, right, top, bottom), value=value)


def _convolved(given: Sequence[Tensor], attributes: Attributes) -> Tensor:
    image, *others = given
    return functional.conv2d(
        _padded(image, attributes),
        *others,
        stride=attributes["strides"],
        dilation=attributes["dilations"],
        groups=attributes["group"],
    )


def _pooled(given: Sequence[Tensor], attributes: Attributes) -> Tensor:
    image = _padded(given[0], attributes, value=float("-inf"))
    return functional.max_pool2d(image, attributes["kernel_shape"], attributes["strides"])


def _averaged(given: Sequence[Tensor], attributes: Attributes) -> Tensor:
    image = _padded(given[0], attributes)
    return functional.avg_pool2d(image, attributes["kernel_shape"], attributes["strides"])


_OPERATORS: Mapping[str, Callable[[Sequence[Tensor], Attributes], Tensor]] = {
    "Add": lambda given, _: given[0] + given[1],
    "AveragePool": _averaged,
    "Conv": _convolved,
    "Flatten": lambda given, _: given[0].flatten(1),
    "Gemm": lambda given, _: functional.linear(*given),
    "GlobalAveragePool": lambda given, _: given[0].mean((2, 3), keepdim=True),
    "Identity": lambda given, _: given[0],
    "MaxPool": _pooled,
    "Relu": lambda given, _: given[0].relu(),
}

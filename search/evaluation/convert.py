"""From a network to its files: in floats, and as it is served."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import onnx
from torch import nn

from search.artifacts.student import SERVED
from search.evaluation.measure import count_cost, count_operations
from search.records import Cost
from search.targets.onnx_runtime import export_onnx
from spaces.axes.pruning import Pruning
from spaces.axes.quantization import Quantization
from spaces.quantization.weight_compression.packed import pack_sparse


@dataclass(frozen=True)
class Files:
    """A student's files: what pruning left, in floats, and that in its number format.

    Both are as small as they could be shipped: zeros that pruning left take no room.
    """

    exported: Path
    served: Path


def write_files(
    exported: "Exported",
    folder: Path,
    *,
    pruning: Pruning,
    quantization: Quantization,
    calibration: Iterable[np.ndarray],
) -> Files:
    """Converts a network's float file into `folder`.

    Args:
        exported: pruned already; its file is left as it is.
        folder: is there, and empty.
        pruning: what pruned it.
        quantization: how it is served.
        calibration: normalised images, [batch, channels, height, width], float32.

    Raises:
        ArtifactError: the network can't be exported.
        ValueError: it can't be converted.
    """
    served = folder / SERVED
    quantization.convert(exported.path, served, calibration=calibration)
    if not pruning.leaves_zeros:
        return Files(exported.path, served)
    sparse = folder / "float.onnx"
    for source, destination in ((exported.path, sparse), (served, served)):
        onnx.save(pack_sparse(onnx.load(source)), destination)
    return Files(sparse, served)


class Exported:
    """A network and its file in floats, exported once somebody asks for it.

    Args:
        network: on the CPU; not changed any more.
        path: where its file is put.
        image_shape: channels, height, width.
    """

    def __init__(self, network: nn.Module, path: Path, image_shape: tuple[int, int, int]) -> None:
        self.network = network
        self._path = path
        self._image_shape = image_shape

    @cached_property
    def path(self) -> Path:
        """Its file.

        Raises:
            ArtifactError: the network can't be exported.
        """
        export_onnx(self.network, self._path, image_shape=self._image_shape)
        return self._path

    def cost_in(self, path: Path) -> Cost:
        """What is counted of the student that is served by the file `path`; nothing is timed."""
        return count_cost(self.network, path, self._image_shape, known=self._operations)

    @cached_property
    def _operations(self) -> Cost:
        """Counted once, however many files the network has."""
        return count_operations(self.network, self._image_shape)

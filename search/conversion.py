"""From a network to its files: in floats, and as it is served."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from torch import nn

from search.artifacts import SERVED
from search.runtime import export_onnx
from spaces.axes import Pruning, Quantization
from spaces.packing.packed import pack_sparse


@dataclass(frozen=True)
class Files:
    """A student's files: what pruning left, in floats, and that in its number format.

    Both are as small as they could be shipped: zeros that pruning left take no room.
    """

    exported: Path
    served: Path


def write_files(
    network: nn.Module,
    folder: Path,
    *,
    pruning: Pruning,
    quantization: Quantization,
    calibration: Iterable[np.ndarray],
    image_shape: tuple[int, int, int],
) -> Files:
    """Exports `network` and converts it, both into `folder`.

    Args:
        network: pruned already.
        folder: is there, and empty.
        pruning: what pruned it.
        quantization: how it is served.
        calibration: normalised images, [batch, channels, height, width], float32.
        image_shape: channels, height, width.

    Raises:
        ArtifactError: the network can't be exported.
        ValueError: it can't be converted.
    """
    files = Files(folder / "float.onnx", folder / SERVED)
    export_onnx(network, files.exported, image_shape=image_shape)
    quantization.convert(files.exported, files.served, calibration=calibration)
    if pruning.leaves_zeros:
        for path in (files.exported, files.served):
            onnx.save(pack_sparse(onnx.load(path)), path)
    return files

"""Mixed precision of int8 and float32. Cai et al. 2020 (ZeroQ), arXiv:2001.00281."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from spaces.method import IntRange, param
from spaces.quantization.ptq.sensitivity import sensitivities, weight_counts
from spaces.quantization.ptq.static_int8 import StaticInt8

# Number of images for the measurement of each layer's sensitivity.
_IMAGES = 32
# Share of all weights. A larger layer in float32 would take more bytes than int8 saves.
_LARGEST_SHARE = 0.1


@dataclass(frozen=True)
class Int8Mixed(StaticInt8):
    """Static int8, with the `float_layers` most sensitive layers in float32.

    The sensitivity of a layer is the change of the predictions on training images when only this
    layer is quantized. Layers with more than 10% of all weights are always quantized. The choice of
    layers depends on the trained weights, so the exact file size is not known before training.
    The other parameters are those of `int8_static`; equalisation and migration come before the
    choice of layers.

    Source: Cai et al. 2020 (ZeroQ), arXiv:2001.00281, section 3.1 (the measure of sensitivity).
    """

    name: ClassVar[str] = "int8_mixed"
    float_layers: int = param(2, IntRange(1, 16))

    @property
    def size_error(self) -> float:
        # In the worst case, the selected layers of the untrained student hold 10% of the weights
        # each, and those of the trained student almost none. A float32 weight takes 3 bytes more.
        return 1 - 1 / (1 + 3 * _LARGEST_SHARE * self.float_layers)

    def float_nodes(self, path: Path, images: np.ndarray) -> Sequence[str]:
        counts = weight_counts(path)
        limit = _LARGEST_SHARE * sum(counts.values())
        sensitivity = sensitivities(path, images[:_IMAGES])
        small = [name for name in sensitivity if counts[name] <= limit]
        # Layers of equal sensitivity are sorted by name, so that the choice is deterministic.
        return sorted(small, key=lambda name: (-sensitivity[name], name))[: self.float_layers]

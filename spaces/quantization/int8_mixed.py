"""Mixed precision of int8 and float32. Cai et al. 2020 (ZeroQ), arXiv:2001.00281."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import ClassVar

import numpy as np

from spaces.axes.quantization import Quantization
from spaces.method import IntRange, param
from spaces.quantization.ptq.int8 import prepared, quantize_int8
from spaces.quantization.ptq.sensitivity import sensitivities, weight_counts
from spaces.shrinks import Hardware, Shrinks

# Number of images for the measurement of each layer's sensitivity.
_IMAGES = 32
# Share of all weights. A larger layer in float32 would take more bytes than int8 saves.
_LARGEST_SHARE = 0.1


@dataclass(frozen=True)
class Int8Mixed(Quantization):
    """Static int8, with the `float_layers` most sensitive layers in float32.

    The sensitivity of a layer is the change of the predictions on training images when only this
    layer is quantized. Layers with more than 10% of all weights are always quantized. The choice of
    layers depends on the trained weights, so the exact file size is not known before training.

    Source: Cai et al. 2020 (ZeroQ), arXiv:2001.00281, section 3.1 (the measure of sensitivity).
    """

    name: ClassVar[str] = "int8_mixed"
    shrinks: ClassVar[Shrinks] = Shrinks(size=True, latency=(Hardware.INT8_CPU,))
    least_bits: ClassVar[float] = 8.0
    float_layers: int = param(2, IntRange(1, 16))

    @property
    def size_error(self) -> float:
        # In the worst case, the selected layers of the untrained student hold 10% of the weights
        # each, and those of the trained student almost none. A float32 weight takes 3 bytes more.
        return 1 - 1 / (1 + 3 * _LARGEST_SHARE * self.float_layers)

    def convert(
        self, source: Path, destination: Path, *, calibration: Iterable[np.ndarray]
    ) -> None:
        batches = iter(calibration)
        first = next(batches)
        with prepared(source) as path:
            float32_nodes = self._most_sensitive(path, first[:_IMAGES])
            quantize_int8(path, destination, batches=chain([first], batches), floats=float32_nodes)

    def _most_sensitive(self, path: Path, images: np.ndarray) -> list[str]:
        """Return the names of the nodes that stay in float32."""
        counts = weight_counts(path)
        limit = _LARGEST_SHARE * sum(counts.values())
        sensitivity = sensitivities(path, images)
        small = [name for name in sensitivity if counts[name] <= limit]
        # Layers of equal sensitivity are sorted by name, so that the choice is deterministic.
        return sorted(small, key=lambda name: (-sensitivity[name], name))[: self.float_layers]

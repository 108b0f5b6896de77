"""Int8 but for the layers that suffer most. Cai et al. 2020 (ZeroQ), arXiv:2001.00281."""

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

# Number of images on which each layer is measured.
_IMAGES = 32
# Share of all weights. A larger layer in floats would cost the bytes that int8 saves.
_LARGEST_SHARE = 0.1


@dataclass(frozen=True)
class Int8Mixed(Quantization):
    """Static int8, with the `float_layers` layers that suffer most from it left in floats.

    How much a layer suffers is measured: rounded alone, by how far it moves the predictions on
    some training images. A layer that holds more than a tenth of all weights is never left. Which
    layers it will be, and with them the exact size, is not known before the student is trained.

    Source: Cai et al. 2020 (ZeroQ), arXiv:2001.00281, section 3.1 (the measure of sensitivity).
    """

    name: ClassVar[str] = "int8_mixed"
    shrinks: ClassVar[Shrinks] = Shrinks(size=True, latency=(Hardware.INT8_CPU,))
    least_bits: ClassVar[float] = 8.0
    float_layers: int = param(2, IntRange(1, 16))

    @property
    def size_error(self) -> float:
        # At worst, each layer in floats holds a tenth of the weights before training, and almost
        # none after it; a float takes three bytes more.
        return 1 - 1 / (1 + 3 * _LARGEST_SHARE * self.float_layers)

    def convert(
        self, source: Path, destination: Path, *, calibration: Iterable[np.ndarray]
    ) -> None:
        batches = iter(calibration)
        first = next(batches)
        with prepared(source) as path:
            kept = self._most_sensitive(path, first[:_IMAGES])
            quantize_int8(path, destination, batches=chain([first], batches), floats=kept)

    def _most_sensitive(self, path: Path, images: np.ndarray) -> list[str]:
        """Return the names of the nodes that stay floats."""
        counts = weight_counts(path)
        limit = _LARGEST_SHARE * sum(counts.values())
        suffering = sensitivities(path, images)
        small = [name for name in suffering if counts[name] <= limit]
        # Ties, such as layers that change nothing, go by name: one file always gives one choice.
        return sorted(small, key=lambda name: (-suffering[name], name))[: self.float_layers]

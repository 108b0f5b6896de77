"""No quantization."""

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from spaces.axes.quantization import Quantization
from spaces.shrinks import NOTHING, Shrinks


@dataclass(frozen=True)
class Float32(Quantization):
    """No quantization: float32 weights and activations."""

    name: ClassVar[str] = "float32"
    shrinks: ClassVar[Shrinks] = NOTHING
    least_bits: ClassVar[float] = 32.0

    def convert(
        self, source: Path, destination: Path, *, calibration: Iterable[np.ndarray]
    ) -> None:
        del calibration  # float32 needs no calibration
        shutil.copyfile(source, destination)

"""Base class of static int8, with the techniques that preserve the accuracy of small networks."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import onnx

from spaces.axes.quantization import Quantization
from spaces.method import FloatRange, OneOf, param
from spaces.quantization.ptq.activations import first_images
from spaces.quantization.ptq.equalization import equalized
from spaces.quantization.ptq.int8 import (
    CALIBRATIONS,
    largest_int8_weight,
    prepared,
    quantize_int8,
)
from spaces.quantization.ptq.migration import migrated
from spaces.quantization.ptq.qdq_network import QdqNetwork
from spaces.quantization.ptq.refinement import BIAS_CORRECTIONS, IMAGES, ROUNDINGS, refine
from spaces.shrinks import Hardware, Shrinks


@dataclass(frozen=True)
class StaticInt8(Quantization):
    """Static int8: 8-bit weights and activations, with ranges calibrated on training images.

    Attributes:
        calibration: the rule for the ranges of activations.
        equalization: whether cross-layer equalisation is applied before.
        migration: the strength of the migration of scales into layers after a normalisation.
        rounding: the rule for rounding weights.
        bias_correction: the rule for correcting the biases afterwards.
    """

    shrinks: ClassVar[Shrinks] = Shrinks(size=True, latency=(Hardware.INT8_CPU,))
    least_bits: ClassVar[float] = 8.0
    calibration: str = param("min_max", OneOf(tuple(CALIBRATIONS)))
    equalization: bool = param(False, OneOf((False, True)))
    migration: float = param(0.0, FloatRange(0.0, 1.0))
    rounding: str = param("nearest", OneOf(ROUNDINGS))
    bias_correction: str = param("none", OneOf(BIAS_CORRECTIONS))

    def convert(
        self, source: Path, destination: Path, *, calibration: Iterable[np.ndarray]
    ) -> None:
        images, batches = first_images(calibration, IMAGES)
        if not len(images):
            raise ValueError(
                f"{self.name} needs calibration images, but got none: give at least one batch"
            )
        with prepared(source) as path:
            self._ease(path, images)
            quantize_int8(
                path,
                destination,
                batches=batches,
                calibration=self.calibration,
                floats=self.float_nodes(path, images),
            )
            self._refine(path, destination, images)

    def float_nodes(self, path: Path, images: np.ndarray) -> Sequence[str]:
        """Return the names of the nodes that stay in float32.

        Args:
            path: the prepared float32 file.
            images: the first calibration images, [images, channels, height, width].
        """
        return ()

    def _ease(self, path: Path, images: np.ndarray) -> None:
        """Rewrite the prepared float32 file so that it rounds better."""
        if not self.equalization and not self.migration:
            return
        model = onnx.load(path)
        if self.equalization:
            model = equalized(model, images)
        if self.migration:
            model = migrated(model, images, strength=self.migration)
        onnx.save(model, path)

    def _refine(self, source: Path, destination: Path, images: np.ndarray) -> None:
        """Choose the weights and the biases of the int8 file anew."""
        if self.rounding == "nearest" and self.bias_correction == "none":
            return
        model = onnx.load(source)
        network = QdqNetwork(model, onnx.load(destination), largest=largest_int8_weight())
        refine(network, model, images, rounding=self.rounding, bias_correction=self.bias_correction)
        onnx.save(network.model, destination)

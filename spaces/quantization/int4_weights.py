"""4-bit weights. Banner et al. 2019, arXiv:1810.05723."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import onnx
from torch import Tensor

from spaces.method import FloatRange, OneOf, param
from spaces.quantization.ptq.activations import first_images
from spaces.quantization.ptq.equalization import equalized
from spaces.quantization.ptq.graph import folded
from spaces.quantization.ptq.refinement import BIAS_CORRECTIONS, IMAGES, ROUNDINGS, refine
from spaces.quantization.weight_compression.coded_network import CodedNetwork
from spaces.quantization.weight_compression.coded_weights import TunedCodes
from spaces.quantization.weight_compression.codes import Codes, four_bit_codes

if TYPE_CHECKING:
    from spaces.recipe import Recipe


@dataclass(frozen=True)
class Int4Weights(TunedCodes):
    """4-bit weights in the file; the runtime decodes them to float32 when it loads the file.

    Each output channel has a scale. The method tries 21 scales and selects the scale with the least
    error. `tuning` is the number of epochs of quantization-aware training, as a share of the
    training's epochs.

    The other parameters select techniques that need no training; see docs/quantization.md.
    `equalization` evens the ranges of the weights of consecutive layers. `rounding: adaround`
    rounds each weight up or down as the layer's output requires. `bias_correction` removes the mean
    shift of each layer's output, from its weights' error (`fast`) or from its measured output
    (`full`).

    Source: Banner et al. 2019, arXiv:1810.05723 (clipping before 4-bit quantization); Nagel et al.
    2019, arXiv:1906.04721 (equalisation and bias correction); Nagel et al. 2020, arXiv:2004.10568
    (AdaRound).
    """

    name: ClassVar[str] = "int4_weights"
    version: ClassVar[int] = 2
    least_bits: ClassVar[float] = 4.0
    tuning: float = param(0.0, FloatRange(0.0, 1.0))
    equalization: bool = param(False, OneOf((False, True)))
    rounding: str = param("nearest", OneOf(ROUNDINGS))
    bias_correction: str = param("none", OneOf(BIAS_CORRECTIONS))

    def conflict(self, recipe: "Recipe") -> str | None:
        if self.tuning and self.equalization:
            return (
                "tuning trains weights to be multiples of a scale for each output channel, but "
                f"equalization scales input channels, and tuning is {self.tuning}: set tuning: 0 "
                "or equalization: false"
            )
        return super().conflict(recipe)

    def codes(self, weights: Tensor) -> Codes:
        return four_bit_codes(weights)

    def convert(
        self, source: Path, destination: Path, *, calibration: Iterable[np.ndarray]
    ) -> None:
        model = folded(onnx.load(source))
        images = np.zeros(0, np.float32)
        if (self.equalization, self.rounding, self.bias_correction) != (False, "nearest", "none"):
            images, _ = first_images(calibration, IMAGES)
        if self.equalization:
            model = equalized(model, images)
        network = CodedNetwork(model, self.codes, ends=self.codes_ends)
        refine(network, model, images, rounding=self.rounding, bias_correction=self.bias_correction)
        onnx.save(network.packed(), destination)

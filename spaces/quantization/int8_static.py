"""Static int8 with ONNX Runtime's quantizer. Jacob et al. 2018, arXiv:1712.05877."""

from dataclasses import dataclass
from typing import ClassVar

from spaces.quantization.ptq.static_int8 import StaticInt8


@dataclass(frozen=True)
class Int8Static(StaticInt8):
    """Static int8: 8-bit weights and activations, with ranges calibrated on training images.

    Weights are signed, with a scale per channel. Activations are unsigned. A processor without VNNI
    adds pairs of products in 16 bits, and the sums saturate. On such a processor the weights are
    limited to 7 bits.

    `calibration` selects the range of an activation: from the smallest to the largest value
    (`min_max`), the same without the outermost 0.001% of the values (`percentile`), the range with
    the least divergence between the quantized and the original distribution (`entropy`), or the
    range with the least squared error (`mse`). All but `min_max` are for activations with a few
    very large values.

    The other parameters select techniques for networks that lose accuracy in int8; see
    docs/quantization.md. `equalization` evens the ranges of the weights of consecutive layers.
    `migration` is the strength with which scales move from activations after a layer normalisation
    into the weights behind it, for transformers; 0 turns it off. `rounding: adaround` rounds each
    weight up or down as the layer's output requires. `bias_correction` removes the mean shift of
    each layer's output, from its weights' error (`fast`) or from its measured output (`full`).

    Source: Jacob et al. 2018, arXiv:1712.05877; Wu et al. 2020, arXiv:2004.09602, section 5.1
    (calibration); Nagel et al. 2019, arXiv:1906.04721 (equalisation and bias correction); Nagel et
    al. 2020, arXiv:2004.10568 (AdaRound); Xiao et al. 2022, arXiv:2211.10438 (migration).
    """

    name: ClassVar[str] = "int8_static"

"""The techniques that change a quantized network: its integer weights, then its biases."""

import numpy as np
from onnx import ModelProto

from spaces.quantization.ptq.adaround import adapt_rounding
from spaces.quantization.ptq.bias_correction import correct_from_outputs, correct_from_weights
from spaces.quantization.ptq.quantized_network import QuantizedNetwork

# Recipes store these names.
ROUNDINGS = ("nearest", "adaround")
BIAS_CORRECTIONS = ("none", "fast", "full")
# The number of images from which the techniques compute their statistics.
IMAGES = 256


def refine(
    network: QuantizedNetwork,
    source: ModelProto,
    images: np.ndarray,
    *,
    rounding: str,
    bias_correction: str,
) -> None:
    """Change the weights and then the biases of `network`, in place.

    Args:
        network: the quantized network, with its weights rounded to the nearest integers.
        source: the float32 model.
        images: calibration images, [images, channels, height, width], float32.
        rounding: one of `ROUNDINGS`.
        bias_correction: one of `BIAS_CORRECTIONS`.

    Raises:
        ValueError: there are no images.
    """
    if not len(images) and (rounding, bias_correction) != ("nearest", "none"):
        raise ValueError(
            f"rounding: {rounding} with bias_correction: {bias_correction} needs calibration "
            "images, but got none: give at least one batch of images"
        )
    if rounding == "adaround":
        adapt_rounding(network, source, images, centred=bias_correction != "none")
    if bias_correction == "fast":
        correct_from_weights(network, source, images)
    elif bias_correction == "full":
        correct_from_outputs(network, source, images)

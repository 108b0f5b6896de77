"""Bias correction. Nagel et al. 2019, arXiv:1906.04721."""

import numpy as np
import torch
from onnx import ModelProto

from spaces.quantization.ptq.activations import Activations
from spaces.quantization.ptq.graph import channel_axis_of_output
from spaces.quantization.ptq.quantized_network import QuantizedLayer, QuantizedNetwork


def correct_from_weights(network: QuantizedNetwork, source: ModelProto, images: np.ndarray) -> None:
    """Remove the mean shift of each layer's output that follows from its weights' error, in place.

    The shift of the output's mean is the weights' error times the mean of the layer's input. The
    mean input of the float network is measured on images, in one pass; everything else is computed.
    For a convolution, it is the mean at each place, so that the padding counts too.

    Args:
        network: the quantized network.
        source: the float32 model.
        images: calibration images, [images, channels, height, width], float32.

    Source: Nagel et al. 2019, arXiv:1906.04721, section 4.2, with a measured mean input in place of
    that of a normalisation's statistics.
    """
    names = [str(layer.product.layer.node.input[0]) for layer in network.layers]
    means = _means(source, names, images)
    for layer, name in zip(network.layers, names, strict=True):
        error = network.quantized_weights(layer) - network.float_weights(layer)
        network.add_to_bias(layer, -_mean_output(layer, means[name], error))


def correct_from_outputs(network: QuantizedNetwork, source: ModelProto, images: np.ndarray) -> None:
    """Remove the measured mean shift of each layer's output, a layer after another, in place.

    The shift of a layer is measured when all layers before it are corrected. So it also contains
    what the rounding and the clipping of activations add. The function runs the part of both
    networks before each layer, which takes seconds to a minute.

    Args:
        network: the quantized network.
        source: the float32 model.
        images: calibration images, [images, channels, height, width], float32.

    Source: Nagel et al. 2019, arXiv:1906.04721, appendix D (empirical bias correction).
    """
    for layer in network.layers:
        node = layer.product.layer.node
        axis = channel_axis_of_output(node)
        wanted = _channel_mean(source, str(node.output[0]), images, axis)
        found = _channel_mean(network.model, layer.output, images, axis)
        network.add_to_bias(layer, wanted - found)


def _means(model: ModelProto, names: list[str], images: np.ndarray) -> dict[str, np.ndarray]:
    """Return the mean over the images of each value, by name."""
    sums: dict[str, np.ndarray] = {}
    for values in Activations(model, names).chunks(images):
        for name, value in values.items():
            sums[name] = sums.get(name, 0.0) + value.sum(axis=0, dtype=np.float64)
    return {name: (total / len(images)).astype(np.float32) for name, total in sums.items()}


def _mean_output(layer: QuantizedLayer, mean: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the mean output of each channel, [channels], for the layer's mean input."""
    columns = layer.product.columns(
        mean[None], most=mean.size, draw=torch.Generator().manual_seed(0)
    ).mean(dim=1)  # [groups, weights of a channel]
    rows = layer.product.rows(weights)
    grouped = rows.reshape(len(columns), -1, rows.shape[1])
    found: np.ndarray = (grouped * columns[:, None]).sum(dim=2).flatten().numpy()
    return found


def _channel_mean(model: ModelProto, name: str, images: np.ndarray, axis: int) -> np.ndarray:
    """Return the mean of each channel of a value over all images and places, [channels]."""
    total, count = np.zeros(()), 0
    for values in Activations(model, [name]).chunks(images):
        moved = np.moveaxis(values[name], axis, -1).reshape(-1, values[name].shape[axis])
        total = total + moved.sum(axis=0, dtype=np.float64)
        count += len(moved)
    return (total / count).astype(np.float32)

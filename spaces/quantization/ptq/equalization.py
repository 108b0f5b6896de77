"""Cross-layer equalisation. Nagel et al. 2019, arXiv:1906.04721."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from onnx import ModelProto, NodeProto

from spaces.quantization.ptq.activations import Activations
from spaces.quantization.ptq.graph import OnnxGraph, attributes, layers_with_own_weights
from spaces.quantization.weight_compression.weights import Layer

# The paper repeats until the scales do not change any more.
_SWEEPS = 20
_SETTLED = 1e-3
# A channel that is almost dead would get an enormous scale, and its bias an enormous output.
_LARGEST_SCALE = 32.0

# f(s x) = s f(x) holds for each channel and any s above 0.
_HOMOGENEOUS = ("Relu", "LeakyRelu", "MaxPool", "AveragePool", "GlobalAveragePool", "Identity")


@dataclass(frozen=True)
class Pair:
    """Two layers, between which each channel can be scaled.

    Attributes:
        first: the layer that makes the channels.
        second: the only layer that reads them.
        clip: the output of a clip from 0 to `ceiling` between them; None if there is none.
        ceiling: the upper bound of the clip.
    """

    first: Layer
    second: Layer
    clip: str | None = None
    ceiling: float = np.inf


def equalized(model: ModelProto, images: np.ndarray) -> ModelProto:
    """Return a model with equal outputs, whose layers' weights have more even ranges.

    Channel i between two layers is divided by s_i in the first layer, and multiplied by s_i in the
    second: s_i = √(r1_i r2_i) / r2_i, where r1_i and r2_i are the largest magnitudes of the weights
    that make and that read the channel. Between the two layers there may only be functions with
    f(s x) = s f(x), such as ReLU and pooling, and no other reader.

    ReLU6 is no such function. Its channels are scaled only as far as the images show no difference:
    a channel that reaches the bound stays as it is, and no other may reach it afterwards. Without
    images, these channels stay as they are.

    The function takes well under a second for a small student, and one pass over the images if
    there are clips.

    Args:
        model: a float32 model.
        images: calibration images, [images, channels, height, width], float32; perhaps none.

    Source: Nagel et al. 2019, arXiv:1906.04721, section 4.1.
    """
    graph = OnnxGraph.copy_of(model)
    pairs = list(pairs_of(graph))
    peaks = _peaks(model, [pair.clip for pair in pairs if pair.clip], images)
    usable = [pair for pair in pairs if pair.clip is None or pair.clip in peaks]
    for pair in usable:
        _own_constants(graph, pair)
    for _ in range(_SWEEPS):
        moved = [_equalize(graph, pair, peaks) for pair in usable]
        if max(moved, default=0.0) < _SETTLED:
            break
    return graph.model


def pairs_of(graph: OnnxGraph) -> Iterator[Pair]:
    """Yield the pairs of layers between which channels can be scaled, in the model's order."""
    layers = {layer.node.output[0]: layer for layer in layers_with_own_weights(graph.model)}
    by_input = {layer.name: layer for layer in layers.values()}
    for first in layers.values():
        if first.node.op_type == "MatMul" or not _has_constant_bias(graph, first.node):
            continue
        if pair := _followed(graph, first, by_input):
            yield pair


def _has_constant_bias(graph: OnnxGraph, node: NodeProto) -> bool:
    """Return whether the layer has no bias, or a constant for each channel."""
    return len(node.input) < 3 or len(getattr(graph.constants.get(node.input[2]), "dims", ())) == 1


def _followed(graph: OnnxGraph, first: Layer, layers: dict[str, Layer]) -> Pair | None:
    """Return the pair that begins with `first`; None if no layer may follow."""
    value, clip, ceiling = str(first.node.output[0]), None, np.inf
    # A matrix product reads the channels of a map only after its places are averaged.
    is_vector = first.node.op_type != "Conv"
    while node := graph.only_reader(value):
        if len(node.input) > 1 and node.input[1] in layers and node.input[0] == value:
            reads_channels = node.op_type == "Conv" or is_vector
            second = layers[node.input[1]]
            return Pair(first, second, clip, ceiling) if reads_channels else None
        if node.op_type == "Clip" and clip is None and (bound := _clip_bound(graph, node)):
            clip, ceiling = str(node.output[0]), bound
        elif not (node.op_type in _HOMOGENEOUS or (node.op_type == "Flatten" and is_vector)):
            return None
        is_vector = is_vector or node.op_type == "GlobalAveragePool"
        value = str(node.output[0])
    return None


def _clip_bound(graph: OnnxGraph, node: NodeProto) -> float | None:
    """Return the upper bound of a clip whose lower bound is 0; None for any other clip."""
    if len(node.input) != 3 or not all(name in graph.constants for name in node.input[1:]):
        return None
    low, high = (float(graph.constant(name)) for name in node.input[1:])
    return high if low == 0 and high > 0 else None


def _peaks(model: ModelProto, clips: list[str], images: np.ndarray) -> dict[str, np.ndarray]:
    """Return the largest value of each channel, [channels], by the name of the clip's output."""
    peaks: dict[str, np.ndarray] = {}
    if not len(images) or not clips:
        return peaks
    for values in Activations(model, clips).chunks(images):
        for name in clips:
            own = values[name].max(axis=(0, *range(2, values[name].ndim)))
            peaks[name] = np.maximum(peaks.get(name, 0.0), own)
    return peaks


def _own_constants(graph: OnnxGraph, pair: Pair) -> None:
    if len(pair.first.node.input) > 2:
        graph.own_constant(pair.first.node, 2)


def _equalize(graph: OnnxGraph, pair: Pair, peaks: dict[str, np.ndarray]) -> float:
    """Scale the channels between two layers; return the largest change, as |log s|."""
    making, reading = graph.constant(pair.first.name), graph.constant(pair.second.name)
    rows = np.moveaxis(making, pair.first.channels, 0)
    channels = len(rows)
    columns = _by_input(reading, pair.second, channels)
    first = np.abs(rows).reshape(channels, -1).max(axis=1)
    second = np.abs(columns).max(axis=(0, 2))
    is_used = (first > 0) & (second > 0)
    scale = np.ones(channels)
    scale[is_used] = np.sqrt(first[is_used] / second[is_used])
    scale = scale.clip(1 / _LARGEST_SCALE, _LARGEST_SCALE)
    if pair.clip is not None:
        peak = peaks[pair.clip]
        scale = np.where(peak < pair.ceiling, np.maximum(scale, peak / pair.ceiling), 1.0)
        peaks[pair.clip] = peak / scale
    _divide(graph, pair, scale.astype(np.float32))
    return float(np.abs(np.log(scale)).max())


def _divide(graph: OnnxGraph, pair: Pair, scale: np.ndarray) -> None:
    """Divide the channels by their scales in the first layer, multiply them in the second."""
    making, reading = graph.constant(pair.first.name), graph.constant(pair.second.name)
    rows = np.moveaxis(making, pair.first.channels, 0)
    divided = rows / scale.reshape(-1, *[1] * (rows.ndim - 1))
    graph.set_constant(pair.first.name, np.moveaxis(divided, 0, pair.first.channels))
    if len(pair.first.node.input) > 2:
        bias = str(pair.first.node.input[2])
        graph.set_constant(bias, graph.constant(bias) / scale)
    columns = _by_input(reading, pair.second, len(scale)) * scale[:, None]
    graph.set_constant(pair.second.name, _from_input(columns, pair.second, reading.shape))


def _by_input(weights: np.ndarray, layer: Layer, channels: int) -> np.ndarray:
    """Return weights by input channel, [outputs of a group, channels, weights of a kernel]."""
    if layer.node.op_type != "Conv":
        return np.moveaxis(weights, layer.channels, 0)[:, :, None]
    groups = int(str(attributes(layer.node).get("group", 1)))
    grouped = weights.reshape(groups, weights.shape[0] // groups, weights.shape[1], -1)
    return grouped.transpose(1, 0, 2, 3).reshape(grouped.shape[1], channels, -1)


def _from_input(columns: np.ndarray, layer: Layer, shape: tuple[int, ...]) -> np.ndarray:
    """Return the weights of the given shape from `_by_input`."""
    if layer.node.op_type != "Conv":
        return np.moveaxis(columns[:, :, 0], 0, layer.channels)
    groups = int(str(attributes(layer.node).get("group", 1)))
    grouped = columns.reshape(columns.shape[0], groups, shape[1], -1)
    return grouped.transpose(1, 0, 2, 3).reshape(shape)

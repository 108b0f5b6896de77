"""Migration of scales from activations to weights. Xiao et al. 2022, arXiv:2211.10438."""

from collections.abc import Iterator

import numpy as np
from onnx import ModelProto, NodeProto

from spaces.quantization.ptq.activations import Activations
from spaces.quantization.ptq.graph import OnnxGraph, layers_with_own_weights
from spaces.quantization.weight_compression.weights import Layer

# It prevents a division by zero for a channel that is always zero.
_LEAST = 1e-5


def migrated(model: ModelProto, images: np.ndarray, *, strength: float) -> ModelProto:
    """Return a model with equal outputs, whose layers after normalisations have even inputs.

    In transformers, a few channels of a normalised activation are many times larger than the
    others, and 8 bits for all channels leave few levels for the others. Channel j is divided by
    s_j = max|x_j|^strength / max|w_j|^(1 - strength) in the scale and the shift of the layer
    normalisation, and multiplied by s_j in all weights w that read it. All readers of the
    normalisation must be layers with constant weights; otherwise it stays as it is.

    The function takes one pass over the images.

    Args:
        model: a float32 model.
        images: calibration images, [images, channels, height, width], float32.
        strength: 0 to 1; the paper's alpha. At 1 the activations become even, at 0 the weights.

    Raises:
        ValueError: the network has such normalisations, but there are no images.

    Source: Xiao et al. 2022 (SmoothQuant), arXiv:2211.10438, section 4, equation 4.
    """
    graph = OnnxGraph.copy_of(model)
    found = list(_normalisations(graph))
    peaks = _peaks(model, [str(node.output[0]) for node, _ in found], images)
    for node, readers in found:
        weights = [_by_input(graph.constant(layer.name), layer) for layer in readers]
        largest = np.max([np.abs(one).max(axis=1) for one in weights], axis=0).clip(_LEAST)
        scale = peaks[node.output[0]].clip(_LEAST) ** strength / largest ** (1 - strength)
        scale = scale.astype(np.float32)
        for place in range(1, len(node.input)):
            own = graph.own_constant(node, place)
            graph.set_constant(own, graph.constant(own) / scale)
        for layer, one in zip(readers, weights, strict=True):
            graph.set_constant(layer.name, _by_input(one * scale[:, None], layer))
    return graph.model


def _normalisations(graph: OnnxGraph) -> Iterator[tuple[NodeProto, list[Layer]]]:
    """Yield each layer normalisation that can be scaled, with the layers that read it."""
    layers = {layer.name: layer for layer in layers_with_own_weights(graph.model)}
    outputs = {str(value.name) for value in graph.model.graph.output}
    for node in graph.model.graph.node:
        if node.op_type != "LayerNormalization" or node.output[0] in outputs:
            continue
        readers = graph.readers.get(node.output[0], [])
        products = [
            layers[reader.input[1]]
            for reader in readers
            if reader.op_type in ("MatMul", "Gemm")
            and reader.input[0] == node.output[0]
            and reader.input[1] in layers
        ]
        if products and len(products) == len(readers) and _scales_last_axis(graph, node):
            yield node, products


def _scales_last_axis(graph: OnnxGraph, node: NodeProto) -> bool:
    """Return whether the normalisation's scale and shift are constants of the last axis."""
    return all(
        name in graph.constants and len(graph.constants[name].dims) == 1 for name in node.input[1:]
    )


def _by_input(weights: np.ndarray, layer: Layer) -> np.ndarray:
    """Return weights with the input's channels first, or such weights as they were."""
    return weights if layer.channels == 1 else weights.T


def _peaks(model: ModelProto, names: list[str], images: np.ndarray) -> dict[str, np.ndarray]:
    """Return the largest magnitude of each channel, the last axis, by the value's name."""
    peaks: dict[str, np.ndarray] = {}
    if not names:
        return peaks
    if not len(images):
        raise ValueError(
            "migration needs calibration images, but got none: give at least one batch of images"
        )
    for values in Activations(model, names).chunks(images):
        for name in names:
            own = np.abs(values[name]).reshape(-1, values[name].shape[-1]).max(axis=0)
            peaks[name] = np.maximum(peaks.get(name, 0.0), own)
    return peaks

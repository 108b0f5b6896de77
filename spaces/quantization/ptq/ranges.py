"""Ranges of activations with the least squared error.

Banner et al. 2019, arXiv:1810.05723; Nagel et al. 2021, arXiv:2106.08295, section 3.1.
"""

from collections.abc import Collection
from itertools import chain

import numpy as np
from onnx import ModelProto, TensorProto

from spaces.quantization.ptq.activations import Activations
from spaces.quantization.ptq.graph import OnnxGraph

Range = tuple[float, float]

_LEVELS = 255
_BINS = 2048
# The search compares these shares of the whole range.
_SHARES = np.linspace(1.0, 0.1, 61)


def least_error_ranges(
    model: ModelProto, images: np.ndarray, *, operators: Collection[str] | None = None
) -> dict[str, Range]:
    """Return for each value the range whose 256 levels have the least squared error.

    A smaller range clips the largest values, but rounds the others more finely. The function takes
    two passes over the images.

    Args:
        model: a float32 model with inferred shapes.
        images: calibration images, [images, channels, height, width], float32.
        operators: only the inputs and outputs of these operators; None: of all.

    Returns:
        The lower and the upper bound, by the value's name. Each range includes 0.
    """
    names = _float_values(model, operators)
    bounds: dict[str, Range] = {}
    activations = Activations(model, names)
    for values in activations.chunks(images):
        for name, value in values.items():
            low, high = bounds.get(name, (0.0, 0.0))
            bounds[name] = min(low, float(value.min())), max(high, float(value.max()))
    used = {name: bound for name, bound in bounds.items() if bound[0] < bound[1]}
    counts = {name: np.zeros(_BINS, np.int64) for name in used}
    for values in activations.chunks(images):
        for name, bound in used.items():
            counts[name] += np.histogram(values[name], _BINS, bound)[0]
    return {name: least_error_range(counts[name], bound) for name, bound in used.items()}


def least_error_range(counts: np.ndarray, bound: Range) -> Range:
    """Return the range whose 256 levels have the least squared error on a histogram.

    Args:
        counts: the numbers of values in equal bins, [bins].
        bound: the lower bound of the first and the upper bound of the last bin; it includes 0.
    """
    low, high = bound
    edges = np.linspace(low, high, len(counts) + 1)
    centres = (edges[1:] + edges[:-1]) / 2
    best = bound
    # Both bounds together, then each alone.
    for shares in ((_SHARES, _SHARES), (np.ones(1), _SHARES), (_SHARES, np.ones(1))):
        lows, highs = np.broadcast_arrays(best[0] * shares[0], best[1] * shares[1])
        errors = _errors(centres, counts, lows, highs)
        place = int(errors.argmin())  # the first, the largest range, if several are equal
        best = float(lows[place]), float(highs[place])
    return best


def _errors(
    centres: np.ndarray, counts: np.ndarray, lows: np.ndarray, highs: np.ndarray
) -> np.ndarray:
    """Return the sum of squared errors for each range, [ranges]."""
    scale = ((highs - lows) / _LEVELS)[:, None]
    zero = np.rint(-lows[:, None] / scale)
    integers = (np.rint(centres / scale) + zero).clip(0, _LEVELS)
    found: np.ndarray = ((integers - zero) * scale - centres) ** 2 @ counts
    return found


def _float_values(model: ModelProto, operators: Collection[str] | None) -> list[str]:
    """Return the names of the float values that these operators read and make."""
    graph = OnnxGraph(model)
    known = chain(model.graph.value_info, model.graph.input, model.graph.output)
    floats = {
        value.name for value in known if value.type.tensor_type.elem_type == TensorProto.FLOAT
    }
    names = dict.fromkeys(
        str(name)
        for node in model.graph.node
        if operators is None or node.op_type in operators
        for name in chain(node.input, node.output)
    )
    return [name for name in names if name in floats and name not in graph.constants]

"""Encodings of tensors in fewer bytes: as indices into levels, without zeros, or as halves."""

import math
from dataclasses import dataclass

import numpy as np

# 256 levels fill a byte; with fewer levels, several indices share one.
_MOST_LEVELS = 256


@dataclass(frozen=True)
class Encoded:
    """An encoded tensor: the inputs of the function that decodes it.

    Attributes:
        decoder: the function's name.
        inputs: its inputs, in order.
    """

    decoder: str
    inputs: tuple[np.ndarray, ...]


def coded(indices: np.ndarray, levels: np.ndarray, scale: np.ndarray) -> Encoded:
    """Return the tensor `levels[indices] * scale`, with as many indices to a byte as fit.

    Sixteen levels take 4 bits each, three levels 1.6 and two levels 1.

    Args:
        indices: of any shape, integers from 0 to below the number of levels.
        levels: [levels], float32, 2 to 256 of them.
        scale: float32, of a shape that `indices` broadcasts with to its own shape.

    Raises:
        ValueError: there are too few or too many levels, or an index is out of their range.
    """
    base = len(levels)
    if not 2 <= base <= _MOST_LEVELS:
        raise ValueError(f"there must be 2 to {_MOST_LEVELS} levels, but got {base}")
    if indices.size and not (indices.min() >= 0 and indices.max() < base):
        raise ValueError(
            f"indices must be from 0 to {base - 1}, but got {indices.min()} to {indices.max()}"
        )
    # Not by logarithms: log(125, 5) comes out below 3.
    digits = max(count for count in range(1, 9) if base**count <= _MOST_LEVELS)
    places = (base ** np.arange(digits)).astype(np.int32)
    line = np.zeros(math.ceil(indices.size / digits) * digits, np.int32)
    line[: indices.size] = indices.ravel()
    packed = (line.reshape(-1, digits) * places).sum(axis=1).astype(np.uint8)
    shape = np.array(indices.shape, np.int64)
    return Encoded(
        "Coded",
        (
            packed,
            places,
            np.array(base, np.int32),
            levels.astype(np.float32),
            scale.astype(np.float32),
            shape,
        ),
    )


def sparse(tensor: np.ndarray) -> Encoded:
    """Return the tensor as a bitmap and its nonzero elements.

    For unsigned bytes, the most frequent value counts as zero.
    """
    flat = tensor.ravel()
    zero = np.bincount(flat).argmax() if tensor.dtype == np.uint8 and flat.size else 0
    is_value = flat != zero
    bitmap = np.packbits(is_value, bitorder="little")
    values = np.append(flat[is_value], np.array(zero, tensor.dtype))
    places = (2 ** np.arange(8)).astype(np.int32)
    return Encoded("Sparse", (bitmap, places, values, np.array(tensor.shape, np.int64)))


def halved(tensor: np.ndarray) -> Encoded:
    """Return the tensor rounded to float16; values beyond its range are clipped to it."""
    largest = np.finfo(np.float16).max
    return Encoded("Half", (tensor.clip(-largest, largest).astype(np.float16),))


def stored_bytes(encoded: Encoded) -> int:
    """Return the number of bytes of the encoded tensor, without names."""
    return sum(part.nbytes for part in encoded.inputs)

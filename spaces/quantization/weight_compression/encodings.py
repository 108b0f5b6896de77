"""Encodings of tensors in fewer bytes: coded, sparse, or as float16."""

import math
from dataclasses import dataclass

import numpy as np

# An index into 256 levels takes one byte. With at most 16 levels, several indices share a byte.
_MAX_LEVELS = 256


@dataclass(frozen=True)
class Encoded:
    """An encoded tensor: the name and the inputs of its decoding function.

    Attributes:
        decoder: name of the decoding function.
        inputs: inputs of the function, in order.
    """

    decoder: str
    inputs: tuple[np.ndarray, ...]


def coded(indices: np.ndarray, levels: np.ndarray, scale: np.ndarray) -> Encoded:
    """Encode the tensor `levels[indices] * scale`, with as many indices per byte as possible.

    An index takes 4 bits for 16 levels, 1.6 bits for 3 levels, and 1 bit for 2 levels.

    Args:
        indices: integers from 0 to below the number of levels, of any shape.
        levels: 2 to 256 levels, [levels], float32.
        scale: float32; its shape must broadcast to the shape of `indices`.

    Raises:
        ValueError: the number of levels or an index is outside its range.
    """
    base = len(levels)
    if not 2 <= base <= _MAX_LEVELS:
        raise ValueError(f"the number of levels must be 2 to {_MAX_LEVELS}, but got {base}")
    if indices.size and not (indices.min() >= 0 and indices.max() < base):
        raise ValueError(
            f"indices must be from 0 to {base - 1}, but got {indices.min()} to {indices.max()}"
        )
    # Logarithms are inexact: math.log(125, 5) is not 3.
    digits = max(count for count in range(1, 9) if base**count <= _MAX_LEVELS)
    places = (base ** np.arange(digits)).astype(np.int32)
    flat = np.zeros(math.ceil(indices.size / digits) * digits, np.int32)
    flat[: indices.size] = indices.ravel()
    packed = (flat.reshape(-1, digits) * places).sum(axis=1).astype(np.uint8)
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
    """Encode the tensor as a bitmap and its nonzero elements.

    For unsigned bytes, the most frequent value replaces zero.
    """
    flat = tensor.ravel()
    zero = np.bincount(flat).argmax() if tensor.dtype == np.uint8 and flat.size else 0
    is_value = flat != zero
    bitmap = np.packbits(is_value, bitorder="little")
    values = np.append(flat[is_value], np.array(zero, tensor.dtype))
    places = (2 ** np.arange(8)).astype(np.int32)
    return Encoded("Sparse", (bitmap, places, values, np.array(tensor.shape, np.int64)))


def halved(tensor: np.ndarray) -> Encoded:
    """Encode the tensor as float16; values outside the range of float16 are clipped."""
    largest = np.finfo(np.float16).max
    return Encoded("Half", (tensor.clip(-largest, largest).astype(np.float16),))


def stored_bytes(encoded: Encoded) -> int:
    """Return the number of bytes of the encoded tensor, without its names."""
    return sum(part.nbytes for part in encoded.inputs)

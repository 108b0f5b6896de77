"""Creation of the NumPy arrays and Python 3 bytes of a pickle, without the pickle's own calls.

If the author of a file could choose the arguments of NumPy's own constructors, an array could read
any memory of the process. Here, an array is a view of bytes in the file. Its type must be a plain
number, and its shape must match the number of bytes. Everything else is refused.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from search.files.reading import DamagedFile

_MOST_DIMENSIONS = 8
_NUMBERS = frozenset(("b1", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8"))
# The fields of a plain number type that NumPy writes after the byte order.
_PLAIN = (None, None, None, -1, -1, 0)


class Name(Enum):
    """The names that a pickle may use. The functions of these names are never called."""

    ARRAY_TYPE = auto()
    NUMBER_TYPE = auto()
    EMPTY_ARRAY = auto()
    ARRAY_OF_BYTES = auto()
    BYTES_OF_TEXT = auto()


NAMES: Mapping[tuple[str, str], Name] = {
    ("numpy", "ndarray"): Name.ARRAY_TYPE,
    ("numpy", "dtype"): Name.NUMBER_TYPE,
    ("_codecs", "encode"): Name.BYTES_OF_TEXT,
    # NumPy's internal module, by its old and its new name.
    ("numpy.core.multiarray", "_reconstruct"): Name.EMPTY_ARRAY,
    ("numpy._core.multiarray", "_reconstruct"): Name.EMPTY_ARRAY,
    ("numpy.core.numeric", "_frombuffer"): Name.ARRAY_OF_BYTES,
    ("numpy._core.numeric", "_frombuffer"): Name.ARRAY_OF_BYTES,
}


@dataclass
class NumberType:
    """The type of an array's values: one of `_NUMBERS`, and its byte order."""

    name: str
    order: str = "|"


@dataclass
class Array:
    """An array that a pickle creates empty and then fills."""

    values: NDArray[Any] | None = None


def call_result(name: Name, arguments: tuple[Any, ...]) -> object:
    """Return the result of a call in a pickle, if NumPy or Python writes such calls.

    Raises:
        DamagedFile: neither writes such a call.
        ValueError, TypeError, IndexError: likewise.
    """
    if name is Name.EMPTY_ARRAY:
        return _empty_array(arguments)
    if name is Name.NUMBER_TYPE:
        return _number_type(arguments)
    if name is Name.ARRAY_OF_BYTES:
        values, kind, shape, order, *_ = arguments
        return Array(_view(values, kind, shape, order="F" if order == "F" else "C"))
    if name is Name.BYTES_OF_TEXT:
        return _encoded(arguments)
    raise DamagedFile("it calls numpy.ndarray, which is not permitted")


def build(target: object, state: object) -> None:
    """Set the byte order of a type, or the values of an empty array.

    Raises:
        DamagedFile: the target is neither, or NumPy does not write such a state.
        ValueError, TypeError: likewise.
    """
    if not isinstance(state, tuple):
        raise DamagedFile("it sets a state that is not a tuple")
    if isinstance(target, NumberType):
        target.order = _order(state)
    elif isinstance(target, Array) and target.values is None:
        _, shape, kind, is_fortran, values = state
        target.values = _view(values, kind, shape, order="F" if is_fortran is True else "C")
    else:
        raise DamagedFile("it sets the state of a value that is neither a type nor an empty array")


def _empty_array(arguments: tuple[Any, ...]) -> Array:
    kind, shape, letter = arguments
    if kind is not Name.ARRAY_TYPE or shape != (0,) or letter not in (b"b", "b"):
        raise DamagedFile("it creates an array in a way that NumPy never writes")
    return Array()


def _number_type(arguments: tuple[Any, ...]) -> NumberType:
    name = _text(arguments[0])
    if name not in _NUMBERS:
        raise DamagedFile(f"its values have the type {name[:20]!r}, which is not permitted")
    return NumberType(name)


def _order(state: tuple[Any, ...]) -> str:
    if len(state) != 8 or state[2:] != _PLAIN:
        raise DamagedFile("it creates a type that is not a plain number")
    order = _text(state[1])
    if order not in ("|", "<", ">", "="):
        raise DamagedFile("it creates a type with an invalid byte order")
    return order


def _encoded(arguments: tuple[Any, ...]) -> bytes:
    """Return bytes that Python 3 writes as encoded text in old protocols; only as latin-1."""
    text, encoding = arguments if len(arguments) == 2 else (*arguments, "latin1")
    if (encoding := _text(encoding)) not in ("latin1", "latin-1"):
        raise DamagedFile(f"the encoding {encoding[:20]!r} is not permitted")
    return _text(text).encode("latin1")


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if not isinstance(value, str):
        raise DamagedFile("it has another value where text must be")
    return value


def _view(values: object, kind: object, shape: object, *, order: Literal["C", "F"]) -> NDArray[Any]:
    """Return an array as a view of bytes of the file."""
    if not isinstance(values, bytes | bytearray) or not isinstance(kind, NumberType):
        raise DamagedFile("it creates an array from other values than bytes and a type")
    if (
        not isinstance(shape, tuple)
        or len(shape) > _MOST_DIMENSIONS
        or not all(type(length) is int and length >= 0 for length in shape)
    ):
        raise DamagedFile("it creates an array with an invalid shape")
    dtype = np.dtype(f"{kind.order}{kind.name}")
    if math.prod(shape) * dtype.itemsize != len(values):
        raise DamagedFile(
            f"it creates an array whose shape does not match its {len(values):,} bytes"
        )
    return np.frombuffer(values, dtype=dtype).reshape(shape, order=order)

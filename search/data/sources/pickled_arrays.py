"""The numpy arrays and Python 3 bytes of a pickle, built without a call of what the pickle names.

numpy's own constructors, called with arguments chosen by the file's author, make an array of
foreign memory. Here an array is a view of bytes in the file, of a plain number's type, and its
length matches its shape; everything else is refused.
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
# numpy writes these fields of such a type after the byte order: no fields, no names, no flags.
_PLAIN = (None, None, None, -1, -1, 0)


class Name(Enum):
    """The names that a pickle may use; the functions are never called."""

    ARRAY_TYPE = auto()
    NUMBER_TYPE = auto()
    EMPTY_ARRAY = auto()
    ARRAY_OF_BYTES = auto()
    BYTES_OF_TEXT = auto()


NAMES: Mapping[tuple[str, str], Name] = {
    ("numpy", "ndarray"): Name.ARRAY_TYPE,
    ("numpy", "dtype"): Name.NUMBER_TYPE,
    ("_codecs", "encode"): Name.BYTES_OF_TEXT,
    # numpy's internal module, in its old place and in its new one.
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
    """An array that a pickle first makes empty, and then fills."""

    values: NDArray[Any] | None = None


def made(name: Name, given: tuple[Any, ...]) -> object:
    """Return what numpy would make of these arguments, as far as numpy itself writes such ones.

    Raises:
        DamagedFile: it does not.
        ValueError, TypeError, IndexError: likewise.
    """
    if name is Name.EMPTY_ARRAY:
        return _empty_array(given)
    if name is Name.NUMBER_TYPE:
        return _number_type(given)
    if name is Name.ARRAY_OF_BYTES:
        values, kind, shape, order, *_ = given
        return Array(_view(values, kind, shape, order="F" if order == "F" else "C"))
    if name is Name.BYTES_OF_TEXT:
        return _encoded(given)
    raise DamagedFile("it calls numpy.ndarray, which is not permitted")


def build(target: object, state: object) -> None:
    """Set a type's byte order, or an empty array's values.

    Raises:
        DamagedFile: the target is neither, or the state is not as numpy writes one.
        ValueError, TypeError: likewise.
    """
    if not isinstance(state, tuple):
        raise DamagedFile("it builds from what is no tuple")
    if isinstance(target, NumberType):
        target.order = _order(state)
    elif isinstance(target, Array) and target.values is None:
        _, shape, kind, is_fortran, values = state
        target.values = _view(values, kind, shape, order="F" if is_fortran is True else "C")
    else:
        raise DamagedFile("it builds what is neither a type nor an empty array")


def _empty_array(given: tuple[Any, ...]) -> Array:
    kind, shape, letter = given
    if kind is not Name.ARRAY_TYPE or shape != (0,) or letter not in (b"b", "b"):
        raise DamagedFile("it makes an array as numpy never writes one, which is not permitted")
    return Array()


def _number_type(given: tuple[Any, ...]) -> NumberType:
    name = _text(given[0])
    if name not in _NUMBERS:
        raise DamagedFile(f"it asks for values of type {name[:20]!r}, which is not permitted")
    return NumberType(name)


def _order(state: tuple[Any, ...]) -> str:
    if len(state) != 8 or state[2:] != _PLAIN:
        raise DamagedFile("it builds a type that is no plain number, which is not permitted")
    order = _text(state[1])
    if order not in ("|", "<", ">", "="):
        raise DamagedFile("it builds a type whose bytes have no order")
    return order


def _encoded(given: tuple[Any, ...]) -> bytes:
    """Return bytes as Python 3 writes them in old protocols; only this codec is accepted."""
    text, encoding = given if len(given) == 2 else (*given, "latin1")
    if (encoding := _text(encoding)) not in ("latin1", "latin-1"):
        raise DamagedFile(f"the encoding {encoding[:20]!r} is not permitted")
    return _text(text).encode("latin1")


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if not isinstance(value, str):
        raise DamagedFile("it gives what is no text where text must be")
    return value


def _view(values: object, kind: object, shape: object, *, order: Literal["C", "F"]) -> NDArray[Any]:
    """Return an array of bytes that are in the file."""
    if not isinstance(values, bytes | bytearray) or not isinstance(kind, NumberType):
        raise DamagedFile("it makes an array of something else than bytes and a type")
    if (
        not isinstance(shape, tuple)
        or len(shape) > _MOST_DIMENSIONS
        or not all(type(length) is int and length >= 0 for length in shape)
    ):
        raise DamagedFile("it makes an array whose shape is none")
    dtype = np.dtype(f"{kind.order}{kind.name}")
    if math.prod(shape) * dtype.itemsize != len(values):
        raise DamagedFile(f"it makes an array of another shape than its {len(values):,} bytes have")
    return np.frombuffer(values, dtype=dtype).reshape(shape, order=order)

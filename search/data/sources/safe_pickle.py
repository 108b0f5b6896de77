"""Reading a pickle that may hold numpy arrays and plain containers, and can run nothing else.

A pickle may name any function to be called while it is read. This reader knows four names, all of
which only make arrays, and refuses every other.
"""

import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from search.errors import DataError


def _encode(text: str, encoding: str = "latin1") -> bytes:
    """What Python 3 writes for bytes in old protocols; no codec but this one is let in."""
    if encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"the encoding {encoding!r} is not permitted")
    return text.encode("latin1")


def _permitted() -> Mapping[tuple[str, str], Callable[..., Any]]:
    """Every name that a pickle may use; numpy's by the old and the new place of its inside."""
    reconstruct: Any = np.zeros(1).__reduce__()[0]
    from_buffer: Any = np.zeros(1).__reduce_ex__(5)[0]
    permitted: dict[tuple[str, str], Callable[..., Any]] = {
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
        ("_codecs", "encode"): _encode,
    }
    for core in ("numpy.core", "numpy._core"):
        permitted[f"{core}.multiarray", "_reconstruct"] = reconstruct
        permitted[f"{core}.numeric", "_frombuffer"] = from_buffer
    return permitted


class _Reader(pickle.Unpickler):
    """Knows the permitted names only."""

    def find_class(self, module: str, name: str) -> Callable[..., Any]:
        permitted = _permitted()
        if (module, name) not in permitted:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is not permitted")
        return permitted[module, name]


def read_pickle(path: Path) -> object:
    """What a pickle of arrays, numbers, text and containers holds; Python 2's text as bytes.

    Raises:
        DataError: it is damaged, or asks for anything else.
    """
    try:
        with path.open("rb") as file:
            content: object = _Reader(file, encoding="bytes").load()
    except (
        pickle.UnpicklingError,
        OSError,
        EOFError,
        ValueError,
        TypeError,
        LookupError,
        AttributeError,
        MemoryError,
        OverflowError,
    ) as error:
        raise DataError(
            f"a pickle must hold arrays and plain values, but {str(path)!r} could not be read "
            f"({error}); download it again from where you trust"
        ) from error
    return content

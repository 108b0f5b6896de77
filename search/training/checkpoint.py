"""A training under way, kept on disk: what was cut off goes on instead of starting again."""

import pickle
import struct
import time
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from search.files.atomic import damaged_files, written_whole

_STATE = "state.pt"
UNLOADABLE = (
    pickle.UnpicklingError,
    struct.error,
    EOFError,
    RuntimeError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    AssertionError,
    MemoryError,
)
"""What `torch.load` raises of a file that is damaged, beside OSError; found by trying."""

# So much work may be lost; trainings that take less are not slowed down by a single write.
_INTERVAL_S = 20.0


class Checkpoint:
    """A training under way, as it was after some epoch; whoever starts the same goes on there.

    Args:
        folder: where it is kept.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._due = time.monotonic() + _INTERVAL_S

    def load(self) -> dict[str, Any] | None:
        """What was saved last; None where nothing was, or it is damaged."""
        try:
            if damaged_files(self._folder):
                return None
            state: dict[str, Any] = torch.load(self._folder / _STATE, weights_only=True)
        except (OSError, zipfile.BadZipFile, *UNLOADABLE):
            return None
        return state

    @property
    def is_due(self) -> bool:
        """Whether enough was done since the last time."""
        return time.monotonic() >= self._due

    def save(self, state: Mapping[str, Any]) -> None:
        """Keeps tensors and plain values in the place of what was saved last, if there is room."""
        # Without it as much may be lost as without any: no reason to end the training.
        with suppress(OSError, RuntimeError), written_whole(self._folder, durable=False) as folder:
            torch.save(dict(state), folder / _STATE)
        self._due = time.monotonic() + _INTERVAL_S

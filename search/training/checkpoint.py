"""A training in progress, kept on disk: an interrupted one continues instead of starting again."""

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
"""Errors that `torch.load` raises for a damaged file, beside OSError; found by trying."""

# The work that may be lost; shorter trainings are not slowed down by a single write.
_INTERVAL_S = 20.0


class Checkpoint:
    """A training in progress, as it was after some epoch; starting the same training continues it.

    Args:
        folder: the folder in which it is kept.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._due = time.monotonic() + _INTERVAL_S

    def load(self) -> dict[str, Any] | None:
        """Return what was saved last; None where nothing was, or it is damaged."""
        try:
            if damaged_files(self._folder):
                return None
            state: dict[str, Any] = torch.load(self._folder / _STATE, weights_only=True)
        except (OSError, zipfile.BadZipFile, *UNLOADABLE):
            return None
        return state

    @property
    def is_due(self) -> bool:
        """Whether enough work was done since the last save."""
        return time.monotonic() >= self._due

    def save(self, state: Mapping[str, Any]) -> None:
        """Replace what was saved last with these tensors and plain values, if there is room."""
        # A failed save loses no more than having none: no reason to end the training.
        with suppress(OSError, RuntimeError), written_whole(self._folder, durable=False) as folder:
            torch.save(dict(state), folder / _STATE)
        self._due = time.monotonic() + _INTERVAL_S

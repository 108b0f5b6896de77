"""Checkpoints: an interrupted training continues from its last checkpoint."""

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
"""Errors besides OSError that `torch.load` was observed to raise for damaged files."""

# The time between two saves: this much work may be lost. Shorter trainings are never saved.
_INTERVAL_S = 20.0


class Checkpoint:
    """Checkpoint of a training in progress, written after an epoch.

    Args:
        folder: the folder of the checkpoint.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._due = time.monotonic() + _INTERVAL_S

    def load(self) -> dict[str, Any] | None:
        """Return the last saved state; None if there is none or it is damaged."""
        try:
            if damaged_files(self._folder):
                return None
            state: dict[str, Any] = torch.load(self._folder / _STATE, weights_only=True)
        except (OSError, zipfile.BadZipFile, *UNLOADABLE):
            return None
        return state

    @property
    def is_due(self) -> bool:
        """Whether enough time has passed since the last save."""
        return time.monotonic() >= self._due

    def save(self, state: Mapping[str, Any]) -> None:
        """Save these tensors and plain values in place of the last state; ignore a failed write."""
        # A failed save must not end the training, which does not need the checkpoint.
        with suppress(OSError, RuntimeError), written_whole(self._folder, durable=False) as folder:
            torch.save(dict(state), folder / _STATE)
        self._due = time.monotonic() + _INTERVAL_S

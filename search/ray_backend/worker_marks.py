"""What the driver and starting workers tell one another: the cores of a trial, and who is ready.

Imports nothing heavy: a worker reads it before it imports the rest.
"""

import os
from pathlib import Path

CORES_VARIABLE = "RETORT_TRIAL_CORES"
"""The environment variable with the number of cores of a trial."""

_SUFFIX = ".ready"


def mark_ready(folder: Path) -> None:
    """Note in the folder of the Ray cluster that this process has imported what trials need."""
    (folder / f"{os.getpid()}{_SUFFIX}").touch()


def count_ready(folder: Path) -> int:
    """Return the number of processes of the Ray cluster that have imported what trials need."""
    return len([*folder.glob(f"*{_SUFFIX}")])

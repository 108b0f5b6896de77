"""A local Ray cluster for one run: its folder, its start, and its removal."""

import gc
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import psutil
import ray

from search.errors import RayUnavailable, shortened
from search.files.atomic import try_to_hold
from search.storage.leases import Log

# The environment variable with the folder of Ray's sockets and logs. Every process of a cluster
# inherits it, even after a change of its title or parent, so it identifies the cluster's processes.
_FOLDER = "RAY_TMPDIR"
_PREFIX = "retort-"
_LOCK = "held-by-its-run"
# A socket's path has at most 107 bytes (macOS: 104). Ray and this module use up to 80 of them.
_MAX_FOLDER_LENGTH = 24
# Ray's daemon waits 15 s for two Python helpers, and `ray.init` waits 30 s for the daemon. Neither
# time is configurable. A later try is faster, because the files are then in the disk cache.
_TRIES = 3
_END_TIMEOUT_S = 10.0

_Context = TypeVar("_Context")


@contextmanager
def own_folder() -> Iterator[Path]:
    """Create a folder for a Ray cluster that the block starts; remove both after the block.

    Clusters and folders of killed runs are removed first.
    """
    before = os.environ.get(_FOLDER)
    base = Path(before or _temporary())
    remove_abandoned(base)
    folder, lock_descriptor = _new_folder(base)
    os.environ[_FOLDER] = str(folder)
    try:
        yield folder
    finally:
        if before is None:
            del os.environ[_FOLDER]
        else:
            os.environ[_FOLDER] = before
        _remove(folder)
        os.close(lock_descriptor)


def started(initialize: Callable[[], _Context], folder: Path, log: Log) -> _Context:
    """Call `initialize`, which starts a Ray cluster in the folder; retry if it fails.

    Returns:
        The result of `initialize`.

    Raises:
        RayUnavailable: no try succeeded; the message contains Ray's last message.
    """
    for left in reversed(range(_TRIES)):
        try:
            return initialize()
        except Exception as error:  # noqa: BLE001  Ray raises no narrower exception
            reason = shortened(error).rstrip(".")
        end_all_of(folder)
        ray.shutdown()
        # A remaining client of the ended server would later end this process.
        gc.collect()
        if left:
            log(f"Ray did not start: {reason}; retrying, at most {left} more times")
    raise RayUnavailable(
        f"run.ray: local must be able to start Ray on this machine, but {_TRIES} tries failed: "
        f"{reason}. Free memory, processor time, or disk space in {folder.parent}, or set "
        f"{_FOLDER} to another folder with a short path"
    )


def remove_abandoned(base: Path) -> None:
    """End the processes and remove the folders of runs that were killed."""
    for lock in base.glob(f"{_PREFIX}*/{_LOCK}"):
        with suppress(OSError):  # another user's, or gone by now
            if lock.parent.lstat().st_uid != os.getuid():
                continue
            lock_descriptor = os.open(lock, os.O_RDONLY)
            if try_to_hold(lock_descriptor):
                _remove(lock.parent)
            os.close(lock_descriptor)


def end_all_of(folder: Path) -> None:
    """Kill every process of the Ray cluster in the folder, and wait for their end."""
    until = time.monotonic() + _END_TIMEOUT_S
    while (left := _processes_of(folder)) and time.monotonic() < until:
        for process in left:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        time.sleep(0.02)


def _new_folder(base: Path) -> tuple[Path, int]:
    """Create a folder; return it and the descriptor of its lock, which this process holds."""
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=base))
    # The file gets its final name only when it is locked: another run removes unlocked folders.
    unlocked = folder / "new"
    lock_descriptor = os.open(unlocked, os.O_CREAT | os.O_RDWR)
    try_to_hold(lock_descriptor)
    unlocked.rename(folder / _LOCK)
    return folder, lock_descriptor


def _remove(folder: Path) -> None:
    end_all_of(folder)
    shutil.rmtree(folder, ignore_errors=True)


def _processes_of(folder: Path) -> list[psutil.Process]:
    """Return the living processes of the Ray cluster in the folder."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):  # another user's, or gone by now
            if process.environ().get(_FOLDER) == str(folder):
                found.append(process)
    return found


def _temporary() -> str:
    default = tempfile.gettempdir()
    return default if len(default) <= _MAX_FOLDER_LENGTH else "/tmp"  # noqa: S108

"""A Ray of this run's own: its folder, its start, and its complete removal."""

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

# Ray's own name for the folder of its sockets and logs. Every process of a Ray inherits it,
# whatever title it sets and whatever its parent becomes, so it identifies the process.
_FOLDER = "RAY_TMPDIR"
_PREFIX = "retort-"
_LOCK = "held-by-its-run"
# A socket's path has 107 bytes at most (macOS: 104), of which Ray and this file take up to 80.
_LONGEST = 24
# Ray's daemon waits for 15 s for two helpers that are written in Python, and `ray.init` for 30 s
# for the daemon. Neither time can be set; a later try finds their files in memory.
_TRIES = 3
_MOST_S = 10.0

_Context = TypeVar("_Context")


@contextmanager
def own_folder() -> Iterator[Path]:
    """Give a folder for a Ray that is started in the block; end and remove both at its end.

    Remnants of killed runs are removed first.
    """
    before = os.environ.get(_FOLDER)
    base = Path(before or _temporary())
    remove_abandoned(base)
    folder, held = _new_folder(base)
    os.environ[_FOLDER] = str(folder)
    try:
        yield folder
    finally:
        if before is None:
            del os.environ[_FOLDER]
        else:
            os.environ[_FOLDER] = before
        _remove(folder)
        os.close(held)


def started(initialize: Callable[[], _Context], folder: Path, log: Log) -> _Context:
    """Return the result of `initialize`, which starts a Ray in the folder; retry if it fails.

    Raises:
        RayUnavailable: no try succeeded; with Ray's message for the last.
    """
    for left in reversed(range(_TRIES)):
        try:
            return initialize()
        except Exception as error:  # noqa: BLE001  Ray raises no narrower one
            reason = shortened(error).rstrip(".")
        end_all_of(folder)
        ray.shutdown()
        # A client of the ended server would in time end this process.
        gc.collect()
        if left:
            log(f"Ray did not start: {reason}; trying again, at most {left} more times")
    raise RayUnavailable(
        f"run.ray: local needs a Ray that starts on this machine, but {_TRIES} tries failed: "
        f"{reason}. See that there is memory, processor time, and room in {folder.parent} (or set "
        f"{_FOLDER} to another folder, of a short name)"
    )


def remove_abandoned(base: Path) -> None:
    """End the processes and remove the folders of runs that were killed."""
    for lock in base.glob(f"{_PREFIX}*/{_LOCK}"):
        with suppress(OSError):  # another user's, or gone by now
            if lock.parent.lstat().st_uid != os.getuid():
                continue
            held = os.open(lock, os.O_RDONLY)
            if try_to_hold(held):
                _remove(lock.parent)
            os.close(held)


def end_all_of(folder: Path) -> None:
    """Kill every process of the Ray in the folder, and wait for their end."""
    until = time.monotonic() + _MOST_S
    while (left := _processes_of(folder)) and time.monotonic() < until:
        for process in left:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        time.sleep(0.02)


def _new_folder(base: Path) -> tuple[Path, int]:
    """Return a new folder, and a descriptor whose lock lasts as long as this process lives."""
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=base))
    unseen = folder / "new"
    held = os.open(unseen, os.O_CREAT | os.O_RDWR)
    try_to_hold(held)
    unseen.rename(folder / _LOCK)
    return folder, held


def _remove(folder: Path) -> None:
    end_all_of(folder)
    shutil.rmtree(folder, ignore_errors=True)


def _processes_of(folder: Path) -> list[psutil.Process]:
    """Return the living processes of the Ray in the folder."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):  # another user's, or gone by now
            if process.environ().get(_FOLDER) == str(folder):
                found.append(process)
    return found


def _temporary() -> str:
    usual = tempfile.gettempdir()
    return usual if len(usual) <= _LONGEST else "/tmp"  # noqa: S108

"""A disk of the tests' own, small enough to be filled."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest


class Disk:
    """A file system in memory, at `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._filler = path / "filler"

    def fill(self, *, left: int = 0) -> None:
        """Leaves so many bytes of room, whole pages."""
        with self._filler.open("wb", buffering=0) as file:
            with suppress(OSError):
                while True:
                    file.write(bytes(4096))
            file.truncate(file.tell() - left)

    def make_room(self) -> None:
        """Removes what `fill` wrote."""
        self._filler.unlink()

    def close(self) -> None:
        """Lets nobody write, not even root."""
        self._remount("ro")

    def open(self) -> None:
        """Undoes `close`."""
        self._remount("rw")

    def _remount(self, options: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{options}", self.path], check=True)


@contextmanager
def small_disk(path: Path, options: str = "size=64m") -> Iterator[Disk]:
    """A disk at the new folder `path`; skips the test where this process may not mount one."""
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"a file system can't be mounted here: {done.stderr.strip()}")
    try:
        yield Disk(path)
    finally:
        subprocess.run(["umount", "-l", path], check=True)

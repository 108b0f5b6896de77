"""The watchdog: it ends a process that hangs, and a note records where it hung."""

import faulthandler
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from search.storage.artifact_owner import Claim


class Watchdog:
    """Timer that ends this process if its watched work takes too long.

    The timer runs in native code. So it also ends work that hangs in a system call or holds the
    interpreter's lock.

    Args:
        note: the file for the traceback of work that hangs; empty otherwise, and removed by
            `close`.
        limit_s: the limit of all watched work together, in seconds.
    """

    def __init__(self, note: Path, *, limit_s: float) -> None:
        note.parent.mkdir(parents=True, exist_ok=True)
        self._note = note
        self._file = note.open("wb")
        self._left_s = limit_s

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Count the time of the block; work outside of such blocks is not counted."""
        began = time.monotonic()
        faulthandler.dump_traceback_later(max(self._left_s, 1e-3), exit=True, file=self._file)
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()
            self._left_s -= time.monotonic() - began

    def close(self) -> None:
        self._file.close()
        self._note.unlink(missing_ok=True)


def note_of(claim: Claim, number: int) -> Path:
    """Return the path of a trial's watchdog note; each run of the study has its own notes."""
    return claim.artifacts.folder / f".trial-{number:05d}.{claim.hold[:8]}.hung"


def take_note(note: Path) -> str:
    """Return the text of the watchdog's note and remove it; empty if the watchdog did not act."""
    try:
        text = note.read_text(errors="replace")
        note.unlink()
    except OSError:
        return ""
    return text

"""What Ctrl-C does while a search runs."""

import io
import os
import signal
import threading
from typing import cast

from search.ray_backend.trials import draining
from search.tuner.tuner import Tuner


class _Pressed(io.RawIOBase):
    """A terminal on which somebody presses Ctrl-C while the first line is printed."""

    def __init__(self) -> None:
        self.shown = b""
        self._pressed = False

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        if not self._pressed:
            self._pressed = True
            os.kill(os.getpid(), signal.SIGINT)
        self.shown += bytes(data)
        return len(data)


class _Printing:
    """A tuner that says why it stops, on the same terminal."""

    def __init__(self, output: io.TextIOWrapper) -> None:
        self._output = output
        self.reasons: list[str] = []
        self.stopped = threading.Event()

    def interrupt(self, why: str) -> None:
        self.reasons.append(why)
        print(why, file=self._output, flush=True)
        self.stopped.set()


def test_ctrl_c_in_the_midst_of_a_print_drains() -> None:
    terminal = _Pressed()
    output = io.TextIOWrapper(io.BufferedWriter(terminal))
    tuner = _Printing(output)
    with draining(cast(Tuner, tuner)):
        print("trial 1 started", file=output, flush=True)
        assert tuner.stopped.wait(300)
    first, second = terminal.shown.decode().splitlines()
    assert first == "trial 1 started"
    assert second.startswith("stopping")

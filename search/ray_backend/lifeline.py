"""The watched connection to Ray: its loss reaches the main thread before Ray ends the process.

Ray ends a driver whose raylet or control store (GCS) is gone, 15 to 60 s later, by a call of exit()
in native code: no journal is read back, no state is set, and no advice is printed.
"""

import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType, TracebackType
from typing import Self

from ray.exceptions import RayError
from ray.tune import TuneError

from search.errors import Interrupted, RayUnavailable

# Tune uses SIGUSR1 itself.
_SIGNAL = signal.SIGUSR2
_PULSE_S = 1.0
_KNOCK_EVERY_S = 5.0
# Trials continue without a control store. On a cluster it may be started again; Ray waits for 60 s.
_CONTROL_GONE_S = 20.0


def knock(host: str, port: int, *, timeout_s: float) -> None:
    """Raise OSError if nobody listens."""
    socket.create_connection((host, port), timeout=timeout_s).close()


class Lifeline:
    """A thread that watches the raylet of this machine and the control store.

    The main thread must enter it: only that thread can be interrupted.

    Args:
        raylet: the path of the raylet's socket.
        control: the control store's `host:port`.
    """

    def __init__(self, raylet: str, control: str) -> None:
        self._raylet = socket.socket(socket.AF_UNIX)
        self._raylet.connect(raylet)
        self._raylet.settimeout(_PULSE_S)
        host, _, port = control.rpartition(":")
        self._control = host.strip("[]"), int(port)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="lifeline", daemon=True)
        self.loss: str | None = None

    def __enter__(self) -> Self:
        self._before = signal.signal(_SIGNAL, self._interrupt)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ended.set()
        with suppress(OSError):  # it is closed at the other end
            self._raylet.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._raylet.close()
        signal.signal(_SIGNAL, self._before)

    @contextmanager
    def telling(self, advice: str) -> Iterator[None]:
        """Raise RayUnavailable, with this advice, if an error ends the block once Ray is gone."""
        try:
            yield
        except (KeyboardInterrupt, Interrupted, RayError, TuneError) as error:
            if self.loss is None:
                raise
            raise RayUnavailable(
                f"the Ray that trials run on is lost: {self.loss} (killed, stopped, or short of "
                f"memory){advice and '. '}{advice}"
            ) from error

    def _watch(self) -> None:
        self.loss = self._wait_for_loss()
        while self.loss and not self._ended.is_set():
            signal.pthread_kill(threading.main_thread().ident or 0, _SIGNAL)
            # Again, because the interrupted code may swallow it.
            self._ended.wait(_PULSE_S)

    def _interrupt(self, _signal: int, _frame: FrameType | None) -> None:
        # Ray's native code passes on no other exception than this.
        if not self._ended.is_set():
            raise KeyboardInterrupt

    def _wait_for_loss(self) -> str | None:
        answered = knocked = time.monotonic()
        while not self._ended.is_set():
            if self._raylet_is_gone():
                return None if self._ended.is_set() else "its raylet on this machine has ended"
            now = time.monotonic()
            if now - knocked < _KNOCK_EVERY_S:
                continue
            knocked = now
            try:
                knock(*self._control, timeout_s=_KNOCK_EVERY_S)
                answered = now
            except OSError:
                if now - answered > _CONTROL_GONE_S:
                    return f"its control store has not answered for {now - answered:.0f} s"
        return None

    def _raylet_is_gone(self) -> bool:
        """Return whether the raylet's end of the socket is closed: it sends nothing unasked."""
        try:
            return not self._raylet.recv(1)
        except TimeoutError:
            return False
        except OSError:
            return True

"""Watches the connection to Ray, and interrupts the main thread if the connection is lost.

If a driver's raylet or the control store (GCS) ends, Ray calls exit() in native code 15 to 60 s
later. The driver could then neither write the journal to the store, nor set the study's state, nor
print advice. So the loss must be noticed before that.
"""

import signal
import socket
import threading
import time
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Self

# Tune uses SIGUSR1 itself.
_SIGNAL = signal.SIGUSR2
_PULSE_S = 1.0
_CHECK_EVERY_S = 5.0
# Trials continue without a control store, and a cluster may restart it. Ray itself waits for 60 s.
_CONTROL_GONE_S = 20.0


def check_listening(host: str, port: int, *, timeout_s: float) -> None:
    """Raise OSError if no process listens at this address."""
    socket.create_connection((host, port), timeout=timeout_s).close()


class Lifeline:
    """Thread that watches the raylet of this machine and the control store.

    The main thread must enter the context, because a signal can interrupt only the main thread.

    Args:
        raylet: the path of the raylet's socket.
        control: the control store's `host:port`.

    Attributes:
        loss: what the connection was lost to; None while there is one.
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
        with suppress(OSError):  # the raylet may have closed its end
            self._raylet.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self.close()
        signal.signal(_SIGNAL, self._before)

    def close(self) -> None:
        """Close the connection; a context that was entered does so at its end."""
        self._raylet.close()

    def _watch(self) -> None:
        self.loss = self._wait_for_loss()
        while self.loss and not self._ended.is_set():
            signal.pthread_kill(threading.main_thread().ident or 0, _SIGNAL)
            # Send it again, because the interrupted code may suppress the exception.
            self._ended.wait(_PULSE_S)

    def _interrupt(self, _signal: int, _frame: FrameType | None) -> None:
        # Ray's native code propagates no other exception.
        if not self._ended.is_set():
            raise KeyboardInterrupt

    def _wait_for_loss(self) -> str | None:
        answered = checked = time.monotonic()
        while not self._ended.is_set():
            if self._raylet_is_gone():
                return None if self._ended.is_set() else "the raylet of this machine has ended"
            now = time.monotonic()
            if now - checked < _CHECK_EVERY_S:
                continue
            checked = now
            try:
                check_listening(*self._control, timeout_s=_CHECK_EVERY_S)
                answered = now
            except OSError:
                if now - answered > _CONTROL_GONE_S:
                    return f"the control store has not answered for {now - answered:.0f} s"
        return None

    def _raylet_is_gone(self) -> bool:
        """Return whether the raylet has closed the socket; a living raylet sends nothing on it."""
        try:
            return not self._raylet.recv(1)
        except TimeoutError:
            return False
        except OSError:
            return True

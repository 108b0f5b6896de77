"""Signals that ask a process to end: each ends it as Ctrl-C does, with nothing left behind."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

_ENDING = (signal.SIGTERM, signal.SIGHUP)


@contextmanager
def ending_like_ctrl_c() -> Iterator[None]:
    """Let SIGTERM, and the SIGHUP of a closed terminal, raise KeyboardInterrupt in the block.

    They raise it once: a closed terminal and its shell send SIGHUP more than once, which must not
    end the clean-up. A process that was told to ignore one of them, as by `nohup`, still ignores
    it. Handlers that others set in the block, as Ray does, are gone after it.
    """
    before = {number: signal.getsignal(number) for number in _ENDING}
    heeded = [number for number, handler in before.items() if handler is not signal.SIG_IGN]

    def end(*_: object) -> None:
        for number in heeded:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    for number in heeded:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in heeded:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, before[number])


@contextmanager
def held_back(number: signal.Signals) -> Iterator[None]:
    """Delay the signal until after the block; processes that are started in it never get it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {number})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

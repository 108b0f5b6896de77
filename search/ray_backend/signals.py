"""Signal handling: SIGTERM, SIGHUP and `retort stop` end a process like Ctrl-C, with a clean-up."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    # The command must start without the tables of metrics and limits, to which plugins add.
    from search.storage.leases import Heartbeat

_ENDING = (signal.SIGTERM, signal.SIGHUP)


@contextmanager
def ending_like_ctrl_c() -> Iterator[None]:
    """Let SIGTERM, and the SIGHUP of a closed terminal, raise KeyboardInterrupt in the block.

    The exception is raised only once: a closed terminal and its shell may send several SIGHUPs,
    which must not interrupt the clean-up. A signal that the process already ignores, as with
    `nohup`, stays ignored. After the block, the former handlers are restored, even if Ray set its
    own handlers in the block.
    """
    before = {number: signal.getsignal(number) for number in _ENDING}
    handled = [number for number, handler in before.items() if handler is not signal.SIG_IGN]

    def interrupt(*_: object) -> None:
        for number in handled:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    for number in handled:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number in handled:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, before[number])


@contextmanager
def blocked(number: signal.Signals) -> Iterator[None]:
    """Block the signal until the end of the block; processes started in it never receive it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {number})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def ending_when_asked(heartbeat: "Heartbeat") -> Iterator[None]:
    """Let `retort stop` raise KeyboardInterrupt in the block, as Ctrl-C does.

    So it ends any work, however long: the next image, batch or download is not begun. If another
    process takes the study over, the block ends in the same way. The signal is SIGUSR1, because
    SIGINT is ignored in a shell's background process. This must be the main thread.

    Raises:
        StudyHeld: another process has taken the study over.
    """
    here = threading.get_ident()

    def interrupt(*_: object) -> None:
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # raise only once
        raise KeyboardInterrupt

    def end(_: object) -> None:
        signal.pthread_kill(here, signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, interrupt)
    try:
        with heartbeat.listening(end, end):
            yield
    except KeyboardInterrupt:
        heartbeat.check()
        raise
    finally:
        signal.signal(signal.SIGUSR1, before)

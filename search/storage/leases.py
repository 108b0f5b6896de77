"""Leases of running studies: taking one, checking whether its holder is alive, heartbeats."""

import os
import socket
import subprocess
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import psutil

from search.errors import StoreError, StudyHeld
from search.records import Lease, StudyRecord, StudyState, TrialState
from search.search_clock import SearchClock
from search.storage.storage import Store

BEAT_S = 5.0
SILENCE_S = 30.0
"""In seconds: a holder on another machine counts as dead after so long without a heartbeat."""

Log = Callable[[str], None]


def this_process() -> Lease:
    """Return a new lease for this process."""
    return Lease(
        token=uuid.uuid4().hex,
        host=socket.gethostname(),
        machine=_machine(),
        pid=os.getpid(),
        process_start=_start_of(psutil.Process()),
        since=datetime.now(UTC),
    )


def lives(lease: Lease) -> bool | None:
    """Return whether the lease's process is alive; None if this machine can't know."""
    if not lease.machine or lease.machine != _machine():
        return None
    try:
        process = psutil.Process(lease.pid)
        if process.status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD):
            return False
        if _start_of(process) == lease.process_start:
            return True
    except psutil.NoSuchProcess:
        return None if _is_hidden(lease.pid) else False
    except psutil.AccessDenied:
        return None
    # Outside of Linux, the start time comes from the clock, which may have been changed. It may be
    # the same process.
    return False if psutil.LINUX else None


def standing(study: StudyRecord) -> StudyState:
    """Return a study's real state. A process that died has left the state running in the store."""
    if study.state is not StudyState.RUNNING:
        return study.state
    dead = study.lease is None or lives(study.lease) is False
    return StudyState.INTERRUPTED if dead else StudyState.RUNNING


def standing_counts(
    state: StudyState, counts: Mapping[TrialState, int]
) -> Mapping[TrialState, int]:
    """Return the number of trials by real state: in a study that does not run, no trial runs."""
    if state is StudyState.RUNNING:
        return counts
    found = Counter(counts)
    found[TrialState.INTERRUPTED] += found.pop(TrialState.RUNNING, 0)
    return +found


def take(
    store: Store, study: str, *, log: Log, silence_s: float = SILENCE_S, beat_s: float = BEAT_S
) -> Lease:
    """Take the lease of a study, if no process holds it or its holder has died.

    If the holder is on another machine, this waits for its heartbeat for `silence_s` seconds.

    Raises:
        StudyHeld: another process runs it.
    """
    new = this_process()
    known = store.study(study).lease
    if known is not None and lives(known) is None:
        log(f"{study} is held by {known}: waiting {silence_s:g} s for its heartbeat")
        if _beats(store, study, known, silence_s=silence_s, every_s=beat_s / 5):
            known = None  # alive: `hold` raises StudyHeld, which names it
    dead = known if known is not None and lives(known) is not True else None
    store.hold(study, new, in_place_of=dead)
    return new


class Heartbeat:
    """A thread that records every few seconds that this process is alive, and what it does.

    Args:
        store: the store to write to.
        study: a study that this process holds.
        elapsed_s: the search time of the study's earlier runs, in seconds.
        finals_s: the time in which earlier runs trained finalists, in seconds.
        beat_s: the time between two heartbeats, in seconds.
    """

    activity: str | None = None
    """What the run does now; the next heartbeat stores it."""

    def __init__(
        self,
        store: Store,
        study: str,
        *,
        elapsed_s: float = 0.0,
        finals_s: float = 0.0,
        beat_s: float = BEAT_S,
    ) -> None:
        self.clock = SearchClock(elapsed_s)
        self.finals_clock = SearchClock(finals_s)
        self._store = store
        self._study = study
        self._beat_s = beat_s
        self._ended = threading.Event()
        self._stopped_for: str | None = None
        self._lost: StudyHeld | None = None
        # Held during a call, so that no listener is called after `listening` has ended.
        self._listening = threading.Lock()
        self._on_stop: Callable[[str], None] = _ignore
        self._on_loss: Callable[[StudyHeld], None] = _ignore
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    @contextmanager
    def listening(
        self, on_stop: Callable[[str], None], on_loss: Callable[[StudyHeld], None]
    ) -> Iterator[None]:
        """Call one of the functions if the run must end; at once, if that was known before.

        Args:
            on_stop: called with the reason why the run must stop, usually in another thread.
            on_loss: called with the error that names the new holder, usually in another thread.
        """
        try:
            with self._listening:
                self._on_stop, self._on_loss = on_stop, on_loss
                self._tell()
            yield
        finally:
            self._on_stop = self._on_loss = _ignore
            with self._listening:  # wait for a call in progress
                pass

    def check(self) -> None:
        """Raise StudyHeld if another process has taken the study over."""
        if self._lost:
            raise self._lost

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the thread, and release the study if the store can be reached."""
        self._ended.set()
        self._thread.join()
        try:
            self._store.release(self._study, **self._times())
        except StoreError:
            # The lease stays; the next process will find that its holder is dead.
            return

    def _run(self) -> None:
        while not self._ended.wait(self._beat_s):
            try:
                must_stop = self._store.beat(self._study, activity=self.activity, **self._times())
            except StudyHeld as error:
                with self._listening:
                    self._lost = error
                    self._tell()
                return
            except StoreError:
                # The store can't be reached now. The driver's own writes report this.
                continue
            if must_stop and self._stopped_for is None:
                with self._listening:
                    self._stopped_for = "`retort stop` requested it"
                    self._tell()

    def _times(self) -> dict[str, float]:
        return {"elapsed_s": self.clock.elapsed_s, "finals_s": self.finals_clock.elapsed_s}

    def _tell(self) -> None:
        if self._lost:
            self._on_loss(self._lost)
        elif self._stopped_for:
            self._on_stop(self._stopped_for)


def _ignore(_: object) -> None:
    """Do nothing: nobody listens."""


@contextmanager
def beating(store: Store, study: str, *, beat_s: float = BEAT_S) -> Iterator[Heartbeat]:
    """Record heartbeats while the block runs; release the study at its end."""
    record = store.study(study)
    heartbeat = Heartbeat(
        store, study, elapsed_s=record.elapsed_s, finals_s=record.finals_s, beat_s=beat_s
    )
    heartbeat.activity = record.activity
    heartbeat.start()
    try:
        yield heartbeat
    finally:
        heartbeat.stop()


def _beats(store: Store, study: str, known: Lease, *, silence_s: float, every_s: float) -> bool:
    """Return whether a heartbeat or a new holder was recorded within `silence_s` seconds."""
    end = time.monotonic() + silence_s
    while time.monotonic() < end:
        time.sleep(every_s)
        now = store.study(study).lease
        if now is None:
            return False
        if now.token != known.token or now.beats != known.beats:
            return True
    return False


@cache
def _machine() -> str:
    """Return an identifier of the machine, its boot, and its container's process table.

    The text is empty if the system does not provide it.
    """
    try:
        if psutil.MACOS:
            command = ["/usr/sbin/sysctl", "-n", "kern.bootsessionuuid"]
            return subprocess.check_output(command, text=True, timeout=10).strip()  # noqa: S603
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except (OSError, subprocess.SubprocessError):
        return ""


def _start_of(process: psutil.Process) -> str:
    """Return the start time, which distinguishes a process from a later one with its number.

    On Linux it is in ticks since the boot, which do not depend on the clock. Elsewhere it is in
    seconds of the clock.
    """
    start = process.create_time()
    if not psutil.LINUX:
        return repr(start)
    # psutil adds the boot time, read from the clock, to the kernel's ticks.
    return str(round((start - psutil.boot_time()) * os.sysconf("SC_CLK_TCK")))


def _is_hidden(pid: int) -> bool:
    """Return whether the number is of another user's process, which this one can't see."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (OSError, OverflowError):
        return False
    return False

"""A terminal that is closed while a search runs in it."""

import os
import pty
import select
import signal
import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from search.records import TrialState
from tests.faults.conftest import (
    PATIENCE_S,
    ROOT,
    WriteStudy,
    check_invariants,
    slow_training,
    trials_of,
)

WITHOUT_RAY = """
import sys
sys.argv[0] = "retort"
from search.cli.main import main
from tests.faults.without_ray import one_after_another
with one_after_another():
    main()
"""


class Terminal:
    """A terminal of its own, and a command in it."""

    def __init__(self, folder: Path, *arguments: str, heeds_hangup: bool) -> None:
        self._process, self._screen = pty.fork()
        self.shown = b""
        if self._process:
            return
        os.chdir(folder)
        signal.signal(signal.SIGHUP, signal.SIG_DFL if heeds_hangup else signal.SIG_IGN)
        command = [sys.executable, "-c", WITHOUT_RAY, *arguments]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        os.execve(sys.executable, command, environment)  # noqa: S606

    def read(self) -> None:
        """Takes what is shown: or the command would wait for its reader."""
        if select.select([self._screen], [], [], 0.05)[0]:
            self.shown += os.read(self._screen, 65536)

    def close(self) -> int:
        """Closes the window; how the command ended."""
        os.close(self._screen)
        return os.waitstatus_to_exitcode(os.waitpid(self._process, 0)[1])


def _wait_for_a_trial(terminal: Terminal, store: Path) -> None:
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        terminal.read()
        if store.exists():
            with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as connection:
                try:
                    if connection.execute("SELECT 1 FROM trials").fetchone():
                        return
                except sqlite3.OperationalError:
                    continue  # its tables are being made
    raise AssertionError("no trial has begun")


@pytest.mark.slow
def test_fault_04_a_closed_terminal_interrupts_the_search_which_can_be_resumed(
    write_study: WriteStudy, home: Path
) -> None:
    file = write_study(space=slow_training(1000), search={"trials": 1})
    terminal = Terminal(home, "run", str(file), heeds_hangup=True)
    _wait_for_a_trial(terminal, home / "retort.db")
    assert terminal.close() == 130
    assert [trial.state for trial in check_invariants(home)] == [TrialState.INTERRUPTED]
    with closing(sqlite3.connect(home / "retort.db")) as connection:
        assert connection.execute("SELECT state FROM studies").fetchall() == [("interrupted",)]
        assert connection.execute("SELECT * FROM holds").fetchall() == []
    assert not list(home.rglob("*.tmp"))


@pytest.mark.slow
def test_fault_04_under_nohup_the_search_goes_on_though_nobody_sees_it(
    write_study: WriteStudy, home: Path
) -> None:
    file = write_study(space=slow_training(3), search={"trials": 1})
    terminal = Terminal(home, "run", str(file), heeds_hangup=False)
    _wait_for_a_trial(terminal, home / "retort.db")
    assert terminal.close() == 0
    assert [trial.state for trial in trials_of(home)] == [TrialState.COMPLETE]

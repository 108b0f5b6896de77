"""Where a study stands, whatever its store says, and whether who runs it lives."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from search.records import Lease, StudyState, TrialState
from search.storage.leases import lives, standing_counts, this_process

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="is of Linux")

# What follows runs as another person, from whom the system hides all processes but its own.
HIDDEN = ["unshare", "--mount", "sh", "-ec", """
mount -t proc -o hidepid=invisible proc /proc
exec setpriv --reuid=65534 --regid=65534 --clear-groups "$@"
""", "sh"]  # fmt: skip


def test_no_trial_runs_where_the_study_does_not() -> None:
    counts = {TrialState.RUNNING: 2, TrialState.INTERRUPTED: 1, TrialState.COMPLETE: 3}
    found = standing_counts(StudyState.INTERRUPTED, counts)
    assert found == {TrialState.INTERRUPTED: 3, TrialState.COMPLETE: 3}
    assert standing_counts(StudyState.RUNNING, counts) == counts
    assert standing_counts(StudyState.FINISHED, {TrialState.COMPLETE: 3}) == {
        TrialState.COMPLETE: 3
    }


@pytest.fixture
def child() -> Iterator["subprocess.Popen[bytes]"]:
    """Another process."""
    with subprocess.Popen(["sleep", "600"]) as process:
        yield process
        process.kill()


def _lease(pid: int, start: str) -> Lease:
    """As that process took it."""
    return replace(this_process(), pid=pid, process_start=start)


def _ticks(pid: int | str) -> str:
    """The start of a process as retort 0.1 stored it: the 22nd field of the kernel's line."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]


def test_a_process_lives_until_it_has_ended() -> None:
    code = (
        "from search.storage.leases import this_process\n"
        "lease = this_process()\n"
        "print(lease.machine, lease.pid, lease.process_start, sep='|', flush=True)\n"
        "input()"
    )
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdin=-1, stdout=-1, text=True) as process:
        assert process.stdin
        assert process.stdout
        machine, pid, start = process.stdout.readline().strip().split("|")
        lease = replace(_lease(int(pid), start), machine=machine)
        assert lives(lease) is True
        process.stdin.close()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert lives(lease) is False, "it has ended, though nobody has asked how"
    assert lives(lease) is False


def test_a_number_that_no_process_can_have_is_of_none() -> None:
    assert lives(_lease(2**62, "1")) is False


@on_linux
def test_a_lease_of_an_older_retort_is_judged_by_its_ticks(
    child: "subprocess.Popen[bytes]",
) -> None:
    old = _lease(child.pid, _ticks(child.pid))
    assert lives(old) is True
    assert lives(replace(old, process_start=str(int(old.process_start) - 1))) is False
    child.kill()
    child.wait()
    assert lives(old) is False


def test_a_lease_of_an_older_retort_that_names_no_machine_is_unknown() -> None:
    assert lives(replace(this_process(), machine="", process_start="")) is None


@on_linux
@pytest.mark.parametrize("by_s", [-86400.0, 1.0, 86400.0])
def test_a_process_lives_though_the_clock_is_set(
    by_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease, boot = this_process(), psutil.boot_time()
    began = psutil.Process().create_time()
    monkeypatch.setattr("psutil._pslinux.boot_time", lambda: boot + by_s)
    assert psutil.Process().create_time() == pytest.approx(began + by_s)
    assert lives(lease) is True


def test_where_starts_are_told_by_the_clock_another_start_says_nothing(
    child: "subprocess.Popen[bytes]", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(psutil, "LINUX", False)
    mine = this_process()
    assert lives(mine) is True
    assert lives(replace(mine, process_start="1.5")) is None
    gone = replace(mine, pid=child.pid)
    assert lives(gone) is None
    child.kill()
    child.wait()
    assert lives(gone) is False


def test_a_process_that_the_system_hides_is_unknown(child: "subprocess.Popen[bytes]") -> None:
    root = Path(__file__).parents[3]
    code = (
        f"import sys; sys.path.insert(0, {str(root)!r})\n"
        "from dataclasses import replace\n"
        "from search.storage.leases import lives, this_process\n"
        f"print(*(lives(replace(this_process(), pid=pid)) for pid in ({child.pid}, {2**62})))"
    )
    if sys.platform != "linux" or subprocess.run([*HIDDEN, "true"], capture_output=True).returncode:
        pytest.skip("needs who may mount /proc anew")
    command = [*HIDDEN, sys.executable, "-B", "-c", code]
    found = subprocess.run(command, cwd="/", capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["None", "False"]

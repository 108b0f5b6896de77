"""Processes that die: the driver, a trial's, or by the person's own hand."""

import json
import os
import signal
from pathlib import Path

import pytest

from search.records import TrialState
from tests.faults.conftest import (
    Start,
    WriteStudy,
    check_invariants,
    descendants,
    shadow,
    slow_training,
    trials_of,
)

pytestmark = [pytest.mark.ray, pytest.mark.slow]


def test_fault_01_a_killed_driver_loses_no_trial_and_runs_none_twice(
    write_study: WriteStudy, start: Start, home: Path
) -> None:
    file = write_study(space=slow_training(20))
    run = start("run", str(file))
    run.wait_for("trial 1 started")
    run.kill()
    known = trials_of(home)
    (status,) = json.loads(_output(start("status", "--json")))
    assert status["state"] == "interrupted"
    assert "running" not in status["trials"]

    resumed = start("resume")
    assert resumed.wait() == 0, resumed.output
    trials = check_invariants(home)
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 3
    assert trials[0].outcome == known[0].outcome
    assert trials[0].attempts == 1
    assert trials[1].params == known[1].params
    assert trials[1].attempts == 2


def test_fault_02_a_killed_trial_is_tried_again_and_then_failed_with_its_cause(
    write_study: WriteStudy, start: Start, home: Path
) -> None:
    file = write_study(space=slow_training(60), search={"trials": 2}, run={"retries": 1})
    run = start("run", str(file))
    run.wait_for("trial 0 started")
    os.kill(run.worker(), signal.SIGKILL)
    run.wait_for(r"trial 0 is retried: process_died")
    run.wait_for(r"(?s)trial 0 started.*trial 0 started")
    os.kill(run.worker(), signal.SIGKILL)
    run.wait_for("trial 0 failed")
    assert run.wait() == 0, run.output
    first, second = check_invariants(home)
    assert first.state is TrialState.FAILED
    assert first.attempts == 2
    assert first.outcome
    assert first.outcome.failure
    assert first.outcome.failure.kind == "process_died"
    assert second.state is TrialState.COMPLETE


def test_fault_04_ctrl_c_drains_and_can_be_resumed(
    write_study: WriteStudy, start: Start, home: Path
) -> None:
    run = start("run", str(write_study(space=slow_training(20))))
    run.wait_for("trial 0 started")
    os.killpg(run.process.pid, signal.SIGINT)
    assert run.wait() == 130, run.output
    assert [trial.state for trial in trials_of(home)] == [TrialState.COMPLETE]
    resumed = start("resume")
    assert resumed.wait() == 0, resumed.output
    assert [trial.state for trial in check_invariants(home)] == [TrialState.COMPLETE] * 3


def test_fault_04_ctrl_c_twice_stops_now_and_can_be_resumed(
    write_study: WriteStudy, start: Start, home: Path
) -> None:
    run = start("run", str(write_study(space=slow_training(1000), search={"trials": 1})))
    run.wait_for("trial 0 started")
    os.killpg(run.process.pid, signal.SIGINT)
    run.wait_for("press Ctrl-C again")
    os.killpg(run.process.pid, signal.SIGINT)
    assert run.wait() == 130, run.output
    assert "retort resume" in run.output
    (trial,) = trials_of(home)
    assert trial.state is TrialState.INTERRUPTED
    resumed = start("resume", "search.max_time=1us")
    assert resumed.wait() == 3, resumed.output
    assert check_invariants(home)[0].params == trial.params


def test_a_search_is_stopped_from_another_terminal(
    write_study: WriteStudy, start: Start, home: Path
) -> None:
    search = {"trials": 50, "stopping": False}
    run = start("run", str(write_study(space=slow_training(60), search=search)))
    run.wait_for("trial 0 started")
    stop = start("stop")
    assert stop.wait() == 0, stop.output
    assert f"process {run.process.pid} on" in stop.output
    assert run.wait() == 130, run.output
    trials = check_invariants(home)
    assert 1 <= len(trials) < 50
    assert {trial.state for trial in trials} == {TrialState.COMPLETE}
    again = start("stop")
    assert again.wait() == 2
    assert "is not running" in again.output


def test_fault_14_a_second_run_of_a_study_is_refused_with_its_holder(
    write_study: WriteStudy, start: Start, home: Path
) -> None:
    file = write_study(space=slow_training(1000), search={"trials": 1})
    run = start("run", str(file))
    run.wait_for("trial 0 started")
    for command in ("run", "resume"):
        second = start(command, str(file))
        assert second.wait() == 1, second.output
        assert f"is being run by process {run.process.pid} on" in second.output
        assert "since 20" in second.output
    assert len(trials_of(home)) == 1


def test_fault_38_a_lost_raylet_interrupts_the_study_and_says_what_to_type(
    write_study: WriteStudy, start: Start, home: Path
) -> None:
    file = write_study(space=slow_training(1000), search={"trials": 1})
    shadow(home)
    run = start("run", str(file), PYTHONSAFEPATH="1")
    run.wait_for("trial 0 started")
    (raylet,) = (pid for pid, title in descendants(run.process.pid) if "/raylet/raylet " in title)
    os.kill(raylet, signal.SIGKILL)
    assert run.wait() == 1, run.output
    assert not (home / "ran").exists()  # row 33: a trial ran here, and the driver
    last = run.output.splitlines()[-1]
    assert "raylet" in last
    assert "`retort resume stripes`" in last
    assert "Raylet is terminated" not in run.output
    assert "Traceback" not in run.output
    (trial,) = trials_of(home)
    assert trial.state is TrialState.INTERRUPTED


def _output(command: object) -> str:
    assert command.wait() == 0  # type: ignore[attr-defined]
    return command.output  # type: ignore[attr-defined,no-any-return]

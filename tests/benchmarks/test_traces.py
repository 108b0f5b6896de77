"""From an arm's log to what it reached, and when."""

from pathlib import Path

import pytest

from benchmarks.time_to_frontier.log import log_epoch, read_log
from benchmarks.time_to_frontier.report import comparison
from benchmarks.time_to_frontier.traces import Student, Trace, read_trace
from search.budget import Budget

BUDGET = Budget(size=1000, latency="1ms")


def _student(seconds: float, accuracy: float, size: float, epochs: int = 1) -> Student:
    return Student(seconds, epochs, f"s{seconds}", accuracy, size, latency_ms=0.5)


def _trace(arm: str, *students: Student) -> Trace:
    return Trace(arm, 0, students, seconds=100.0, epochs=50, finished=len(students))


def test_the_hypervolume_grows_with_each_student_that_moves_the_frontier() -> None:
    trace = _trace("a", _student(1, 0.75, 500), _student(2, 0.70, 800), _student(3, 1.0, 500))
    # The box is 50% of error by 1000 bytes by 1 ms: half of each of the last two is left.
    assert [(one.seconds, volume) for one, volume in trace.steps(BUDGET)] == [
        (1, pytest.approx(0.5 * 0.5 * 0.5)),
        (3, pytest.approx(0.5 * 0.5)),
    ]
    assert trace.final(BUDGET) == pytest.approx(0.25)


def test_a_student_over_the_budget_adds_nothing() -> None:
    trace = _trace("a", _student(1, 0.99, 1001), _student(2, 0.75, 500))
    assert trace.final(BUDGET) == pytest.approx(0.125)
    assert trace.feasible(BUDGET) == 0.5


def test_the_comparison_tells_when_ours_had_what_the_baseline_had_at_its_end() -> None:
    ours = _trace("retort", _student(2, 0.75, 500, epochs=3), _student(5, 0.9, 400, epochs=6))
    base = _trace("plain", _student(10, 0.6, 900, epochs=9), _student(50, 0.75, 500, epochs=30))
    last = comparison([ours, base], BUDGET).splitlines()[-1]
    assert "2 (1/25.0)" in last
    assert "3 (1/10.0)" in last


def test_a_baseline_that_is_never_overtaken_is_said_to_be() -> None:
    ours = _trace("retort", _student(2, 0.6, 900))
    base = _trace("plain", _student(50, 0.75, 500))
    assert comparison([ours, base], BUDGET).splitlines()[-1].count("never") == 2


def test_a_log_is_read_in_the_order_of_its_times(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    log_epoch(log, "distil")
    student = '"accuracy": 0.9, "size_bytes": 1, "latency_ms": 1.0, "folder": "a"'
    late, early = f'{{"time": 9e12, {student}}}\n', f'{{"time": 5.0, {student}}}\n'
    with log.open("a") as file:
        file.write(late + early)
    times = [float(line["time"]) for line in read_log(log)]
    assert times == sorted(times)
    trace = read_trace(log, arm="a", seed=0, start=0.0, seconds=10.0)
    assert [one.epochs for one in trace.students] == [0, 1]

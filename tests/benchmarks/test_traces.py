"""From an arm's log to what it reached and when, to the CSVs, and to the report."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.time_to_frontier.__main__ import main
from benchmarks.time_to_frontier.log import log_epoch
from benchmarks.time_to_frontier.report import comparisons, draw, table
from benchmarks.time_to_frontier.results import keep_trace, read_traces
from benchmarks.time_to_frontier.runs import Run, Terms
from benchmarks.time_to_frontier.traces import Student, Trace, measured_again, read_trace
from search.objectives.budget import Budget
from search.pipeline.study_context import StudyContext
from search.pipeline.trial import finish, run_trial
from spaces.recipe import Recipe

NewRecipe = Callable[..., Recipe]

BUDGET = Budget(size=1000, latency="1ms")
TERMS = Terms(minutes=10, share=0.2)
RUN = TERMS.run("natural", 0)
LINE = '{{"time": {time}, "accuracy": 0.9, "size_bytes": {size}, "latency_ms": 0.5, "folder": "a"}}'


def _student(seconds: float, accuracy: float, size: int, epochs: int = 1) -> Student:
    return Student(seconds, epochs, accuracy, size, latency_ms=0.5)


def _trace(*students: Student, run: Run = RUN) -> Trace:
    return Trace(run, students, 100.0, 50, 2 * len(students), len(students), "a processor", 1.0)


def _tables(*traces: Trace) -> list[str]:
    return [table(found) for found in comparisons({one.run: one for one in traces}, TERMS, BUDGET)]


def _cells(text: str, arm: str) -> list[str]:
    row = next(line for line in text.splitlines() if line.startswith(f"| {arm} |"))
    return row[2:-2].split(" | ")


def test_the_hypervolume_grows_with_each_student_that_moves_the_frontier() -> None:
    trace = _trace(_student(1, 0.75, 500), _student(2, 0.70, 800), _student(3, 1.0, 500))
    seconds, volumes = zip(
        *((one.seconds, volume) for one, volume in trace.steps(BUDGET)), strict=True
    )
    assert seconds == (1, 3)
    # The box is 50% of error by 1000 bytes by 1 ms: half of each of the last two is left.
    assert volumes == pytest.approx((0.5 * 0.5 * 0.5, 0.5 * 0.5))
    assert trace.volume(BUDGET) == pytest.approx(0.25)


def test_the_hypervolume_of_a_moment_is_of_what_was_finished_by_then() -> None:
    trace = _trace(_student(1, 0.75, 500), _student(3, 1.0, 500))
    assert trace.volume(BUDGET, until=0.5) == 0
    assert trace.volume(BUDGET, until=2.9) == pytest.approx(0.125)
    assert trace.volume(BUDGET, until=3) == pytest.approx(0.25)


def test_a_student_over_the_budget_adds_nothing() -> None:
    trace = _trace(_student(1, 0.99, 1001), _student(2, 0.75, 500))
    assert trace.volume(BUDGET) == pytest.approx(0.125)


def test_a_log_is_read_in_the_order_of_its_times(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    log_epoch(log, "distil")
    with log.open("a") as file:
        file.write(f"{LINE.format(time=9e12, size=1001)}\n{LINE.format(time=5.0, size=1)}\n")
    trace = read_trace(log, RUN, start=3.0, seconds=10.0, budget=BUDGET)
    assert [(one.seconds, one.epochs) for one in trace.students] == [(2.0, 0), (9e12 - 3, 1)]
    assert (trace.epochs, trace.finished, trace.fitting) == (1, 2, 1)
    assert trace.limit_ms == 1.0


def test_latencies_of_slow_minutes_are_compared_at_the_pace_of_the_others() -> None:
    students = _student(1, 0.75, 500), _student(3, 1.0, 500)
    slow = replace(_trace(*students), pace_ms=2.0)
    steady = slow.at_pace(1.0)
    assert [one.latency_ms for one in steady.students] == [0.25, 0.25]
    assert steady.volume(BUDGET) == pytest.approx(0.5 * 0.75)
    assert steady.at_pace(2.0) == slow


def test_each_seed_is_compared_at_a_pace_of_its_own() -> None:
    kept = [
        replace(_trace(_student(1, 0.75, 500), run=TERMS.run(arm, seed)), pace_ms=pace)
        for arm, seed, pace in (
            ("retort", 0, 1.0),
            ("natural", 0, 3.0),
            ("retort", 1, 4.0),
            ("natural", 1, 4.0),
        )
    ]
    [found] = comparisons({one.run: one for one in kept}, TERMS, BUDGET)
    assert {(one.run.seed, one.pace_ms) for one in found.traces} == {(0, 2.0), (1, 4.0)}
    latencies = {(one.run.arm, one.run.seed): one.students[0].latency_ms for one in found.traces}
    assert latencies["retort", 0] == 1.0
    assert latencies["natural", 0] == pytest.approx(1 / 3)
    assert latencies["retort", 1] == latencies["natural", 1] == 0.5
    assert table(found).endswith(
        "seed 0: a processor, 2.00 ms, latency up to 1.00 ms; "
        "seed 1: a processor, 4.00 ms, latency up to 1.00 ms."
    )


def test_a_slower_machines_latencies_are_compared_as_shares_of_its_own_limit() -> None:
    arms = TERMS.run("retort", 0), TERMS.run("natural", 0)
    kept = [replace(_trace(_student(1, 0.75, 500), run=run), limit_ms=2.0) for run in arms]
    [found] = comparisons({one.run: one for one in kept}, TERMS, BUDGET)
    assert [one.volume(found.budget) for one in found.traces] == pytest.approx(
        [0.5 * 0.5 * 0.75] * 2
    )
    assert "latency up to 2.00 ms" in table(found)


def test_what_is_measured_again_has_its_pace(context: StudyContext, recipe: NewRecipe) -> None:
    made = finish(run_trial(recipe(), context, number=0, seed=0))
    assert made.artifact
    folder = context.artifacts.folder / made.artifact.path
    budget = Budget(size="1MB", latency="1s")
    found = measured_again(
        _trace(replace(_student(1, 0.6, 10), folder=folder), _student(2, 0.1, 999_999)),
        budget,
        context,
    )
    (student,) = found.students  # the other never moved the frontier
    assert student.accuracy != 0.6
    assert student.latency_ms != 0.5
    assert 0 < found.pace_ms < 1000
    assert found.pace_ms != 1.0


def test_ours_have_a_share_of_the_minutes_and_arms_take_turns_in_being_first() -> None:
    runs = Terms(minutes=7, share=0.1).planned(("retort", "natural"), [0, 1])
    ours, natural = ("retort", 0.7), ("natural", 7)
    assert [(run.arm, run.minutes) for run in runs] == [ours, natural, natural, ours]
    assert [run.seed for run in runs] == [0, 0, 1, 1]


def test_traces_come_back_from_the_csvs_as_they_were(tmp_path: Path) -> None:
    trace = replace(_trace(_student(1.5, 0.75, 500), _student(2.5, 0.8, 600)), limit_ms=0.25)
    without = _trace(run=TERMS.run("retort", 1))
    assert read_traces(tmp_path) == {}
    keep_trace(tmp_path, trace)
    keep_trace(tmp_path, without)
    assert read_traces(tmp_path) == {trace.run: trace, without.run: without}


def test_a_run_that_is_repeated_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    other = _trace(_student(1, 0.75, 500), run=Run("natural", seed=0, minutes=5))
    before, after = _trace(_student(1, 0.75, 500)), _trace(_student(2, 0.8, 600))
    for trace in (other, before, after):
        keep_trace(tmp_path, trace)
    assert read_traces(tmp_path) == {other.run: other, RUN: after}


def test_what_the_csvs_hold_is_not_run_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for arm in ("retort", "natural"):
        keep_trace(tmp_path, _trace(_student(1, 0.75, 500), run=TERMS.run(arm, 4)))
    folders = ["--out", str(tmp_path / "out"), "--csv", str(tmp_path)]
    # There are no data: to run anything would fail.
    main([str(tmp_path / "none"), *folders, "--seeds", "4", "--arms", "natural"])
    told = capsys.readouterr().out
    assert told.count("kept from before") == 2
    assert (tmp_path / "out" / "table.md").read_text() in told
    assert (tmp_path / "out" / "hypervolume.png").exists()


def test_the_comparison_tells_when_ours_had_what_the_baseline_had_at_its_end() -> None:
    [text] = _tables(
        _trace(_student(2, 0.75, 500, 3), _student(5, 0.9, 400, 6), run=TERMS.run("retort", 0)),
        _trace(_student(1, 0.6, 900), run=TERMS.run("retort", 1)),
        _trace(_student(10, 0.6, 900, 9), _student(50, 0.75, 500, 30), run=TERMS.run("natural", 0)),
        _trace(_student(50, 0.75, 500), run=TERMS.run("natural", 1)),
        _trace(_student(50, 0.75, 500), run=TERMS.run("natural", 2)),
        _trace(run=TERMS.run("natural", 3)),
    )
    natural = _cells(text, "natural")
    assert natural[1] == "4"
    assert natural[5] == "2 (50%)"
    assert natural[6] == "2 (1/25.0); never; not run; it found none"
    assert natural[7] == "3 (1/10.0); never; not run; it found none"


def test_the_comparison_tells_what_ours_had_early_in_the_baselines_minutes() -> None:
    [text] = _tables(
        _trace(_student(29, 0.75, 500), _student(59, 1.0, 500), run=TERMS.run("retort", 0)),
        _trace(_student(500, 0.875, 500), run=TERMS.run("natural", 0)),
    )
    # 10 minutes' 20th and 10th parts: 30 and 60 seconds.
    assert _cells(text, "natural")[8] == "67%, 133% of it"


def test_ablations_have_a_table_of_their_own() -> None:
    arms = ("tpe in place of gp", "natural", "without branches", "retort")
    traces = [_trace(_student(1, 0.75, 500), run=TERMS.run(arm, 0)) for arm in arms]
    baselines, ablations = _tables(*traces)
    assert [line.split(" | ")[0] for line in baselines.splitlines()[2:4]] == [
        "| retort",
        "| natural",
    ]
    assert [line.split(" | ")[0] for line in ablations.splitlines()[2:5]] == [
        "| retort",
        "| without branches",
        "| tpe in place of gp",
    ]
    assert len(_tables(*traces[:1])) == 1
    assert _tables(traces[-1]) == []


def test_ours_from_a_seed_that_no_other_has_is_not_compared() -> None:
    arms = (("retort", 0), ("retort", 1), ("natural", 0))
    [text] = _tables(*(_trace(_student(1, 0.75, 500), run=TERMS.run(*arm)) for arm in arms))
    assert _cells(text, "retort")[1] == "1"


def test_runs_on_other_terms_are_not_compared() -> None:
    longer = Terms(minutes=30, share=0.2)
    runs = [terms.run(arm, 0) for terms in (TERMS, longer) for arm in ("retort", "natural")]
    [text] = _tables(*(_trace(_student(1, 0.75, 500), run=run) for run in runs))
    assert _cells(text, "retort")[1] == "1"
    assert _cells(text, "natural")[1] == "1"


def test_a_baseline_that_trains_in_its_own_way_has_a_table_of_its_own() -> None:
    arms = ("retort", "tune-optuna", "natural", "without stopping")
    runs = [_trace(_student(1, 0.75, 500), run=TERMS.run(arm, 0)) for arm in arms]
    shared, natural, parts = _tables(*runs)
    assert "| tune-optuna |" in shared
    assert "| natural |" in natural
    assert "| without stopping |" in parts
    assert all("| retort |" in text for text in (shared, natural, parts))


def test_the_plot_is_drawn_where_it_is_asked_for(tmp_path: Path) -> None:
    students = _student(1, 0.75, 500), _student(3, 1.0, 500)
    traces = [_trace(*students, run=TERMS.run("natural", seed)) for seed in (0, 1)]
    [found] = comparisons({one.run: one for one in traces}, TERMS, BUDGET)
    draw(found, tmp_path / "images" / "plot.svg")
    assert (tmp_path / "images" / "plot.svg").stat().st_size > 0

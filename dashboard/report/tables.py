"""Tables of a report: finalists, stages without effect, failures."""

from collections.abc import Sequence
from dataclasses import dataclass

from search.analysis.finals import kind_text, of_kind, seed_spread
from search.analysis.pareto import quality_of
from search.objectives.goal import Goal
from search.objectives.intervals import measured_text
from search.records import TrialKind, TrialRecord

MOST_ROWS = 200


@dataclass(frozen=True, kw_only=True)
class ReportTable:
    """The first of `count` rows; each has numbers, aligned right, and then texts."""

    names: Sequence[str]
    rows: Sequence[tuple[Sequence[str], Sequence[str]]]
    count: int


def finals_table(trials: Sequence[TrialRecord], goal: Goal) -> ReportTable:
    """Return the finalists and refits, in the order in which they were trained."""
    metric, found = goal.metric, of_kind(trials, TrialKind.FINAL, TrialKind.REFIT)
    rows = [
        (
            [
                str(trial.number),
                str(trial.seed),
                measured_text(metric, quality_of(trial)),
                measured_text(metric, trial.test),
            ],
            [
                kind_text(trial),
                str(trial.state),
                spread.text(metric) if (spread := seed_spread(trial, trials, goal)) else "",
            ],
        )
        for trial in found
    ]
    names = ["trial", "seed", metric.label, "test", "kind", "state", "over its seeds"]
    return ReportTable(names=names, rows=rows, count=len(found))


def no_op_table(trials: Sequence[TrialRecord]) -> ReportTable:
    """Return the trials with a stage that had no effect."""
    found = [
        ([str(trial.number)], [trial.outcome.no_op])
        for trial in trials
        if trial.outcome is not None and trial.outcome.no_op
    ]
    names = ["trial", "stage and likely cause"]
    return ReportTable(names=names, rows=found[:MOST_ROWS], count=len(found))


def failure_table(trials: Sequence[TrialRecord]) -> ReportTable:
    """Return the trials that failed."""
    found = [
        ([str(trial.number)], [trial.outcome.failure.kind, trial.outcome.failure.message[:200]])
        for trial in trials
        if trial.outcome is not None and trial.outcome.failure is not None
    ]
    return ReportTable(names=["trial", "kind", "message"], rows=found[:MOST_ROWS], count=len(found))

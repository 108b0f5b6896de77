"""How a search went, moment by moment."""

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from search.analysis.history import history
from search.analysis.pareto import frontier, value_of
from search.objectives.budget import Budget
from search.objectives.dominance import hypervolume
from search.objectives.goal import Goal
from search.objectives.limits import MACS
from search.records import TrialRecord, TrialState
from tests.search.analysis.test_pareto import (
    GOAL,
    HEAT,
    LOSS,
    many,
    objectives,
    running,
    trial,
    with_loss,
)

START = datetime(2026, 1, 1, tzinfo=UTC)
BUDGET = Budget(size=100, latency="10ms")


def ended(*trials: TrialRecord) -> list[TrialRecord]:
    """The trials, each an hour after the one before."""
    return [
        replace(one, started_at=START, finished_at=START + timedelta(hours=place))
        for place, one in enumerate(trials, start=1)
    ]


def test_a_search_that_has_ended_no_trial_has_no_history() -> None:
    assert history([running(0)], BUDGET, GOAL) == []


def test_best_value_and_hypervolume_grow_as_students_join_the_frontier() -> None:
    trials = ended(trial(0, 0.5, 50, 5.0), trial(1, 0.4, 60, 6.0), trial(2, 0.8, 50, 5.0))
    moments = history(trials, BUDGET, GOAL)
    assert [moment.ended for moment in moments] == [0, 1, 3, 3]
    assert [moment.best for moment in moments] == [None, 0.5, 0.8, 0.8]
    # Boxes of accuracy, size and latency: .5 × .5 × .5, then .8 × .5 × .5.
    assert [moment.hypervolume for moment in moments] == pytest.approx([0, 0.125, 0.2, 0.2])
    assert [moment.hours for moment in moments] == [0, 1, 3, 3]


def test_trials_that_break_the_budget_or_have_no_student_change_nothing() -> None:
    others = [trial(1, 0.9, 200, excess=1.0), trial(2, 0.9, 50, state=TrialState.INFEASIBLE)]
    moments = history(ended(trial(0, 0.5, 50, 5.0), *others), BUDGET, GOAL)
    assert [moment.best for moment in moments] == [None, 0.5, 0.5]
    assert moments[-1].ended == 3


def test_a_free_cost_is_bounded_by_the_highest_that_was_on_the_frontier() -> None:
    moments = history(ended(trial(0, 0.5, 50, 5.0), trial(1, 0.9, 100, 5.0)), Budget(), GOAL)
    assert 0 < moments[1].hypervolume < moments[2].hypervolume < 1


def test_a_latency_that_was_not_measured_spans_nothing() -> None:
    assert history(ended(trial(0, 0.5, 50, None)), BUDGET, GOAL)[-1].hypervolume == 0


def test_it_ends_with_the_frontier_and_never_falls() -> None:
    trials = ended(*many(400))
    moments = history(trials, Budget(), GOAL)
    volumes = [moment.hypervolume for moment in moments]
    assert volumes == sorted(volumes)
    assert moments[-1].best == max(value_of(one, GOAL) for one in frontier(trials, GOAL))


def test_of_very_many_students_neighbours_share_a_moment() -> None:
    # Each is a bit better and larger than the one before, so each joins.
    trials = ended(*(trial(i, i / 1000, 1 + i, 1.0) for i in range(900)))
    moments = history(trials, Budget(size=2000, latency="10ms"), GOAL)
    assert 100 < len(moments) <= 202
    assert moments[-1].best == 0.899


def test_the_best_is_the_least_where_less_is_better() -> None:
    goal = Goal(metric=LOSS, costs=(HEAT,))
    trials = ended(*(with_loss(trial(i, 0.5, 50), loss) for i, loss in enumerate((3.0, 1.0))))
    moments = history(trials, Budget(), goal)
    assert [moment.best for moment in moments] == [None, 3.0, 1.0, 1.0]
    assert 0 < moments[1].hypervolume < moments[2].hypervolume < 1


def test_the_volume_of_more_than_three_objectives_is_estimated_well() -> None:
    goal = Goal.of("accuracy", ["size", "latency", "macs"])
    trials = ended(*(varied(number) for number in range(60)))
    moments = history(trials, Budget(size=100, latency="10ms", macs=100), goal)
    volumes = [moment.hypervolume for moment in moments]
    points = [objectives(one, goal) for one in trials]
    scaled = [(error, a / 100, b / 10, c / 100) for error, a, b, c in points]
    assert volumes == sorted(volumes)
    assert volumes[-1] == pytest.approx(hypervolume(scaled, (1.0,) * 4), abs=0.006)


def varied(number: int) -> TrialRecord:
    """A trial with a cost of its own in each of the limits."""
    numbers = random.Random(number)  # noqa: S311
    made = trial(number, numbers.random(), numbers.randrange(1, 100), numbers.uniform(0, 10))
    assert made.outcome is not None
    cost = {**(made.outcome.cost or {}), MACS.cost: numbers.randrange(1, 100)}
    return replace(made, outcome=replace(made.outcome, cost=cost))

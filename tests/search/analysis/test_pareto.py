"""The frontier, choosing within a budget, and hypervolume."""

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from search.analysis.pareto import frontier, nearest_miss
from search.objectives.budget import Budget
from search.objectives.goal import Goal, stored_goal
from search.objectives.limit import Limit
from search.records import Measurement, Outcome, TrialRecord, TrialState
from tests.measured import LOSS, cost

GOAL = stored_goal({})
HEAT = Limit(
    name="heat", cost="heat_mw", label="heat", description="a cost that retort does not know",
    parse=float, format="{:.0f} mW".format, takes="milliwatts", count=None,  # type: ignore[arg-type]
)  # fmt: skip
LEAST_LOSS = Goal(metric=LOSS, costs=(HEAT,))


def trial(
    number: int,
    accuracy: float,
    size_bytes: int,
    latency_ms: float | None = 1.0,
    *,
    state: TrialState = TrialState.COMPLETE,
    excess: float = -0.5,
) -> TrialRecord:
    """A trial whose quality is known exactly."""
    return TrialRecord(
        study="digits",
        number=number,
        state=state,
        params={},
        seed=0,
        started_at=datetime(2026, 1, 1, tzinfo=UTC),
        finished_at=datetime(2026, 1, 1, tzinfo=UTC),
        outcome=Outcome(
            state=state,
            cost=cost(size_bytes=size_bytes, parameters=1, macs=1, latency_ms=latency_ms),
            quality={name: Measurement(accuracy, 0.0) for name in ("accuracy", "agreement")},
            violations={"size_bytes": excess},
        ),
    )


def with_loss(trial: TrialRecord, loss: float, *, heat: float = 1.0) -> TrialRecord:
    """The trial, with the objectives of LEAST_LOSS as well."""
    outcome = trial.outcome
    assert outcome is not None
    more = {LOSS.name: Measurement(loss)}, {HEAT.cost: heat}
    return replace(
        trial,
        outcome=replace(
            outcome,
            quality=dict(outcome.quality) | more[0],
            cost=dict(outcome.cost or {}) | more[1],
        ),
    )


def running(number: int) -> TrialRecord:
    return TrialRecord(
        study="digits",
        number=number,
        state=TrialState.RUNNING,
        params={},
        seed=0,
        started_at=datetime(2026, 1, 1, tzinfo=UTC),
        finished_at=None,
        outcome=None,
    )


def many(count: int) -> list[TrialRecord]:
    """Trials of which many are on the frontier, with ties in every objective."""
    numbers = random.Random(0)  # noqa: S311
    return [
        trial(
            i,
            numbers.randrange(500) / 500,
            numbers.randrange(1, 500),
            numbers.randrange(1, 500) / 10,
        )
        for i in range(count)
    ]


def numbers_of(trials: Sequence[TrialRecord]) -> list[int]:
    return [trial.number for trial in trials]


def objectives(trial: TrialRecord, goal: Goal = GOAL) -> tuple[float, ...]:
    assert trial.outcome is not None
    point = goal.point(trial.outcome)
    assert point is not None
    return point


class TestFrontier:
    def test_a_trial_worse_in_everything_is_left_out(self) -> None:
        assert numbers_of(frontier([trial(0, 0.9, 100, 1.0), trial(1, 0.8, 200, 2.0)], GOAL)) == [0]

    def test_a_trial_better_in_one_objective_stays(self) -> None:
        trials = [trial(0, 0.9, 100, 1.0), trial(1, 0.91, 200, 2.0), trial(2, 0.5, 300, 0.5)]
        assert numbers_of(frontier(trials, GOAL)) == [0, 1, 2]

    def test_a_trial_equal_in_two_objectives_and_worse_in_one_is_left_out(self) -> None:
        first = trial(0, 0.9, 100, 1.0)
        for worse in (trial(1, 0.8, 100, 1.0), trial(1, 0.9, 101, 1.0), trial(1, 0.9, 100, 1.1)):
            assert numbers_of(frontier([worse, first], GOAL)) == [0]

    def test_of_equal_trials_the_earliest_stays(self) -> None:
        assert numbers_of(frontier([trial(5, 0.9, 100), trial(2, 0.9, 100)], GOAL)) == [2]

    def test_it_is_sorted_by_the_first_cost(self) -> None:
        trials = [trial(0, 0.9, 300), trial(1, 0.7, 100), trial(2, 0.8, 200)]
        assert numbers_of(frontier(trials, GOAL)) == [1, 2, 0]

    def test_only_complete_trials_count(self) -> None:
        others = [trial(i, 0.99, 1, state=state) for i, state in enumerate(TrialState, start=1)]
        assert {found.state for found in frontier([*others, running(9)], GOAL)} == {
            TrialState.COMPLETE
        }

    def test_a_trial_outside_its_budget_does_not_count(self) -> None:
        assert numbers_of(frontier([trial(0, 0.99, 1, excess=0.1), trial(1, 0.5, 100)], GOAL)) == [
            1
        ]

    def test_a_trial_exactly_at_its_budget_counts(self) -> None:
        assert numbers_of(frontier([trial(0, 0.9, 100, excess=0.0)], GOAL)) == [0]

    def test_an_unmeasured_latency_counts_as_the_longest(self) -> None:
        trials = [trial(0, 0.9, 100, None), trial(1, 0.9, 100, 50.0)]
        assert numbers_of(frontier(trials, GOAL)) == [1]

    def test_a_trial_whose_metric_is_not_known_does_not_count(self) -> None:
        goal = Goal(metric=LOSS, costs=GOAL.costs)
        assert frontier([trial(0, 0.9, 100)], goal) == []

    def test_the_objectives_are_those_of_the_goal(self) -> None:
        trials = [
            with_loss(trial(0, 0.9, 100), 2.0, heat=5),
            with_loss(trial(1, 0.5, 900), 1.0, heat=9),  # better only where less is better
            with_loss(trial(2, 0.9, 1), 2.0, heat=6),  # better only in what is not minimised
            with_loss(trial(3, 0.4, 900), 3.0, heat=2),
        ]
        assert numbers_of(frontier(trials, LEAST_LOSS)) == [3, 0, 1]

    def test_no_trials_have_no_frontier(self) -> None:
        assert frontier([], GOAL) == []

    def test_it_is_what_comparing_every_pair_gives(self) -> None:
        trials = many(600)
        points = [objectives(trial) for trial in trials]
        expected = {
            one
            for one in points
            if not any(
                other != one and all(a <= b for a, b in zip(other, one, strict=True))
                for other in points
            )
        }
        found = [objectives(trial) for trial in frontier(trials, GOAL)]
        assert len(expected) > 20
        assert sorted(found) == sorted(expected)

    def test_the_order_of_the_trials_does_not_matter(self) -> None:
        trials = many(300)
        assert frontier(trials, GOAL) == frontier(reversed(trials), GOAL)

    def test_none_of_ten_thousand_trials_betters_one_of_the_frontier(self) -> None:
        trials = many(10_000)
        kept = [objectives(trial) for trial in frontier(trials, GOAL)]
        assert kept
        for one in kept:
            assert not any(
                other != one and all(a <= b for a, b in zip(other, one, strict=True))
                for other in kept
            )


class TestNearestMiss:
    def test_the_least_excess_is_nearest(self) -> None:
        trials = [trial(0, 0.9, 300), trial(1, 0.5, 220), trial(2, 0.9, 400)]
        found = nearest_miss(trials, Budget(size=200))
        assert found is not None
        assert found.number == 1

    def test_the_excess_of_several_limits_adds_up(self) -> None:
        budget = Budget(size=100, latency="1ms")
        found = nearest_miss([trial(0, 0.9, 130, 1.3), trial(1, 0.9, 150, 0.1)], budget)
        assert found is not None
        assert found.number == 1

    def test_infeasible_trials_count(self) -> None:
        trials = [trial(0, 0.9, 300, None, state=TrialState.INFEASIBLE)]
        assert nearest_miss(trials, Budget(size=200)) == trials[0]

    def test_equal_misses_go_to_the_earliest(self) -> None:
        found = nearest_miss([trial(4, 0.9, 300), trial(2, 0.9, 300)], Budget(size=200))
        assert found is not None
        assert found.number == 2

    def test_what_breaks_no_limit_is_no_miss(self) -> None:
        assert nearest_miss([trial(0, 0.9, 100), running(1)], Budget(size=200)) is None

"""The frontier, choosing within a budget, and hypervolume."""

import math
import random
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import combinations

import pytest

from search.analysis.pareto import best, frontier, hypervolume, nearest_miss
from search.objectives.budget import Budget
from search.records import Cost, Outcome, Quality, TrialRecord, TrialState


def trial(
    number: int,
    accuracy: float,
    size_bytes: int,
    latency_ms: float | None = 1.0,
    *,
    state: TrialState = TrialState.COMPLETE,
    excess: float = -0.5,
) -> TrialRecord:
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
            cost=Cost(size_bytes=size_bytes, parameters=1, macs=1, latency_ms=latency_ms),
            quality=Quality(accuracy=accuracy, agreement=accuracy),
            violations={"size_bytes": excess},
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


def objectives(trial: TrialRecord) -> tuple[float, float, float]:
    assert trial.outcome is not None
    assert trial.outcome.cost is not None
    assert trial.outcome.quality is not None
    latency = trial.outcome.cost.latency_ms
    return (
        trial.outcome.cost.size_bytes,
        math.inf if latency is None else latency,
        -trial.outcome.quality.accuracy,
    )


class TestFrontier:
    def test_a_trial_worse_in_everything_is_left_out(self) -> None:
        assert numbers_of(frontier([trial(0, 0.9, 100, 1.0), trial(1, 0.8, 200, 2.0)])) == [0]

    def test_a_trial_better_in_one_objective_stays(self) -> None:
        trials = [trial(0, 0.9, 100, 1.0), trial(1, 0.91, 200, 2.0), trial(2, 0.5, 300, 0.5)]
        assert numbers_of(frontier(trials)) == [0, 1, 2]

    def test_a_trial_equal_in_two_objectives_and_worse_in_one_is_left_out(self) -> None:
        first = trial(0, 0.9, 100, 1.0)
        for worse in (trial(1, 0.8, 100, 1.0), trial(1, 0.9, 101, 1.0), trial(1, 0.9, 100, 1.1)):
            assert numbers_of(frontier([worse, first])) == [0]

    def test_of_equal_trials_the_earliest_stays(self) -> None:
        assert numbers_of(frontier([trial(5, 0.9, 100), trial(2, 0.9, 100)])) == [2]

    def test_it_is_sorted_by_size(self) -> None:
        trials = [trial(0, 0.9, 300), trial(1, 0.7, 100), trial(2, 0.8, 200)]
        assert numbers_of(frontier(trials)) == [1, 2, 0]

    def test_only_complete_trials_count(self) -> None:
        others = [trial(i, 0.99, 1, state=state) for i, state in enumerate(TrialState, start=1)]
        assert {found.state for found in frontier([*others, running(9)])} == {TrialState.COMPLETE}

    def test_a_trial_outside_its_budget_does_not_count(self) -> None:
        assert numbers_of(frontier([trial(0, 0.99, 1, excess=0.1), trial(1, 0.5, 100)])) == [1]

    def test_a_trial_exactly_at_its_budget_counts(self) -> None:
        assert numbers_of(frontier([trial(0, 0.9, 100, excess=0.0)])) == [0]

    def test_an_unmeasured_latency_counts_as_the_longest(self) -> None:
        trials = [trial(0, 0.9, 100, None), trial(1, 0.9, 100, 50.0)]
        assert numbers_of(frontier(trials)) == [1]

    def test_no_trials_have_no_frontier(self) -> None:
        assert frontier([]) == []

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
        found = [objectives(trial) for trial in frontier(trials)]
        assert len(expected) > 20
        assert sorted(found) == sorted(expected)

    def test_the_order_of_the_trials_does_not_matter(self) -> None:
        trials = many(300)
        assert frontier(trials) == frontier(reversed(trials))

    def test_none_of_ten_thousand_trials_betters_one_of_the_frontier(self) -> None:
        trials = many(10_000)
        kept = [objectives(trial) for trial in frontier(trials)]
        assert kept
        for one in kept:
            assert not any(
                other != one and all(a <= b for a, b in zip(other, one, strict=True))
                for other in kept
            )


class TestBest:
    def test_the_most_accurate_within_the_budget_is_chosen(self) -> None:
        trials = [trial(0, 0.8, 100), trial(1, 0.9, 200), trial(2, 0.99, 300)]
        found = best(trials, Budget(size=250))
        assert found is not None
        assert found.number == 1

    @pytest.mark.parametrize(
        ("rivals", "why"),
        [
            ([trial(0, 0.9, 200, 1.0), trial(1, 0.9, 100, 2.0)], "smaller"),
            ([trial(0, 0.9, 100, 2.0), trial(1, 0.9, 100, 1.0)], "faster"),
            ([trial(3, 0.9, 100, 1.0), trial(1, 0.9, 100, 1.0)], "earlier"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_ties_go_to_the_smaller_then_faster_then_earlier(
        self, rivals: list[TrialRecord], why: str
    ) -> None:
        found = best(rivals, Budget())
        assert found is not None
        assert found.number == 1

    def test_a_wider_budget_than_the_studys_admits_what_that_refused(self) -> None:
        assert best([trial(0, 0.9, 100, excess=1.0)], Budget(size=200)) is not None

    def test_a_latency_that_was_not_measured_is_not_within_a_limit_on_it(self) -> None:
        assert best([trial(0, 0.9, 100, None)], Budget(latency="5ms")) is None

    def test_a_trial_without_an_artifact_is_never_chosen(self) -> None:
        states = set(TrialState) - {TrialState.COMPLETE}
        trials = [trial(i, 0.9, 100, state=state) for i, state in enumerate(sorted(states))]
        assert best([*trials, running(9)], Budget()) is None

    def test_a_smallest_accuracy_is_kept_to(self) -> None:
        trials = [trial(0, 0.9, 100)]
        assert best(trials, Budget(), min_accuracy=0.9) is not None
        assert best(trials, Budget(), min_accuracy=0.91) is None

    def test_within_the_studys_budget_it_is_on_the_frontier(self) -> None:
        trials = many(300)
        assert best(trials, Budget()) in frontier(trials)


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


class TestHypervolume:
    def test_one_point_in_the_plane_spans_a_rectangle(self) -> None:
        assert hypervolume([(1, 2)], (4, 4)) == 6

    def test_overlap_in_the_plane_counts_once(self) -> None:
        # Rectangles of 3 × 1, 2 × 2 and 1 × 3 as a staircase: 3 + 2 + 1.
        assert hypervolume([(1, 3), (2, 2), (3, 1)], (4, 4)) == 6

    def test_one_point_in_space_spans_a_box(self) -> None:
        assert hypervolume([(1, 2, 3)], (2, 4, 6)) == 6

    def test_overlap_in_space_counts_once(self) -> None:
        # Boxes of 1 × 2 × 2 and 2 × 1 × 2 share 1 × 1 × 2.
        assert hypervolume([(1, 0, 0), (0, 1, 0)], (2, 2, 2)) == 4 + 4 - 2

    def test_dominated_and_repeated_points_add_nothing(self) -> None:
        assert hypervolume([(1, 1), (2, 2), (1, 1), (1, 3), (3, 1)], (4, 4)) == 9

    def test_points_no_better_than_the_reference_add_nothing(self) -> None:
        assert hypervolume([(4, 0), (0, 5), (9, 9)], (4, 4)) == 0

    def test_no_points_span_nothing(self) -> None:
        assert hypervolume([], (1, 1)) == 0

    @pytest.mark.parametrize("dimensions", [2, 3])
    @pytest.mark.parametrize("seed", range(20))
    def test_it_is_what_inclusion_and_exclusion_give(self, dimensions: int, seed: int) -> None:
        numbers = random.Random(seed)  # noqa: S311
        # Whole numbers: many ties, and sums without rounding.
        points = [tuple(numbers.randrange(12) for _ in range(dimensions)) for _ in range(9)]
        reference = (10,) * dimensions
        assert hypervolume(points, reference) == _by_inclusion_exclusion(points, reference)

    def test_ten_thousand_points_none_of_which_dominates_lie_below_their_plane(self) -> None:
        numbers = random.Random(0)  # noqa: S311
        pairs = [(numbers.random(), numbers.random()) for _ in range(10_000)]
        found = hypervolume([(x, y, 2 - x - y) for x, y in pairs], (3, 3, 3))
        # All that is dominated by some point of the plane x + y + z = 2 with x and y in 0 to 1.
        assert 26 > found > 20

    def test_it_grows_with_the_frontier_and_never_shrinks(self) -> None:
        numbers = random.Random(1)  # noqa: S311
        points = [tuple(numbers.randrange(100) for _ in range(3)) for _ in range(60)]
        volumes = [hypervolume(points[:count], (100, 100, 100)) for count in range(61)]
        assert volumes == sorted(volumes)

    @pytest.mark.parametrize(
        "points", [[(1.0, 2.0)], [(1.0, 2.0, math.nan)], [(1.0, 2.0, 3.0, 4.0)]]
    )
    def test_points_that_do_not_fit_the_reference_are_refused(
        self, points: list[tuple[float, ...]]
    ) -> None:
        with pytest.raises(ValueError, match="a point must have 3 numbers"):
            hypervolume(points, (5, 5, 5))

    @pytest.mark.parametrize("reference", [(1.0,), (1.0,) * 4, (1.0, math.nan)])
    def test_a_reference_has_two_or_three_numbers(self, reference: tuple[float, ...]) -> None:
        with pytest.raises(ValueError, match="reference must have 2 or 3 numbers"):
            hypervolume([], reference)


def _by_inclusion_exclusion(points: Sequence[Sequence[int]], reference: Sequence[int]) -> int:
    """The volume of the boxes' union: every intersection's, with its sign."""
    total = 0
    for count in range(1, len(points) + 1):
        for chosen in combinations(points, count):
            corner = [max(values) for values in zip(*chosen, strict=True)]
            sides = [max(0, worst - x) for x, worst in zip(corner, reference, strict=True)]
            total += (-1) ** (count + 1) * math.prod(sides)
    return total

"""The best student within a budget, by estimates."""

from dataclasses import replace

import pytest

from search.analysis.ranking import Ranking
from search.errors import NoStudentFits
from search.objectives.budget import Budget
from search.objectives.goal import SMALLEST
from search.records import TrialRecord, TrialState
from tests.measured import quality
from tests.search.analysis.test_pareto import GOAL, LEAST_LOSS, running, trial, with_loss


def measured(number: int, right: float, *, images: int, size_bytes: int = 100) -> TrialRecord:
    """A student of which this share of so many images is right."""
    record = trial(number, right, size_bytes)
    assert record.outcome is not None
    found = quality(images=images, accuracy=right)
    return replace(record, outcome=replace(record.outcome, quality=found))


class TestBest:
    def test_the_most_accurate_within_the_budget_is_chosen(self) -> None:
        trials = [trial(0, 0.8, 100), trial(1, 0.9, 200), trial(2, 0.99, 300)]
        found = Ranking(trials, GOAL).best(Budget(size=250))
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
        found = Ranking(rivals, GOAL).best(Budget())
        assert found is not None
        assert found.number == 1

    def test_a_wider_budget_than_the_studys_admits_what_that_refused(self) -> None:
        assert Ranking([trial(0, 0.9, 100, excess=1.0)], GOAL).best(Budget(size=200)) is not None

    def test_a_latency_that_was_not_measured_is_not_within_a_limit_on_it(self) -> None:
        assert Ranking([trial(0, 0.9, 100, None)], GOAL).best(Budget(latency="5ms")) is None

    def test_a_trial_without_an_artifact_is_never_chosen(self) -> None:
        states = set(TrialState) - {TrialState.COMPLETE}
        trials = [trial(i, 0.9, 100, state=state) for i, state in enumerate(sorted(states))]
        assert Ranking([*trials, running(9)], GOAL).best(Budget()) is None

    def test_a_least_value_is_kept_to(self) -> None:
        trials = [trial(0, 0.9, 100)]
        assert Ranking(trials, GOAL).best(Budget(), floor=0.9) is not None
        assert Ranking(trials, GOAL).best(Budget(), floor=0.91) is None

    def test_where_less_is_better_the_least_is_best_and_the_floor_is_the_most(self) -> None:
        trials = [with_loss(trial(i, 0.9, 100), loss) for i, loss in enumerate((2.0, 1.0, 3.0))]
        found = Ranking(trials, LEAST_LOSS).best(Budget(), floor=1.5)
        assert found is not None
        assert found.number == 1
        assert Ranking(trials, LEAST_LOSS).best(Budget(), floor=0.5) is None

    def test_where_none_is_good_enough_the_best_is_named(self) -> None:
        with pytest.raises(NoStudentFits, match=r"trial 1: 91\.00%"):
            Ranking([trial(0, 0.9, 100), trial(1, 0.91, 100)], GOAL).chosen(Budget(), floor=0.95)

    def test_an_estimate_is_named_with_the_measured_value(self) -> None:
        trials = [measured(number, 0.9 + number / 100, images=300) for number in range(3)]
        with pytest.raises(NoStudentFits, match=r"trial 2: 91\..* \(measured 92\.00%\)"):
            Ranking(trials, GOAL).chosen(Budget(), floor=0.95)

    def test_where_no_cost_that_is_limited_was_measured_that_is_said(self) -> None:
        untimed = [trial(0, 0.9, 100, None), trial(1, 0.8, 50, None)]
        with pytest.raises(NoStudentFits, match=r"^(?!.*retort trials).*latency"):
            Ranking(untimed, GOAL).chosen(Budget.model_validate({"latency": "1ms"}))

    def test_the_smallest_within_noise_is_chosen_where_it_is_preferred(self) -> None:
        sizes = {0.90: 300, 0.895: 100, 0.89: 200, 0.80: 50}
        trials = [
            measured(number, accuracy, images=1000, size_bytes=size)
            for number, (accuracy, size) in enumerate(sizes.items())
        ]
        for goal, number in ((GOAL, 0), (replace(GOAL, prefer=SMALLEST), 1)):
            found = Ranking(trials, goal).best(Budget())
            assert found is not None
            assert found.number == number

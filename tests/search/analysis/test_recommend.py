"""Which student to take, and why it and not its neighbours."""

from dataclasses import replace

import pytest

from search.analysis.recommend import advise, reasons
from search.errors import NoStudentFits
from search.objectives.budget import Budget
from search.objectives.goal import SMALLEST
from search.records import TrialRecord, TrialState
from tests.messages import naming
from tests.search.analysis.test_pareto import GOAL, LEAST_LOSS, running, trial, with_loss
from tests.search.analysis.test_ranking import measured

BUDGET = Budget(size=300, latency="2ms")


def test_the_best_within_the_budget_is_advised() -> None:
    advice = advise([trial(0, 0.8, 100), trial(1, 0.9, 200), trial(2, 0.99, 400)], BUDGET, GOAL)
    assert advice.chosen.number == 1


def test_nothing_is_advised_where_nothing_fits() -> None:
    with pytest.raises(NoStudentFits):
        advise([trial(0, 0.9, 400), running(1)], BUDGET, GOAL)


def test_a_least_value_is_kept_to() -> None:
    with pytest.raises(NoStudentFits):
        advise([trial(0, 0.9, 100)], BUDGET, GOAL, floor=0.95)


def test_the_runner_up_is_the_next_within_the_budget() -> None:
    trials = [trial(0, 0.9, 100), trial(1, 0.89, 250), trial(2, 0.8, 90), trial(3, 0.895, 400)]
    advice = advise(trials, BUDGET, GOAL)
    assert advice.runner_up is not None
    assert advice.runner_up.number == 1


def test_the_cheaper_one_is_the_best_of_those_much_smaller_and_no_slower() -> None:
    slower = trial(3, 0.89, 50, 1.5)
    trials = [trial(0, 0.9, 100), trial(1, 0.89, 80), trial(2, 0.7, 70), slower, trial(4, 0.8, 75)]
    advice = advise(trials, BUDGET, GOAL)
    assert advice.cheaper is not None
    assert advice.cheaper.number == 4


def test_for_each_limit_the_nearest_better_student_beyond_it_is_named() -> None:
    trials = [
        trial(0, 0.9, 100, 1.0),
        trial(1, 0.95, 330, 1.0),
        trial(2, 0.99, 600, 1.0),
        trial(3, 0.94, 100, 2.1),
        trial(4, 0.999, 310, 2.1),
        trial(5, 0.85, 301, 1.0),
    ]
    advice = advise(trials, BUDGET, GOAL)
    found = {upgrade.trial.number: dict(upgrade.needs) for upgrade in advice.upgrades}
    assert found == {1: {"size_bytes": 330}, 3: {"latency_ms": 2.1}}


def test_where_every_better_one_breaks_several_limits_the_nearest_is_named() -> None:
    advice = advise(
        [trial(0, 0.9, 100), trial(1, 0.95, 330, 2.2), trial(2, 0.96, 600, 9)], BUDGET, GOAL
    )
    (upgrade,) = advice.upgrades
    assert upgrade.trial.number == 1
    assert upgrade.needs == {"size_bytes": 330, "latency_ms": 2.2}


def test_a_trial_without_a_student_is_no_upgrade() -> None:
    advice = advise(
        [trial(0, 0.9, 100), trial(1, 0.95, 330, state=TrialState.INFEASIBLE)], BUDGET, GOAL
    )
    assert advice.upgrades == ()


def test_the_reasons_say_what_more_budget_would_buy_and_what_the_runner_up_lacks() -> None:
    advice = advise([trial(0, 0.9, 200), trial(1, 0.88, 150), trial(2, 0.95, 330)], BUDGET, GOAL)
    text = "\n".join(reasons(advice, BUDGET, GOAL))
    assert "Trial 0 has the best accuracy within size up to 300 B, latency up to 2.00 ms." in text
    assert "trial 1: accuracy -2.00 points, size 25% smaller, latency the same." in text
    assert "size up to 330 B instead of 300 B (+10%), trial 2" in text
    assert "95.00% (+5.00 points)" in text


def test_the_reasons_tell_the_estimate_and_who_was_only_lucky() -> None:
    # The students of one size are alike; of the small ones, one was lucky.
    small = [measured(i, accuracy, images=300) for i, accuracy in enumerate((0.89, 0.88, 0.93))]
    large = [measured(i, 0.92, images=300, size_bytes=250) for i in range(3, 9)]
    trials = [with_size(one) for one in [*small, *large]]
    advice = advise(trials, Budget(), GOAL)
    assert advice.chosen.number >= 3
    assert advice.luckiest is not None
    assert advice.luckiest.number == 2
    text = "\n".join(reasons(advice, Budget(), GOAL))
    assert naming("estimated as", "measured as 92.00%").search(text)
    assert naming("Trial 2", "measured as 93.00%", "its estimate").search(text)


def with_size(record: TrialRecord) -> TrialRecord:
    """The trial, with its size among its parameters."""
    assert record.outcome is not None
    assert record.outcome.cost is not None
    return replace(record, params={"student.x": record.outcome.cost["size_bytes"]})


def test_the_reasons_name_an_equal_at_half_the_cost_and_the_one_that_is_preferred() -> None:
    sizes = {0.90: 200, 0.895: 90, 0.80: 50}
    trials = [
        measured(i, accuracy, images=1000, size_bytes=size)
        for i, (accuracy, size) in enumerate(sizes.items())
    ]
    advice = advise(trials, BUDGET, GOAL)
    assert advice.equal is not None
    assert (advice.chosen.number, advice.equal.number) == (0, 1)
    assert naming("half the cost", "within noise", "trial 1").search(
        "\n".join(reasons(advice, BUDGET, GOAL))
    )
    smallest = replace(GOAL, prefer=SMALLEST)
    advice = advise(trials, BUDGET, smallest)
    assert advice.rival is not None
    assert (advice.chosen.number, advice.rival.number) == (1, 0)
    assert naming("Trial 1", "within noise", "trial 0").search(reasons(advice, BUDGET, smallest)[0])


def test_the_reasons_say_so_where_no_budget_would_buy_more() -> None:
    advice = advise([trial(0, 0.9, 200)], BUDGET, GOAL)
    assert advice.upgrades == ()
    assert naming(GOAL.metric.label, "larger budget").search(reasons(advice, BUDGET, GOAL)[-1])


def test_the_reasons_name_a_better_student_that_broke_the_studys_budget() -> None:
    lost = [trial(n, 0.9 + n / 100, 330, state=TrialState.INFEASIBLE) for n in (1, 3, 2)]
    advice = advise([trial(0, 0.9, 100), *lost], BUDGET, GOAL)
    assert "Trial 3 reached accuracy 93.00%" in reasons(advice, BUDGET, GOAL)[-1]
    worse = trial(1, 0.8, 330, state=TrialState.INFEASIBLE)
    advice = advise([trial(0, 0.9, 100), worse], BUDGET, GOAL)
    assert advice.lost is None


@pytest.mark.parametrize(
    ("size", "words"), [(400, "size 2.0 times larger"), (200, "size the same")]
)
def test_a_ratio_is_said_as_a_person_would(size: int, words: str) -> None:
    advice = advise([trial(0, 0.9, 200), trial(1, 0.88, size)], Budget(), GOAL)
    assert words in reasons(advice, Budget(), GOAL)[1]


def test_the_advice_follows_the_studys_own_goal() -> None:
    trials = [
        with_loss(trial(0, 0.9, 100), 2.0, heat=80),
        with_loss(trial(1, 0.5, 100), 1.0, heat=100),
        with_loss(trial(2, 0.5, 100), 0.5, heat=100),
        with_loss(trial(3, 0.9, 100), 3.0, heat=60),
    ]
    advice = advise(trials, Budget(), LEAST_LOSS)
    assert advice.runner_up is not None
    assert advice.cheaper is not None
    numbers = [one.number for one in (advice.chosen, advice.runner_up, advice.cheaper)]
    assert numbers == [2, 1, 3]
    text = "\n".join(reasons(advice, Budget(), LEAST_LOSS))
    assert "trial 3: loss +2.50, heat 40% lower" in text

"""Frontier, ranking and recommendation of a study whose budget has floors."""

from dataclasses import replace

import pytest

from search.analysis.finals import shipped
from search.analysis.floor_notes import floor_notes
from search.analysis.history import history
from search.analysis.pareto import fits, frontier, nearest_miss
from search.analysis.ranking import Ranking
from search.analysis.recommend import advise, reasons
from search.errors import NoStudentFits
from search.objectives.budget import Budget
from search.records import Measurement, TrialKind, TrialRecord
from tests.messages import naming
from tests.search.analysis.test_pareto import GOAL, trial

BUDGET = Budget.model_validate({"size": 1000, "recall": {"stop": 0.98}})


def student(
    number: int, accuracy: float, size_bytes: int, recall: float, budget: Budget = BUDGET
) -> TrialRecord:
    """A complete student, as a trial under the budget would have recorded it."""
    made = trial(number, accuracy, size_bytes)
    assert made.outcome is not None
    assert made.outcome.cost is not None
    found = {**made.outcome.quality, "recall.stop": Measurement(recall, 0.01)}
    outcome = replace(
        made.outcome,
        quality=found,
        violations=budget.violations(made.outcome.cost, found),
        reason=budget.explain(made.outcome.cost, found) or None,
    )
    return replace(made, outcome=outcome)


MEETS, BREAKS, FAR = (
    student(0, 0.90, 500, 0.99),
    student(1, 0.95, 400, 0.95),
    student(2, 0.97, 300, 0.5),
)


def test_a_student_that_breaks_a_floor_is_not_on_the_frontier() -> None:
    assert frontier([MEETS, BREAKS, FAR], GOAL) == [MEETS]


def test_only_a_student_that_meets_the_floors_is_within_the_budget() -> None:
    assert [fits(one, BUDGET) for one in (MEETS, BREAKS)] == [True, False]
    assert not fits(trial(3, 0.9, 500), BUDGET)  # its recall was not measured
    assert Ranking([MEETS, BREAKS, FAR], GOAL).chosen(BUDGET) == MEETS


def test_the_nearest_miss_is_named_with_what_it_breaks_and_what_helps() -> None:
    assert nearest_miss([BREAKS, FAR], BUDGET) == BREAKS
    facts = ("trial 1", "recall of stop 95.00% is below 98.00%", "Lower the floors")
    with pytest.raises(NoStudentFits, match=naming(*facts)) as caught:
        Ranking([BREAKS, FAR], GOAL).chosen(BUDGET)
    assert "Raise the budget" not in str(caught.value)


def test_a_student_that_may_fit_but_was_not_measured_is_said() -> None:
    with pytest.raises(NoStudentFits, match=naming("is known to fit", "recall of stop")):
        Ranking([trial(0, 0.9, 500)], GOAL).chosen(BUDGET)


def test_those_that_break_only_floors_are_sorted_by_their_distance() -> None:
    too_large = student(4, 0.99, 2000, 0.97)
    ranking = Ranking([FAR, BREAKS, MEETS, too_large], GOAL)
    assert ranking.nearest(BUDGET) == [BREAKS, FAR]
    assert ranking.nearest(BUDGET.before_training) == []


def test_the_recommendation_says_what_a_lower_floor_would_give() -> None:
    advice = advise([MEETS, BREAKS], BUDGET, GOAL)
    assert advice.chosen == MEETS
    (upgrade,) = advice.upgrades
    assert upgrade.trial == BREAKS
    assert upgrade.needs == {"recall.stop": 0.95}
    said = "\n".join(reasons(advice, BUDGET, GOAL))
    assert "recall of stop at least 98.00%" in said
    assert "It meets the floors on the validation images: recall of stop 99.00%" in said
    assert "With recall of stop at least 95.00% instead of 98.00%, trial 1 would give" in said


def test_a_student_over_a_limit_and_a_floor_needs_both() -> None:
    both = student(1, 0.95, 1500, 0.97)
    (upgrade,) = advise([MEETS, both], BUDGET, GOAL).upgrades
    assert upgrade.needs == {"size_bytes": 1500, "recall.stop": 0.97}


def test_a_refit_is_judged_by_its_costs_and_by_the_quality_of_the_trial_that_it_repeats() -> None:
    chosen = replace(MEETS, kind=TrialKind.FINAL)
    assert chosen.outcome is not None
    refit = replace(
        chosen,
        number=5,
        kind=TrialKind.REFIT,
        repeats=0,
        outcome=replace(chosen.outcome, quality={}),
    )
    assert shipped(chosen, [chosen, refit], BUDGET) == refit
    note = "\n".join(floor_notes(refit, [chosen, refit], BUDGET))
    assert naming("trial 0", "recall of stop 99.00%", "at least 98.00%", "meets").search(note)


def test_a_note_tells_which_floor_is_broken() -> None:
    (note,) = floor_notes(BREAKS, [BREAKS], BUDGET)
    assert naming("breaks", "recall of stop 95.00%", "at least 98.00%").search(note)
    assert floor_notes(BREAKS, [BREAKS], Budget()) == []


def test_the_history_counts_only_students_within_the_budget() -> None:
    assert history([BREAKS, MEETS], BUDGET, GOAL)[-1].best == pytest.approx(0.9)

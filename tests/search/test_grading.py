"""The students that are tested at the end of a study."""

from dataclasses import replace

from search.analysis.pareto import frontier
from search.analysis.ranking import Ranking
from search.grading import students_to_test
from search.objectives.budget import Budget
from search.records import TrialKind, TrialRecord, TrialState
from tests.search.analysis.test_pareto import GOAL, numbers_of, trial
from tests.search.analysis.test_ranking import measured


def _similar(number: int, right: float, *, size_bytes: int, width: float) -> TrialRecord:
    return replace(
        measured(number, right, images=50, size_bytes=size_bytes), params={"width": width}
    )


def test_the_best_by_estimate_is_tested_though_a_lucky_one_is_measured_as_better() -> None:
    poor = [_similar(i, 0.70 + i / 100, size_bytes=100, width=i / 10) for i in range(6)]
    good = [_similar(10 + i, 0.90 + i / 200, size_bytes=200, width=1 + i / 10) for i in range(6)]
    lucky = _similar(20, 0.94, size_bytes=90, width=0.25)
    ranking = Ranking([*poor, *good, lucky], GOAL)
    best = ranking.chosen(Budget())
    assert numbers_of(frontier(ranking.trials, GOAL)) == [20]
    assert best.number == 15
    assert numbers_of(students_to_test(ranking, Budget())) == [20, 15]


def test_finalists_and_refits_are_tested_once_and_those_that_failed_never() -> None:
    trials = [
        trial(0, 0.9, 100),
        trial(1, 0.8, 200),
        replace(trial(2, 0.95, 100), kind=TrialKind.FINAL),
        replace(trial(3, 0.94, 100), kind=TrialKind.FINAL),
        replace(trial(4, 0.99, 100, state=TrialState.FAILED), kind=TrialKind.FINAL),
        replace(trial(5, 0.0, 100), kind=TrialKind.REFIT),
    ]
    found = numbers_of(students_to_test(Ranking(trials, GOAL), Budget()))
    assert sorted(found) == [2, 3, 5]
    assert len(found) == 3


def test_where_no_student_fits_only_finalists_are_tested() -> None:
    over = trial(0, 0.9, 100, excess=1.0)
    final = replace(trial(1, 0.9, 100, excess=1.0), kind=TrialKind.FINAL)
    ranking = Ranking([over, final], GOAL)
    assert numbers_of(students_to_test(ranking, Budget(size=50))) == [1]

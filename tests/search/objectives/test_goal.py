import pytest

from search.objectives.goal import DEFAULT_GOAL, Goal, stored_goal
from search.objectives.metrics import metrics
from search.records import Outcome, TrialState
from tests.measured import cost, quality


def _outcome(**costs: float) -> Outcome:
    measured = quality(accuracy=0.75, agreement=0.5)
    return Outcome(state=TrialState.COMPLETE, quality=measured, cost=cost(**costs))


def test_the_point_of_a_student_is_what_it_lacks_and_what_it_costs() -> None:
    outcome = _outcome(size_bytes=100, latency_ms=2.0, macs=7)
    assert DEFAULT_GOAL.point(outcome) == (0.25, 100, 2.0)
    assert Goal.of("agreement", ["macs"]).point(outcome) == (0.5, 7)


def test_a_cost_that_is_not_known_counts_as_infinite() -> None:
    assert DEFAULT_GOAL.point(_outcome(size_bytes=100)) == (0.25, 100, float("inf"))


def test_a_student_whose_metric_was_not_measured_has_no_point() -> None:
    assert Goal.of("balanced_accuracy", ["size"]).point(_outcome(size_bytes=1)) is None


def test_an_older_studys_goal_is_the_default() -> None:
    assert stored_goal({"search": {"trials": 3}}) == stored_goal({}) == DEFAULT_GOAL


def test_a_stored_goal_is_read_back() -> None:
    stored = {"search": {"objective": "agreement", "minimize": ["macs", "size"]}}
    assert stored_goal(stored) == Goal.of("agreement", ["macs", "size"])


@pytest.mark.parametrize(
    ("objective", "minimized", "named"),
    [
        ("acuracy", ["size"], "accuracy"),
        ("accuracy", ["sizes"], "size"),
        ("accuracy", [], "1 to 4"),
        ("accuracy", ["size", "size"], "each once"),
    ],
)
def test_a_goal_that_there_is_not_is_refused(
    objective: str, minimized: list[str], named: str
) -> None:
    with pytest.raises(ValueError, match=named):
        Goal.of(objective, minimized)


def test_balanced_accuracy_stands_beside_an_accuracy_from_which_it_differs() -> None:
    signs = quality(accuracy=0.339, balanced_accuracy=0.172)
    even = quality(accuracy=0.339, balanced_accuracy=0.335)
    assert [metric.name for metric in DEFAULT_GOAL.beside(even, signs)] == ["balanced_accuracy"]
    assert DEFAULT_GOAL.beside(even, even) == ()
    assert DEFAULT_GOAL.beside(quality(accuracy=0.9), {}) == ()


def test_one_point_of_difference_is_shown_however_it_is_rounded() -> None:
    for accuracy in (0.99, 0.56, 0.30):
        assert DEFAULT_GOAL.beside(quality(accuracy=accuracy, balanced_accuracy=accuracy - 0.01)), (
            accuracy
        )


def test_no_metric_stands_beside_one_that_weighs_all_classes_alike() -> None:
    goal = Goal.of("balanced_accuracy", ["size"])
    assert goal.beside(quality(accuracy=0.9, balanced_accuracy=0.1)) == ()


def test_the_metrics_beside_the_goals_own_come_before_the_others() -> None:
    names = [metric.name for metric in DEFAULT_GOAL.all_metrics]
    assert names[:2] == ["accuracy", "balanced_accuracy"]
    assert set(names) == set(metrics())
    assert len(names) == len(metrics())

"""The surrogate, the scale of its targets, and how it learns as a study goes on."""

import math

import numpy as np
import pytest

from search.objectives.budget import Budget
from search.objectives.goal import stored_goal
from search.samplers.cost_space import CostSpace
from search.samplers.history import EndedTrial, FinishedTrial, StoppedTrial
from search.samplers.reached import ReachedStudents
from search.samplers.recipe_rows import RecipeRows
from search.samplers.study_surrogate import StudySurrogate, last_milestone
from search.surrogate.features import Features
from search.surrogate.surrogate import Surrogate
from search.surrogate.utility_scale import UtilityScale
from spaces.distributions import FloatRange, Scalar
from spaces.recipe import Recipe
from tests import measured


def test_an_uncertain_observation_moves_the_expectation_by_less() -> None:
    rows = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 5.0]])
    accuracies = np.array([0.6, 0.6, 0.9])
    codes = np.zeros(3, bool)
    sure, unsure = (
        Surrogate(rows, accuracies, np.array([0.0, 0.0, variance]), codes).quantiles(rows)[2, 8]
        for variance in (0.0, 4.0)
    )
    assert sure == pytest.approx(0.9, abs=0.05)
    assert unsure < sure - 0.05


def test_what_is_believed_of_running_trials_is_no_longer_uncertain() -> None:
    rows = np.array([[0.0], [1.0], [2.0]])
    zeros, codes = np.zeros(3), np.array([False])
    surrogate = Surrogate(rows, np.array([0.5, 0.7, 0.6]), zeros, codes)
    place = np.array([[9.0]])
    before = np.ptp(surrogate.quantiles(place))
    (believed,) = surrogate.expected(place)
    after = surrogate.believing(place).quantiles(place)
    assert after.mean() == pytest.approx(believed, abs=0.01)
    assert np.ptp(after) < before / 3
    assert np.ptp(surrogate.quantiles(place)) == before


def test_good_utilities_keep_their_distances_and_bad_ones_move_near_them() -> None:
    utilities = np.array([0.1, 0.11, 0.5, 0.9, 0.91, 0.93, 0.95])
    scale = UtilityScale(utilities)
    standard = scale.standard(utilities)
    logits = np.log(utilities / (1 - utilities))
    ratios = np.diff(standard[3:]) / np.diff(logits[3:])
    np.testing.assert_allclose(ratios, ratios[0])
    assert (np.diff(standard) > 0).all()
    assert standard[3] - standard[0] < 3 * (standard[6] - standard[3])
    np.testing.assert_allclose(scale.utilities(standard), utilities)


def test_utilities_outside_of_what_was_observed_have_a_place_too() -> None:
    scale = UtilityScale(np.array([0.3, 0.6, 0.7, 0.8]))
    lowest, low, high, higher = scale.standard(np.array([0.01, 0.3, 0.8, 0.99]))
    assert lowest < low < high < higher
    assert low - lowest < high - low
    assert scale.utilities(np.array([higher])) == pytest.approx(0.99)
    assert scale.utilities(np.array([-50.0, 50.0])) == pytest.approx([0.0, 1.0], abs=1e-5)


@pytest.mark.parametrize(
    "utilities",
    [[0.5], [0.7, 0.7, 0.7], [0.2, 0.9], [0.1, 0.5, 0.5, 0.5], [0.1, 0.2, 0.9, 0.9, 0.9]],
)
def test_a_few_or_equal_utilities_come_back_as_they_were(utilities: list[float]) -> None:
    scale = UtilityScale(np.array(utilities))
    assert np.isfinite(scale.standard(np.array([0.0, 0.4, 1.0]))).all()
    np.testing.assert_allclose(scale.utilities(scale.standard(np.array(utilities))), utilities)


def test_an_uncertain_utility_is_as_uncertain_as_its_place_on_the_scale_makes_it() -> None:
    scale = UtilityScale(np.array([0.1, 0.3, 0.6, 0.95, 0.96, 0.97, 0.975]))
    low, high = scale.variances(np.array([0.3, 0.97]), np.array([0.01, 0.01]))
    assert 0 < low < high / 4
    (none,) = scale.variances(np.array([0.95]), np.zeros(1))
    assert none == 0


def test_a_surrogate_that_learns_more_expects_more_where_it_was_seen() -> None:
    rows = np.array([[0.0, 0.0, value] for value in range(4)])
    zeros, codes = np.zeros(4), np.zeros(3, bool)
    before = Surrogate(rows, np.array([0.5, 0.6, 0.7, 0.6]), zeros, codes)
    place = np.array([[0.0, 0.0, 9.0]])
    after = before.learning(place, np.array([0.9]), np.zeros(1))
    again = after.learning(np.array([[0.0, 0.0, 9.1]]), np.array([0.9]), np.zeros(1))
    expected = [float(one.expected(place)[0]) for one in (before, after, again)]
    assert expected[0] < expected[1] < expected[2] < 0.91


def test_hyperparameters_are_fitted_at_every_trial_first_and_then_ever_less_often() -> None:
    milestones = [last_milestone(count) for count in range(3000)]
    assert milestones[:20] == list(range(20))
    gaps = np.diff(np.unique(milestones))
    assert gaps.max() == 100
    assert (np.diff(gaps) >= 0).all()


def _params(number: int) -> dict[str, Scalar]:
    return {
        "student": "timm", "student.timm.model": "test_resnet", "training": "standard",
        "training.standard.learning_rate": 10 ** (-4 * number / 60),
        "distillation": "labels", "pruning": "none", "quantization": "float32",
    }  # fmt: skip


def _finished(number: int, utility: float, *costs: float, feasible: bool = True) -> FinishedTrial:
    params = _params(number)
    recipe, curve = Recipe.from_params(params), [(0.5, utility - 0.1), (1.0, utility)]
    return FinishedTrial(
        params, recipe, utility, costs or (1.0, 1.0), 0.0 if feasible else 1.0, curve
    )


def _rows() -> RecipeRows:
    distributions = {"training.standard.learning_rate": FloatRange(1e-4, 1.0, log=True)}
    return RecipeRows(Features(distributions), lambda recipe: measured.cost())


def test_a_study_that_is_read_at_once_has_the_surrogate_of_one_that_was_followed() -> None:
    trials: list[EndedTrial] = [
        _finished(number, 0.5 + 0.4 * np.sin(number / 9)) for number in range(51)
    ]
    trials[5::7] = [StoppedTrial(one.recipe, 0.3, 0.5) for one in trials[5::7]]
    followed, at_once = StudySurrogate(_rows()), StudySurrogate(_rows())
    for count in (*range(1, 30), *range(31, 51, 3), 51):
        last = followed.after(trials[:count])
    places = np.array([[6.0, 6.0, share] for share in (0.1, 0.5, 0.95)])
    expected = at_once.after(trials).quantiles(places)
    np.testing.assert_array_equal(last.quantiles(places), expected)
    assert last_milestone(51) < 51


def test_a_stopped_trial_lowers_what_is_expected_beside_it() -> None:
    trials: list[EndedTrial] = [_finished(number, 0.6 + 0.01 * number) for number in range(30)]
    place = np.array([[6.0, 6.0, (60 - 45) / 60]])
    before = float(StudySurrogate(_rows()).after(trials).expected(place)[0])
    stopped = [StoppedTrial(Recipe.from_params(_params(number)), 0.2, 0.5) for number in (44, 45)]
    after = float(StudySurrogate(_rows()).after([*trials, *stopped]).expected(place)[0])
    assert after < before - 0.05


def _reached(*groups: list[FinishedTrial]) -> ReachedStudents:
    costs = CostSpace(stored_goal({}), Budget(), lambda recipe: None)
    reached = ReachedStudents(costs)
    for group in groups:
        reached.add(group)
    return reached


def test_what_was_reached_does_not_depend_on_when_it_was_asked_for() -> None:
    trials = [
        _finished(0, 0.99, 1.0, 1.0, feasible=False),
        *(_finished(1 + place, 0.9, cost, 7.0) for place, cost in enumerate((5.0, 4.0, 3.0, 2.0))),
        _finished(5, 0.7, 1.0, math.inf),
        _finished(6, 0.8, 9.0, 1.0),
    ]
    at_once, followed = _reached(trials), _reached(*([one] for one in trials))
    for one in (at_once, followed):
        assert [leader.recipe for leader in one.leaders()] == [
            trials[place].recipe for place in (4, 6, 5, 1, 2, 3)
        ]
        utilities, points = one.frontier()
        assert sorted(utilities) == [0.7, 0.8, 0.9]
        assert points.shape == (3, 2)
        assert one.highest_costs().tolist() == [9.0, 7.0]
        assert one.best_utility == 0.9


def test_students_over_the_budget_lead_until_one_is_within_it() -> None:
    over = _finished(0, 0.9, 9.0, 9.0, feasible=False)
    assert {leader.recipe for leader in _reached([over]).leaders()} == {over.recipe}
    within = _finished(1, 0.2, 1.0, 1.0)
    assert {one.recipe for one in _reached([over], [within]).leaders()} == {within.recipe}

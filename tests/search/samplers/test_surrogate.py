"""The surrogate, the scale of its targets, and how it learns as a study goes on."""

import numpy as np
import pytest

from search.samplers.features import Features
from search.samplers.history import FinishedTrial
from search.samplers.recipe_rows import RecipeRows
from search.samplers.study_surrogate import StudySurrogate, last_milestone
from search.samplers.surrogate import Surrogate
from search.samplers.utility_scale import UtilityScale
from spaces.distributions import FloatRange
from spaces.recipe import Recipe
from tests import measured


def test_an_uncertain_observation_moves_the_expectation_by_less() -> None:
    rows = np.array([[0.0], [1.0], [5.0]])
    accuracies = np.array([0.6, 0.6, 0.9])
    codes = np.array([False])
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


def test_good_utilities_keep_their_distances_and_bad_ones_only_their_order() -> None:
    utilities = np.array([0.1, 0.11, 0.5, 0.9, 0.91, 0.93, 0.95])
    scale = UtilityScale(utilities)
    standard = scale.standard(utilities)
    logits = np.log(utilities / (1 - utilities))
    np.testing.assert_allclose(np.diff(standard[3:]) * scale.deviation, np.diff(logits[3:]))
    assert (np.diff(standard) > 0).all()
    assert standard[3] - standard[0] < 3 * (standard[6] - standard[3])
    np.testing.assert_allclose(scale.utilities(standard), utilities)


def test_utilities_outside_of_what_was_observed_have_a_place_too() -> None:
    scale = UtilityScale(np.array([0.3, 0.6, 0.7, 0.8]))
    lowest, low, high, higher = scale.standard(np.array([0.01, 0.3, 0.8, 0.99]))
    assert lowest == low < high < higher
    assert scale.utilities(np.array([higher])) == pytest.approx(0.99)


@pytest.mark.parametrize("utilities", [[0.5], [0.7, 0.7, 0.7], [0.2, 0.9]])
def test_a_few_or_equal_utilities_come_back_as_they_were(utilities: list[float]) -> None:
    scale = UtilityScale(np.array(utilities))
    assert np.isfinite(scale.standard(np.array([0.0, 0.4, 1.0]))).all()
    np.testing.assert_allclose(scale.utilities(scale.standard(np.array(utilities))), utilities)


def test_a_surrogate_that_learns_more_expects_more_where_it_was_seen() -> None:
    rows = np.array([[0.0], [1.0], [2.0], [3.0]])
    zeros, codes = np.zeros(4), np.array([False])
    before = Surrogate(rows, np.array([0.5, 0.6, 0.7, 0.6]), zeros, codes)
    place = np.array([[9.0]])
    after = before.learning(place, np.array([0.9]), np.zeros(1))
    again = after.learning(np.array([[9.1]]), np.array([0.9]), np.zeros(1))
    expected = [float(one.expected(place)[0]) for one in (before, after, again)]
    assert expected[0] < expected[1] < expected[2] < 0.91


def test_hyperparameters_are_fitted_at_every_trial_first_and_then_ever_less_often() -> None:
    milestones = [last_milestone(count) for count in range(3000)]
    assert milestones[:20] == list(range(20))
    gaps = np.diff(np.unique(milestones))
    assert gaps.max() == 100
    assert (np.diff(gaps) >= 0).all()


def test_a_study_that_is_read_at_once_has_the_surrogate_of_one_that_was_followed() -> None:
    distributions = {"training.standard.learning_rate": FloatRange(1e-4, 1.0, log=True)}

    def ended(number: int) -> FinishedTrial:
        params = {
            "student": "timm", "student.timm.model": "test_resnet", "training": "standard",
            "training.standard.learning_rate": 10 ** (-4 * number / 60),
            "distillation": "labels", "pruning": "none", "quantization": "float32",
        }  # fmt: skip
        recipe = Recipe.from_params(params)
        utility = 0.5 + 0.4 * np.sin(number / 9)
        return FinishedTrial(params, recipe, utility, (1.0, 1.0), feasible=True, curve=())

    def fresh() -> StudySurrogate:
        rows = RecipeRows(Features(distributions), lambda recipe: measured.cost())
        return StudySurrogate(rows)

    trials = [ended(number) for number in range(51)]
    followed = fresh()
    for count in range(1, len(trials) + 1):
        last = followed.after(trials[:count])
    at_once = fresh().after(trials)
    places = np.array([[6.0, 6.0, share] for share in (0.1, 0.5, 0.95)])
    np.testing.assert_array_equal(last.quantiles(places), at_once.quantiles(places))
    assert last_milestone(51) < 51

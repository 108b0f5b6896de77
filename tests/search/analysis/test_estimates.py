"""Estimates of the true quality, which correct the luck of the best measured student."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

import search.analysis.estimates
from search.analysis.estimates import estimates
from search.records import TrialRecord
from tests.measured import LOSS
from tests.search.analysis.test_pareto import GOAL, LEAST_LOSS, trial, with_loss
from tests.search.analysis.test_ranking import measured

IMAGES = 300


def searched(seed: int, count: int = 60) -> tuple[list[TrialRecord], np.ndarray]:
    """The trials of a search with one number to choose, and their true accuracies."""
    draw = np.random.default_rng(seed)
    positions = draw.uniform(0, 1, count)
    true = 0.85 + 0.1 * np.sin(3 * positions)
    right = draw.binomial(IMAGES, true) / IMAGES
    trials = [
        replace(measured(number, share, images=IMAGES), params={"training.x": position})
        for number, (share, position) in enumerate(
            zip(right.tolist(), positions.tolist(), strict=True)
        )
    ]
    return trials, true


def shares(trials: Sequence[TrialRecord]) -> np.ndarray:
    return np.array([one.outcome.quality["accuracy"].value for one in trials if one.outcome])


def medians(trials: Sequence[TrialRecord]) -> np.ndarray:
    found = estimates(trials, GOAL)
    return np.array([found[one.number].value for one in trials])


def test_estimates_are_nearer_to_the_truth_and_the_best_is_hardly_overrated() -> None:
    errors, told = [], []
    for seed in range(5):
        trials, true = searched(seed)
        for values in (shares(trials), medians(trials)):
            errors.append(np.abs(values - true).mean())
            best = int(values.argmax())
            told.append(values[best] - true[best])
    assert np.mean(errors[1::2]) < 0.6 * np.mean(errors[::2])
    assert np.mean(told[::2]) > 0.015
    assert abs(np.mean(told[1::2])) < 0.005


def test_nineteen_of_twenty_true_values_are_within_the_interval() -> None:
    inside = []
    for seed in range(5):
        trials, true = searched(seed)
        found = estimates(trials, GOAL)
        inside += [
            found[one.number].low <= value <= found[one.number].high
            for one, value in zip(trials, true.tolist(), strict=True)
        ]
    assert 0.88 <= np.mean(inside) <= 0.99


def test_an_exact_measurement_is_its_own_estimate() -> None:
    found = estimates([trial(0, 0.8, 100), trial(1, 0.9, 100)], GOAL)
    assert [found[0].value, found[1].value] == [0.8, 0.9]
    assert found[1].deviation == 0


def test_a_perfect_score_on_few_images_is_not_believed() -> None:
    trials = [measured(0, 1.0, images=30), *(measured(i, 0.9, images=30) for i in range(1, 9))]
    best = estimates(trials, GOAL)[0]
    assert best.low < best.value < best.high
    assert best.value < 0.99


def test_accuracies_near_one_are_still_told_apart() -> None:
    trials = [measured(i, 0.9996 + i / 10_000, images=10_000) for i in range(3)]
    found = estimates(trials, GOAL)
    values = [found[number].value for number in range(3)]
    assert values == sorted(set(values))
    assert values[0] > 0.9995


def test_students_of_one_training_are_equally_lucky() -> None:
    trials, _ = searched(0)
    lucky = measured(60, 0.99, images=IMAGES)
    branches = [
        replace(measured(number, 0.985, images=IMAGES), parent=60)
        for number in (61, 62, 63, 64, 65)
    ]
    strangers = [replace(one, parent=None) for one in branches]
    here = {"training.x": 0.5}
    alone = estimates([*trials, *(replace(one, params=here) for one in (lucky, *strangers))], GOAL)
    together = estimates(
        [*trials, *(replace(one, params=here) for one in (lucky, *branches))], GOAL
    )
    # What strangers say counts each time; branches say nothing new.
    assert together[60].value < alone[60].value
    assert together[60].value > together[61].value


def test_where_less_is_better_the_interval_is_still_in_order() -> None:
    trials = [with_loss(trial(i, 0.9, 100), loss) for i, loss in enumerate((1.0, 1.2, 2.0))]
    uncertain = [
        replace(
            one,
            outcome=replace(
                one.outcome,
                quality={LOSS.name: replace(one.outcome.quality[LOSS.name], error=0.1)},
            ),
        )
        for one in trials
        if one.outcome
    ]
    for one in estimates(uncertain, LEAST_LOSS).values():
        assert one.low < one.value < one.high


def test_of_many_students_some_judge_all(monkeypatch: pytest.MonkeyPatch) -> None:
    trials, _ = searched(0, count=120)
    by_all = medians(trials)
    monkeypatch.setattr(search.analysis.estimates, "_MOST_JUDGES", 80)
    monkeypatch.setattr(search.analysis.estimates, "_BEST_JUDGES", 40)
    by_some = medians(trials)
    assert np.abs(by_some - by_all).max() < 0.02
    assert not np.allclose(by_some, by_all, atol=1e-6)

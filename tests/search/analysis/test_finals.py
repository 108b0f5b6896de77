"""Which student is taken where there are finalists, and what is said of them."""

from dataclasses import replace

import pytest

from search.analysis.finals import (
    kind_text,
    of_kind,
    seed_spread,
    shipped,
    training_notes,
)
from search.analysis.history import history
from search.analysis.pareto import frontier
from search.analysis.ranking import Ranking
from search.analysis.recommend import advise, reasons
from search.objectives.budget import Budget
from search.records import TrialKind, TrialRecord, TrialState
from tests.measured import quality
from tests.messages import naming
from tests.search.analysis.test_pareto import GOAL, trial

BUDGET = Budget(size=300)


def final(
    number: int, accuracy: float, size_bytes: int = 100, *, repeats: int = 0, seed: int = 0
) -> TrialRecord:
    params = {"training": "standard", "training.standard.epochs": 40, "student.x": repeats}
    record = trial(number, accuracy, size_bytes)
    return replace(record, kind=TrialKind.FINAL, repeats=repeats, seed=seed, params=params)


def refit(number: int, of: TrialRecord, size_bytes: int = 100) -> TrialRecord:
    record = trial(number, 0.5, size_bytes)
    assert record.outcome is not None
    outcome = replace(record.outcome, quality={})
    return replace(
        record, kind=TrialKind.REFIT, repeats=of.number, params=of.params, outcome=outcome
    )


def test_a_finalist_is_chosen_before_a_better_trial_of_the_search() -> None:
    trials = [trial(0, 0.95, 100), trial(1, 0.9, 100), final(2, 0.93, repeats=1)]
    assert Ranking(trials, GOAL).chosen(BUDGET).number == 2


def test_without_a_finalist_within_the_budget_the_search_decides() -> None:
    failed = replace(final(2, 0.99), state=TrialState.FAILED)
    trials = [trial(0, 0.9, 100), final(1, 0.99, 400), failed]
    assert Ranking(trials, GOAL).chosen(BUDGET).number == 0


@pytest.mark.parametrize(("images", "taken"), [(2000, 2), (100, 5)])
def test_a_lucky_seed_is_taken_only_if_many_images_prove_it(images: int, taken: int) -> None:
    lucky = [final(2, 0.97, repeats=0, seed=0), final(3, 0.81, repeats=0, seed=1)]
    steady = [final(4, 0.92, repeats=1, seed=0), final(5, 0.94, repeats=1, seed=1)]
    trials = [
        on_images(one, images) for one in [trial(0, 0.8, 100), trial(1, 0.8, 100), *lucky, *steady]
    ]
    assert Ranking(trials, GOAL).chosen(BUDGET).number == taken
    spread = seed_spread(trials[5], trials, GOAL)
    assert spread is not None
    assert spread.text(GOAL.metric) == "mean 93.00% of 2 seeds, standard deviation 1.41 points"
    assert seed_spread(trials[0], trials, GOAL) is None


def on_images(record: TrialRecord, images: int) -> TrialRecord:
    """The trial, measured on so many images."""
    assert record.outcome is not None
    found = quality(images=images, accuracy=record.outcome.quality["accuracy"].value)
    return replace(record, outcome=replace(record.outcome, quality=found))


def test_a_refit_is_shipped_but_never_chosen_nor_on_the_frontier() -> None:
    taken = final(1, 0.93)
    trials = [trial(0, 0.9, 100), taken, refit(2, taken)]
    assert Ranking(trials, GOAL).chosen(BUDGET).number == 1
    assert shipped(taken, trials, BUDGET).number == 2
    assert 2 not in {member.number for member in frontier(trials, GOAL)}


def test_a_refit_that_breaks_the_budget_is_not_shipped() -> None:
    taken = final(1, 0.93)
    trials = [trial(0, 0.9, 100), taken, refit(2, taken, 400)]
    assert shipped(taken, trials, BUDGET) == taken


def test_the_runner_up_of_a_finalist_is_another_recipe() -> None:
    seeds = [final(2, 0.93, seed=0), final(3, 0.92, seed=1)]
    trials = [trial(0, 0.9, 100), trial(1, 0.85, 100), *seeds, refit(4, seeds[0])]
    advice = advise(trials, BUDGET, GOAL)
    assert advice.runner_up is not None
    assert (advice.chosen.number, advice.runner_up.number, advice.shipped.number) == (2, 1, 4)
    text = " ".join(reasons(advice, BUDGET, GOAL))
    assert naming("trial 0", "2 seeds", "Trial 4").search(text)


def test_what_is_said_of_a_trial_depends_on_its_kind() -> None:
    searched, taken = trial(0, 0.9, 100), final(1, 0.93)
    trials = [searched, taken, refit(2, taken)]
    assert [kind_text(one) for one in trials] == ["", "finalist of trial 0", "refit of trial 1"]
    assert training_notes(searched, trials, GOAL) == []
    assert training_notes(taken, trials, GOAL) == [
        "A finalist: the recipe of trial 0, trained for 40 epochs."
    ]
    assert "93.00%" in training_notes(trials[2], trials, GOAL)[1]


def test_the_course_of_the_search_does_not_contain_finalists() -> None:
    trials = [trial(0, 0.9, 100), trial(1, 0.85, 90)]
    assert history([*trials, final(2, 0.99)], BUDGET, GOAL) == history(trials, BUDGET, GOAL)
    assert of_kind(trials, TrialKind.FINAL) == []

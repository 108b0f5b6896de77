from collections.abc import Mapping
from dataclasses import replace

import pytest
from optuna.trial import TrialState as OptunaState

from search.records import EpochRecord, FailureRecord, Outcome, TrialState
from search.samplers.candidates import CostSource
from search.samplers.history import CURVE, FinishedTrial, HistoryReader
from search.samplers.optuna_adapter import Sampler
from spaces.recipe import Recipe
from spaces.search_space import SearchSpace
from tests.measured import cost, quality
from tests.messages import naming

NAMES = ("gp", "tpe", "nsga2", "optuna-gp", "random")
COSTS = CostSource(lambda _: cost(size_bytes=1000, parameters=1, macs=1, latency_ms=1.0))
over_samplers = pytest.mark.parametrize("name", NAMES)


def _space(**axes: object) -> SearchSpace:
    return SearchSpace.from_config({"student": {"timm": {"model": ["test_resnet"]}}, **axes})


FINITE = {
    "student": {"timm": {"model": ["test_resnet", "test_vit"]}},
    "quantization": ["float32", "int8_static"],
    "training": {"standard": {"epochs": [2, 3]}},
}
WIDE = {
    "pruning": {"none": {}, "magnitude": {"ratio": {"low": 0.1, "high": 0.8}}},
    "training": {"standard": {"learning_rate": {"low": 0.001, "high": 0.1, "log": True}}},
}


def _complete(recipe: Recipe, violations: Mapping[str, float] | None = None) -> Outcome:
    """An outcome that depends on the recipe alone."""
    share = int(recipe.digest()[:6], 16) / 16**6
    return Outcome(
        state=TrialState.COMPLETE,
        cost=cost(size_bytes=int(1000 + 9000 * share), parameters=1, macs=1, latency_ms=1 + share),
        quality=quality(accuracy=share, agreement=share),
        violations=violations or {},
    )


def _infeasible(violations: Mapping[str, float]) -> Outcome:
    return Outcome(state=TrialState.INFEASIBLE, reason="too large", violations=violations)


def _failed() -> Outcome:
    failure = FailureRecord(kind="non_finite", message="the loss must stay finite")
    return Outcome(state=TrialState.FAILED, failure=failure)


def _proposed(sampler: Sampler, count: int) -> list[str]:
    digests = []
    for _ in range(count):
        recipe = sampler.ask()
        assert recipe is not None
        digests.append(recipe.digest())
        sampler.tell(recipe, _complete(recipe))
    return digests


@over_samplers
def test_no_recipe_is_proposed_twice_and_a_finite_space_comes_to_its_end(name: str) -> None:
    space = SearchSpace.from_config(FINITE)
    sampler = Sampler(space, name=name, seed=0, costs=COSTS)
    assert space.count() == 8
    assert len(set(_proposed(sampler, 8))) == 8
    assert sampler.ask() is None


@over_samplers
def test_recipes_that_still_run_are_not_proposed_again(name: str) -> None:
    sampler = Sampler(SearchSpace.from_config(FINITE), name=name, seed=0, costs=COSTS)
    recipes = [sampler.ask() for _ in range(8)]
    assert len({recipe.digest() for recipe in recipes if recipe}) == 8


def test_what_is_expected_is_not_proposed_until_it_is_released() -> None:
    space = SearchSpace.from_config(FINITE)
    proposed = [Sampler(space, name="random", seed=seed).ask() for seed in range(40)]
    recipes = list(dict.fromkeys(recipe for recipe in proposed if recipe))
    assert len(recipes) == 8
    sampler = Sampler(space, name="random", seed=0)
    assert all(sampler.expect(recipe) for recipe in recipes)
    assert not sampler.expect(recipes[0])
    assert sampler.ask() is None
    sampler.release(recipes[3])
    assert sampler.ask() == recipes[3]


@over_samplers
def test_the_same_seed_gives_the_same_proposals(name: str) -> None:
    runs = [
        _proposed(Sampler(_space(**WIDE), name=name, seed=seed, costs=COSTS), 12)
        for seed in (0, 0, 1)
    ]
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


@over_samplers
def test_every_kind_of_outcome_can_be_told_before_the_next_question(name: str) -> None:
    sampler = Sampler(_space(**WIDE), name=name, seed=0, costs=COSTS)
    for number in range(24):
        recipe = sampler.ask()
        assert recipe is not None
        outcomes = [
            _complete(recipe, {"size_bytes": -0.5}),
            _infeasible({"size_bytes": 0.5}),
            _infeasible({}),
            _failed(),
        ]
        sampler.tell(recipe, outcomes[number % 4])


def _told(outcome: Outcome) -> tuple[OptunaState, list[float] | None, Mapping[str, float]]:
    """What Optuna knows of a first trial that ended so."""
    sampler = Sampler(_space(**WIDE), name="tpe", seed=0)
    recipe = sampler.ask()
    assert recipe is not None
    sampler.tell(recipe, outcome)
    (trial,) = sampler._study.trials
    return trial.state, trial.values, trial.constraints


def test_a_complete_trial_teaches_accuracy_bytes_and_latency() -> None:
    outcome = Outcome(
        state=TrialState.COMPLETE,
        cost=cost(size_bytes=1000, parameters=7, macs=9, latency_ms=2.5),
        quality=quality(accuracy=0.75, agreement=0.5),
        violations={"size_bytes": -0.1},
    )
    assert _told(outcome) == (OptunaState.COMPLETE, [0.75, 1000.0, 2.5], {"size_bytes": -0.1})


def test_a_trial_over_the_budget_teaches_by_how_much_and_no_values() -> None:
    told = _told(_infeasible({"size_bytes": 0.5, "macs": -0.2}))
    assert told == (OptunaState.PRUNED, None, {"size_bytes": 0.5, "macs": -0.2})


def test_a_recipe_that_contradicts_itself_teaches_that_it_is_not_sound() -> None:
    assert _told(_infeasible({})) == (OptunaState.PRUNED, None, {"sound": 1.0})


def test_a_failed_trial_teaches_nothing() -> None:
    assert _told(_failed()) == (OptunaState.FAIL, None, {})


def test_a_sampler_that_must_know_costs_is_refused_without_them() -> None:
    with pytest.raises(ValueError, match=naming("gp", "costs")):
        Sampler(_space(), name="gp", seed=0)


def test_a_stopped_trial_teaches_its_learning_curve_and_no_values() -> None:
    points = tuple(
        EpochRecord(stage="distil", epoch=i, loss=1.0, score=0.2 * i, learning_rate=0.1)
        for i in range(2)
    )
    sampler = Sampler(_space(**WIDE), name="gp", seed=0, costs=COSTS)
    recipe = sampler.ask()
    assert recipe is not None
    sampler.tell(recipe, Outcome(state=TrialState.STOPPED, epochs=points))
    (trial,) = sampler._study.trials
    assert (trial.values, trial.user_attrs) == (None, {CURVE: [(1 / 8, 0.0), (2 / 8, 0.2)]})


def test_the_learning_curve_of_a_branch_is_that_of_another_student() -> None:
    point = EpochRecord(stage="distil", epoch=0, loss=1.0, score=0.5, learning_rate=0.1)
    sampler = Sampler(_space(**WIDE), name="gp", seed=0, costs=COSTS)
    trained = sampler.ask()
    branch = Sampler(_space(**WIDE), name="random", seed=0).ask()
    assert trained
    assert branch
    assert sampler.expect(branch)
    for recipe, is_branch in ((trained, False), (branch, True)):
        outcome = replace(_complete(recipe), epochs=(point,))
        sampler.tell(recipe, outcome, branch=is_branch)
    curves = [trial.user_attrs for trial in sampler._study.trials if trial.values]
    assert curves == [{CURVE: [(1 / 8, 0.5)]}, {}]


@pytest.mark.parametrize("name", ["gp", "random"])
def test_students_of_another_study_may_be_made_in_this_one(name: str) -> None:
    space = SearchSpace.from_config(FINITE)
    other = Sampler(space, name="random", seed=0)
    recipes = [recipe for recipe in iter(other.ask, None) if recipe]
    sampler = Sampler(space, name=name, seed=0, costs=COSTS)
    for recipe in recipes:
        sampler.tell(recipe, _complete(recipe), elsewhere=True)
    history = HistoryReader().read(sampler._study.trials)
    assert [isinstance(one, FinishedTrial) and one.elsewhere for one in history.ended] == [True] * 8
    assert not history.tried
    assert len(set(_proposed(sampler, 8))) == 8
    assert sampler.ask() is None

"""The sampler learns which recipes meet the floors of the budget, which only training shows."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from search.objectives.budget import Budget
from search.records import Cost, Measurement, Outcome, TrialState
from search.samplers.candidates import CostSource
from search.samplers.history import (
    FLOORS,
    EndedTrial,
    FinishedTrial,
    FloorValue,
    HistoryReader,
    StoppedTrial,
)
from search.samplers.optuna_adapter import Sampler
from search.samplers.reached import ReachedStudents
from search.surrogate.surrogate import Surrogate
from spaces.recipe import Recipe
from spaces.search_space import SearchSpace
from tests import measured
from tests.measured import quality

SPACE = SearchSpace.from_config(
    {
        "student": {"timm": {"model": ["test_resnet", "test_vit"]}},
        "training": {"standard": {"learning_rate": {"low": 1e-4, "high": 1e-1, "log": True}}},
        "distillation": {"labels": None, "soft_targets": {"temperature": {"low": 1, "high": 10}}},
        "pruning": {"none": None, "magnitude": {"ratio": {"low": 0.1, "high": 0.8}}},
    }
)
BUDGET = Budget.model_validate({"size": "1MB", "recall": {"stop": 0.9}})
FLOOR = "recall.stop"


def _cost(recipe: Recipe) -> Cost:
    kept = (1 - float(recipe.pruning.params().get("ratio", 0.0))) ** 2
    return measured.cost(size_bytes=round(800_000 * kept), latency_ms=0.1 + kept)


def _outcome(recipe: Recipe, budget: Budget = BUDGET) -> Outcome:
    """Soft targets are more accurate, but only labels teach the rare class."""
    is_soft = recipe.distillation.name == "soft_targets"
    rate = float(recipe.to_params()["training.standard.learning_rate"])
    away = abs(np.log10(rate) + 2.5)
    accuracy = 0.9 + 0.05 * is_soft - 0.05 * away
    recall = 0.96 - 0.3 * is_soft - 0.02 * away
    found = {**quality(accuracy=accuracy), FLOOR: Measurement(recall, 0.01)}
    cost = _cost(recipe)
    return Outcome(
        state=TrialState.COMPLETE,
        cost=cost,
        quality=found,
        violations=budget.violations(cost, found),
    )


def _sampler(name: str = "gp", budget: Budget = BUDGET) -> Sampler:
    return Sampler(SPACE, name=name, seed=0, costs=CostSource(_cost), budget=budget)


def _proposed(sampler: Sampler, count: int, budget: Budget = BUDGET) -> Iterator[Recipe]:
    for _ in range(count):
        recipe = sampler.ask()
        assert recipe is not None
        sampler.tell(recipe, _outcome(recipe, budget))
        yield recipe


def _labels(recipes: list[Recipe]) -> int:
    return sum(recipe.distillation.name == "labels" for recipe in recipes)


def test_gp_proposes_what_can_meet_the_floor_even_if_it_is_less_accurate() -> None:
    without = Budget.model_validate({"size": "1MB"})
    bounded = [*_proposed(_sampler(), 20)][8:]
    free = [*_proposed(_sampler(budget=without), 20, without)][8:]
    assert _labels(bounded) >= 10
    assert _labels(free) <= 6


def test_while_no_student_meets_the_floor_the_chance_to_meet_it_decides() -> None:
    sampler, recipes = _sampler(), []
    for _ in range(14):
        recipe = sampler.ask()
        assert recipe is not None
        recipes.append(recipe)
        outcome = _outcome(recipe)
        low = {**outcome.quality, FLOOR: Measurement(outcome.quality[FLOOR].value - 0.1, 0.01)}
        violations = BUDGET.violations(outcome.cost or {}, low)
        sampler.tell(recipe, replace(outcome, quality=low, violations=violations))
    assert _labels(recipes[8:]) >= 4


@pytest.mark.parametrize("name", ["tpe", "nsga2", "optuna-gp"])
def test_optunas_samplers_get_the_violation_of_a_floor_as_a_constraint(name: str) -> None:
    sampler = _sampler(name)
    recipes = [*_proposed(sampler, 12)]
    trials = sampler._study.get_trials(deepcopy=False)
    told = [trial.constraints[FLOOR] for trial in trials]
    assert told == [pytest.approx(0.9 - _outcome(one).quality[FLOOR].value) for one in recipes]


def test_the_history_has_the_values_with_floors_and_what_is_unknown_is_not_feasible() -> None:
    sampler = _sampler()
    (recipe,) = _proposed(sampler, 1)
    (trial,) = sampler._study.get_trials(deepcopy=False)
    assert FLOORS in trial.user_attrs
    (ended,) = HistoryReader([FLOOR]).read([trial]).ended
    assert isinstance(ended, FinishedTrial)
    assert ended.floors[FLOOR].utility == _outcome(recipe).quality[FLOOR].value
    (other,) = HistoryReader([FLOOR, "recall.yield"]).read([trial]).ended
    assert isinstance(other, FinishedTrial)
    assert not other.feasible


def test_a_trial_is_seen_by_its_value_of_a_floor() -> None:
    recipe = next(_proposed(_sampler(), 1))
    finished = _finished(recipe, 0.9, violation=0.0, floors={FLOOR: FloorValue(0.8, [(0.5, 0.6)])})
    stopped = StoppedTrial(recipe, 0.7, 0.25, {FLOOR: 0.4})
    seen: list[EndedTrial | None] = [one.on_floor(FLOOR) for one in (finished, stopped)]
    assert [one and one.utility for one in seen] == [0.8, 0.4]
    assert finished.on_floor("recall.yield") is None
    assert stopped.on_floor("recall.yield") is None


def test_without_a_student_within_the_budget_the_nearest_ones_lead() -> None:
    recipe = next(_proposed(_sampler(), 1))

    class Costs:
        count = 1

        def of_finished(self, finished: FinishedTrial) -> tuple[float, ...]:
            return finished.costs

    reached = ReachedStudents(Costs())  # type: ignore[arg-type]
    trials = [_finished(recipe, 0.9 - 0.1 * i, violation=0.5 - 0.1 * i) for i in range(5)]
    reached.add([replace(one, costs=(float(i),)) for i, one in enumerate(trials)])
    assert min(one.violation for one in reached.leaders()) == pytest.approx(0.1)
    within = replace(trials[0], violation=0.0, utility=0.1)
    reached.add([within])
    assert {one.violation for one in reached.leaders()} == {0.0}


def test_a_chance_is_that_of_a_training_to_reach_the_utility() -> None:
    rows = np.array([[0.0], [1.0]] * 6)
    utilities = np.array([0.95, 0.6] * 6)
    surrogate = Surrogate(rows, utilities, np.zeros(12), np.array([True]))
    good, bad = np.exp(surrogate.log_chances(np.array([[0.0], [1.0]]), 0.85))
    assert good > 0.9
    assert bad < 0.1


def _finished(
    recipe: Recipe,
    utility: float,
    *,
    violation: float,
    floors: dict[str, FloorValue] | None = None,
) -> FinishedTrial:
    return FinishedTrial(
        params=recipe.to_params(),
        recipe=recipe,
        utility=utility,
        costs=(1.0,),
        violation=violation,
        curve=(),
        floors=floors or {},
    )

"""On made-up costs and accuracies, so that hundreds of trainings take no time."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from statistics import fmean

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState as OptunaState

from search.objectives.budget import Budget
from search.objectives.dominance import hypervolume
from search.records import Cost, Outcome, TrialState
from search.samplers.candidates import Candidates, CostSource, Mutation
from search.samplers.endings import Endings
from search.samplers.gp_sampler import CostAwareSampler
from search.samplers.history import CURVE, FinishedTrial, HistoryReader, StoppedTrial
from search.samplers.optuna_adapter import Sampler
from spaces.distributions import Scalar
from spaces.pruning.magnitude import Magnitude
from spaces.quantization.float32 import Float32
from spaces.quantization.int8_static import Int8Static
from spaces.recipe import Recipe
from spaces.search_space import SearchSpace
from tests import measured
from tests.measured import quality

SIZES = {"test_resnet": 400, "test_vit": 260, "resnet18": 11_000, "lcnet_035": 380}
SPACE = SearchSpace.from_config(
    {
        "student": {"timm": {"model": list(SIZES)}},
        "training": {
            "standard": {
                "learning_rate": {"low": 1e-4, "high": 1e-1, "log": True},
                "optimizer": ["adamw", "sgd"],
            }
        },
        "distillation": {"labels": None, "soft_targets": {"temperature": {"low": 1, "high": 10}}},
        "pruning": {"none": None, "magnitude": {"ratio": {"low": 0.1, "high": 0.8}}},
        "quantization": ["float32", "int8_static"],
    }
)
BUDGET = Budget(size="600KB", latency="2ms")  # type: ignore[arg-type]
WORST = (0.5, 600_000.0, 2.0)

Params = Mapping[str, Scalar]
Point = tuple[float, float, float]


def _cost(recipe: Recipe) -> Cost:
    kept = (1 - float(recipe.pruning.params().get("ratio", 0.0))) ** 2
    thousands = SIZES[str(recipe.student.params()["model"])] * kept
    bytes_each = 1 if recipe.quantization.name == "int8_static" else 4
    return measured.cost(
        size_bytes=round(1000 * thousands * bytes_each),
        parameters=round(1000 * thousands),
        macs=round(5000 * thousands),
        latency_ms=0.1 + thousands / 500,
    )


def _accuracy(recipe: Recipe) -> float:
    """Grows with size; has a best learning rate; soft targets and adamw help a little."""
    params = recipe.to_params()
    rate = params["training.standard.learning_rate"]
    away = math.log10(0.01 if rate == "auto" else float(rate)) + 2.5
    logit = 0.8 * math.log10(_cost(recipe)["parameters"] / 1e4) - 0.8 * away**2
    logit += 0.3 * (params["distillation"] == "soft_targets")
    logit += 0.3 * (params["training.standard.optimizer"] == "adamw")
    return 1 / (1 + math.exp(-logit))


def _study(seed: int = 0, *, space: SearchSpace = SPACE, budget: Budget = BUDGET) -> optuna.Study:
    sampler = CostAwareSampler(space, costs=CostSource(_cost), budget=budget, seed=seed)
    return _study_of(sampler)


def _study_of(sampler: optuna.samplers.BaseSampler) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(directions=["maximize", "minimize", "minimize"], sampler=sampler)


def _sampler_beside(held: list[Recipe], seed: int = 0) -> CostAwareSampler:
    """A sampler beside which the recipes that `held` has by then are being made."""
    costs = CostSource(_cost)
    return CostAwareSampler(SPACE, costs=costs, budget=BUDGET, seed=seed, under_way=lambda: held)


def _asked(study: optuna.Study, space: SearchSpace = SPACE) -> tuple[optuna.Trial, Recipe]:
    trial = study.ask()
    return trial, Recipe.from_params(space.suggest(trial))


def _tell(study: optuna.Study, trial: optuna.Trial, recipe: Recipe) -> Point:
    cost = _cost(recipe)
    for limit, excess in BUDGET.violations(cost).items():
        trial.set_constraint(limit, excess)
    assert "latency_ms" in cost
    values = (_accuracy(recipe), float(cost["size_bytes"]), cost["latency_ms"])
    study.tell(trial, values)
    return values


def _recipes(study: optuna.Study, count: int) -> Iterator[Recipe]:
    for _ in range(count):
        trial, recipe = _asked(study)
        _tell(study, trial, recipe)
        yield recipe


def test_every_proposal_is_a_whole_recipe_of_the_space() -> None:
    study = _study()
    distributions = SPACE.distributions()
    for recipe in _recipes(study, 20):
        params = study.trials[-1].params
        assert [
            key for key, value in params.items() if not distributions[key].contains(value)
        ] == []
        assert recipe.to_params() == params


def test_nothing_is_left_to_independent_sampling(monkeypatch: pytest.MonkeyPatch) -> None:
    study = _study()
    strays: list[str] = []
    monkeypatch.setattr(
        CostAwareSampler, "sample_independent", lambda *given: strays.append(given[3])
    )
    assert len(list(_recipes(study, 15))) == 15
    assert strays == []


def test_a_parameter_that_is_not_of_the_space_is_sampled_at_random() -> None:
    trial, _ = _asked(_study())
    assert 3 <= trial.suggest_float("stranger", 3, 4) <= 4


def test_the_same_seed_and_history_give_the_same_proposals() -> None:
    runs = [[one.digest() for one in _recipes(_study(seed), 14)] for seed in (0, 0, 1)]
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


def test_a_study_that_was_rebuilt_goes_on_as_it_would_have() -> None:
    study = _study()
    list(_recipes(study, 12))
    again = _study()
    again.add_trials(study.trials)
    assert _asked(study)[1] == _asked(again)[1]


@pytest.mark.parametrize("finished", [0, 12])
def test_proposals_that_run_at_the_same_time_differ_in_more_than_a_trifle(finished: int) -> None:
    study = _study()
    list(_recipes(study, finished))
    recipes = [_asked(study)[1] for _ in range(4)]
    methods = {tuple(v for v in one.to_params().values() if isinstance(v, str)) for one in recipes}
    assert len(methods) >= 2
    assert len(set(recipes)) == 4


def test_many_proposals_without_a_new_result_are_no_copies_of_one_another() -> None:
    study = _study()
    assert len(list(_recipes(study, 12))) == 12
    recipes = [_asked(study)[1].to_params() for _ in range(20)]
    assert [
        (a, b) for i, a in enumerate(recipes) for b in recipes[:i] if _distance(a, b) < 0.03
    ] == []


def test_after_a_refusal_costs_are_predicted_anew() -> None:
    """A student that turned out to be too large is not proposed again with another pruning."""
    built: set[object] = set()
    refused: list[object] = []

    def predict(recipe: Recipe) -> Cost:
        cost = _cost(recipe)
        return cost if recipe.student in built else {**cost, "size_bytes": 1000}

    def gate(recipe: Recipe) -> Outcome | None:
        built.add(recipe.student)
        if violations := {k: v for k, v in BUDGET.violations(_cost(recipe)).items() if v > 0}:
            refused.append(recipe.student)
            return Outcome(state=TrialState.INFEASIBLE, cost=_cost(recipe), violations=violations)
        return None

    sampler = Sampler(SPACE, name="gp", seed=0, costs=CostSource(predict), budget=BUDGET, gate=gate)
    for _ in range(10):
        recipe = sampler.ask()
        assert recipe
        found = quality(accuracy=_accuracy(recipe))
        outcome = Outcome(state=TrialState.COMPLETE, cost=_cost(recipe), quality=found)
        sampler.tell(recipe, outcome)
    assert refused
    assert len(refused) == len(set(refused))


def test_trials_are_read_in_the_order_in_which_they_ended() -> None:
    study, reader = _study(), HistoryReader()
    asked = [_asked(study) for _ in range(4)]
    assert reader.read(study.trials).ended == []
    for number in (2, 0):
        _tell(study, *asked[number])
    assert len(reader.read(study.trials).ended) == 2
    for number in (3, 1):
        _tell(study, *asked[number])
    history = reader.read(study.trials)
    expected = [asked[number][1] for number in (2, 0, 3, 1)]
    assert [one.recipe for one in history.ended] == expected
    assert [one.recipe for one in HistoryReader().read(study.trials).ended] == expected
    assert list(history.tried) == [recipe for _, recipe in asked]


def test_no_proposal_breaks_the_budget_where_any_recipe_fits() -> None:
    assert [one for one in _recipes(_study(), 30) if not BUDGET.admits(_cost(one))] == []


def test_a_budget_that_few_recipes_fit_is_approached() -> None:
    # Only the two smallest students, pruned by over 0.7 and quantized.
    tight = Budget(size="25KB")  # type: ignore[arg-type]
    assert tight.admits(_cost(_asked(_study(budget=tight))[1]))


def test_the_nearest_recipe_is_proposed_where_none_fits() -> None:
    impossible = Budget(size="1KB")  # type: ignore[arg-type]
    assert _cost(_asked(_study(budget=impossible))[1])["size_bytes"] < 50_000


def test_no_recipe_is_proposed_twice_nor_a_near_copy_of_one() -> None:
    recipes = [one.to_params() for one in _recipes(_study(), 40)]
    assert [
        (a, b) for i, a in enumerate(recipes) for b in recipes[:i] if _distance(a, b) < 0.03
    ] == []


def _distance(one: Params, other: Params) -> float:
    if {k: v for k, v in one.items() if isinstance(v, str)} != {
        k: v for k, v in other.items() if isinstance(v, str)
    }:
        return 1.0
    spans = {
        "training.standard.learning_rate": lambda v: math.log10(v) / 3,
        "distillation.soft_targets.temperature": lambda v: v / 9,
        "pruning.magnitude.ratio": lambda v: v / 0.7,
    }
    return max(abs(f(one[key]) - f(other[key])) for key, f in spans.items() if key in one)


def test_the_first_proposals_differ_in_student_and_size() -> None:
    recipes = list(_recipes(_study(), 8))
    sizes = [_cost(one)["size_bytes"] for one in recipes]
    assert len({one.student for one in recipes}) >= 3
    assert max(sizes) > 5 * min(sizes)


def test_the_first_proposal_is_the_cheapest_with_the_rest_in_the_middle() -> None:
    for seed in range(3):
        _, first = _asked(_study(seed))
        params = first.to_params()
        assert params["student.timm.model"] == min(SIZES, key=SIZES.__getitem__)
        assert params["quantization"] == "int8_static"
        assert float(params["pruning.magnitude.ratio"]) > 0.75
        assert params["training.standard.learning_rate"] == pytest.approx(10**-2.5)


def test_latencies_measured_in_slow_minutes_change_no_proposal() -> None:
    """What they are known to cost counts: the same shape could not better it."""

    def proposals(slower: float) -> Iterator[Recipe]:
        study = _study()
        for _ in range(10):
            trial, recipe = _asked(study)
            cost = _cost(recipe)
            latency = slower * (cost["latency_ms"] or 0.0)
            study.tell(trial, (_accuracy(recipe), float(cost["size_bytes"]), latency))
            yield recipe

    assert list(proposals(1.0)) == list(proposals(1.9))


def test_twenty_trials_come_to_more_than_with_random_recipes_that_fit() -> None:
    ours = [_volume(_study(seed)) for seed in range(5)]
    random = [_volume(_study_of(optuna.samplers.RandomSampler(seed))) for seed in range(5)]
    assert fmean(ours) > 1.15 * fmean(random)


def _volume(study: optuna.Study, trained: int = 20) -> float:
    points: list[Point] = []
    while len(points) < trained:
        trial, recipe = _asked(study)
        if BUDGET.admits(_cost(recipe)):
            points.append(_tell(study, trial, recipe))
        else:
            study.tell(trial, state=OptunaState.FAIL)
    return hypervolume([(1 - accuracy, *cost) for accuracy, *cost in points], WORST)


def test_a_space_of_one_recipe_gives_that_recipe_again_and_again() -> None:
    single = SearchSpace.from_config({"student": {"timm": {"model": ["test_resnet"]}}})
    study = _study(space=single)
    recipes = set()
    for _ in range(10):
        trial, recipe = _asked(study, single)
        _tell(study, trial, recipe)
        recipes.add(recipe)
    assert len(recipes) == 1


def test_trials_that_were_all_infeasible_still_lead_to_a_new_proposal() -> None:
    study = _study()
    seen = set()
    for _ in range(12):
        trial, recipe = _asked(study)
        trial.set_constraint("size_bytes", 0.5)
        study.tell(trial, state=OptunaState.PRUNED)
        seen.add(recipe)
    assert len(seen) == 12


def test_equal_accuracies_of_all_trials_still_lead_to_a_new_proposal() -> None:
    study = _study()
    seen = set()
    for _ in range(14):
        trial, recipe = _asked(study)
        study.tell(trial, (0.1, 100_000.0, 1.0))
        seen.add(recipe)
    assert len(seen) == 14


def test_a_cost_that_cannot_be_told_is_measured_before_anything_is_proposed() -> None:
    measured: dict[object, Cost] = {}

    def predict(recipe: Recipe) -> Cost | None:
        known = (recipe.student, recipe.quantization) in measured
        return _cost(recipe) if known else None

    def measure(recipe: Recipe) -> Cost:
        return measured.setdefault((recipe.student, recipe.quantization), _cost(recipe))

    costs = CostSource(predict, measure)
    study = _study_of(CostAwareSampler(SPACE, costs=costs, budget=BUDGET, seed=0))
    recipes = list(_recipes(study, 8))
    assert len(measured) == 8
    assert [one for one in recipes if not BUDGET.admits(_cost(one))] == []


def test_no_proposal_measures_more_than_three_costs() -> None:
    asked: list[Recipe] = []
    costs = CostSource(lambda _: None, lambda recipe: asked.append(recipe))
    _asked(_study_of(CostAwareSampler(SPACE, costs=costs, budget=BUDGET, seed=0)))
    assert len(asked) == 3


def _groups(recipe: Recipe, ratios: tuple[float, ...]) -> list[tuple[Recipe, ...]]:
    """Each ratio in both number formats."""
    cut = [replace(recipe, pruning=Magnitude(ratio=ratio)) for ratio in ratios]
    formats = Float32(), Int8Static()
    return [tuple(replace(one, quantization=way) for way in formats) for one in cut]


def test_before_anything_has_finished_the_cheapest_branches_alone_are_made() -> None:
    study = _study()
    _, recipe = _asked(study)
    sampler = study.sampler
    assert isinstance(sampler, CostAwareSampler)
    groups = _groups(recipe, (0.2, 0.7, 0.5))
    assert sampler.promising(study, recipe, groups, 2) == list(groups[1])


def test_of_first_branches_whose_costs_are_not_known_the_last_are_made() -> None:
    costs = CostSource(lambda one: _cost(one) if one.quantization.name == "float32" else None)
    sampler = CostAwareSampler(SPACE, costs=costs, budget=BUDGET, seed=0)
    study = _study_of(sampler)
    _, recipe = _asked(study)
    quantized = [group[1:] for group in _groups(recipe, (0.2, 0.5, 0.7))]
    assert sampler.promising(study, recipe, quantized, 2) == list(quantized[-1])


def test_branches_that_promise_less_for_an_epoch_than_their_trial_are_not_made() -> None:
    study = _study()
    assert len(list(_recipes(study, 12))) == 12
    _, ahead = _asked(study)
    sampler = study.sampler
    assert isinstance(sampler, CostAwareSampler)

    def chosen(recovery: float) -> list[Recipe]:
        pruned = (Magnitude(ratio=ratio, recovery=recovery) for ratio in (0.2, 0.5, 0.7))
        groups = [(replace(ahead, pruning=one),) for one in pruned]
        return sampler.promising(study, ahead, groups, 3)

    free, short, long = (len(chosen(recovery)) for recovery in (0.0, 0.5, 1.0))
    assert free > short > long


def test_of_the_branches_those_that_add_the_most_to_the_frontier_come_first() -> None:
    study = _study(3)
    known = list(_recipes(study, 16))
    sampler = study.sampler
    assert isinstance(sampler, CostAwareSampler)
    own = max((one for one in known if BUDGET.admits(_cost(one))), key=_accuracy)
    groups = _groups(own, (0.15, 0.3, 0.45, 0.6, 0.75))
    chosen = sampler.promising(study, own, groups, 2)
    assert chosen
    assert len({one.pruning for one in chosen}) <= 2
    assert set(chosen) <= {one for group in groups for one in group}
    # What breaks the budget promises nothing.
    assert all(BUDGET.admits(_cost(one)) for one in chosen)
    assert sampler.promising(study, own, [], 1) == []

    def point(one: Recipe) -> Point:
        return 1 - _accuracy(one), float(_cost(one)["size_bytes"]), float(_cost(one)["latency_ms"])

    def gain(group: tuple[Recipe, ...]) -> float:
        reached = [point(one) for one in known if BUDGET.admits(_cost(one))]
        added = [point(one) for one in group if BUDGET.admits(_cost(one))]
        return hypervolume([*reached, *added], WORST) - hypervolume(reached, WORST)

    first = next(group for group in groups if chosen[0] in group)
    assert gain(first) >= sorted(map(gain, groups))[-2] > 0


def test_a_trial_that_goes_on_after_a_restart_has_the_branches_that_it_had() -> None:
    def chosen(*, restarted: bool) -> list[Recipe]:
        held: list[Recipe] = []
        sampler = _sampler_beside(held)
        study = _study_of(sampler)
        assert len(list(_recipes(study, 12))) == 12
        trial, ahead = _asked(study)
        if restarted:
            study.tell(trial, state=OptunaState.FAIL)
            held.append(ahead)
        pruned = (Magnitude(ratio=ratio, recovery=1.0) for ratio in (0.2, 0.5, 0.7))
        return sampler.promising(
            study, ahead, [(replace(ahead, pruning=one),) for one in pruned], 3
        )

    assert chosen(restarted=True) == chosen(restarted=False)


def test_what_is_kept_of_a_parent_is_kept_to_the_last_digit() -> None:
    parent = {"float": 0.3 + 1e-16, "log": 0.017, "int": 7}
    kept = Mutation(np.random.default_rng(0), parent, rate=0.0)
    values = np.random.default_rng(1).uniform(1e-4, 0.1, 200)
    for value in values.tolist():
        mutation = Mutation(np.random.default_rng(0), {"log": value}, rate=0.0)
        assert mutation.suggest_float("log", 1e-4, 0.1, log=True) == value
    assert kept.suggest_float("float", 0.1, 0.9) == parent["float"]
    assert kept.suggest_int("int", 1, 9) == 7
    # Outside of the range it can't be kept.
    assert 0.1 <= kept.suggest_float("log", 0.1, 0.9) <= 0.9
    changed = Mutation(np.random.default_rng(0), parent, rate=1.0)
    assert changed.suggest_float("float", 0.1, 0.9) != parent["float"]


def test_no_mutant_contradicts_itself() -> None:
    space = SearchSpace.from_config(
        {
            "student": {"timm": {"model": "test_resnet"}},
            "training": {
                "standard": {"epochs": {"low": 2, "high": 20}, "warmup_epochs": [0, 3, 10]}
            },
        }
    )
    candidates = Candidates(space, CostSource(_cost), Budget(), np.random.default_rng(0))
    parents = [one.params for one in candidates.pool([], 20)]
    mutants = candidates.mutants(parents, 300)
    assert len(mutants) > 100
    assert [one for one in mutants if one.recipe.conflict()] == []
    assert candidates.mutants([], 300) == []


def test_branches_that_are_being_made_promise_nothing_new() -> None:
    held: list[Recipe] = []
    sampler = _sampler_beside(held, seed=3)
    study = _study_of(sampler)
    ratios = (0.15, 0.45, 0.75)
    small = [
        one
        for one in _recipes(study, 12)
        if all(BUDGET.admits(_cost(int8)) for _, int8 in _groups(one, ratios))
    ]
    groups = _groups(own := max(small, key=_accuracy), ratios)
    first = sampler.promising(study, own, groups, 1)
    assert first
    held += next(group for group in groups if first[0] in group)
    second = sampler.promising(study, own, groups, 1)
    assert second
    assert not set(first) & set(second)


def test_what_is_under_way_is_not_proposed() -> None:
    def proposed(under_way: list[Recipe]) -> Recipe:
        held: list[Recipe] = []
        study = _study_of(_sampler_beside(held))
        assert len(list(_recipes(study, 12))) == 12
        held += under_way
        return _asked(study)[1]

    alone = proposed([])
    beside = proposed([alone])
    assert beside != alone
    assert proposed([alone, beside]) not in (alone, beside)


def test_nothing_needs_to_be_known_of_any_cost() -> None:
    study = _study_of(
        CostAwareSampler(SPACE, costs=CostSource(lambda _: None), budget=BUDGET, seed=0)
    )
    assert len(set(_recipes(study, 12))) == 12


def _with_curve(study: optuna.Study, accuracies: list[float], *, final: float | None) -> None:
    trial, _ = _asked(study)
    trial.set_user_attr(CURVE, [(i / 4, value) for i, value in enumerate(accuracies, start=1)])
    if final is None:
        study.tell(trial, state=OptunaState.PRUNED)
    else:
        study.tell(trial, (final, 1000.0, 1.0))


def test_a_stopped_trial_counts_with_what_others_gained_since_the_same_epoch() -> None:
    study = _study()
    for _ in range(3):
        _with_curve(study, [0.5, 0.6, 0.7, 0.8], final=0.75)
    _with_curve(study, [0.4, 0.5], final=None)
    *ended, stopped = HistoryReader().read(study.trials).ended
    assert isinstance(stopped, StoppedTrial)
    endings = Endings()
    endings.add(one for one in ended if isinstance(one, FinishedTrial))
    assert (stopped.utility, stopped.share) == (0.5, 0.5)
    ending = endings.of(stopped)
    gain = math.log(0.75 / 0.25) - math.log(0.6 / 0.4)
    assert ending.logit == pytest.approx(0.0 + gain)
    assert ending.variance > 0


def test_before_any_trial_finished_an_earlier_stop_is_the_less_certain() -> None:
    _, recipe = _asked(_study())
    early, late = (Endings().of(StoppedTrial(recipe, 0.5, share)) for share in (0.1, 0.9))
    assert early.logit > late.logit > 0
    assert early.variance > late.variance


def test_stopped_trials_alone_lead_to_a_proposal() -> None:
    study = _study()
    for _ in range(10):
        _with_curve(study, [0.4, 0.5], final=None)
    assert BUDGET.admits(_cost(_asked(study)[1]))

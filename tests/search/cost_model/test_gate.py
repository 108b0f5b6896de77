"""The gate of a running study: real store, real sampler, real networks."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
from optuna.trial import TrialState as OptunaState

from search.config.study import Study
from search.cost_model.cost_table import CostTable
from search.cost_model.feasibility import Feasibility
from search.cost_model.gate import CostGate, open_admission
from search.errors import StoreUnavailable
from search.objectives.budget import Budget
from search.pipeline.study_context import StudyContext
from search.progress import SilentCallback
from search.records import Measurement, Outcome, Scalar, TrialState
from search.samplers.optuna_adapter import Sampler
from search.storage.artifact_owner import Claim
from search.storage.retrying_writer import RetryingWriter
from search.storage.storage import Store
from spaces.quantization.int8_mixed import Int8Mixed
from spaces.search_space import SearchSpace

SPACE = {
    "student": {"timm": {"model": ["test_resnet"]}},
    "pruning": {"none": {}, "magnitude": {"ratio": [0.3, 0.5, 0.7]}},
    "training": {"standard": {"epochs": [2, 3]}},
}


class _Notes(SilentCallback):
    def __init__(self) -> None:
        self.ended: list[int] = []

    def on_trial_end(self, number: int, params: Mapping[str, Scalar], outcome: Outcome) -> None:
        self.ended.append(number)


def _gate(
    context: StudyContext, store: Store, size: int, recorder: _Notes | None = None
) -> CostGate:
    feasibility = Feasibility(
        replace(context.requirements, budget=Budget(size=size)), CostTable(), timed=False
    )
    writer = RetryingWriter(store, "digits", Claim(context.artifacts.parent / "digits", hold=""))
    return CostGate(feasibility, writer=writer, seed=3, callback=recorder or _Notes())


@pytest.mark.parametrize("name", ["random", "tpe"])
def test_a_space_in_which_nothing_fits_comes_to_its_end_with_every_recipe_on_record(
    name: str, context: StudyContext, store: Store
) -> None:
    recorder = _Notes()
    gate = _gate(context, store, 1000, recorder)
    assert Sampler(SearchSpace.from_config(SPACE), name=name, seed=0, gate=gate).ask() is None
    trials = store.trials("digits")
    assert [trial.state for trial in trials] == [TrialState.INFEASIBLE] * 8
    assert all(t.outcome and t.outcome.cost and t.outcome.violations for t in trials)
    assert recorder.ended == list(range(8))


def test_what_is_turned_away_is_told_as_pruned_with_its_excess(
    context: StudyContext, store: Store
) -> None:
    gate = _gate(context, store, 1000)
    sampler = Sampler(SearchSpace.from_config(SPACE), name="tpe", seed=0, gate=gate)
    sampler.ask()
    told = [t for t in sampler._study.trials if t.state is OptunaState.PRUNED]
    recorded = [t.outcome.violations for t in store.trials("digits") if t.outcome]
    assert [t.constraints for t in told] == recorded
    assert all(violations["size_bytes"] > 0 for violations in recorded)


def test_what_fits_is_proposed_and_leaves_no_record(context: StudyContext, store: Store) -> None:
    gate = _gate(context, store, 10**9)
    assert Sampler(SearchSpace.from_config(SPACE), name="random", seed=0, gate=gate).ask()
    assert store.trials("digits") == []


def test_what_a_rejected_recipe_would_have_cost_is_no_measurement(
    context: StudyContext, store: Store
) -> None:
    space = SearchSpace.from_config(SPACE)
    recipe = Sampler(space, name="random", seed=0).ask()
    assert recipe
    rejection = _gate(context, store, 1000)(recipe)
    assert rejection
    assert rejection.cost
    roomy = _gate(context, store, 10**9)
    roomy.learn(recipe, rejection)
    assert roomy.fitting_cost(recipe) is None
    roomy.learn(recipe, replace(rejection, duration_s=0.1))  # a worker's word
    assert roomy.fitting_cost(recipe) == rejection.cost


def test_the_least_that_a_student_may_cost_is_no_measurement(
    context: StudyContext, store: Store
) -> None:
    recipe = Sampler(SearchSpace.from_config(SPACE), name="random", seed=0).ask()
    assert recipe
    learned = replace(recipe, quantization=Int8Mixed())  # its bytes follow its weights
    gate = _gate(context, store, 10**9)
    cost = {"size_bytes": 1000, "parameters": 1, "macs": 1}
    refusal = Outcome(state=TrialState.INFEASIBLE, cost=cost, duration_s=0.1)
    gate.learn(learned, refusal)
    assert gate.fitting_cost(learned) is None
    gate.learn(learned, replace(refusal, quality={"accuracy": Measurement(0.9)}))
    assert gate.fitting_cost(learned) == cost


def test_a_recipe_that_was_measured_has_a_known_cost(context: StudyContext, store: Store) -> None:
    gate = _gate(context, store, 10**9)
    recipe = Sampler(SearchSpace.from_config(SPACE), name="random", seed=0, gate=gate).ask()
    assert recipe
    assert gate.fitting_cost(recipe) is not None


def test_a_cost_that_the_store_cannot_take_now_is_known_all_the_same(
    context: StudyContext, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise StoreUnavailable("the store is restarting")

    monkeypatch.setattr(store, "keep_cost", away)
    study = _study()
    recipe = Sampler(study.search_space(), name="random", seed=0).ask()
    assert recipe
    feasibility = open_admission(study, context.requirements, store)
    cost = {"size_bytes": 10**4, "parameters": 5, "macs": 7, "latency_ms": 2.0}
    feasibility.learn(recipe, cost)
    assert feasibility.predict(recipe) == cost


def _study() -> Study:
    return Study.model_validate(
        {
            "study": "digits",
            "data": {"source": "digits"},
            "teacher": {"model": "test_resnet", "train": {}},
            "space": SPACE,
            "run": {"ray": "auto"},
        }
    )


def test_what_a_cluster_found_is_not_taken_for_another_ones(
    context: StudyContext, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = _study()
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    recipe = Sampler(study.search_space(), name="random", seed=0).ask()
    assert recipe
    cost = {"size_bytes": 10**4, "parameters": 5, "macs": 7, "latency_ms": 2.0}
    for head in ("a", "b"):
        monkeypatch.setattr("platform.node", lambda head=head: head)
        feasibility = open_admission(study, context.requirements, store)
        assert feasibility.predict(recipe) is None
        feasibility.learn(recipe, cost)
    assert open_admission(study, context.requirements, store).predict(recipe) is not None

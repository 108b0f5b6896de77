"""The gate of a running study: it records recipes that are not admitted, and ends them."""

import os
import platform
from contextlib import suppress

from search.config.student_spec import StudentRequirements
from search.config.study import Study
from search.cost_model.cost_setting import setting_of
from search.cost_model.cost_table import CostTable
from search.cost_model.dry_run import is_certain
from search.cost_model.feasibility import Feasibility
from search.cost_model.verdict import CostVerdict
from search.errors import StoreUnavailable
from search.objectives.counting import grown
from search.progress import Callback
from search.records import Cost, Outcome, Shape, TrialState
from search.storage.retrying_writer import RetryingWriter
from search.storage.storage import Store
from search.targets.timing import processor_of
from spaces.recipe import Recipe


def open_admission(study: Study, requirements: StudentRequirements, store: Store) -> Feasibility:
    """Open admission with the costs that earlier studies of the store measured; it adds new ones.

    On a remote Ray, the driver may be another machine than the workers. Where one machine stands
    for the target, in the cluster or behind an agent, that machine is asked. Otherwise only trials
    measure latency, and costs are kept under the cluster's address.
    """
    target = requirements.target
    timed = study.run.ray == "local" or target.is_elsewhere
    processor = processor_of(target) if timed else _cluster(study.run.ray)
    setting = setting_of(requirements, processor=processor)
    # Studies with other classes share these costs: the store's exclude the classes' names.
    said = requirements.metadata_bytes

    def keep(shape: Shape, cost: Cost) -> None:
        with suppress(StoreUnavailable):  # this study knows it; a later one measures it again
            store.keep_cost(setting, shape, grown(cost, -said))

    known = {shape: grown(cost, said) for shape, cost in store.costs(setting).items()}
    table = CostTable(known, keep=keep)
    return Feasibility(requirements, table, timed=timed)


def _cluster(address: str) -> str:
    """Return a name that identifies the cluster; `auto` is this machine's own cluster."""
    if address != "auto":
        return address
    return os.environ.get("RAY_ADDRESS") or f"the cluster of {platform.node()}"


class CostGate:
    """A gate that lets recipes through, or records and shows them as infeasible trials.

    Args:
        feasibility: judges the recipes.
        writer: records each rejected recipe, in one transaction.
        seed: written into the records.
        callback: is told of each rejected recipe, too.
    """

    def __init__(
        self, feasibility: Feasibility, *, writer: RetryingWriter, seed: int, callback: Callback
    ) -> None:
        self.feasibility = feasibility
        self._writer = writer
        self._seed = seed
        self._callback = callback

    def __call__(self, recipe: Recipe) -> Outcome | None:
        """Return how the recipe ends, if it is rejected; None lets it through."""
        verdict = self.feasibility.judge(recipe)
        return None if verdict.admitted else self._reject(recipe, verdict)

    def may_fit(self, recipe: Recipe) -> bool | None:
        """Return whether the recipe fits, as far as is known; None if that must be measured."""
        verdict = self.feasibility.verdict(recipe)
        if verdict is None:
            return None if self.feasibility.budget.limits() else True
        return verdict.admitted

    def settled_cost(self, recipe: Recipe) -> Cost | None:
        """Return the recipe's known cost, if it is sure to fit."""
        return self.feasibility.settled(recipe)

    def learn(self, recipe: Recipe, outcome: Outcome) -> None:
        """Store the cost that an ended trial measured."""
        if outcome.cost and _is_measured(recipe, outcome):
            self.feasibility.learn(recipe, outcome.cost)

    def _reject(self, recipe: Recipe, verdict: CostVerdict) -> Outcome:
        params = recipe.to_params()
        budget = self.feasibility.budget
        outcome = Outcome(
            state=TrialState.INFEASIBLE,
            cost=verdict.cost,
            reason=verdict.reason,
            violations=budget.violations(verdict.cost) if verdict.cost else {},
        )
        number = self._writer.reject(params, self._seed, outcome)
        self._callback.on_trial_end(number, params, outcome)
        return outcome


def _is_measured(recipe: Recipe, outcome: Outcome) -> bool:
    """Return whether the cost was measured on the trained student's file.

    It was predicted for a stopped trial, and for a rejected one that took no time. A worker that
    rejects a recipe reports its least possible cost.
    """
    if outcome.quality:
        return True
    rejected_by_worker = outcome.state is TrialState.INFEASIBLE and outcome.duration_s > 0
    return rejected_by_worker and is_certain(recipe)

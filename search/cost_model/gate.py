"""The gate of a running study: it records recipes that are not admitted as infeasible trials."""

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
    """Open admission with the costs that earlier studies in the store measured.

    New costs are added to the store. On a remote Ray, this process may run on another machine than
    the workers. If the target is one node of the cluster, or a machine with an agent, that machine
    measures the latency. Otherwise only trials measure it, and the store records costs under the
    cluster's address.
    """
    target = requirements.target
    timed = study.run.ray == "local" or target.is_elsewhere
    processor = processor_of(target) if timed else _cluster(study.run.ray)
    setting = setting_of(requirements, processor=processor)
    # The store records sizes without metadata, so that studies with other class names share them.
    metadata = requirements.metadata_bytes

    def store_cost(shape: Shape, cost: Cost) -> None:
        with suppress(StoreUnavailable):  # a later study measures the cost again
            store.keep_cost(setting, shape, grown(cost, -metadata))

    known = {shape: grown(cost, metadata) for shape, cost in store.costs(setting).items()}
    table = CostTable(known, on_add=store_cost)
    return Feasibility(requirements, table, timed=timed)


def _cluster(address: str) -> str:
    """Return a name that identifies the cluster; `auto` is the cluster of this machine."""
    if address != "auto":
        return address
    return os.environ.get("RAY_ADDRESS") or f"the cluster of {platform.node()}"


class CostGate:
    """Gate that admits recipes, or records them as infeasible trials.

    Args:
        feasibility: decides which recipes may be trained.
        writer: records each rejected recipe, in one transaction.
        seed: the seed for the records.
        callback: receives the end of each rejected trial.
    """

    def __init__(
        self, feasibility: Feasibility, *, writer: RetryingWriter, seed: int, callback: Callback
    ) -> None:
        self.feasibility = feasibility
        self._writer = writer
        self._seed = seed
        self._callback = callback

    def __call__(self, recipe: Recipe) -> Outcome | None:
        """Return the outcome of a rejected recipe; None if the recipe is admitted."""
        verdict = self.feasibility.judge(recipe)
        return None if verdict.admitted else self._reject(recipe, verdict)

    def may_fit(self, recipe: Recipe) -> bool | None:
        """Return whether the recipe may be trained; None if its student must be measured first."""
        verdict = self.feasibility.verdict(recipe)
        if verdict is None:
            return None if self.feasibility.budget.limits() else True
        return verdict.admitted

    def fitting_cost(self, recipe: Recipe) -> Cost | None:
        """Return the recipe's cost if it is certain to fit; None if a worker must measure it."""
        return self.feasibility.fitting_cost(recipe)

    def learn(self, recipe: Recipe, outcome: Outcome) -> None:
        """Store the cost that an ended trial or branch measured."""
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
    """Return whether the outcome's cost was measured, and is valid for the trained student.

    The cost of a stopped trial was predicted. So was the cost of a trial that this process
    rejected. A worker that rejects a recipe reports a lower bound, which is exact if `is_certain`.
    """
    if outcome.quality:
        return True
    rejected_by_worker = outcome.state is TrialState.INFEASIBLE and outcome.duration_s > 0
    return rejected_by_worker and is_certain(recipe)

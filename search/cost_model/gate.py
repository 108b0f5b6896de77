"""The gate of a running study: recipes that are not admitted end here, on record."""

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
    """Admission that knows what earlier studies of the store measured, and adds to it.

    On a remote Ray the driver may be another machine than the workers. Where one machine stands for
    the target, of the cluster or by an agent, it is asked; else latency is measured by the trials
    alone, and costs are kept under the cluster's address.
    """
    target = requirements.target
    timed = study.run.ray == "local" or target.is_elsewhere
    processor = processor_of(target) if timed else _cluster(study.run.ray)
    setting = setting_of(requirements, processor=processor)
    # Studies with other classes share these costs: the store's are without the classes' names.
    said = requirements.metadata_bytes

    def keep(shape: Shape, cost: Cost) -> None:
        with suppress(StoreUnavailable):  # this study knows it; a later one measures it again
            store.keep_cost(setting, shape, grown(cost, -said))

    known = {shape: grown(cost, said) for shape, cost in store.costs(setting).items()}
    table = CostTable(known, keep=keep)
    return Feasibility(requirements, table, timed=timed)


def _cluster(address: str) -> str:
    """Tells a cluster from others; `auto` is the one that this machine belongs to."""
    if address != "auto":
        return address
    return os.environ.get("RAY_ADDRESS") or f"the cluster of {platform.node()}"


class CostGate:
    """Lets a study's recipes through, or records and shows them as infeasible trials.

    Args:
        feasibility: who judges.
        writer: told of each rejected recipe, in one transaction.
        seed: written into the records.
        callback: told as well.
    """

    def __init__(
        self, feasibility: Feasibility, *, writer: RetryingWriter, seed: int, callback: Callback
    ) -> None:
        self.feasibility = feasibility
        self._writer = writer
        self._seed = seed
        self._callback = callback

    def __call__(self, recipe: Recipe) -> Outcome | None:
        """How the recipe ends, if it is rejected; None lets it through."""
        verdict = self.feasibility.judge(recipe)
        return None if verdict.admitted else self._reject(recipe, verdict)

    def may_fit(self, recipe: Recipe) -> bool | None:
        """Whether the recipe fits, as far as is known; None where that is to be measured."""
        verdict = self.feasibility.verdict(recipe)
        if verdict is None:
            return None if self.feasibility.budget.limits() else True
        return verdict.admitted

    def settled_cost(self, recipe: Recipe) -> Cost | None:
        """What the recipe is known to cost, if that settles that it fits."""
        return self.feasibility.settled(recipe)

    def learn(self, recipe: Recipe, outcome: Outcome) -> None:
        """Takes up what a trial that ended was found to cost."""
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
    """Whether the cost is a file's. It was foreseen of a trial that was stopped, and of one that
    was rejected, which took no time; a worker that rejects one tells the least that it may cost.
    """
    if outcome.quality:
        return True
    rejected_by_worker = outcome.state is TrialState.INFEASIBLE and outcome.duration_s > 0
    return rejected_by_worker and is_certain(recipe)

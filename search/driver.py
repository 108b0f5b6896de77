"""What drives a search: which recipe is next, who stops, who is told, and in which order.

Plain Python; `search.study` lets Ray call it, in one process, one call at a time.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from search.admission.gate import Gate
from search.branching import branches_of
from search.config import Study
from search.pinning import FrontierPins
from search.progress import Watcher
from search.records import Cost, EpochRecord, FailureRecord, Outcome, TrialState
from search.sampler import Proposal, Sampler
from search.scheduler import Rungs
from search.store import Store
from spaces.recipe import Recipe


@dataclass(frozen=True)
class Dispatch:
    """A trial to run: its number, its recipe, what it is known to cost, and its branches."""

    number: int
    recipe: Recipe
    seed: int
    foreseen: Cost | None
    branches: tuple[Recipe, ...]


@dataclass
class _Running:
    """A trial under way, as the driver sees it."""

    dispatch: Dispatch
    proposal: Proposal
    cost: Cost | None
    epochs: list[EpochRecord] = field(default_factory=list)
    stopped: str | None = None
    started: float = field(default_factory=time.monotonic)


class Driver:
    """Proposes, records and learns. The only writer of a running study.

    A trial is in the store as running before it is dispatched, and as ended before the sampler
    hears of it.

    Args:
        study: the study.
        sampler: asked for recipes, told of outcomes.
        gate: knows what recipes cost.
        rungs: says which trial is hopeless; None lets all of them end.
        pins: keeps what the frontier was made of; None where no stage is kept.
        store: where everything is kept.
        watcher: told as well.
    """

    def __init__(
        self,
        study: Study,
        *,
        sampler: Sampler,
        gate: Gate,
        rungs: Rungs | None,
        pins: FrontierPins | None = None,
        store: Store,
        watcher: Watcher,
    ) -> None:
        self._study = study
        self._space = study.search_space()
        self._sampler = sampler
        self._gate = gate
        self._rungs = rungs
        self._pins = pins
        self._store = store
        self._watcher = watcher
        self._running: dict[int, _Running] = {}
        self._trained = 0
        self._deadline = time.monotonic() + (study.search.max_time or float("inf"))
        self.draining = False
        self.interrupted = False

    @property
    def is_over(self) -> bool:
        """Whether no further trial is to be dispatched."""
        return (
            self.draining
            or self._trained >= self._study.search.trials
            or time.monotonic() > self._deadline
        )

    def next(self) -> Dispatch | None:
        """The next trial to run, on record already; None where there is none, for now or at all."""
        if self.is_over or self._trained + len(self._running) >= self._study.search.trials:
            return None
        proposal = self._sampler.ask()
        if proposal is None:
            self._watcher.say("no recipe is left that is new and fits the budget")
            self.draining = True
            return None
        recipe, seed = proposal.recipe, self._study.seed
        params = recipe.to_params()
        dispatch = Dispatch(
            number=self._store.start_trial(self._study.study, params=params, seed=seed),
            recipe=recipe,
            seed=seed,
            foreseen=self._gate.known_cost(recipe),
            branches=tuple(self._branches(recipe)),
        )
        cost = dispatch.foreseen or self._gate.admission.predict(recipe)
        self._running[dispatch.number] = _Running(dispatch, proposal, cost)
        self._watcher.trial_started(dispatch.number, params)
        return dispatch

    def advance(self, number: int, point: EpochRecord) -> bool:
        """Hears of an epoch; whether the trial may go on."""
        running = self._running[number]
        running.epochs.append(point)
        self._watcher.trial_advanced(number, point)
        if self._rungs and running.cost and point.stage == "distil":
            share = (point.epoch + 1) / running.dispatch.recipe.training.epochs
            running.stopped = self._rungs.hopeless(
                number, share=share, accuracy=point.accuracy, cost=running.cost
            )
        return running.stopped is None

    def end(self, number: int, outcome: Outcome | None) -> None:
        """Records how a trial ended, then tells the sampler; None: without a word of its own."""
        running = self._running.pop(number)
        if running.stopped:
            outcome = _stopped(running, running.stopped)
        outcome = outcome or _lost(running)
        branches = self._store.finish_trial(self._study.study, number, outcome)
        self._gate.learn(running.dispatch.recipe, outcome)
        self._sampler.tell(running.proposal, outcome)
        self._tell_rungs(number, outcome)
        self._pin(running.dispatch, outcome)
        self._trained += outcome.state is not TrialState.INFEASIBLE
        self._watcher.trial_ended(number, running.dispatch.recipe.to_params(), outcome)
        self._end_branches(running.dispatch.branches, outcome, branches)

    def _tell_rungs(self, number: int, outcome: Outcome) -> None:
        for found in (outcome, *(branch.outcome for branch in outcome.branches)):
            if self._rungs and found.quality and found.cost:
                self._rungs.finish(
                    number,
                    accuracy=found.quality.accuracy,
                    cost=found.cost,
                    branch=found is not outcome,
                )

    def _pin(self, dispatch: Dispatch, outcome: Outcome) -> None:
        if self._pins is None:
            return
        recipes = (dispatch.recipe, *dispatch.branches)
        found = (outcome, *(branch.outcome for branch in outcome.branches))
        # A trial that failed or stopped has made none of its branches.
        for recipe, one in zip(recipes, found, strict=False):
            self._pins.finish(recipe, dispatch.seed, one)

    def _branches(self, recipe: Recipe) -> Sequence[Recipe]:
        """What else to make of the student, of which nothing says that it breaks the budget."""
        if not self._study.search.branches:
            return []
        return [
            branch
            for branch in branches_of(recipe, self._space, prunings=self._study.search.branches)
            if branch.conflict() is None
            and self._gate.may_fit(branch)
            and self._sampler.claim(branch)
        ]

    def _end_branches(
        self, recipes: Sequence[Recipe], outcome: Outcome, numbers: Sequence[int]
    ) -> None:
        # A trial that failed or stopped has made none of them.
        for recipe, branch, number in zip(recipes, outcome.branches, numbers, strict=False):
            self._gate.learn(recipe, branch.outcome)
            self._sampler.learn(recipe, branch.outcome)
            self._watcher.trial_ended(number, branch.params, branch.outcome)


def _stopped(running: _Running, reason: str) -> Outcome:
    return Outcome(
        state=TrialState.STOPPED,
        cost=running.cost,
        reason=reason,
        epochs=tuple(running.epochs),
        duration_s=time.monotonic() - running.started,
    )


def _lost(running: _Running) -> Outcome:
    return Outcome(
        state=TrialState.FAILED,
        failure=FailureRecord(
            kind="process_died",
            message="the trial's process ended without a result; it may have run out of memory",
        ),
        epochs=tuple(running.epochs),
        duration_s=time.monotonic() - running.started,
    )

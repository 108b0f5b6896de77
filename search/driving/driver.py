"""What drives a search: which recipe is next, who stops, who is told, and in which order.

Plain Python; `search.study` lets Ray call it, in one process, one call at a time.
"""

import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from search.admission.gate import Gate
from search.driving.branching import branches_of
from search.driving.pinning import FrontierPins
from search.driving.recall import Past
from search.driving.retries import Candidate, next_try
from search.driving.sampler import Sampler
from search.driving.scheduler import Rungs
from search.errors import NotFinite, StoreError
from search.keeping.ledger import Ledger
from search.making.failures import PROCESS_DIED
from search.progress import Watcher
from search.records import Cost, EpochRecord, FailureRecord, Outcome, TrialState
from search.settings.config import Study
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
    candidate: Candidate
    cost: Cost | None
    epochs: list[EpochRecord] = field(default_factory=list)
    stopped: str | None = None
    started: float = field(default_factory=time.monotonic)

    def settled(self, outcome: Outcome | None, cause: FailureRecord | None) -> Outcome:
        """How it ended, whatever it said of that itself."""
        if self.stopped:
            return self._cut_short(TrialState.STOPPED, reason=self.stopped, cost=self.cost)
        return outcome or self._cut_short(TrialState.FAILED, failure=cause or _SILENT)

    def not_finite(self, error: NotFinite) -> Outcome:
        failure = FailureRecord(kind="non_finite", message=f"a measurement of it: {error}")
        return self._cut_short(TrialState.FAILED, failure=failure)

    def _cut_short(
        self,
        state: TrialState,
        *,
        reason: str | None = None,
        cost: Cost | None = None,
        failure: FailureRecord | None = None,
    ) -> Outcome:
        return Outcome(
            state=state,
            cost=cost,
            reason=reason,
            failure=failure,
            epochs=tuple(self.epochs),
            duration_s=time.monotonic() - self.started,
        )


_SILENT = FailureRecord(
    kind=PROCESS_DIED,
    message="the trial's process ended without a result; it may have run out of memory",
)


class Driver:
    """Proposes, records and learns. The only writer of a running study.

    A trial is in the store as running before it is dispatched, and as ended before the sampler
    hears of it. What was interrupted goes first. A store that stays out of reach ends the search:
    see `fault`.

    Args:
        study: the study.
        sampler: asked for recipes, told of outcomes.
        gate: knows what recipes cost.
        rungs: says which trial is hopeless; None lets all of them end.
        pins: keeps what the frontier was made of; None where no stage is kept.
        ledger: where everything is kept.
        watcher: told as well.
        past: what earlier runs came to, which sampler, gate and rungs have learned already.
        elapsed_s: how long they searched.
    """

    def __init__(
        self,
        study: Study,
        *,
        sampler: Sampler,
        gate: Gate,
        rungs: Rungs | None,
        pins: FrontierPins | None = None,
        ledger: Ledger,
        watcher: Watcher,
        past: Past = Past(),  # noqa: B008  frozen
        elapsed_s: float = 0.0,
    ) -> None:
        self._study = study
        self._space = study.search_space()
        self._sampler = sampler
        self._gate = gate
        self._rungs = rungs
        self._pins = pins
        self._ledger = ledger
        self._watcher = watcher
        self._running: dict[int, _Running] = {}
        self._waiting = deque(past.interrupted)
        self._trained = past.trained
        self._exhausted = False
        self._deadline = time.monotonic() + (study.search.max_time or float("inf")) - elapsed_s
        self.draining = False
        self.interrupted = False
        self.fault: StoreError | None = None
        """Why the store could not be written, if it could not; results are in the journal then."""

    @property
    def is_over(self) -> bool:
        """Whether no further trial is to be dispatched."""
        return (
            self.draining
            or self._trained >= self._study.search.trials
            or time.monotonic() > self._deadline
            or (self._exhausted and not self._running and not self._waiting)
        )

    @property
    def left_by_time(self) -> int:
        """How many trials the search's time did not suffice for."""
        missing = max(self._study.search.trials - self._trained, 0)
        return missing if time.monotonic() > self._deadline else 0

    def interrupt(self, why: str) -> None:
        """Lets running trials end and dispatches no other; what is left can be resumed."""
        self.interrupted = self.draining = True
        self._watcher.say(why)

    def next(self) -> Dispatch | None:
        """The next trial to run, on record already; None where there is none, for now or at all."""
        if self.is_over or self._trained + len(self._running) >= self._study.search.trials:
            return None
        try:
            candidate = self._again() if self._waiting else self._new()
            return self._dispatch(candidate) if candidate else None
        except StoreError as error:
            self._give_up(error)
            return None

    def _again(self) -> Candidate:
        candidate = self._waiting[0]
        self._ledger.restart(candidate.number, candidate.recipe.to_params())
        return self._waiting.popleft()

    def _new(self) -> Candidate | None:
        proposal = None if self._exhausted else self._sampler.ask()
        if proposal is None:
            if not self._exhausted:
                self._watcher.say("no recipe is left that is new and fits the budget")
            self._exhausted = True
            return None
        recipe, seed = proposal.recipe, self._study.seed
        number = self._ledger.start(recipe.to_params(), seed)
        return Candidate(number=number, recipe=recipe, seed=seed, proposal=proposal)

    def _dispatch(self, candidate: Candidate) -> Dispatch:
        recipe, branches = candidate.recipe, candidate.branches
        dispatch = Dispatch(
            number=candidate.number,
            recipe=recipe,
            seed=candidate.seed,
            foreseen=self._gate.known_cost(recipe),
            branches=tuple(self._branches(recipe)) if branches is None else branches,
        )
        cost = dispatch.foreseen or self._gate.admission.predict(recipe)
        self._running[dispatch.number] = _Running(dispatch, candidate, cost)
        self._watcher.trial_started(dispatch.number, recipe.to_params())
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

    def end(self, number: int, outcome: Outcome | None, cause: FailureRecord | None = None) -> None:
        """Records how a trial ended, then tells the sampler; or lets it be tried once more.

        Args:
            number: the trial's.
            outcome: its own word; None where its process ended without one.
            cause: why it did, where that is known.
        """
        running = self._running.pop(number)
        outcome = running.settled(outcome, cause)
        if self._tries_again(running, outcome):
            return
        try:
            try:
                branches = self._ledger.finish(number, outcome)
            except NotFinite as error:
                outcome = running.not_finite(error)
                branches = self._ledger.finish(number, outcome)
            self._learn(running, outcome, branches)
        except StoreError as error:
            self._give_up(error)

    def _tries_again(self, running: _Running, outcome: Outcome) -> bool:
        candidate, failure = running.candidate, outcome.failure
        again = next_try(candidate, failure, retries=self._study.run.retries)
        if again is None or failure is None:
            return False
        if again.halved != candidate.halved and candidate.proposal:
            self._sampler.tell(candidate.proposal, outcome)  # of this recipe it was the last word
        if again.recipe == candidate.recipe:
            again = again.with_branches(running.dispatch.branches)
        self._waiting.append(again)
        how = "with half the batch" if again.halved != candidate.halved else "once more"
        self._watcher.say(
            f"trial {candidate.number} is tried {how}: {failure.kind}, {failure.message}"
        )
        return True

    def _learn(self, running: _Running, outcome: Outcome, branches: Sequence[int]) -> None:
        dispatch, proposal = running.dispatch, running.candidate.proposal
        self._gate.learn(dispatch.recipe, outcome)
        if proposal:
            self._sampler.tell(proposal, outcome)
        else:
            self._sampler.learn(dispatch.recipe, outcome)
        self._tell_rungs(dispatch.number, outcome)
        self._pin(dispatch, outcome)
        self._trained += outcome.state is not TrialState.INFEASIBLE
        self._watcher.trial_ended(dispatch.number, dispatch.recipe.to_params(), outcome)
        self._end_branches(dispatch.branches, outcome, branches)

    def _give_up(self, fault: StoreError) -> None:
        """Ends the search for the store's sake. Trials that run may end: the journal takes them."""
        if self.fault is None:
            self._watcher.say(str(fault))
        self.fault = self.fault or fault
        self.draining = True

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
            with suppress(OSError):  # what the cache throws out is computed again
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

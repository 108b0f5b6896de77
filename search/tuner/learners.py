"""All that learn from a study's trials: while it runs, and from what it did before."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

from search.cost_model.gate import CostGate
from search.records import EpochRecord, Outcome
from search.samplers.learning_curve import learning_curve
from search.samplers.optuna_adapter import Proposal, Sampler
from search.tuner.early_stopping import EarlyStopping
from search.tuner.pinning import FrontierPins
from spaces.recipe import Recipe


@dataclass(frozen=True)
class Learners:
    """Those who are told what trials come to.

    Attributes:
        sampler: proposes recipes by it.
        gate: knows by it what recipes cost.
        early_stopping: say by it which trial is hopeless; None lets all of them end.
        pins: keep what the frontier was made of; None keeps nothing.
    """

    sampler: Sampler
    gate: CostGate
    early_stopping: EarlyStopping | None = None
    pins: FrontierPins | None = None

    def tell(
        self,
        recipe: Recipe,
        outcome: Outcome,
        *,
        trial: int,
        seed: int,
        branch: bool,
        proposal: Proposal | None = None,
    ) -> None:
        """Tells all of them how a trial ended, or a branch of one.

        Args:
            recipe: what was done.
            outcome: what it came to.
            trial: the number of the trial that trained the student.
            seed: the trial's.
            branch: whether the student was branched off.
            proposal: the sampler's, whose recipe it is; None where it made none in this run.

        Raises:
            StoreError: what the recipe was found to cost can't be kept.
        """
        self.tell_sampler(recipe, outcome, branch=branch, proposal=proposal)
        self.gate.learn(recipe, outcome)
        if self.early_stopping:
            self.early_stopping.finish(trial, outcome, branch=branch)
        if self.pins:
            with suppress(OSError):  # what the cache throws out is computed again
                self.pins.note(recipe, seed, outcome)

    def tell_sampler(
        self, recipe: Recipe, outcome: Outcome, *, branch: bool, proposal: Proposal | None
    ) -> None:
        """Tells the sampler alone, as where the trial goes on with another recipe."""
        if proposal:
            self.sampler.tell(proposal, outcome)
        else:
            self.sampler.learn(recipe, outcome, branch=branch)

    def note_curve(self, trial: int, recipe: Recipe, epochs: Iterable[EpochRecord]) -> None:
        """Tells the rungs how a trial came along that has ended."""
        if self.early_stopping:
            for share, utility in learning_curve(recipe, epochs, self.early_stopping.metric):
                self.early_stopping.note(trial, share=share, utility=utility)

    def keep_frontier(self) -> None:
        """Pins what the frontier is made of, if it has moved since."""
        if self.pins:
            with suppress(OSError):  # what the cache throws out is computed again
                self.pins.keep()

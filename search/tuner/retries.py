"""What is run again: after an interruption, after a lost process, and with half the batch."""

from dataclasses import dataclass, replace

from search.pipeline.failures import OUT_OF_MEMORY, PROCESS_DIED
from search.records import FailureRecord
from search.samplers.optuna_adapter import Proposal
from spaces.recipe import Recipe


@dataclass(frozen=True, kw_only=True)
class PendingTrial:
    """A trial that is to run: it is in the store already, without an outcome.

    Attributes:
        number: the trial's.
        recipe: what to do.
        seed: of weights, order and dropout.
        proposal: the sampler's; None for a recipe that it only expects.
        branches: what else is made of its student; None while that is not chosen.
        deaths: how often its process ended without a result, in this run.
        halved: whether its batch was halved, for want of memory.
    """

    number: int
    recipe: Recipe
    seed: int
    proposal: Proposal | None = None
    branches: tuple[Recipe, ...] | None = None
    deaths: int = 0
    halved: bool = False

    def with_branches(self, branches: tuple[Recipe, ...]) -> "PendingTrial":
        return replace(self, branches=branches)


def next_try(
    candidate: PendingTrial, failure: FailureRecord | None, *, retries: int
) -> PendingTrial | None:
    """How the trial is tried once more; None where its failure is to stand.

    A process that died may have been unlucky: the same again, up to `retries` times. Memory that
    did not suffice once won't suffice again: one try with half the batch.
    """
    if failure is None:
        return None
    if failure.kind == PROCESS_DIED and candidate.deaths < retries:
        return replace(candidate, deaths=candidate.deaths + 1)
    if failure.kind == OUT_OF_MEMORY and not candidate.halved:
        return _halved(candidate)
    return None


def _halved(candidate: PendingTrial) -> PendingTrial | None:
    training = candidate.recipe.training
    try:
        smaller = replace(training, batch_size=training.batch_size // 2)
    except ValueError:
        return None  # the method takes no smaller one
    recipe = replace(candidate.recipe, training=smaller)
    return replace(candidate, recipe=recipe, proposal=None, branches=None, halved=True)

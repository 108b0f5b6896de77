"""What a study learned before: its trials in the store teach the sampler, gate and rungs."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from search.admission.gate import Gate
from search.driving.pinning import FrontierPins
from search.driving.retries import Candidate
from search.driving.sampler import Sampler
from search.driving.scheduler import Rungs
from search.errors import StoreError
from search.records import Outcome, TrialRecord, TrialState
from spaces.recipe import Recipe

_UNFINISHED = (TrialState.RUNNING, TrialState.INTERRUPTED)


@dataclass(frozen=True)
class Past:
    """What earlier runs of the study came to.

    Attributes:
        trained: trials that count towards those asked for.
        interrupted: trials without an outcome, by number, to be run again.
    """

    trained: int = 0
    interrupted: tuple[Candidate, ...] = ()


def recall(
    trials: Sequence[TrialRecord],
    *,
    sampler: Sampler,
    gate: Gate,
    rungs: Rungs | None,
    pins: FrontierPins | None = None,
) -> Past:
    """Teaches all that the trials tell, in the order of their numbers.

    Args:
        trials: the study's, whole.
        sampler: proposes none of them again.
        gate: learns what they cost.
        rungs: learn how they came along.
        pins: learn what the frontier was made of.

    Raises:
        StoreError: a trial's recipe is one that this version does not know.
    """
    trained = 0
    interrupted: list[Candidate] = []
    for trial in trials:
        recipe = recipe_of(trial)
        sampler.expect(recipe)
        if trial.state in _UNFINISHED:
            interrupted.append(Candidate(number=trial.number, recipe=recipe, seed=trial.seed))
            continue
        assert trial.outcome is not None
        sampler.learn(recipe, trial.outcome, branch=trial.parent is not None)
        gate.learn(recipe, trial.outcome)
        _teach_rungs(rungs, trial, recipe, trial.outcome)
        if pins:
            pins.note(recipe, trial.seed, trial.outcome)
        trained += trial.parent is None and trial.state is not TrialState.INFEASIBLE
    if pins:
        with suppress(OSError):  # what the cache throws out is computed again
            pins.keep()
    return Past(trained, tuple(interrupted))


def recipe_of(trial: TrialRecord) -> Recipe:
    """The trial's recipe.

    Raises:
        StoreError: this version does not know it.
    """
    try:
        return Recipe.from_params(trial.params)
    except ValueError as error:
        raise StoreError(
            f"trial {trial.number} of {trial.study} has a recipe that this retort does not know: "
            f"{error}; go on with the version that wrote it, or start a new study"
        ) from error


def _teach_rungs(rungs: Rungs | None, trial: TrialRecord, recipe: Recipe, outcome: Outcome) -> None:
    if rungs is None:
        return
    branch = trial.parent is not None
    if not branch:
        for point in outcome.epochs:
            if point.stage == "distil":
                share = (point.epoch + 1) / recipe.training.epochs
                rungs.note(trial.number, share=share, accuracy=point.accuracy)
    if outcome.quality and outcome.cost:
        owner = trial.number if trial.parent is None else trial.parent
        rungs.finish(owner, accuracy=outcome.quality.accuracy, cost=outcome.cost, branch=branch)

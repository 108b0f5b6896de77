"""What a study learned before: its trials in the store teach the sampler and all the others."""

from collections.abc import Sequence
from dataclasses import dataclass

from search.errors import StoreError
from search.records import TrialRecord, TrialState
from search.tuner.learners import Learners
from search.tuner.retries import PendingTrial
from spaces.recipe import Recipe

_UNFINISHED = (TrialState.RUNNING, TrialState.INTERRUPTED)


@dataclass(frozen=True)
class ReplayedStudy:
    """What earlier runs of the study came to.

    Attributes:
        trained: trials that count towards those asked for.
        interrupted: trials without an outcome, by number, to be run again.
    """

    trained: int = 0
    interrupted: tuple[PendingTrial, ...] = ()


def recall(trials: Sequence[TrialRecord], learners: Learners) -> ReplayedStudy:
    """Teaches all that the trials tell, in the order of their numbers.

    Args:
        trials: the study's, whole.
        learners: are told of each; the sampler proposes none of them again.

    Raises:
        StoreError: a trial's recipe is one that this version does not know.
    """
    trained = 0
    interrupted: list[PendingTrial] = []
    for trial in trials:
        recipe = recipe_of(trial)
        learners.sampler.expect(recipe)
        if trial.state in _UNFINISHED:
            interrupted.append(PendingTrial(number=trial.number, recipe=recipe, seed=trial.seed))
            continue
        assert trial.outcome is not None
        trainer = trial.number if trial.parent is None else trial.parent
        own = trainer == trial.number
        if own:
            learners.note_curve(trainer, recipe, trial.outcome.epochs)
        learners.tell(recipe, trial.outcome, trial=trainer, seed=trial.seed, branch=not own)
        trained += own and trial.state is not TrialState.INFEASIBLE
    learners.keep_frontier()
    return ReplayedStudy(trained, tuple(interrupted))


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

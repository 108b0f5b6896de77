"""The learning curve of a trial: how accurate it was at which share of its training."""

from collections.abc import Iterable

from search.records import TRAINING, EpochRecord
from spaces.recipe import Recipe


def learning_curve(recipe: Recipe, epochs: Iterable[EpochRecord]) -> list[tuple[float, float]]:
    """The share of the epochs before pruning that was done, and the accuracy then.

    Args:
        recipe: the trial's.
        epochs: its own, or some of them; those of a recovery are left out.
    """
    planned = recipe.training.epochs
    return [
        ((point.epoch + 1) / planned, point.accuracy) for point in epochs if point.stage == TRAINING
    ]

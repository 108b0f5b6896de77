"""The learning curve of a trial: which utility it had at which share of its training."""

from collections.abc import Iterable

from search.objectives.metric import Metric
from search.records import TRAINING, EpochRecord
from spaces.recipe import Recipe


def learning_curve(
    recipe: Recipe, epochs: Iterable[EpochRecord], metric: Metric
) -> list[tuple[float, float]]:
    """The share of the epochs before pruning that was done, and the utility then.

    Args:
        recipe: the trial's.
        epochs: its own, or some of them; those of a recovery are left out.
        metric: of which their scores are.
    """
    planned = recipe.training.epochs
    return [
        ((point.epoch + 1) / planned, metric.utility(point.score))
        for point in epochs
        if point.stage == TRAINING
    ]

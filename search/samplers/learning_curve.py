"""The learning curve of a trial: its utility at each share of its training."""

from collections.abc import Iterable

from search.objectives.metric import Metric
from search.records import TRAINING, EpochRecord
from spaces.recipe import Recipe


def learning_curve(
    recipe: Recipe, epochs: Iterable[EpochRecord], metric: Metric
) -> list[tuple[float, float]]:
    """Return shares of the epochs before pruning that were done, with the utility at each.

    Args:
        recipe: the trial's.
        epochs: its own, or some of them; those of a recovery are left out.
        metric: the metric of their scores.
    """
    planned = recipe.training.epochs
    return [
        ((point.epoch + 1) / planned, metric.utility(point.score))
        for point in epochs
        if point.stage == TRAINING
    ]

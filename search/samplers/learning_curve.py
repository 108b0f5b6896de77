"""The learning curves of a trial: utilities at each share of its training."""

from collections.abc import Iterable

from search.objectives.floors import Floor
from search.objectives.metric import Metric
from search.records import TRAINING, EpochRecord
from spaces.recipe import Recipe


def learning_curve(
    recipe: Recipe, epochs: Iterable[EpochRecord], metric: Metric
) -> list[tuple[float, float]]:
    """Return the points of the training before pruning: the share of epochs done, and the utility.

    Args:
        recipe: the trial's recipe.
        epochs: all or some of the trial's epochs; those of other stages are left out.
        metric: the metric of the epochs' scores.
    """
    planned = recipe.training.epochs
    return [
        ((point.epoch + 1) / planned, metric.utility(point.score))
        for point in epochs
        if point.stage == TRAINING
    ]


def floor_curve(
    recipe: Recipe, epochs: Iterable[EpochRecord], floor: Floor
) -> list[tuple[float, float]]:
    """Return the same points for a value with a floor; epochs without the value are left out."""
    planned = recipe.training.epochs
    return [
        ((point.epoch + 1) / planned, floor.metric.utility(point.floors[floor.name]))
        for point in epochs
        if point.stage == TRAINING and floor.name in point.floors
    ]

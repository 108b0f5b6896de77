"""Costs, metrics and learning curves as trials have them, for tests that measure nothing."""

import math

from search.objectives.metric import Metric
from search.records import Cost, EpochRecord, Measurement, Quality

IMAGES = 1000
"""On so many images the made-up metrics are told to be measured."""

LOSS = Metric(
    name="loss",
    label="loss",
    description="a metric of which less is better, and which may be worse than its worst",
    best=0.0,
    worst=4.0,
    compute=lambda found, teacher: 0.0,
    standard_error=lambda found, teacher: 0.0,
    format="{:.2f}".format,
)


def cost(**values: float | None) -> Cost:
    """The costs that are given, by stored name; None leaves one unknown."""
    return {name: value for name, value in values.items() if value is not None}


def quality(*, images: int = IMAGES, **values: float) -> Quality:
    """The metrics that are given, each a share of so many images."""
    return {
        name: Measurement(value, math.sqrt(value * (1 - value) / images))
        for name, value in values.items()
    }


def point(epoch: int, score: float, *, stage: str = "distil") -> EpochRecord:
    """A point of a learning curve."""
    return EpochRecord(stage=stage, epoch=epoch, loss=1.0, score=score, learning_rate=1e-3)

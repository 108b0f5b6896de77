"""Imbalance of the classes of a data set, and what it means for a study's goal."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from search.data.dataset import Dataset, Labels
from search.evaluation.measure import quality
from search.objectives.goal import Goal
from search.objectives.predictions import Predictions
from search.records import Quality

# From here on, students can be wrong on a class three times as often as on another and lose the
# same accuracy. Below, the classes of a small data set differ by chance, or by its split.
_UNEVEN_RATIO = 3


@dataclass(frozen=True, kw_only=True)
class ClassSizes:
    """The largest and the smallest class of a part, with the numbers of their images."""

    largest: str
    largest_images: int
    smallest: str
    smallest_images: int

    @classmethod
    def of(cls, labels: Labels, names: tuple[str, ...]) -> Self:
        """Count the images of each class."""
        counts = np.bincount(labels, minlength=len(names))
        most, least = int(counts.argmax()), int(counts.argmin())
        return cls(
            largest=names[most],
            largest_images=int(counts[most]),
            smallest=names[least],
            smallest_images=int(counts[least]),
        )

    @property
    def is_uneven(self) -> bool:
        """Whether the largest class has at least three times the images of the smallest."""
        return self.largest_images >= _UNEVEN_RATIO * self.smallest_images


@dataclass(frozen=True, kw_only=True)
class ClassBalance:
    """The balance of a data set's classes.

    Attributes:
        training: the sizes of classes in the training part, from which students learn.
        validation: the same for the validation part, on which the search compares students.
        constant: the quality of a student that predicts the largest class for every validation
            image.
    """

    training: ClassSizes
    validation: ClassSizes
    constant: Quality

    @classmethod
    def of(cls, dataset: Dataset) -> Self:
        """Count the images of each class of a data set."""
        names, labels = dataset.info.classes, np.asarray(dataset.validation.labels)
        largest = np.bincount(labels).argmax()
        constant = Predictions(
            labels=labels,
            classes=np.full_like(labels, largest),
            confidence=np.ones(len(labels), np.float32),
        )
        return cls(
            training=ClassSizes.of(np.asarray(dataset.training.labels), names),
            validation=ClassSizes.of(labels, names),
            constant=quality(constant, teacher=None),
        )

    def warning(self, goal: Goal) -> str | None:
        """Return what a person should know of imbalanced classes; None if they are balanced.

        Args:
            goal: the study's goal. If its metric can hide small classes, the warning names one that
                can't.
        """
        if not self.training.is_uneven and not self.validation.is_uneven:
            return None
        part = "training" if self.training.is_uneven else "validation"
        sizes = self.training if self.training.is_uneven else self.validation
        text = (
            f"the classes are imbalanced: {sizes.largest!r} has {sizes.largest_images:,} {part} "
            f"images, {sizes.smallest!r} has {sizes.smallest_images:,}"
        )
        # Validation images in equal numbers hide no class, however uneven those of training are.
        if not self.validation.is_uneven or not goal.companions:
            return text
        values = [
            f"{metric.label} {metric.format(self.constant[metric.name].value)}"
            for metric in (goal.metric, *goal.companions)
            if metric.name in self.constant
        ]
        return (
            f"{text}. A student that predicts {self.validation.largest!r} for every image has "
            f"{' and '.join(values)}. To weigh all classes alike, set "
            f"search.objective: {goal.companions[0].name}"
        )

"""Results by class: each class's recall, and the classes that it is taken for."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from search.errors import ArtifactError
from search.objectives.predictions import Predictions


@dataclass(frozen=True, kw_only=True)
class ClassResult:
    """The results of one class.

    Attributes:
        label: the class's label.
        name: the class's name. Two classes may have the same name.
        images: the number of its images.
        right: the number of its images that are predicted correctly.
    """

    label: int
    name: str
    images: int
    right: int

    @property
    def recall(self) -> float | None:
        """The share of its images that is predicted correctly; None if it has no images."""
        return self.right / self.images if self.images else None


@dataclass(frozen=True, kw_only=True)
class ConfusionCell:
    """A cell of the confusion matrix that is not 0.

    Attributes:
        true: the true class's label.
        predicted: the predicted class's label.
        images: the number of images of the true class with this prediction.
        share: their share of the true class's images.
    """

    true: int
    predicted: int
    images: int
    share: float

    @property
    def is_wrong(self) -> bool:
        """Whether the prediction is wrong."""
        return self.true != self.predicted


@dataclass(frozen=True, kw_only=True)
class ResultsByClass:
    """The results of a network's predictions by class.

    Attributes:
        classes: a result for each class, by label.
        cells: the cells of the confusion matrix that are not 0, by true and then predicted label.
    """

    classes: tuple[ClassResult, ...]
    cells: tuple[ConfusionCell, ...]

    @cached_property
    def worst_first(self) -> tuple[ClassResult, ...]:
        """The classes that have images, by recall; of equal recalls, the largest class first."""
        seen = [each for each in self.classes if each.images]
        return tuple(sorted(seen, key=lambda each: (each.right / each.images, -each.images)))

    @property
    def never_right(self) -> int:
        """The number of classes that have images, of which none is predicted correctly."""
        return sum(not each.right for each in self.worst_first)

    @cached_property
    def pairs(self) -> tuple[ConfusionCell, ...]:
        """The wrong cells, most images first; of equal numbers, the largest share first."""
        wrong = [cell for cell in self.cells if cell.is_wrong]
        return tuple(sorted(wrong, key=lambda cell: (-cell.images, -cell.share)))

    @cached_property
    def mostly_taken_for(self) -> dict[int, ConfusionCell]:
        """The most frequent wrong prediction for each class that has one, by the class's label."""
        found: dict[int, ConfusionCell] = {}
        for cell in self.pairs:
            found.setdefault(cell.true, cell)
        return found

    def matrix(self) -> NDArray[np.int64]:
        """Return the confusion matrix, [true classes, predicted classes], in images."""
        found = np.zeros((len(self.classes), len(self.classes)), np.int64)
        for cell in self.cells:
            found[cell.true, cell.predicted] = cell.images
        return found


def results_by_class(found: Predictions, names: Sequence[str]) -> ResultsByClass:
    """Return the results by class.

    Args:
        found: the predictions.
        names: the classes' names, by label.

    Raises:
        ArtifactError: the predictions contain a class that has no name.
    """
    count = len(names)
    highest = int(max(found.labels.max(initial=0), found.classes.max(initial=0)))
    if highest >= count:
        raise ArtifactError(
            f"predictions must be of the {count} classes that are named, but contain class "
            f"{highest}: they belong to other data"
        )
    images = np.bincount(found.labels, minlength=count)
    # 1,000 classes have a million cells, most of them 0.
    places, counted = np.unique(found.labels * count + found.classes, return_counts=True)
    return ResultsByClass(
        classes=tuple(
            ClassResult(label=label, name=names[label], images=of, right=right)
            for label, (of, right) in enumerate(found.by_class(count))
        ),
        cells=tuple(
            ConfusionCell(
                true=place // count,
                predicted=place % count,
                images=number,
                share=number / int(images[place // count]),
            )
            for place, number in zip(places.tolist(), counted.tolist(), strict=True)
        ),
    )

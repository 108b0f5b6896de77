"""The classes whose recalls a budget bounds: their labels in the data, and their images."""

from collections.abc import Mapping

import numpy as np

from search.data.class_names import labels_of
from search.data.dataset import DataInfo, Dataset
from search.errors import DataError
from search.objectives.budget import Budget
from search.objectives.floors import Floor


def floor_labels(budget: Budget, info: DataInfo) -> Mapping[str, int]:
    """Return the label of each class that the budget names.

    Raises:
        DataError: a name is of no class of the data; the message names similar ones.
    """
    return labels_of("budget.recall", budget.recall, info)


def floor_warnings(budget: Budget, dataset: Dataset) -> list[str]:
    """Check the classes of the budget, and return a warning for each that has too few images.

    Raises:
        DataError: a name is of no class of the data, or of one without validation images.
    """
    labels = floor_labels(budget, dataset.info)
    counts = np.bincount(np.asarray(dataset.validation.labels), minlength=len(dataset.info.classes))
    images = {name: int(counts[label]) for name, label in labels.items()}
    if empty := [name for name, count in images.items() if not count]:
        raise DataError(
            f"budget.recall must name classes with validation images, but {empty[0]!r} has none: "
            "leave it out, or add images of it"
        )
    return [
        warning
        for floor in budget.floors()
        if floor.of_class is not None and (warning := _warning(floor, images[floor.of_class]))
    ]


def _warning(floor: Floor, images: int) -> str | None:
    """Return a warning if the floor allows no wrong image of its class; None if it allows one."""
    if floor.bound == 1 or floor.shortfall((images - 1) / images) <= 0:
        return None
    return (
        f"budget.{floor.name}: {floor.bound:g} allows no wrong image, because the class has only "
        f"{images} validation images"
    )

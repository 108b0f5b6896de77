"""The interface of every source: pools of undecoded images, with labels and class names."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from search.data.dataset import Labels
from search.data.groups import Groups
from search.data.pictures import Pictures
from search.errors import DataError

TRAINING = ("train", "training")
"""The names of the training part, of a folder or in a table."""

HELD_OUT = (("val", "valid", "validation"), ("test",))
"""The names of the validation part, and of the test part."""


@dataclass(frozen=True, kw_only=True)
class Pool:
    """Images, with a label and perhaps a group for each.

    Attributes:
        pictures: the images.
        labels: the labels, [images].
        groups: the number of each image's group, [images]; None if no groups are set. A split keeps
            the images of a group together.
    """

    pictures: Pictures
    labels: Labels
    groups: Groups | None = None

    def take(self, indices: Labels) -> "Pool":
        """Return the images with these indices, in this order."""
        return Pool(
            pictures=self.pictures.take(indices),
            labels=self.labels[indices],
            groups=None if self.groups is None else self.groups[indices],
        )


@dataclass(frozen=True, kw_only=True)
class Source:
    """A data set, with the parts that its publisher has defined.

    Attributes:
        classes: the names of the classes, in the order of their labels.
        training: the training images.
        held_out: empty; or the test part; or the validation and the test part.
        unused: the number of files and folders that are not used, by kind.
        suggested_groups: the number of groups that the names of the images suggest, if no groups
            are set and a part is to be split off; else 0.
        suggested_column: likewise a column of the table that may hold groups; else empty.
        read: what was read, a line for each fact.
        names: the names by which the classes are shown; empty: `classes`.
    """

    classes: tuple[str, ...]
    training: Pool
    held_out: tuple[Pool, ...] = ()
    unused: Mapping[str, int] = field(default_factory=dict)
    suggested_groups: int = 0
    suggested_column: str = ""
    read: tuple[str, ...] = ()
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.classes) < 2:
            raise DataError(
                f"a data set must have two or more classes, but this one has {len(self.classes)}: "
                f"{list(self.classes)}; check data.path"
            )
        for pool in (self.training, *self.held_out):
            _check_labels(pool, len(self.classes))
            if not len(pool.labels):
                raise DataError(
                    "each part of the data must have images, but one has none; add images to it"
                )
        _check_no_class_is_empty(self.training.labels, self.classes)


def numbered_classes(labels: Labels) -> tuple[str, ...]:
    """Return the labels as names, for classes without names.

    Raises:
        DataError: a label is too large to be the number of a class.
    """
    if labels.max(initial=-1) >= len(labels):
        raise DataError(
            f"labels must be class numbers from 0, but one of the {len(labels)} images has the "
            f"label {labels.max()}; number the classes from 0"
        )
    return tuple(str(label) for label in range(int(labels.max(initial=-1)) + 1))


def _check_labels(pool: Pool, classes: int) -> None:
    if len(pool.labels) != len(pool.pictures):
        raise DataError(
            f"every image must have one label, but there are {len(pool.labels)} labels and "
            f"{len(pool.pictures)} images; check that the files belong together"
        )
    outside = pool.labels[(pool.labels < 0) | (pool.labels >= classes)]
    if len(outside):
        raise DataError(
            f"labels must be from 0 to {classes - 1}, one for each class, but {len(outside)} are "
            f"not (the first: {outside[0]}); number the classes from 0"
        )


def _check_no_class_is_empty(labels: Labels, classes: Sequence[str]) -> None:
    empty = np.flatnonzero(np.bincount(labels, minlength=len(classes)) == 0)
    if len(empty):
        names = ", ".join(repr(classes[label]) for label in empty[:5])
        raise DataError(
            f"every class must have training images, but {len(empty)} of {len(classes)} have "
            f"none ({names}); add images, or remove the class"
        )

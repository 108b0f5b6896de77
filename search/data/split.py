"""Random splits of images, stratified by class."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from search.data.dataset import Labels
from search.data.group_split import choose_groups
from search.data.groups import Groups
from search.errors import DataError

Indices = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class SplitOff:
    """A part to split off the remaining images.

    Attributes:
        part: `validation` or `test`.
        share: the share of each class, from 0 to below 1. If it is above 0, at least one image of
            each class is split off.
        parts_after: the number of parts that are split off later.
    """

    part: str
    share: float
    parts_after: int = 0


def split_off(
    labels: Labels,
    wish: SplitOff,
    *,
    seed: int,
    classes: tuple[str, ...],
    groups: Groups | None = None,
) -> tuple[Indices, Indices]:
    """Split off a share of each class at random.

    Args:
        labels: [images].
        wish: the part to split off.
        seed: the seed of the random choice.
        classes: the classes' names, for the message.
        groups: the group of each image, [images]. The images of a group stay together, so that the
            shares are only approximate. None: each image is a group.

    Returns:
        The indices of the remaining images, and of the images that are split off, ascending.

    Raises:
        DataError: a class has too few images or groups.
    """
    if not wish.share:
        return np.arange(len(labels)), np.arange(0)
    count = np.bincount(labels, minlength=len(classes))
    wanted = np.maximum(np.rint(count * wish.share), 1).astype(np.int64)
    _check_enough(count, wanted, wish.part, classes)
    if groups is None:
        is_split_off = _chosen(labels, wanted, seed)
    else:
        is_split_off = choose_groups(
            labels, groups, wanted, remaining=1 + wish.parts_after, seed=seed, classes=classes
        )
    return np.flatnonzero(~is_split_off), np.flatnonzero(is_split_off)


def _check_enough(count: Indices, wanted: Indices, part: str, classes: tuple[str, ...]) -> None:
    small = np.flatnonzero(count <= wanted)
    if small.size:
        label = small[0]
        raise DataError(
            f"every class must have images for each part of the data, but {classes[label]!r} has "
            f"only {count[label]} from which to split off {wanted[label]} for {part} "
            f"(data.{part}_share); add images to it, or lower data.validation_share and "
            "data.test_share"
        )


def limit(labels: Labels, most: int, *, seed: int, classes: tuple[str, ...]) -> Indices:
    """Return ascending indices of at most `most` images, with each class's share unchanged.

    Raises:
        DataError: `most` is below the number of classes.
    """
    if len(labels) <= most:
        return np.arange(len(labels))
    if most < len(classes):
        raise DataError(
            f"data.train_images must be at least the number of classes, {len(classes)}, "
            f"but got {most}; raise it"
        )
    count = np.bincount(labels, minlength=len(classes))
    return np.flatnonzero(_chosen(labels, _apportioned(count, most), seed))


def _apportioned(count: Indices, total: int) -> Indices:
    """Apportion `total` images to the classes by their share, with at least one each."""
    exact = count * (total / count.sum())
    places: Indices = np.maximum(exact.astype(np.int64), 1)
    # Largest remainder method: add to the class with the largest remainder; if there are too many,
    # take from the class that exceeds its share most.
    while places.sum() < total:
        places[np.argmax(exact - places)] += 1
    while places.sum() > total:
        places[np.argmax(np.where(places > 1, places - exact, -np.inf))] -= 1
    return places


def _chosen(labels: Labels, wanted: Indices, seed: int) -> NDArray[np.bool_]:
    """Return a mask, [images], of `wanted` random images of each class."""
    generator = np.random.default_rng(seed)
    chosen = np.zeros(len(labels), dtype=bool)
    for label, number in enumerate(wanted):
        members = np.flatnonzero(labels == label)
        chosen[generator.permutation(members)[:number]] = True
    return chosen

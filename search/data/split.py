"""Random splits of images, stratified by class."""

import numpy as np
from numpy.typing import NDArray

from search.data.dataset import Labels
from search.errors import DataError

Indices = NDArray[np.int64]


def split_off(
    labels: Labels, share: float, *, seed: int, classes: tuple[str, ...]
) -> tuple[Indices, Indices]:
    """Split off a share of each class at random.

    Args:
        labels: [images].
        share: the share of each class to split off, from 0 to below 1. If it is above 0, at least
            one image of each class is split off.
        seed: the seed of the random choice.
        classes: the classes' names, for the message.

    Returns:
        The indices of the remaining images, and of the images that are split off, ascending.

    Raises:
        DataError: a class has too few images.
    """
    count = np.bincount(labels, minlength=len(classes))
    wanted = np.maximum(np.rint(count * share), 1 if share else 0).astype(np.int64)
    if small := [name for name, n, w in zip(classes, count, wanted, strict=True) if w and n <= w]:
        raise DataError(
            "every class must have enough images for each part of the data, but "
            f"{small[0]!r} has too few to split off a share of {share}; add images to it, "
            "or lower data.validation_share and data.test_share"
        )
    is_split_off = _chosen(labels, wanted, seed)
    return np.flatnonzero(~is_split_off), np.flatnonzero(is_split_off)


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

"""Dividing images at random within each class, so that every part represents the whole."""

import numpy as np
from numpy.typing import NDArray

from search.data.dataset import Labels
from search.errors import DataError

Indices = NDArray[np.int64]


def split_off(
    labels: Labels, share: float, *, seed: int, classes: tuple[str, ...]
) -> tuple[Indices, Indices]:
    """Return two disjoint sets of indices, each ascending: the rest, and what is split off.

    Args:
        labels: [images].
        share: of each class to split off, 0 to below 1; if above 0, at least one image.
        seed: of the choice.
        classes: names, for the message.

    Raises:
        DataError: a class is too small to be divided.
    """
    count = np.bincount(labels, minlength=len(classes))
    wanted = np.maximum(np.rint(count * share), 1 if share else 0).astype(np.int64)
    if small := [name for name, n, w in zip(classes, count, wanted, strict=True) if w and n <= w]:
        raise DataError(
            "every class must have images enough for each part of the data, but "
            f"{small[0]!r} has too few to split off a share of {share}; add images to it, "
            "or lower data.validation_share and data.test_share"
        )
    off = _chosen(labels, wanted, seed)
    return np.flatnonzero(~off), np.flatnonzero(off)


def limit(labels: Labels, most: int, *, seed: int, classes: tuple[str, ...]) -> Indices:
    """Return ascending indices of at most so many images, each class keeping its share of them.

    Raises:
        DataError: not even one image a class would be left.
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
    """Return the number of places for each class, near its share, at least one, `total` in all."""
    exact = count * (total / count.sum())
    places: Indices = np.maximum(exact.astype(np.int64), 1)
    # The largest remainder goes first; if too many, places go from the best represented classes.
    while places.sum() < total:
        places[np.argmax(exact - places)] += 1
    while places.sum() > total:
        places[np.argmax(np.where(places > 1, places - exact, -np.inf))] -= 1
    return places


def _chosen(labels: Labels, wanted: Indices, seed: int) -> NDArray[np.bool_]:
    """Return a mask that is true for so many images of each class."""
    generator = np.random.default_rng(seed)
    chosen = np.zeros(len(labels), dtype=bool)
    for label, number in enumerate(wanted):
        members = np.flatnonzero(labels == label)
        chosen[generator.permutation(members)[:number]] = True
    return chosen

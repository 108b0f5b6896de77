"""The choice of where the images of each part are to be: pixels, shards, or original files."""

from collections.abc import Mapping
from math import ceil

import numpy as np

from search.config.data_settings import DataSettings
from search.data.pictures import Pictures
from search.data.shards import MARGIN, is_large
from search.data.sources.source import Pool
from search.data.stored_part import Placement
from search.errors import DataError

_EXACT = ("validation", "test")
_SAMPLE = 64


def placements(
    pools: Mapping[str, Pool], settings: DataSettings, *, travels: bool
) -> Mapping[str, Placement]:
    """Return where the images of each part are to be.

    Validation and test images are never reduced, since a student is measured on exactly the pixels
    that its export reads from a file.

    Args:
        pools: the images of each part.
        settings: the `data` section of a study file.
        travels: whether the prepared data set is used on machines that may lack the original files.
    """
    if _pixel_bytes(pools, settings) <= settings.in_memory:
        return dict.fromkeys(pools, Placement.PIXELS)
    exact = {part: pool for part, pool in pools.items() if part in _EXACT}
    keeps_exact = _pixel_bytes(exact, settings) <= settings.in_memory
    return {
        part: Placement.PIXELS
        if part in exact and keeps_exact
        else _streamed(pool.pictures, settings, travels=travels, exact=part in exact)
        for part, pool in pools.items()
    }


def shard_side(settings: DataSettings) -> int:
    """Return the shorter side of a reduced photo, in pixels."""
    return settings.shard_side or ceil(MARGIN * settings.image_size)


def _streamed(
    pictures: Pictures, settings: DataSettings, *, travels: bool, exact: bool
) -> Placement:
    if pictures.complete:
        return Placement.ARRAY
    if settings.shards == "never":
        return Placement.ORIGINALS
    if not exact and (settings.shards == "always" or _are_large(pictures, shard_side(settings))):
        return Placement.REDUCED
    return Placement.COPIES if travels or settings.shards == "always" else Placement.ORIGINALS


def _are_large(pictures: Pictures, side: int) -> bool:
    """Return whether half of the images, or more, are so large that they would be reduced."""
    sizes = []
    for index in np.linspace(0, len(pictures) - 1, min(_SAMPLE, len(pictures)), dtype=int):
        try:
            sizes.append(pictures.size(int(index)))
        except DataError:
            continue  # the scan reports it
    return 2 * sum(is_large(size, side) for size in sizes) >= max(1, len(sizes))


def _pixel_bytes(pools: Mapping[str, Pool], settings: DataSettings) -> int:
    """Return the bytes of all pixels after resizing."""
    values = sum(len(pool.labels) * pool.pictures.channels for pool in pools.values())
    return values * settings.image_size**2

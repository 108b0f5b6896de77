"""The costs of a student that are counted without running it."""

from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from search.objectives.limit import CountedStudent
from search.objectives.limits import MACS, PARAMETERS, SIZE, limits
from search.records import Cost

if TYPE_CHECKING:
    from torch import nn


def count_cost(
    network: "nn.Module",
    path: Path,
    image_shape: tuple[int, int, int],
    *,
    known: Cost = MappingProxyType({}),
) -> Cost:
    """Return the countable part of the cost of the student in the file `path`; nothing is timed.

    Args:
        network: the student in floats.
        path: the file that is served.
        image_shape: channels, height, width.
        known: costs that were counted before and are not counted again.
    """
    student = CountedStudent(path=path, network=network, image_shape=image_shape)
    return {
        limit.cost: known[limit.cost] if limit.cost in known else limit.count(student)
        for limit in limits().values()
        if limit.count is not None
    }


def count_operations(network: "nn.Module", image_shape: tuple[int, int, int]) -> Cost:
    """Return what is counted on the network alone, for images [channels, height, width].

    Parameters, and multiply-accumulates of convolutions and matrix products for one image, as
    defined by `spaces.counting`.
    """
    student = CountedStudent(path=Path(), network=network, image_shape=image_shape)
    return {limit.cost: limit.count(student) for limit in (PARAMETERS, MACS) if limit.count}


def grown(cost: Cost, more: int) -> Cost:
    """Return `cost` for a file that is so many bytes larger."""
    return {**cost, SIZE.cost: cost[SIZE.cost] + more}

"""Counts the costs of a student that need no measurement on the target."""

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
    """Count the costs of a student; nothing is timed.

    Args:
        network: the float32 network of the student.
        path: the served file.
        image_shape: channels, height, width.
        known: costs that are already counted, and are not counted again.
    """
    student = CountedStudent(path=path, network=network, image_shape=image_shape)
    return {
        limit.cost: known[limit.cost] if limit.cost in known else limit.count(student)
        for limit in limits().values()
        if limit.count is not None
    }


def count_operations(network: "nn.Module", image_shape: tuple[int, int, int]) -> Cost:
    """Count the costs of a network without a file, for images [channels, height, width].

    These are the parameters, and the multiply-accumulates of convolutions and matrix products for
    one image, as defined by `spaces.counting`.
    """
    student = CountedStudent(path=Path(), network=network, image_shape=image_shape)
    return {limit.cost: limit.count(student) for limit in (PARAMETERS, MACS) if limit.count}


def grown(cost: Cost, more: int) -> Cost:
    """Return `cost` with its file size increased by `more` bytes."""
    return {**cost, SIZE.cost: cost[SIZE.cost] + more}

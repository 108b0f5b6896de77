"""A network's features: the maps that its stages end in, and which of two networks' correspond."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

# Of a network whose maps are all of one size, such as a ViT, so many are looked at.
_QUARTERS = 4


@dataclass(frozen=True, kw_only=True)
class Feature:
    """A map that a network computes on its way.

    Attributes:
        place: among the network's maps, from 0.
        channels: of the map.
        side: its height, in pixels.
        scale: its height as a multiple of the last map's, which does not depend on the image's
            size: a teacher may be shown larger images than its student.
        depth: the share of the maps that have come by then, above 0 to 1.
    """

    place: int
    channels: int
    side: int
    scale: float
    depth: float


Pairing = Sequence[tuple[Feature, Feature]]


@torch.no_grad()
def features_of(network: nn.Module, example: Tensor) -> tuple[Feature, ...]:
    """The maps of a timm network, pruned or not, at the ends of its stages.

    They are the last of each size; of a network whose maps are all of one size, the ends of its
    quarters.

    Args:
        network: left as it is.
        example: images, [batch, channels, height, width], where the network computes.

    Raises:
        ValueError: the network does not give its maps away.
    """
    was_training = network.training
    try:
        maps = intermediates(network.eval(), example, None)[1]
    finally:
        network.train(was_training)
    if not maps or any(taken.ndim != 4 for taken in maps):
        raise ValueError(f"maps of a {_name(network)} must be of height and width, but are not")
    features = [
        Feature(
            place=place,
            channels=taken.shape[1],
            side=taken.shape[2],
            scale=taken.shape[2] / maps[-1].shape[2],
            depth=(place + 1) / len(maps),
        )
        for place, taken in enumerate(maps)
    ]
    ends = {feature.side: feature for feature in features}
    if len(ends) > 1:
        return tuple(ends.values())
    quarters = min(_QUARTERS, len(features))
    return tuple(features[round((n + 1) * len(features) / quarters) - 1] for n in range(quarters))


def with_maps(
    network: nn.Module, images: Tensor, features: Sequence[Feature]
) -> tuple[Tensor, list[Tensor]]:
    """The network's logits [batch, classes] and the maps of these features, in their order.

    A map is [batch, channels, height, width], whatever the network's own layout; a ViT's tokens
    stand in their grid, without the class token.
    """
    places = sorted({feature.place for feature in features})
    last, maps = intermediates(network, images, places)
    logits: Tensor = network.forward_head(last)  # type: ignore[operator]  # timm's networks have it
    return logits, [maps[places.index(feature.place)] for feature in features]


@torch.no_grad()
def maps_alone(network: nn.Module, images: Tensor, features: Sequence[Feature]) -> list[Tensor]:
    """The maps of these features, in their order, without gradients."""
    places = sorted({feature.place for feature in features})
    maps = intermediates(network, images, places)[1]
    return [maps[places.index(feature.place)] for feature in features]


def corresponding(student: Sequence[Feature], teacher: Sequence[Feature]) -> Pairing:
    """Each of the student's features with the teacher's of the nearest scale, then depth.

    By depth alone where the maps of one of them are all of one size.
    """
    shrinking = all(
        len({feature.side for feature in features}) > 1 for features in (student, teacher)
    )

    def distance(one: Feature, other: Feature) -> tuple[float, float]:
        octaves = abs(math.log2(one.scale / other.scale)) if shrinking else 0.0
        return octaves, abs(one.depth - other.depth)

    return [(own, min(teacher, key=lambda other: distance(own, other))) for own in student]


def intermediates(
    network: nn.Module, images: Tensor, places: Sequence[int] | None
) -> tuple[Tensor, list[Tensor]]:
    """What the network's head takes, and the maps at these places, in rising order, or all.

    Raises:
        ValueError: the network does not give its maps away.
    """
    if not hasattr(network, "forward_intermediates"):
        raise ValueError(
            f"a {_name(network)} does not give its features: it lacks timm's forward_intermediates"
        )
    found: tuple[Tensor, list[Tensor]] = network.forward_intermediates(  # type: ignore[operator]
        images, indices=places
    )
    return found


def _name(network: nn.Module) -> str:
    return type(network).__name__

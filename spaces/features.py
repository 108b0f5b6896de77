"""Feature maps at the ends of a network's stages, and their correspondence between networks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

# Number of feature maps to use if all maps have the same size, as in a ViT.
_MAPS_OF_ONE_SIZE = 4


@dataclass(frozen=True, kw_only=True)
class Feature:
    """A feature map that a network computes between its input and its logits.

    Attributes:
        place: index of the map among all maps of the network, from 0.
        channels: number of channels.
        side: height, in pixels.
        scale: height of the map, divided by the height of the last map. The scale does not depend
            on the image size, so a teacher can use larger images than its student.
        depth: share of all maps that the network has computed after this map, above 0, at most 1.
    """

    place: int
    channels: int
    side: int
    scale: float
    depth: float


Pairing = Sequence[tuple[Feature, Feature]]


@torch.no_grad()
def features_of(network: nn.Module, example: Tensor) -> tuple[Feature, ...]:
    """Return the feature maps at the ends of a timm network's stages.

    The function selects the last map of each size. If all maps have the same size, it selects the
    maps at the end of each quarter of the network.

    Args:
        network: pruned or not; not changed.
        example: images, [batch, channels, height, width], on the network's device.

    Raises:
        ValueError: the network can't return its feature maps.
    """
    was_training = network.training
    try:
        maps = intermediates(network.eval(), example, None)[1]
    finally:
        network.train(was_training)
    if not maps or any(feature_map.ndim != 4 for feature_map in maps):
        raise ValueError(
            f"the features of a network must be maps with a height and a width, but those of "
            f"{_name(network)} are not: choose another network"
        )
    features = [
        Feature(
            place=place,
            channels=feature_map.shape[1],
            side=feature_map.shape[2],
            scale=feature_map.shape[2] / maps[-1].shape[2],
            depth=(place + 1) / len(maps),
        )
        for place, feature_map in enumerate(maps)
    ]
    ends = {feature.side: feature for feature in features}
    if len(ends) > 1:
        return tuple(ends.values())
    quarters = min(_MAPS_OF_ONE_SIZE, len(features))
    return tuple(features[round((n + 1) * len(features) / quarters) - 1] for n in range(quarters))


def with_maps(
    network: nn.Module, images: Tensor, features: Sequence[Feature]
) -> tuple[Tensor, list[Tensor]]:
    """Return the network's logits, [batch, classes], and the maps of `features`, in their order.

    Each map is [batch, channels, height, width], also if the network uses another layout. The
    tokens of a ViT are arranged on their grid; the class token is left out.
    """
    places = sorted({feature.place for feature in features})
    last, maps = intermediates(network, images, places)
    logits: Tensor = network.forward_head(last)  # type: ignore[operator]  # timm's networks have it
    return logits, [maps[places.index(feature.place)] for feature in features]


@torch.no_grad()
def maps_alone(network: nn.Module, images: Tensor, features: Sequence[Feature]) -> list[Tensor]:
    """Return the maps of `features`, in their order, without gradients."""
    places = sorted({feature.place for feature in features})
    maps = intermediates(network, images, places)[1]
    return [maps[places.index(feature.place)] for feature in features]


def corresponding(student: Sequence[Feature], teacher: Sequence[Feature]) -> Pairing:
    """Pair each feature of the student with a feature of the teacher.

    The function selects the teacher's feature with the nearest scale; among equal scales, the one
    with the nearest depth. If all maps of one network have the same size, it compares only depths.
    """
    has_scales = all(
        len({feature.side for feature in features}) > 1 for features in (student, teacher)
    )

    def distance(one: Feature, other: Feature) -> tuple[float, float]:
        octaves = abs(math.log2(one.scale / other.scale)) if has_scales else 0.0
        return octaves, abs(one.depth - other.depth)

    return [(own, min(teacher, key=lambda other: distance(own, other))) for own in student]


def intermediates(
    network: nn.Module, images: Tensor, places: Sequence[int] | None
) -> tuple[Tensor, list[Tensor]]:
    """Return the input of the network's head, and the feature maps at `places`.

    Args:
        network: a timm network.
        images: [batch, channels, height, width].
        places: indices of the maps, in rising order; None selects all maps.

    Raises:
        ValueError: the network can't return its feature maps.
    """
    if not hasattr(network, "forward_intermediates"):
        raise ValueError(
            "a network must have timm's method forward_intermediates to return its features, but "
            f"{_name(network)} has none: choose another network"
        )
    found: tuple[Tensor, list[Tensor]] = network.forward_intermediates(  # type: ignore[operator]
        images, indices=places
    )
    return found


def _name(network: nn.Module) -> str:
    return type(network).__name__

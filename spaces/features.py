"""Feature maps at the ends of a network's stages, and their correspondence between networks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

# Number of maps that are used if all maps have one size, as in a ViT.
_QUARTERS = 4


@dataclass(frozen=True, kw_only=True)
class Feature:
    """A map that a network computes between input and logits.

    Attributes:
        place: index among the network's maps, from 0.
        channels: number of channels.
        side: its height, in pixels.
        scale: its height as a multiple of the last map's. It does not depend on the image's size:
            a teacher may be shown larger images than its student.
        depth: the share of the maps computed up to this one, above 0 to 1.
    """

    place: int
    channels: int
    side: int
    scale: float
    depth: float


Pairing = Sequence[tuple[Feature, Feature]]


@torch.no_grad()
def features_of(network: nn.Module, example: Tensor) -> tuple[Feature, ...]:
    """Return the maps at the ends of a timm network's stages; it may be pruned.

    They are the last map of each size; if all maps have one size, the maps at the ends of the
    network's quarters.

    Args:
        network: not changed.
        example: images, [batch, channels, height, width], on the network's device.

    Raises:
        ValueError: the network does not return its maps.
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
    """Return the network's logits, [batch, classes], and these features' maps, in their order.

    A map is [batch, channels, height, width], whatever the network's own layout; a ViT's tokens are
    placed on their grid, without the class token.
    """
    places = sorted({feature.place for feature in features})
    last, maps = intermediates(network, images, places)
    logits: Tensor = network.forward_head(last)  # type: ignore[operator]  # timm's networks have it
    return logits, [maps[places.index(feature.place)] for feature in features]


@torch.no_grad()
def maps_alone(network: nn.Module, images: Tensor, features: Sequence[Feature]) -> list[Tensor]:
    """Return the maps of these features, in their order, without gradients."""
    places = sorted({feature.place for feature in features})
    maps = intermediates(network, images, places)[1]
    return [maps[places.index(feature.place)] for feature in features]


def corresponding(student: Sequence[Feature], teacher: Sequence[Feature]) -> Pairing:
    """Pair each of the student's features with the teacher's of the nearest scale, then depth.

    If all maps of one of them have the same size, only the depth counts.
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
    """Return the input of the network's head, and the maps at `places` in rising order.

    None as `places` means all maps.

    Raises:
        ValueError: the network does not return its maps.
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

"""Folding of an input's normalisation into the first layers of a network.

Pretrained weights expect images that are normalised by their own mean and standard deviation, but
all students of a study receive images that are normalised by the data's. Both are affine, so one
affine map of each channel converts them, and the first convolution can contain it. Only where the
convolution pads the image with zeros do the results differ: the pixels beyond the edge have another
colour.
"""

from collections.abc import Sequence
from itertools import pairwise
from statistics import fmean
from typing import Any

import torch
from timm.layers import Conv2dSame
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

# Bump it when a network with a folded normalisation has other weights.
VERSION = 1

Statistics = tuple[Sequence[float], Sequence[float]]
"""The mean and the standard deviation of each channel."""

# Other classes, such as convolutions that standardise their weights, compute something else.
_PLAIN = (nn.Conv2d, Conv2dSame)


def conversion(given: Statistics, wanted: Statistics) -> tuple[list[float], list[float]]:
    """Return the factor and the added number of each channel that convert normalised images.

    Args:
        given: the statistics by which the images are normalised.
        wanted: those by which a network expects them. For one channel, timm sums the weights of the
            colours: the channel then acts as three equal ones, with their mean statistics.
    """
    (mean, std), (other_mean, other_std) = given, wanted
    if len(mean) == 1:
        other_mean, other_std = [fmean(other_mean)], [fmean(other_std)]
    scale = [own / other for own, other in zip(std, other_std, strict=True)]
    offset = [
        (own - other) / spread
        for own, other, spread in zip(mean, other_mean, other_std, strict=True)
    ]
    return scale, offset


@torch.no_grad()
def fold_normalization(
    network: nn.Module, scale: Sequence[float], offset: Sequence[float], example: Tensor
) -> bool:
    """Let the network take x where it took scale · x + offset; return whether that was possible.

    A network whose first layer is no plain convolution, or has no bias and no batch normalisation
    after it, does not change.

    Args:
        network: changed in place.
        scale: the factor of each channel.
        offset: the number that is added to each channel.
        example: one input, [1, channels, height, width].
    """
    order = _layers(network, example)
    stems = [
        (layer, following if isinstance(following, _BatchNorm) else None)
        for (layer, takes_image), (following, _) in pairwise([*order, (None, False)])
        if takes_image
    ]
    if not stems or not all(_absorbs(layer, norm) for layer, norm in stems):
        return False
    factor, added = torch.tensor(scale), torch.tensor(offset)
    for layer, norm in stems:
        assert isinstance(layer, nn.Conv2d)
        constant = (layer.weight.sum(dim=(2, 3)) * added).sum(dim=1)  # [outputs]
        layer.weight.mul_(factor[:, None, None])
        if layer.bias is not None:
            layer.bias.add_(constant)
        elif norm is not None and norm.running_mean is not None:
            norm.running_mean.sub_(constant)
    return True


def _absorbs(layer: nn.Module | None, norm: _BatchNorm | None) -> bool:
    """Return whether a first layer can contain an affine map of the image."""
    if type(layer) not in _PLAIN or not isinstance(layer, nn.Conv2d) or layer.groups > 1:
        return False
    return layer.bias is not None or (norm is not None and norm.running_mean is not None)


def _layers(network: nn.Module, example: Tensor) -> list[tuple[nn.Module | None, bool]]:
    """Return the layers without parts that the image passes, and whether each takes the image."""
    found: list[tuple[nn.Module | None, bool]] = []

    def record(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        takes_image = any(given is example for given in inputs)
        if takes_image or isinstance(module, nn.Conv2d | _BatchNorm):
            found.append((module, takes_image))

    hooks = [
        module.register_forward_pre_hook(record)
        for module in network.modules()
        if isinstance(module, _BatchNorm) or not [*module.children()]
    ]
    training = network.training
    try:
        network.eval()(example)
    finally:
        network.train(training)
        for hook in hooks:
            hook.remove()
    return found

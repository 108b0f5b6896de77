"""Adaptation of a network's stem to small images, so that it keeps their resolution."""

from dataclasses import dataclass
from itertools import takewhile
from typing import Any

import torch
from timm.layers import BlurPool2d
from torch import Tensor, nn
from torch.nn.modules.pooling import _AvgPoolNd, _MaxPoolNd

_POOLS = (_MaxPoolNd, _AvgPoolNd, BlurPool2d)


@dataclass(frozen=True)
class _Reduction:
    """A convolution or a pooling that reduced the number of rows of pixels."""

    name: str
    module: nn.Module
    taken: int

    @property
    def pools(self) -> bool:
        return isinstance(self.module, _POOLS)

    @property
    def branch(self) -> str:
        """The first part of the name."""
        return self.name.partition(".")[0]


def keep_resolution(network: nn.Module, example: Tensor) -> None:
    """Set the first convolution's stride to one pixel, and remove the stem's pooling.

    Networks for ImageNet halve images of 224 pixels at once, and often twice. With images of 32
    pixels that leaves too little for the later layers. Weights and their shapes stay unchanged, so
    pretrained ones still fit. The variant of ResNet for CIFAR is this one: He et al. 2016, section
    4.2, arXiv:1512.03385.

    Args:
        network: changed in place.
        example: one input, [1, channels, height, width].

    Raises:
        ValueError: the network does not begin so, or can't work without these reductions.
    """
    for layer in _stem(network, example):
        if layer.pools:
            network.set_submodule(layer.name, nn.Identity())
        else:
            _step_by_one(layer)
    _check(network, example)


def _stem(network: nn.Module, example: Tensor) -> list[_Reduction]:
    """Return the layers that reduce the image itself, and the stem's pooling if there is one.

    Several layers reduce the image if branches run side by side. Layers of later stages reduce
    tensors that are smaller already; they are left unchanged.
    """
    reductions = _reductions(network, example)
    firsts = [layer for layer in reductions if layer.taken == example.shape[2]]
    if not firsts:
        raise ValueError("its first layers are no convolution or pooling that reduces the image")
    others = [layer for layer in reductions if layer not in firsts]
    pooled = takewhile(lambda layer: layer.pools and _in_stem(layer, firsts[0], network), others)
    return [*firsts, *list(pooled)[:1]]


def _in_stem(layer: _Reduction, first: _Reduction, network: nn.Module) -> bool:
    if layer.branch == first.branch:
        return True
    inside = [m for m in network.get_submodule(layer.branch).modules() if not [*m.children()]]
    return all(isinstance(module, _POOLS) for module in inside)


@torch.no_grad()
def _reductions(network: nn.Module, example: Tensor) -> list[_Reduction]:
    """Return all reductions, in the order in which they run."""
    found: list[_Reduction] = []
    hooks = []
    for name, module in network.named_modules():
        if isinstance(module, (nn.Conv2d, *_POOLS)):

            def note(module: nn.Module, taken: Any, given: Any, name: str = name) -> None:
                if given.shape[2] < taken[0].shape[2]:
                    found.append(_Reduction(name, module, taken[0].shape[2]))

            hooks.append(module.register_forward_hook(note))
    training = network.training
    try:
        network.eval()(example)
    finally:
        network.train(training)
        for hook in hooks:
            hook.remove()
    return found


def _step_by_one(layer: _Reduction) -> None:
    convolution = layer.module
    assert isinstance(convolution, nn.Conv2d)
    stride, kernel = convolution.stride[0], convolution.kernel_size
    if stride == 1:
        raise ValueError(f"{layer.name} reduces the image by lacking padding, not by its stride")
    if 1 < kernel[0] <= stride:
        raise ValueError(f"{layer.name} cuts the image into patches of {stride} pixels")
    convolution.stride = (1, 1)
    if not _keeps(convolution, layer.taken):
        # Some of timm's convolutions pad by themselves; the others need half their kernel.
        convolution.padding = (kernel[0] // 2, kernel[1] // 2)
    if not _keeps(convolution, layer.taken):
        raise ValueError(f"{layer.name} has a kernel of {kernel} pixels, which has no centre")


@torch.no_grad()
def _keeps(convolution: nn.Conv2d, side: int) -> bool:
    """Return whether the convolution returns as many rows of pixels as it takes."""
    image = torch.zeros(1, convolution.in_channels, side, side)
    return bool(convolution(image).shape[2] == side)


@torch.no_grad()
def _check(network: nn.Module, example: Tensor) -> None:
    training = network.training
    try:
        network.eval()(example)
    except (RuntimeError, AssertionError, ValueError) as error:
        raise ValueError(f"what follows is tied to a smaller picture: {error}") from error
    finally:
        network.train(training)

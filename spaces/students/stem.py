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
    """A convolution or a pooling whose output has fewer rows of pixels than its input.

    Attributes:
        name: the dotted name of the module.
        module: the convolution or the pooling.
        rows: number of rows of its input.
    """

    name: str
    module: nn.Module
    rows: int

    @property
    def is_pooling(self) -> bool:
        return isinstance(self.module, _POOLS)

    @property
    def branch(self) -> str:
        """The first part of the name."""
        return self.name.partition(".")[0]


def keep_resolution(network: nn.Module, example: Tensor, *, pools: bool = False) -> None:
    """Set the first convolution's stride to one pixel, and remove the stem's pooling.

    Stems for ImageNet halve the resolution of images of 224 pixels once or twice. With images of
    32 pixels, the resolution is then too small for the later layers. The weights keep their shapes,
    so pretrained weights still fit. ResNets for CIFAR have such a stem: He et al. 2016, section
    4.2, arXiv:1512.03385.

    Args:
        network: changed in place.
        example: one input, [1, channels, height, width].
        pools: whether the stem keeps its pooling, which halves the resolution.

    Raises:
        ValueError: the network does not begin with such layers, or can't run without them.
    """
    stem = _stem(network, example)
    if pools and not (stem[-1].is_pooling and len(stem) > 1):
        raise ValueError("its stem must have a pooling after the convolution, but has none")
    for layer in stem:
        if not layer.is_pooling:
            _set_stride_to_one(layer)
        elif not pools:
            network.set_submodule(layer.name, nn.Identity())
    _check_forward(network, example)


def _stem(network: nn.Module, example: Tensor) -> list[_Reduction]:
    """Return the layers that reduce the input image, and the pooling of the stem if it has one.

    In a network with parallel branches, several layers reduce the input image. Layers of later
    stages reduce smaller tensors, so the result does not include them.
    """
    reductions = _reductions(network, example)
    first_layers = [layer for layer in reductions if layer.rows == example.shape[2]]
    if not first_layers:
        raise ValueError(
            "its first layers must include a convolution or a pooling that reduces the image, but "
            "include none"
        )
    others = [layer for layer in reductions if layer not in first_layers]
    pooled = takewhile(
        lambda layer: layer.is_pooling and _in_stem(layer, first_layers[0], network), others
    )
    return [*first_layers, *list(pooled)[:1]]


def _in_stem(layer: _Reduction, first: _Reduction, network: nn.Module) -> bool:
    if layer.branch == first.branch:
        return True
    inside = [m for m in network.get_submodule(layer.branch).modules() if not [*m.children()]]
    return all(isinstance(module, _POOLS) for module in inside)


@torch.no_grad()
def _reductions(network: nn.Module, example: Tensor) -> list[_Reduction]:
    """Return all reductions, in the order of the forward pass."""
    found: list[_Reduction] = []
    hooks = []
    for name, module in network.named_modules():
        if isinstance(module, (nn.Conv2d, *_POOLS)):

            def record(module: nn.Module, inputs: Any, output: Any, name: str = name) -> None:
                if output.shape[2] < inputs[0].shape[2]:
                    found.append(_Reduction(name, module, inputs[0].shape[2]))

            hooks.append(module.register_forward_hook(record))
    training = network.training
    try:
        network.eval()(example)
    finally:
        network.train(training)
        for hook in hooks:
            hook.remove()
    return found


def _set_stride_to_one(layer: _Reduction) -> None:
    convolution = layer.module
    assert isinstance(convolution, nn.Conv2d)
    stride, kernel = convolution.stride[0], convolution.kernel_size
    if stride == 1:
        raise ValueError(
            f"{layer.name} must have a stride above 1, but reduces the image by missing padding"
        )
    if 1 < kernel[0] <= stride:
        raise ValueError(
            f"{layer.name} must have overlapping windows, but splits the image into patches of "
            f"{stride} pixels"
        )
    convolution.stride = (1, 1)
    if not _keeps_rows(convolution, layer.rows):
        # Some convolutions of timm pad dynamically; the others need a padding of half the kernel.
        convolution.padding = (kernel[0] // 2, kernel[1] // 2)
    if not _keeps_rows(convolution, layer.rows):
        raise ValueError(
            f"{layer.name} must have a kernel with an odd size, but its kernel is {kernel}"
        )


@torch.no_grad()
def _keeps_rows(convolution: nn.Conv2d, side: int) -> bool:
    """Return whether the convolution's output has as many rows of pixels as its input."""
    image = torch.zeros(1, convolution.in_channels, side, side)
    return bool(convolution(image).shape[2] == side)


@torch.no_grad()
def _check_forward(network: nn.Module, example: Tensor) -> None:
    training = network.training
    try:
        network.eval()(example)
    except (RuntimeError, AssertionError, ValueError) as error:
        raise ValueError(
            f"its later layers must accept the larger feature maps, but fail: {error}"
        ) from error
    finally:
        network.train(training)

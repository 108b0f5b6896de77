"""Stochastic depth (drop path) in a built network. Huang et al. 2016, arXiv:1603.09382.

timm's networks can be built with drop path. But a rate in `create_model` would reach neither a
student of one's own nor a pruned network, which is rebuilt from its cuts. So drop path is put into
the network for the time of its training, and taken out afterwards: what is stored, exported and
measured does not depend on it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from timm.layers import DropPath
from torch import Tensor, nn

# Bump it when other branches are dropped, or at another rate.
VERSION = 1


@dataclass(frozen=True)
class _Call:
    """The arguments of a module's first call."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]


@contextmanager
def drop_path(network: nn.Module, images: Tensor, *, rate: float) -> Iterator[None]:
    """Drop residual branches at random in training mode; on leaving, restore the network.

    A branch is dropped for an image with a probability that grows linearly with the depth of its
    block, up to `rate` in the last block. A network without such branches is trained as it is.

    A block drops its branch if it has a module without weights, or None, under a name that contains
    `drop_path`, as in timm, or is `stochastic_depth`, as in torchvision; and if its output still
    depends on the image when the branch is zero.

    Args:
        network: the network; its mode and its state do not change.
        images: two different images, [2, channels, height, width], on the network's device.
        rate: the probability of the last block, from 0 to below 1; 0 changes nothing.
    """
    replaced: list[tuple[nn.Module, str, nn.Module | None]] = []
    try:
        blocks = _residual_blocks(network, images) if rate else []
        for number, (block, names) in enumerate(blocks, start=1):
            for name in names:
                replaced.append((block, name, getattr(block, name)))
                setattr(block, name, DropPath(rate * number / len(blocks)))
        yield
    finally:
        for block, name, module in replaced:
            _put(block, name, module)


def _residual_blocks(network: nn.Module, images: Tensor) -> list[tuple[nn.Module, list[str]]]:
    """Return the blocks with a residual branch, first to last, and the places that can drop it."""
    sites = {block: names for block in network.modules() if (names := _sites(block))}
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        with torch.no_grad():
            calls = _first_calls(network, images, [*sites])
            found = [
                (block, [name for name in sites[block] if _is_residual(block, name, call)])
                for block, call in calls.items()
            ]
    finally:
        for module, mode in modes.items():
            module.training = mode
    return [(block, names) for block, names in found if names]


def _sites(block: nn.Module) -> list[str]:
    """Return the names of the places in a block where timm or torchvision drop a path."""
    own = {**vars(block), **block._modules}  # None may be in either
    return [
        name
        for name, module in own.items()
        if ("drop_path" in name or name == "stochastic_depth")
        and (module is None or (isinstance(module, nn.Module) and not [*module.parameters()]))
    ]


def _first_calls(
    network: nn.Module, images: Tensor, blocks: list[nn.Module]
) -> dict[nn.Module, _Call]:
    """Run the network; return the first call of each of the blocks, in the order of calls."""
    calls: dict[nn.Module, _Call] = {}

    def note(block: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        calls.setdefault(block, _Call(args, kwargs))

    handles = [block.register_forward_pre_hook(note, with_kwargs=True) for block in blocks]
    try:
        network(images)
    finally:
        for handle in handles:
            handle.remove()
    return calls


class _Zero(nn.Module):
    """Zeros in place of its input; `is_called` says whether it was used."""

    is_called = False

    def forward(self, branch: Tensor) -> Tensor:
        self.is_called = True
        return torch.zeros_like(branch)


def _is_residual(block: nn.Module, name: str, call: _Call) -> bool:
    """Return whether the block uses the place, and passes the image on beside it."""
    before, zero = getattr(block, name), _Zero()
    setattr(block, name, zero)
    try:
        output = block(*call.args, **call.kwargs)
    finally:
        _put(block, name, before)
    tensors = output if isinstance(output, tuple | list) else [output]
    return zero.is_called and any(
        isinstance(tensor, Tensor) and _tells_images_apart(tensor) for tensor in tensors
    )


def _tells_images_apart(features: Tensor) -> bool:
    """Return whether the features of two images differ: the halves of the first dimension."""
    if features.ndim == 0 or len(features) % 2:
        return False
    first, second = features.chunk(2)
    return not torch.equal(first, second)


def _put(block: nn.Module, name: str, module: nn.Module | None) -> None:
    """Put a module, or None, back in its place."""
    if module is None and isinstance(getattr(block, name), nn.Module):
        delattr(block, name)  # torch would keep None in its table of modules
    setattr(block, name, module)

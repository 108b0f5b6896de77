"""Residual blocks that a network can lose without a change of shapes."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


@torch.no_grad()
def residual_blocks(network: nn.Module, example: Tensor) -> list[str]:
    """Return the names of the residual blocks, in the order of computing.

    A block is residual if it returns its input once all its parameters are zero. If blocks are
    nested, only the inner ones are named. The answer does not depend on the trained weights.

    Args:
        network: not changed.
        example: one input, [1, channels, height, width].
    """
    trial = copy.deepcopy(network).eval()
    _scatter(trial)
    found = [
        name for name, given in _inputs(trial, example).items() if _gives_back(trial, name, given)
    ]
    return [name for name in found if not any(other.startswith(f"{name}.") for other in found)]


@contextmanager
def without(network: nn.Module, name: str) -> Iterator[None]:
    """Make the block of that name return its input inside the context."""
    parent, _, own = name.rpartition(".")
    block = network.get_submodule(name)
    setattr(network.get_submodule(parent), own, nn.Identity())
    try:
        yield
    finally:
        setattr(network.get_submodule(parent), own, block)


def _scatter(network: nn.Module) -> None:
    generator = torch.Generator().manual_seed(0)
    for parameter in network.parameters():
        parameter.copy_(0.05 * torch.randn(parameter.shape, generator=generator))
    for module in network.modules():
        if isinstance(module, _BatchNorm):
            module.reset_running_stats()


def _inputs(network: nn.Module, example: Tensor) -> dict[str, Tensor]:
    """Return the input of each composite module that keeps the shape of its only input."""
    seen: dict[str, Tensor] = {}
    hooks = []
    for name, module in network.named_modules():
        if not name or not list(module.children()) or not list(module.parameters()):
            continue

        def note(_: nn.Module, given: tuple[object, ...], output: object, name: str = name) -> None:
            alone = given[0] if len(given) == 1 else None
            if not (isinstance(alone, Tensor) and isinstance(output, Tensor)):
                return
            if alone.shape == output.shape:
                # A block may change its input in place.
                seen[name] = alone.clone()

        hooks.append(module.register_forward_hook(note))
    noise = torch.randn(example.shape, generator=torch.Generator().manual_seed(0))
    network(noise)
    for hook in hooks:
        hook.remove()
    return seen


def _gives_back(network: nn.Module, name: str, given: Tensor) -> bool:
    block = copy.deepcopy(network.get_submodule(name))
    for parameter in block.parameters():
        parameter.zero_()
    # Zeros come out of any block as zeros, so they prove nothing.
    return bool(given.any()) and torch.equal(block(given.clone()), given)

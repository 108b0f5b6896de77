"""Residual blocks: those that a network can do without, shapes being what they are."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


@torch.no_grad()
def residual_blocks(network: nn.Module, example: Tensor) -> list[str]:
    """Names of the blocks that add something to what they are given, in the order of computing.

    A block is one if it gives back its input once all its parameters are zero. Of blocks that hold
    others only the inner ones are named. Which they are does not depend on what was learned.

    Args:
        network: left as it is.
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
    """While it is open, the block of that name gives what it is given."""
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
    """What each composite module is given that keeps the shape of its one input."""
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
                # A block may work in place on what it is given.
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
    # Zeros come back from anything.
    return bool(given.any()) and torch.equal(block(given.clone()), given)

"""Residual blocks whose removal changes no shape."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


@torch.no_grad()
def residual_blocks(network: nn.Module, example: Tensor) -> list[str]:
    """Return the names of the residual blocks, in the order of the forward pass.

    A block is residual if it returns its input when all its parameters are zero. If blocks
    are nested, the result includes only the inner blocks. The result does not depend on the
    trained weights.

    Args:
        network: not changed.
        example: one input, [1, channels, height, width].
    """
    randomized = copy.deepcopy(network).eval()
    _randomize(randomized)
    found = [
        name
        for name, block_input in _inputs(randomized, example).items()
        if _returns_input(randomized, name, block_input)
    ]
    return [name for name in found if not any(other.startswith(f"{name}.") for other in found)]


@contextmanager
def without(network: nn.Module, name: str) -> Iterator[None]:
    """Replace the block with this name by an identity, inside the context."""
    parent, _, own = name.rpartition(".")
    block = network.get_submodule(name)
    setattr(network.get_submodule(parent), own, nn.Identity())
    try:
        yield
    finally:
        setattr(network.get_submodule(parent), own, block)


def _randomize(network: nn.Module) -> None:
    generator = torch.Generator().manual_seed(0)
    for parameter in network.parameters():
        parameter.copy_(0.05 * torch.randn(parameter.shape, generator=generator))
    for module in network.modules():
        if isinstance(module, _BatchNorm):
            module.reset_running_stats()


def _inputs(network: nn.Module, example: Tensor) -> dict[str, Tensor]:
    """Return the input of each module with submodules that has one input and keeps its shape."""
    found: dict[str, Tensor] = {}
    hooks = []
    for name, module in network.named_modules():
        if not name or not list(module.children()) or not list(module.parameters()):
            continue

        def record(
            _: nn.Module, inputs: tuple[object, ...], output: object, name: str = name
        ) -> None:
            single = inputs[0] if len(inputs) == 1 else None
            if not (isinstance(single, Tensor) and isinstance(output, Tensor)):
                return
            if single.shape == output.shape:
                # The clone protects the input from later changes in place.
                found[name] = single.clone()

        hooks.append(module.register_forward_hook(record))
    noise = torch.randn(example.shape, generator=torch.Generator().manual_seed(0))
    network(noise)
    for hook in hooks:
        hook.remove()
    return found


def _returns_input(network: nn.Module, name: str, block_input: Tensor) -> bool:
    block = copy.deepcopy(network.get_submodule(name))
    for parameter in block.parameters():
        parameter.zero_()
    # A block with zero parameters returns zeros for an input of zeros, even if it is not residual.
    return bool(block_input.any()) and torch.equal(block(block_input.clone()), block_input)

"""How a network takes images without gradients: how many at a time, and in which memory layout."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import nn

_MOST_IMAGES = 256
# On a processor, the activations of many more pixels than these leave its caches, and each image
# takes more than twice as long: see benchmarks/teacher_answers.py.
_CACHED_PIXELS = 2**19


def inference_batch(image_size: int, *, device: str = "cpu") -> int:
    """Return the number of images that a network takes at a time without gradients.

    Args:
        image_size: the side of the images, in pixels.
        device: the device of the network.
    """
    if device != "cpu":
        return _MOST_IMAGES
    return min(_MOST_IMAGES, max(1, _CACHED_PIXELS // image_size**2))


def memory_format(network: nn.Module) -> torch.memory_format:
    """Return channels last for convolutional networks, else the contiguous format.

    With channels last, a step of a convolutional network takes 0.5 to 1.0 of the time, as measured
    by benchmarks/training_step.py. A vision transformer has only one convolution, and does not
    become faster.
    """
    convolutions = sum(isinstance(module, nn.Conv2d) for module in network.modules())
    return torch.channels_last if convolutions > 1 else torch.contiguous_format


@contextmanager
def laid_out(networks: Iterable[nn.Module]) -> Iterator[None]:
    """Give the networks' weights the layout of `memory_format` within the block."""
    networks = [*networks]
    _lay_out({network: memory_format(network) for network in networks})
    try:
        yield
    finally:
        _lay_out(dict.fromkeys(networks, torch.contiguous_format))


def _lay_out(formats: dict[nn.Module, torch.memory_format]) -> None:
    # Weights that are made in inference mode could not be trained or exported any more.
    with torch.inference_mode(mode=False):
        for network, layout in formats.items():
            network.to(memory_format=layout)

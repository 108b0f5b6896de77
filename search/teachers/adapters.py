"""Teachers that take other pixels than the students do, and several teachers as one."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from search.data.dataset import DataInfo
from search.errors import TeacherError
from search.training.ensemble import as_one
from spaces.features import intermediates

# Bump it when a teacher is shown other pixels of the students' images.
VERSION = 1


class AdaptedTeacher(nn.Module):
    """A network that takes other pixels than the students do: resized, with its own normalisation.

    Args:
        network: a network to logits.
        image_size: the height and width that it takes.
        scale: the factor for the students' normalised pixels, one number a channel.
        offset: the number that is then added, one a channel.
    """

    scale: Tensor
    offset: Tensor

    def __init__(
        self, network: nn.Module, *, image_size: int, scale: np.ndarray, offset: np.ndarray
    ) -> None:
        super().__init__()
        self.network = network
        self.size = (image_size, image_size)
        self.register_buffer("scale", torch.tensor(scale, dtype=torch.float32).view(1, -1, 1, 1))
        self.register_buffer("offset", torch.tensor(offset, dtype=torch.float32).view(1, -1, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Map the students' images [batch, channels, height, width] to logits [batch, classes]."""
        logits: Tensor = self.network(self._adapted(images))
        return logits

    def forward_intermediates(
        self, images: Tensor, indices: Sequence[int] | None = None
    ) -> tuple[Tensor, list[Tensor]]:
        """Return the network's own maps of the students' images, in the form of timm's networks."""
        return intermediates(self.network, self._adapted(images), indices)

    def _adapted(self, images: Tensor) -> Tensor:
        resized = functional.interpolate(images, self.size, mode="bilinear")
        return resized * self.scale + self.offset

    def extra_repr(self) -> str:
        """Return the size: no tensor holds it, but it decides the outputs, so digests read it."""
        return f"size={self.size}"


class Ensemble(nn.Module):
    """Several teachers as one, whose logits are the logarithm of their mean prediction."""

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits [batch, classes]."""
        return as_one(torch.stack([member(images) for member in self.members]))


def adapt(
    network: nn.Module,
    info: DataInfo,
    image_size: int,
    statistics: tuple[Sequence[float], Sequence[float]],
) -> nn.Module:
    mean, std = (np.array(values) for values in statistics)
    if mean.shape != (info.channels,):
        raise TeacherError(
            f"the teacher's mean and std must be of {info.channels} channels, as the images are, "
            f"but are of {mean.size}"
        )
    # One affine map undoes the students' normalisation and applies the teacher's.
    scale, offset = np.array(info.std) / std, (np.array(info.mean) - mean) / std
    if image_size == info.image_size and np.allclose(scale, 1) and np.allclose(offset, 0):
        return network
    return AdaptedTeacher(network, image_size=image_size, scale=scale, offset=offset)

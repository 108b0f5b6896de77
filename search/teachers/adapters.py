"""Adapters: teachers with other images or another order of classes, and ensembles of teachers."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from search.data.dataset import DataInfo
from search.errors import TeacherError
from search.training.ensemble import ensemble_logits
from spaces.features import intermediates

# Bump it when a teacher receives other pixels for the students' images.
VERSION = 2


class AdaptedTeacher(nn.Module):
    """Teacher with another image size or normalisation than the students; it converts their images.

    Images that have the teacher's size already are only normalised.

    Args:
        network: a network that returns logits.
        given_size: the height and width of the students' images.
        image_size: the height and width of the network's images.
        scale: the factor for the students' normalised pixels, one number for each channel.
        offset: the number that is added to the product, one for each channel.
    """

    scale: Tensor
    offset: Tensor
    resizing: Tensor

    def __init__(
        self,
        network: nn.Module,
        *,
        given_size: int,
        image_size: int,
        scale: np.ndarray,
        offset: np.ndarray,
    ) -> None:
        super().__init__()
        self.network = network
        self.size = (image_size, image_size)
        self.reduces = image_size < given_size
        # Not among the weights: the sizes determine it, and files of earlier versions lack it.
        self.register_buffer("resizing", _resizing(given_size, image_size), persistent=False)
        self.register_buffer("scale", torch.tensor(scale, dtype=torch.float32).view(1, -1, 1, 1))
        self.register_buffer("offset", torch.tensor(offset, dtype=torch.float32).view(1, -1, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Map the students' images [batch, channels, height, width] to logits [batch, classes]."""
        logits: Tensor = self.network(self._adapted(images))
        return logits

    def forward_intermediates(
        self, images: Tensor, indices: Sequence[int] | None = None
    ) -> tuple[Tensor, list[Tensor]]:
        """Return the network's feature maps of the students' images, as timm's networks do."""
        return intermediates(self.network, self._adapted(images), indices)

    def no_weight_decay(self) -> set[str]:
        """Return the names of the parameters that timm's optimizers must not decay."""
        named: set[str] = getattr(self.network, "no_weight_decay", set)()
        return {f"network.{name}" for name in named}

    def statistics(self, info: DataInfo) -> tuple[list[float], list[float]]:
        """Return the mean and the standard deviation by which the network's input is normalised."""
        std = np.array(info.std) / self.scale.cpu().double().flatten().numpy()
        mean = np.array(info.mean) - self.offset.cpu().double().flatten().numpy() * std
        return mean.tolist(), std.tolist()

    def _adapted(self, images: Tensor) -> Tensor:
        if images.shape[2:] != self.size:
            # [image_size, given_size] × [given_size, given_size] × [given_size, image_size]
            images = self.resizing @ images @ self.resizing.T
        return images * self.scale + self.offset

    def extra_repr(self) -> str:
        """Return the image size for the digest: it changes the outputs, but is in no tensor."""
        # Earlier versions did not antialias; larger images are what they were.
        return f"size={self.size}{', antialias=True' if self.reduces else ''}"


class OrderedTeacher(nn.Module):
    """Teacher whose outputs stand in another order than the data's classes.

    This is the only place that reorders logits: whatever calls the teacher gets the data's order.

    Args:
        network: a network that returns logits.
        names: the class of each output of the network.
        columns: the output of each class of the data.
    """

    columns: Tensor

    def __init__(self, network: nn.Module, *, names: Sequence[str], columns: Sequence[int]) -> None:
        super().__init__()
        self.network = network
        self.names = tuple(names)
        self.register_buffer("columns", torch.tensor(columns))

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits of the data's classes, [batch, classes]."""
        logits: Tensor = self.network(images)
        return logits.index_select(1, self.columns)

    def forward_intermediates(
        self, images: Tensor, indices: Sequence[int] | None = None
    ) -> tuple[Tensor, list[Tensor]]:
        """Return the network's feature maps, which have no classes."""
        return intermediates(self.network, images, indices)


class Ensemble(nn.Module):
    """Ensemble of teachers; its logits are the logarithm of the teachers' mean prediction."""

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits [batch, classes]."""
        return ensemble_logits(torch.stack([member(images) for member in self.members]))


def own_size(network: nn.Module) -> int | None:
    """Return the side of the images that a teacher takes without resizing; None if any will do."""
    while isinstance(network, OrderedTeacher):
        network = network.network
    return network.size[0] if isinstance(network, AdaptedTeacher) else None


def _resizing(given: int, wanted: int) -> Tensor:
    """Return the matrix that resizes a column of pixels, [wanted, given].

    It resizes as Pillow resizes files: bilinearly, with antialiasing. Without antialiasing, most
    pixels of a larger image would be skipped. It is a matrix because torch's ONNX exporter has no
    operator for antialiased resizing; bilinear resizing treats rows and columns separately.
    """
    columns = torch.eye(given)[None, None]
    resized = functional.interpolate(
        columns, (wanted, given), mode="bilinear", align_corners=False, antialias=True
    )
    return resized[0, 0]


def adapt(
    network: nn.Module,
    info: DataInfo,
    image_size: int,
    statistics: tuple[Sequence[float], Sequence[float]],
) -> nn.Module:
    mean, std = (np.array(values) for values in statistics)
    if mean.shape != (info.channels,):
        raise TeacherError(
            f"the teacher's mean and std must have {info.channels} numbers, one for each channel "
            f"of the images, but have {mean.size}"
        )
    # One affine map undoes the students' normalisation and applies the teacher's.
    scale, offset = np.array(info.std) / std, (np.array(info.mean) - mean) / std
    if image_size == info.image_size and np.allclose(scale, 1) and np.allclose(offset, 0):
        return network
    return AdaptedTeacher(
        network, given_size=info.image_size, image_size=image_size, scale=scale, offset=offset
    )

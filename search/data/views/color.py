"""The colours of a view: jitter, and the operations of a policy that keep the places of pixels.

Every change has a strength for each image. torchvision has one strength for a whole batch, so only
its operations without a strength are used.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional
from torchvision.transforms.v2 import functional as torchvision

from search.data.views.augmentation import Augmentation
from search.data.views.draws import Decision, Draws
from search.data.views.policy import Kind, Operation

_WHITE = 255
_GREY = (0.2989, 0.587, 0.114)  # as torchvision weighs red, green and blue


def jittered(images: Tensor, draws: Draws, augmentation: Augmentation) -> Tensor:
    """Change brightness, contrast and saturation of each image by random factors.

    Args:
        images: [batch, channels, height, width], float32, 0 to 255.
        draws: the random numbers of the images.
        augmentation: the largest relative change.
    """
    low, high = 1 - augmentation.color, 1 + augmentation.color
    images = with_brightness(images, draws.uniform(Decision.BRIGHTNESS, low, high))
    images = with_contrast(images, draws.uniform(Decision.CONTRAST, low, high))
    return with_saturation(images, draws.uniform(Decision.SATURATION, low, high))


def recolored(images: Tensor, operations: Sequence[Operation]) -> Tensor:
    """Apply those operations of a policy that change colours.

    Args:
        images: [batch, channels, height, width], float32, 0 to 255.
        operations: the operations, in their order.

    Returns:
        New images; `images` themselves without operations.
    """
    for operation in operations:
        images = images.clone()
        for kind, change in _CHANGES.items():
            if len(chosen := operation.of(kind)):
                images[chosen] = change(images[chosen], operation.strengths[chosen])
    return images


def with_brightness(images: Tensor, factors: Tensor) -> Tensor:
    """Multiply each image by its factor, [batch]."""
    return _blended(images, torch.zeros_like(images), factors)


def with_contrast(images: Tensor, factors: Tensor) -> Tensor:
    """Multiply each image's distance from its mean grey by its factor, [batch]."""
    return _blended(images, _grey(images).mean(dim=(1, 2, 3), keepdim=True), factors)


def with_saturation(images: Tensor, factors: Tensor) -> Tensor:
    """Multiply the distance of each pixel from its grey by the image's factor, [batch]."""
    return _blended(images, _grey(images), factors) if images.shape[1] == len(_GREY) else images


def with_sharpness(images: Tensor, factors: Tensor) -> Tensor:
    """Multiply the distance of each pixel from a smoothed image by the image's factor, [batch].

    The outermost pixels are not smoothed, as in Pillow.
    """
    channels = images.shape[1]
    kernel = torch.ones(3, 3, device=images.device)
    kernel[1, 1] = 5
    kernel = (kernel / kernel.sum()).expand(channels, 1, 3, 3)
    smooth = images.clone()
    smooth[:, :, 1:-1, 1:-1] = functional.conv2d(images, kernel, groups=channels)
    return _blended(images, smooth, factors)


def posterized(images: Tensor, lost_bits: Tensor) -> Tensor:
    """Set the lowest bits of each image's values to 0, [batch]; the number of bits is rounded."""
    step = torch.exp2(lost_bits.round())[:, None, None, None]
    return images.floor().div(step, rounding_mode="floor") * step


def solarized(images: Tensor, strengths: Tensor) -> Tensor:
    """Invert all values from 255 minus the image's strength, [batch]."""
    threshold = _WHITE - strengths[:, None, None, None]
    return torch.where(images >= threshold, _WHITE - images, images)


def _autocontrasted(images: Tensor, _: Tensor) -> Tensor:
    found: Tensor = torchvision.autocontrast(_as_bytes(images))
    return found.float()


def _equalized(images: Tensor, _: Tensor) -> Tensor:
    found: Tensor = torchvision.equalize(_as_bytes(images))
    return found.float()


def _as_bytes(images: Tensor) -> Tensor:
    return images.round().to(torch.uint8)


def _grey(images: Tensor) -> Tensor:
    """Return the grey of each pixel, [batch, 1, height, width]."""
    if images.shape[1] != len(_GREY):
        return images.mean(dim=1, keepdim=True)
    weights = torch.tensor(_GREY, device=images.device).view(1, -1, 1, 1)
    return (images * weights).sum(dim=1, keepdim=True)


def _blended(images: Tensor, others: Tensor, factors: Tensor) -> Tensor:
    factors = factors[:, None, None, None]
    return (factors * images + (1 - factors) * others).clamp(0, _WHITE)


_CHANGES: dict[Kind, Callable[[Tensor, Tensor], Tensor]] = {
    Kind.BRIGHTNESS: lambda images, strengths: with_brightness(images, 1 + strengths),
    Kind.SATURATION: lambda images, strengths: with_saturation(images, 1 + strengths),
    Kind.CONTRAST: lambda images, strengths: with_contrast(images, 1 + strengths),
    Kind.SHARPNESS: lambda images, strengths: with_sharpness(images, 1 + strengths),
    Kind.POSTERIZE: posterized,
    Kind.SOLARIZE: solarized,
    Kind.AUTOCONTRAST: _autocontrasted,
    Kind.EQUALIZE: _equalized,
}

"""Replacement of operators that torch's older exporter can't export, by operators that it can.

The exporter needs the input sizes of such an operator, but does not know them after a reshape. The
functions here read the sizes while the network runs. Only the number of images varies in a file.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode


class Decomposed(TorchFunctionMode):
    """A mode that computes such operators by other ones, with the same results."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: object,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        return PLAIN.get(func, func)(*args, **(kwargs or {}))


def _averaged(images: Tensor, output_size: int | Sequence[int | None]) -> Tensor:
    """Compute adaptive average pooling of [batch, channels, y, x]."""
    sizes = _sizes(images, output_size)
    if sizes == (1, 1):  # the exporter supports this case for every input
        return functional.adaptive_avg_pool2d(images, 1)
    kernel = _kernel(images, sizes)
    return functional.avg_pool2d(images, kernel) if kernel else _pooled(images, sizes, torch.mean)


def _largest(
    images: Tensor, output_size: int | Sequence[int | None], *, return_indices: bool = False
) -> Tensor:
    """Compute adaptive maximum pooling of [batch, channels, y, x]."""
    del return_indices  # torch uses another function for calls that need the indices
    sizes = _sizes(images, output_size)
    kernel = _kernel(images, sizes)
    return functional.max_pool2d(images, kernel) if kernel else _pooled(images, sizes, torch.amax)


def _sizes(images: Tensor, output_size: int | Sequence[int | None]) -> tuple[int, int]:
    wanted = (output_size, output_size) if isinstance(output_size, int) else output_size
    height, width = (
        int(own) if size is None else int(size)
        for own, size in zip(images.shape[2:], wanted, strict=True)
    )
    return height, width


def _kernel(images: Tensor, sizes: tuple[int, int]) -> tuple[int, int] | None:
    """Return the windows' height and width; None if they differ or overlap."""
    height, width = int(images.shape[2]), int(images.shape[3])
    if height % sizes[0] or width % sizes[1]:
        return None
    return height // sizes[0], width // sizes[1]


def _pooled(
    images: Tensor, sizes: tuple[int, int], reduced: Callable[[Tensor, int], Tensor]
) -> Tensor:
    """Apply `reduced` to evenly spaced windows, which may overlap."""
    for dimension, size in zip((2, 3), sizes, strict=True):
        length = int(images.shape[dimension])
        parts = []
        for number in range(size):
            start, end = number * length // size, -(-(number + 1) * length // size)
            parts.append(reduced(images.narrow(dimension, start, end - start), dimension))
        images = torch.stack(parts, dimension)
    return images


def _windows(values: Tensor, dimension: int, size: int, step: int) -> Tensor:
    """Compute `Tensor.unfold`: windows along a dimension, in a new last dimension."""
    dimension %= values.dim()
    starts = range(0, int(values.shape[dimension]) - size + 1, step)
    parts = [values.narrow(dimension, start, size) for start in starts]
    return torch.stack(parts, dimension).movedim(dimension + 1, -1)


def _scaled(
    values: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    eps: float | None = None,
) -> Tensor:
    """Compute `functional.rms_norm`: divide by the root mean square of the last dimensions."""
    dimensions = tuple(range(-len(normalized_shape), 0))
    mean = values.square().mean(dimensions, keepdim=True)
    scaled = values * torch.rsqrt(mean + (torch.finfo(values.dtype).eps if eps is None else eps))
    return scaled if weight is None else scaled * weight


def _padded(
    values: Tensor, pad: Sequence[Any], mode: str = "constant", value: float | None = None
) -> Tensor:
    """Pad by fixed widths, though the network computes them from the size of its input.

    Otherwise the file would compute them for each image, and quantization would round them.
    """
    return functional.pad(values, [int(width) for width in pad], mode=mode, value=value)


PLAIN: Mapping[Callable[..., Any], Callable[..., Any]] = {
    functional.adaptive_avg_pool2d: _averaged,
    functional.adaptive_max_pool2d: _largest,
    functional.pad: _padded,
    functional.rms_norm: _scaled,
    torch.rms_norm: _scaled,
    Tensor.unfold: _windows,
}
"""The functions to replace, each with its replacement."""

"""AdaRound: rounding weights up or down, as the layer's output requires.

Nagel et al. 2020, arXiv:2004.10568.
"""

from dataclasses import dataclass

import numpy as np
import torch
from onnx import ModelProto
from torch import Tensor

from spaces.quantization.ptq.activations import Activations
from spaces.quantization.ptq.quantized_network import QuantizedLayer, QuantizedNetwork

# The stretch of the sigmoid, the exponents of the regulariser, and the share of steps without it:
# section 3.3 and the authors' code.
_STRETCH = (-0.1, 1.1)
_EXPONENTS = (20.0, 2.0)
_WARM_UP = 0.2
# Fewer steps than the authors', because a step sees all columns at once, and flips follow.
_STEPS = 150
_LEARNING_RATE = 0.03
_REGULARISER = 30.0
# A layer's output is reconstructed at this many places of the calibration images.
_COLUMNS = 4096
# Few images do not determine many weights: a share of the mean power keeps them near the nearest.
_DAMPING = 0.01
# A channel with more weights has no relaxation, or no choice at all: their products take too long.
_LARGEST_RELAXED = 1024
_LARGEST_CHANNEL = 8192


def adapt_rounding(
    network: QuantizedNetwork, source: ModelProto, images: np.ndarray, *, centred: bool
) -> None:
    """Choose the integer weights of `network` anew, a layer after another, in place.

    A layer's weights are chosen so that its output for the inputs of the quantized network is near
    the float network's output. Each weight becomes one of the two integers next to it. A relaxation
    by a stretched sigmoid is minimised as in the paper; then single weights are flipped as long as
    this reduces the error.

    Args:
        network: the quantized network.
        source: the float32 model.
        images: calibration images, [images, channels, height, width], float32.
        centred: whether a bias correction follows, so that the mean of the error does not matter.

    Source: Nagel et al. 2020, arXiv:2004.10568, sections 3.3 and 3.4 (asymmetric reconstruction),
    but without the activation function after the layer.
    """
    for layer in network.layers:
        if np.prod(layer.product.shape) > _LARGEST_CHANNEL * len(layer.scale):
            continue
        original, served = _columns(network, layer, source, images)
        if centred:
            original = original - original.mean(dim=1, keepdim=True)
            served = served - served.mean(dim=1, keepdim=True)
        weights = layer.product.rows(network.float_weights(layer))
        error = OutputError.of(weights, original, served)
        network.set_integers(
            layer, adapted_integers(weights, layer.scale, (layer.low, layer.high), error)
        )


@dataclass(frozen=True)
class OutputError:
    """The squared error of a layer's output on calibration images, as a function of its weights.

    Attributes:
        gram: mean products of the quantized network's columns, [groups, weights, weights].
        pull: mean products of the float output with these columns, [channels, weights].
    """

    gram: Tensor
    pull: Tensor

    @classmethod
    def of(cls, weights: Tensor, original: Tensor, served: Tensor) -> "OutputError":
        """Return the error of a layer with these float weights.

        Args:
            weights: [channels, weights of a channel].
            original: columns of the float network, [groups, columns, weights of a channel].
            served: the same columns of the quantized network.
        """
        groups, count, size = served.shape
        gram = served.transpose(1, 2) @ served / count
        wanted = weights.reshape(groups, -1, size) @ original.transpose(1, 2)
        pull = (wanted @ served / count).reshape(weights.shape)
        damping = _DAMPING * gram.diagonal(dim1=1, dim2=2).mean(dim=1)  # [groups]
        gram = gram + damping[:, None, None] * torch.eye(size)
        return cls(
            gram, pull + weights * damping.repeat_interleave(len(weights) // groups)[:, None]
        )

    def of_channels(self, quantized: Tensor) -> Tensor:
        """Return each channel's error for quantized weights, but for a constant, [channels]."""
        return ((self.pushed(quantized) - 2 * self.pull) * quantized).sum(dim=1)

    def pushed(self, quantized: Tensor) -> Tensor:
        """Return mean products of the quantized output with the columns, [channels, weights]."""
        grouped = quantized.reshape(len(self.gram), -1, quantized.shape[1])
        return (grouped @ self.gram).reshape(quantized.shape)

    @property
    def power(self) -> Tensor:
        """The mean square of each weight's input, [channels, weights]."""
        diagonal = self.gram.diagonal(dim1=1, dim2=2)
        return diagonal.repeat_interleave(len(self.pull) // len(self.gram), dim=0)


def adapted_integers(
    weights: Tensor, scale: Tensor, bounds: tuple[int, int], error: OutputError
) -> Tensor:
    """Return the integers, [channels, weights], with the least error of the layer's output.

    A channel whose error did not fall below that of the nearest integers gets the nearest. A weight
    of 0 stays 0, so that a pruned network stays sparse.

    Args:
        weights: float weights, [channels, weights].
        scale: the step of each channel, [channels, 1].
        bounds: the least and the largest integer.
        error: the error of the layer's output.
    """
    low, high = bounds
    nearest = (weights / scale).round().clamp(low, high)
    below = (weights / scale).floor().clamp(low, high - 1)
    is_free = weights != 0
    relaxed = nearest
    if weights.shape[1] <= _LARGEST_RELAXED:
        relaxed = torch.where(is_free, below + _relaxed(weights, below, scale, error), nearest)
    adapted = _flipped(relaxed, below, scale, error, is_free)
    is_better = error.of_channels(adapted * scale) < error.of_channels(nearest * scale)
    return torch.where(is_better[:, None], adapted, nearest)


def _relaxed(weights: Tensor, below: Tensor, scale: Tensor, error: OutputError) -> Tensor:
    """Return 0 or 1 for each weight: whether it is rounded up."""
    # The error by independent rounding of one weight: so all layers weigh alike.
    unit = (scale.square() / 12 * error.power).mean(dim=1)
    unit = unit.clamp(min=torch.finfo(torch.float32).tiny)
    share = _initial((weights / scale - below).clamp(0, 1)).requires_grad_()
    optimizer = torch.optim.Adam([share], lr=_LEARNING_RATE)
    for step in range(_STEPS):
        up = _soft(share)
        found = error.of_channels((below + up) * scale)
        loss = (found / unit).sum() + _penalty(up, step / _STEPS)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return (_soft(share.detach()) >= 0.5).to(weights.dtype)


def _flipped(
    integers: Tensor, below: Tensor, scale: Tensor, error: OutputError, is_free: Tensor
) -> Tensor:
    """Flip the best free weight of each channel between its two integers until no flip helps."""
    integers = integers.clone()
    group = torch.arange(len(error.gram)).repeat_interleave(len(integers) // len(error.gram))
    slope = error.pushed(integers * scale) - error.pull
    power = error.power
    for _ in range(integers.shape[1]):
        move = torch.where(integers > below, -scale, scale)
        gains = move * (2 * slope + move * power) * is_free
        gain, place = gains.min(dim=1)
        (channel,) = torch.nonzero(gain < -1e-6 * power.mean() * scale[:, 0] ** 2, as_tuple=True)
        if not len(channel):
            break
        place = place[channel]
        change = move[channel, place]
        integers[channel, place] += change.sign()
        slope[channel] += change[:, None] * error.gram[group[channel], place]
    return integers


def _columns(
    network: QuantizedNetwork, layer: QuantizedLayer, source: ModelProto, images: np.ndarray
) -> tuple[Tensor, Tensor]:
    """Return the same columns of the layer's input in the float and in the quantized network."""
    name = str(layer.product.layer.node.input[0])
    values = Activations(source, [name]).chunks(images)
    own = Activations(network.model, [layer.input]).chunks(images)
    draws = [torch.Generator().manual_seed(0) for _ in range(2)]
    chunks = []
    for original, served in zip(values, own, strict=True):
        most = -(-_COLUMNS * len(served[layer.input]) // len(images))
        chunks.append(
            [
                layer.product.columns(given, most=most, draw=draw)
                for given, draw in zip((original[name], served[layer.input]), draws, strict=True)
            ]
        )
    return torch.cat([one for one, _ in chunks], dim=1), torch.cat([one for _, one in chunks], 1)


def _initial(rest: Tensor) -> Tensor:
    """Return the variables whose stretched sigmoid is `rest`, 0 to 1."""
    low, high = _STRETCH
    return -torch.log((high - low) / (rest - low) - 1)


def _soft(share: Tensor) -> Tensor:
    """Return the stretched sigmoid, clipped to 0..1."""
    low, high = _STRETCH
    return (share.sigmoid() * (high - low) + low).clamp(0, 1)


def _penalty(up: Tensor, progress: float) -> Tensor:
    """Return the regulariser, which pushes each share to 0 or 1 towards the end."""
    if progress < _WARM_UP:
        return up.new_zeros(())
    first, last = _EXPONENTS
    exponent = last + (first - last) * (1 - (progress - _WARM_UP) / (1 - _WARM_UP))
    return _REGULARISER * (1 - (2 * up - 1).abs().pow(exponent)).sum()

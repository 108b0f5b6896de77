"""Times of depthwise convolutions, forwards and backwards, in both memory layouts.

    python -m benchmarks.depthwise

On small feature maps their backward pass takes most of a mobile student's training. Students are
trained in channels last (search/training/trainer.py), which makes it bearable. The program prints
a Markdown table; each figure is the least of some runs on one thread, in turns.
"""

import os
import time
from collections.abc import Callable

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from torch import Tensor
from torch.nn import functional

BATCH = 64
_RUNS = 15
# Channels, height and width, kernel, stride: of mobilenetv3, lcnet and tinynet at 32 to 64 pixels.
LAYERS = ((16, 32, 3, 1), (64, 16, 3, 2), (72, 16, 3, 1), (96, 8, 5, 1), (240, 4, 5, 1))
FORMATS = (torch.contiguous_format, torch.channels_last)


def passes(
    layer: tuple[int, int, int, int], layout: torch.memory_format
) -> tuple[Callable[[], object], Callable[[], object]]:
    """Return calls of the layer's forward pass alone, and of its forward and backward passes."""
    channels, size, kernel, stride = layer
    images = torch.randn(BATCH, channels, size, size).contiguous(memory_format=layout)
    images.requires_grad_()
    weight = torch.randn(channels, 1, kernel, kernel, requires_grad=True)

    def forward() -> Tensor:
        return functional.conv2d(
            images, weight, stride=stride, padding=kernel // 2, groups=channels
        )

    gradient = torch.randn_like(forward())

    def backward() -> object:
        return torch.autograd.grad(forward(), (images, weight), gradient)

    return torch.no_grad()(forward), backward


def least_ms(calls: list[Callable[[], object]]) -> list[float]:
    """Return the least milliseconds of each call; the calls take turns."""
    taken: list[list[float]] = [[] for _ in calls]
    for _ in range(_RUNS):
        for call, found in zip(calls, taken, strict=True):
            start = time.perf_counter()
            call()
            found.append((time.perf_counter() - start) * 1e3)
    return [min(found[1:]) for found in taken]


def main() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print("| channels, size, kernel, stride | forward, ms | backward too, ms | contiguous ÷ last |")
    print("|---|---|---|---|")
    for layer in LAYERS:
        calls = [call for layout in FORMATS for call in passes(layer, layout)]
        forward, both, forward_last, both_last = least_ms(calls)
        print(
            f"| {', '.join(map(str, layer))} | {forward:.2f}, last {forward_last:.2f} | "
            f"{both:.2f}, last {both_last:.2f} | {both / both_last:.1f} |"
        )


if __name__ == "__main__":
    main()

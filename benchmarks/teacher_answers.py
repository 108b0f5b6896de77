"""How fast networks answer without gradients, by the images at a time and the memory layout.

    python -m benchmarks.teacher_answers

prints images for each second of processor time of one thread, as medians over rounds; the variants
take turns. `search.training.inference` follows from it.
"""

import os
import time
from collections import defaultdict
from statistics import median

os.environ.setdefault("OMP_NUM_THREADS", "1")

import timm
import torch
from torch import Tensor, nn

from search.training.inference import inference_batch, memory_format

# The model, the channels and the side of its images.
NETWORKS = (
    ("test_resnet", 1, 28),
    ("resnet18", 3, 64),
    ("mobilenetv3_small_050", 3, 160),
    ("tf_efficientnet_lite0", 3, 160),
)
BATCHES = (16, 32, 64, 128, 256)
ROUNDS = 3
# Images of a measurement, as the number of their pixels.
_PIXELS = 3_000_000


def main() -> None:
    torch.set_num_threads(1)
    print("| network | side | layout | " + " | ".join(map(str, BATCHES)) + " | chosen |")
    print("|---" * (4 + len(BATCHES)) + "|")
    for model, channels, side in NETWORKS:
        count = min(1024, max(max(BATCHES), _PIXELS // side**2))
        images = torch.randn(count, channels, side, side)
        layouts = {"contiguous": torch.contiguous_format, "channels last": torch.channels_last}
        networks = {
            name: timm.create_model(model, in_chans=channels, num_classes=10)
            .eval()
            .to(memory_format=layout)
            for name, layout in layouts.items()
        }
        speeds = defaultdict[tuple[str, int], list[float]](list)
        for _ in range(ROUNDS):
            for batch in BATCHES:
                for name, network in networks.items():
                    speeds[name, batch].append(_speed(network, images, batch, layouts[name]))
        for name, layout in layouts.items():
            cells = [f"{median(speeds[name, batch]):.0f}" for batch in BATCHES]
            is_taken = layout == memory_format(networks[name])
            chosen = str(inference_batch(side)) if is_taken else ""
            print(f"| {model} | {side} | {name} | {' | '.join(cells)} | {chosen} |", flush=True)


@torch.inference_mode()
def _speed(network: nn.Module, images: Tensor, batch: int, layout: torch.memory_format) -> float:
    """Return images for each second of processor time."""
    start = time.process_time()
    for first in range(0, len(images), batch):
        network(images[first : first + batch].contiguous(memory_format=layout))
    return len(images) / (time.process_time() - start)


if __name__ == "__main__":
    main()

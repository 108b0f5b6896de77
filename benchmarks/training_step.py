"""What a training step costs: memory layout, fused optimizer, and the teacher's part.

    python -m benchmarks.training_step [MODEL …]

For each student, on one thread and batches of 64 grey images of 32×32: the median step in plain
PyTorch (contiguous, unfused), and as a share of it the step with channels last, with the fused
optimizer too (as `search.training.fitting` does it), then with cached logits and with a live
resnet18 teacher. The variants take turns.
"""

import argparse
import os
import time
from collections.abc import Callable
from statistics import median
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import timm
import torch
from timm.optim import create_optimizer_v2
from torch import Tensor, nn
from torch.nn import functional

from spaces.distillation.soft_targets import soft_target_loss

MODELS = ("test_efficientnet", "test_resnet", "test_byobnet", "lcnet_050", "tinynet_e", "resnet10t")
CLASSES, BATCH, SIZE, ROUNDS = 10, 64, 32, 15


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=MODELS)
    torch.set_num_threads(1)
    print("| student | plain, ms | channels last | + fused | + cached logits | + live teacher |")
    print("|---|---|---|---|---|---|")
    for model in parser.parse_args().models:
        print(_row(model), flush=True)


def _row(model: str) -> str:
    teacher = timm.create_model("resnet18", num_classes=CLASSES, in_chans=1).eval()
    cached = torch.randn(BATCH, CLASSES)
    steps = [
        _step(model, last=False, fused=False),
        _step(model, last=True, fused=False),
        _step(model, last=True, fused=True),
        _step(model, last=True, fused=True, teach=lambda _: cached),
        _step(model, last=True, fused=True, teach=_without_gradients(teacher)),
    ]
    taken: list[list[float]] = [[] for _ in steps]
    for _ in range(ROUNDS):
        for step, times in zip(steps, taken, strict=True):
            start = time.perf_counter()
            step()
            times.append(time.perf_counter() - start)
    plain, *others = (median(times[2:]) for times in taken)
    shares = " | ".join(f"{other / plain:.2f}" for other in others)
    return f"| {model} | {plain * 1e3:.0f} | {shares} |"


def _step(
    model: str, *, last: bool, fused: bool, teach: Callable[[Tensor], Tensor] | None = None
) -> Callable[[], None]:
    torch.manual_seed(0)
    layout = torch.channels_last if last else torch.contiguous_format
    network = timm.create_model(model, num_classes=CLASSES, in_chans=1).train()
    network.to(memory_format=layout)
    options: dict[str, Any] = {"fused": True} if fused else {}
    optimizer = create_optimizer_v2(network, opt="adamw", lr=1e-3, weight_decay=0.02, **options)
    images = torch.randn(BATCH, 1, SIZE, SIZE).contiguous(memory_format=layout)
    labels = torch.randint(CLASSES, (BATCH,))

    def step() -> None:
        logits = network(images)
        loss = functional.cross_entropy(logits, labels)
        if teach is not None:
            loss = loss + soft_target_loss(logits, teach(images), temperature=4.0)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return step


def _without_gradients(teacher: nn.Module) -> Callable[[Tensor], Tensor]:
    def teach(images: Tensor) -> Tensor:
        with torch.inference_mode():
            logits: Tensor = teacher(images)
        return logits

    return teach


if __name__ == "__main__":
    main()

"""What a training step costs: memory layout, fused optimizer, the teacher's part, and on CUDA more.

    python -m benchmarks.training_step [MODEL …] [--device cuda] [--compile]

For each student, on batches of 64 grey images of 32×32, and one thread where it is a processor: the
median step in plain PyTorch (contiguous, unfused), and as a share of it the step with channels
last, with the fused optimizer too (as `search.training.trainer` does it), then with cached logits
and with a live resnet18 teacher. On CUDA also with cached logits under bfloat16 autocast, as trials
run there, and with `--compile` the step with cached logits compiled by torch.compile, after the
seconds that compiling took. The variants take turns.
"""

import argparse
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
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

Teach = Callable[[Tensor], Tensor]
Step = Callable[[], None]


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A variant of the training step."""

    device: str
    last: bool = True
    fused: bool = True
    autocast: bool = False
    compiled: bool = False
    teach: Teach | None = None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=MODELS)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--compile", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    variants = _variants(options.device, compiled=options.compile)
    print(f"| student | plain, ms | {' | '.join(list(variants)[1:])} |")
    print("|---" * (len(variants) + 1) + "|")
    for model in options.models:
        print(_row(model, list(variants.values())), flush=True)


def _variants(device: str, *, compiled: bool) -> dict[str, Variant]:
    teacher = timm.create_model("resnet18", num_classes=CLASSES, in_chans=1).eval().to(device)
    cached = torch.randn(BATCH, CLASSES, device=device)
    taught = Variant(device=device, teach=lambda _: cached)
    found = {
        "plain": Variant(device=device, last=False, fused=False),
        "channels last": Variant(device=device, fused=False),
        "+ fused": Variant(device=device),
        "+ cached logits": taught,
        "+ live teacher": Variant(device=device, teach=_without_gradients(teacher)),
    }
    if device == "cuda":
        found["cached, autocast"] = replace(taught, autocast=True)
    if compiled:
        found["cached, compiled (s to compile)"] = replace(
            taught, autocast=device == "cuda", compiled=True
        )
    return found


def _row(model: str, variants: Sequence[Variant]) -> str:
    steps = [_step(model, variant) for variant in variants]
    taken: list[list[float]] = [[] for _ in steps]
    for _ in range(ROUNDS):
        for step, times in zip(steps, taken, strict=True):
            start = time.perf_counter()
            step()
            times.append(time.perf_counter() - start)
    plain, *others = (median(times[2:]) for times in taken)
    shares = [f"{other / plain:.2f}" for other in others]
    if variants[-1].compiled:
        shares[-1] += f" ({taken[-1][0]:.0f})"
    return f"| {model} | {plain * 1e3:.0f} | {' | '.join(shares)} |"


def _step(model: str, how: Variant) -> Step:
    torch.manual_seed(0)
    layout = torch.channels_last if how.last else torch.contiguous_format
    network = timm.create_model(model, num_classes=CLASSES, in_chans=1).train()
    network.to(how.device).to(memory_format=layout)
    options: dict[str, Any] = {"fused": True} if how.fused else {}
    optimizer = create_optimizer_v2(network, opt="adamw", lr=1e-3, weight_decay=0.02, **options)
    images = torch.randn(BATCH, 1, SIZE, SIZE, device=how.device).contiguous(memory_format=layout)
    labels = torch.randint(CLASSES, (BATCH,), device=how.device)
    forward = torch.compile(network) if how.compiled else network

    def step() -> None:
        with torch.autocast(how.device, torch.bfloat16, enabled=how.autocast):
            logits = forward(images)
        loss = functional.cross_entropy(logits.float(), labels)
        if how.teach is not None:
            loss = loss + soft_target_loss(logits.float(), how.teach(images), temperature=4.0)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        if how.device == "cuda":
            torch.cuda.synchronize()

    return step


def _without_gradients(teacher: nn.Module) -> Teach:
    def teach(images: Tensor) -> Tensor:
        with torch.inference_mode():
            logits: Tensor = teacher(images)
        return logits

    return teach


if __name__ == "__main__":
    main()

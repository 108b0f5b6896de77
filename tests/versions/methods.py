"""A few numbers of what each method computes."""

import json
import tempfile
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn
from torch.nn import functional

from search.targets.onnx_export import export_onnx
from spaces.axes.distillation import Distillation, DistillationBatch, FeatureDistillation
from spaces.axes.pruning import Pruning, TrainingPhase
from spaces.axes.quantization import Quantization
from spaces.axes.student import Student
from spaces.axes.training import Training
from spaces.distributions import OneOf, Scalar
from spaces.features import Feature
from spaces.method import Method
from spaces.pruning.depth import Depth
from spaces.pruning.magnitude import Magnitude
from spaces.pruning.structured.channel_pruning import ChannelPruning
from spaces.quantization.weight_compression.packed import unpacked
from spaces.students.timm_model import Timm
from tests.versions.problem import (
    CLASSES,
    SHAPE,
    SIZE,
    Numbers,
    images,
    losses,
    network,
    numbers,
    outputs,
)

# What a method is tried with beside its defaults and the edges of its distributions.
_MORE: Mapping[str, tuple[dict[str, Scalar], ...]] = {
    "timm": ({"model": "test_vit"}, {"stem": "small"}),
    "standard": (
        {"weight_decay": 1.0},
        {"warmup_epochs": 0},
        {"batch_size": 256},
        {"layer_decay": 0.5},
    ),
    "int4_weights": ({"tuning": 0.5},),
}
# Of trainings that the defaults ask for too.
_LENGTHS = ("recovery", "tuning")
# What the trainer does for a training method: its stages have fingerprints of their own.
_OF_THE_TRAINER = ("label_loss", "class_weights", "sampling", "freeze_statistics")


def fingerprint(method: type[Method]) -> Numbers:
    """The numbers of the method, with its defaults and with each parameter at another value."""
    cases = {"": method()}
    for changed in [*_MORE.get(method.name, ()), *_others(method)]:
        cases[" ".join(f"{key}={value}" for key, value in changed.items())] = method(**changed)
    return {
        f"{name} {case}".strip(): found
        for case, one in cases.items()
        for name, found in _computed(one).items()
        if found
    }


def _others(method: type[Method]) -> Iterator[dict[str, Scalar]]:
    """Each parameter at another value than its default: any other word, or the farther edge."""
    if issubclass(method, Student):
        return
    # What all prunings of channels share is tried with one of them.
    shared = ChannelPruning.distributions() if issubclass(method, ChannelPruning) else {}
    for key, distribution in method.distributions().items():
        if (key in shared and method is not Magnitude) or key in (*_LENGTHS, *_OF_THE_TRAINER):
            continue
        others = [one for one in distribution.edges() if one != getattr(method(), key)]
        if isinstance(distribution, OneOf) and isinstance(others[0], str):
            yield from ({key: one} for one in others)
        elif not issubclass(method, Training):  # whose edges no small network survives
            yield {key: others[-1]}


def _computed(method: Method) -> Numbers:
    if isinstance(method, Student):
        return _student(method)
    if isinstance(method, Training):
        return _training(method)
    if isinstance(method, Distillation):
        return _distillation(method)
    if isinstance(method, Pruning):
        return _pruning(method)
    assert isinstance(method, Quantization)
    return _quantization(method)


def _student(student: Student) -> Numbers:
    torch.manual_seed(0)
    built = student.build(classes=CLASSES, channels=1, image_size=SIZE)
    return {
        "parameters": [sum(weight.numel() for weight in built.parameters())],
        "logits": outputs(built),
    }


def _training(training: Training) -> Numbers:
    """Losses and learning rates of twelve steps of a linear layer; other rates where they differ.

    These are the rates of the layers of a network, and the rate of a pretrained student.
    """
    torch.manual_seed(0)
    given = torch.randn(48, 4)
    labels = (given[:, 0] > 0).long() + (given[:, 1] > 0).long()
    layer = nn.Linear(4, CLASSES)
    fit = training.fit(layer, epochs=4, steps_per_epoch=3)
    found, rates = [], []
    for step in range(12):
        loss = functional.cross_entropy(layer(given), labels)
        found.append(loss.item())
        rates.append(fit.optimizer.param_groups[0]["lr"])
        fit.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        fit.optimizer.step()
        fit.scheduler.step_update(step + 1)
    layers = _top_rates(training, network("test_vit"))
    pretrained = _top_rates(training.prepared_for(Timm(pretrained=True)), layer)
    return {
        "losses": found[::3],
        "rates": rates[::2],
        "layers": layers if len(layers) > 1 else [],
        "pretrained": [] if pretrained == _top_rates(training, layer) else pretrained,
    }


def _top_rates(training: Training, given: nn.Module) -> list[float]:
    """The different learning rates of the network's weights after the warm-up."""
    fit = training.fit(given, epochs=4, steps_per_epoch=3)
    fit.scheduler.step_update(3)
    return sorted({group["lr"] for group in fit.optimizer.param_groups})


def _distillation(distillation: Distillation) -> Numbers:
    """Losses of two batches, of labels and of shares of classes, and the slopes of the first."""
    noise = torch.Generator().manual_seed(0)
    members = 3 * torch.randn(2, 8, CLASSES, generator=noise)
    student = torch.randn(8, CLASSES, generator=noise, requires_grad=True)
    labels = torch.arange(8) % CLASSES
    pairs = _pairs(distillation)
    maps = [_maps(distillation, *pair) for pair in pairs]
    teacher = members.mean(dim=0)
    batch = DistillationBatch(student, labels, teacher, members, maps)
    loss = distillation.loss(batch)
    slopes = torch.autograd.grad(loss, [student, *(own for own, _ in maps)])
    shares = 0.8 * functional.one_hot(labels, CLASSES).float() + 0.2 / CLASSES
    smoothed = DistillationBatch(student, shares, teacher, members, maps)
    early = distillation.loss(replace(batch, progress=0.01))
    return {
        **({} if torch.equal(early, loss) else {"early loss": [early.item()]}),
        "losses": [loss.item(), distillation.loss(smoothed, label_smoothing=0.1).item()],
        **{f"slope {place}": numbers(slope) for place, slope in enumerate(slopes)},
        "pairs": [feature.place for pair in pairs for feature in pair],
    }


def _pairs(distillation: Distillation) -> list[tuple[Feature, Feature]]:
    if not isinstance(distillation, FeatureDistillation):
        return []
    return list(distillation.pairs(_features(4, 6, 8), _features(5, 7, 7, 9)))


def _features(*widths: int) -> tuple[Feature, ...]:
    scales = [2 ** (len(widths) - place) for place in range(1, len(widths) + 1)]
    return tuple(
        Feature(
            place=place,
            channels=width,
            side=2 * scale,
            scale=float(scale),
            depth=(place + 1) / len(widths),
        )
        for place, (width, scale) in enumerate(zip(widths, scales, strict=True))
    )


def _maps(distillation: Distillation, student: Feature, teacher: Feature) -> tuple[Tensor, Tensor]:
    """The student's map by the method's projector, and the teacher's."""
    assert isinstance(distillation, FeatureDistillation)
    torch.manual_seed(student.place)
    side = min(student.side, teacher.side)
    project = distillation.projector(student, teacher)
    own = project(torch.randn(8, student.channels, side, side)).detach()
    return own.requires_grad_(), torch.randn(8, teacher.channels, side, side)


def _pruning(pruning: Pruning) -> Numbers:
    """What it asks for on its way, what it cuts, and the network that is left."""
    # The other has one block that depth can take out, and no attention.
    attends = isinstance(pruning, Depth) or getattr(pruning, "attention", "width") == "heads"
    given = network("test_vit" if attends else "test_resnet")
    steps = pruning.prune_in_steps(given, torch.zeros(1, *SHAPE), losses=losses)
    phases: list[TrainingPhase] = []
    penalties: list[float] = []
    while True:
        try:
            phase = next(steps)
        except StopIteration as end:
            pruned, cuts = end.value
            break
        if phase.constraint:
            phase.constraint()
        if phase.penalty:
            penalties.append(phase.penalty().item())
        phases.append(phase)
    asked = [[one.stage, round(one.share, 6), one.has_cut] for one in phases]
    return {
        "phases": [zlib.crc32(json.dumps(asked).encode())],
        "penalties": penalties,
        "cuts": [len(cuts), zlib.crc32(json.dumps(cuts).encode())],
        "left": [sum(int(weight.count_nonzero()) for weight in pruned.parameters())],
        "logits": outputs(pruned),
    }


@cache
def _exported() -> bytes:
    """A network with two small layers that rounding to bytes ruins, in 7 bits as in 8.

    Their largest weights are of a channel that is always zero.
    """
    found = network()
    norms = [one for one in found.modules() if isinstance(one, nn.BatchNorm2d)]
    with torch.no_grad():
        for norm, layer in zip(norms[:2], _layers(found)[1:3], strict=True):
            norm.bias[0] = -100.0
            layer.weight[:, 0] *= 30
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "float.onnx"
        export_onnx(found, path, image_shape=SHAPE)
        return path.read_bytes()


def _quantization(quantization: Quantization) -> Numbers:
    """The file's nodes, weights and ranges, and a network under the format's rounding.

    Of weights in 8 bits their size alone: processors without VNNI have them in 7. And of weights
    whose rounding is a choice between two that are almost alike.
    """
    is_choice = getattr(quantization, "rounding", "nearest") != "nearest"
    told = 1 if quantization.name.startswith("int8") or is_choice else 2
    with tempfile.TemporaryDirectory() as folder:
        source, served = Path(folder) / "float.onnx", Path(folder) / "served.onnx"
        source.write_bytes(_exported())
        quantization.convert(source, served, calibration=[images(8).numpy(), _uneven_images()])
        size, model = float(served.stat().st_size), unpacked(served)
    nodes = sorted(Counter(node.op_type for node in model.graph.node).items())
    weights, ranges = _weights(model)
    found = {
        "size": [size],
        "nodes": [len(model.graph.node), zlib.crc32(json.dumps(nodes).encode())],
        "weights": numbers(weights)[:told],
        "ranges": numbers(ranges) if len(ranges) else [],
    }
    if not quantization.tuning_share:
        return found
    tuned = numbers(torch.cat([one.flatten() for one in _rounded_weights(quantization)]))
    return found | {"rounded weights": tuned[:told]} | _tuned(quantization)


def _uneven_images() -> np.ndarray:
    """Images with a few large values, from which calibrations differ."""
    found = images(8).numpy()
    found[:, :, ::8, ::8] *= 4
    return found


def _rounded_weights(quantization: Quantization) -> list[Tensor]:
    given = network()
    with quantization.rounded(given, torch.zeros(1, *SHAPE)), torch.no_grad():
        return [one.weight.clone() for one in _layers(given)]


def _tuned(quantization: Quantization) -> Numbers:
    """The logits and a slope of a network under the format's rounding.

    Its weights are such as any format has, so that 7 bits give what 8 do.
    """
    given = network()
    with torch.no_grad():
        for layer in _layers(given):
            layer.weight.copy_(0.05 * layer.weight.sign())
    # The first after the pooling, whose gradients depend on how numbers are rounded.
    layer = _layers(given)[3]
    with quantization.rounded(given, torch.zeros(1, *SHAPE)):
        given.train()(images(4)).square().mean().backward()
        (slope,) = [one.grad for one in layer.parameters() if one.grad is not None]
        return {"logits": outputs(given), "slope": numbers(slope)}


def _layers(given: nn.Module) -> list[nn.Conv2d | nn.Linear]:
    return [one for one in given.modules() if isinstance(one, nn.Conv2d | nn.Linear)]


def _weights(model: onnx.ModelProto) -> tuple[np.ndarray, np.ndarray]:
    """All weights, as they are multiplied by; and the scales of what is rounded as it comes."""
    tensors = {one.name: numpy_helper.to_array(one) for one in model.graph.initializer}
    weights, ranges = [], []
    for name, tensor in sorted(tensors.items()):
        values = tensor.astype(np.float64)
        base = name.removesuffix("_scale")
        if name.endswith("_quantized"):
            # A bias' scale follows its own name.
            base = name if f"{name}_scale" in tensors else name.removesuffix("_quantized")
            scale, zero = tensors[f"{base}_scale"], tensors[f"{base}_zero_point"]
            shape = (-1, *[1] * (tensor.ndim - 1)) if scale.size > 1 else ()
            weights.append(((values - zero.reshape(shape)) * scale.reshape(shape)).ravel())
        elif base == name and np.issubdtype(tensor.dtype, np.floating):
            weights.append(values.ravel())
        elif base != name and base not in tensors and f"{base}_quantized" not in tensors:
            ranges.append(values.ravel())
    return np.concatenate(weights), np.concatenate([*ranges, np.zeros(0)])

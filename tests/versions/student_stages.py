"""A few numbers of what the stages compute that a student goes through."""

import json
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn
from torch.nn import functional

from search.cost_model.dry_run import dry_run
from search.pipeline.pruning_steps import carry_out, skipped_epochs
from search.pipeline.student_builder import BuiltStudent, StudentBuilder
from search.pipeline.trial_recorder import TrialRecorder
from search.records import EpochRecord
from search.targets.float_student import FloatStudent
from search.targets.onnx_export import export_onnx
from search.targets.onnx_runtime import OnnxRuntime, Session
from spaces.axes.pruning import PruningSteps, TrainingPhase
from spaces.counting import count_macs, count_parameters
from spaces.pruning.magnitude import Magnitude
from spaces.pruning.none import NoPruning
from spaces.pruning.sparse_magnitude import SparseMagnitude
from spaces.pruning.taylor import Taylor
from spaces.quantization.float32 import Float32
from spaces.quantization.int4_weights import Int4Weights
from spaces.quantization.int8_static import Int8Static
from spaces.quantization.weight_compression.packed import unpacked
from spaces.students.normalization import fold_normalization
from spaces.students.timm_model import Timm
from tests.versions.problem import (
    SHAPE,
    SMOOTH,
    Numbers,
    context,
    images,
    network,
    numbers,
    outputs,
    recipe,
    requirements,
)


def _built(_: Path) -> Numbers:
    torch.manual_seed(0)
    return {"logits": outputs(requirements().build(Timm()))}


def _folded(_: Path) -> Numbers:
    found: Numbers = {}
    for model in ("test_resnet", "test_vit"):
        one = network(model)
        fold_normalization(one, [0.7], [0.2], torch.zeros(1, *SHAPE))
        found[model] = outputs(one)
    return found


def _made(folder: Path, *, stage: str) -> Numbers:
    """A student after its training, its pruning or its tuning alone."""
    shared = context(folder)
    builder, recorder = StudentBuilder(shared, seed=1), TrialRecorder(shared)
    given = BuiltStudent(network(SMOOTH), ())
    wanted = recipe(student=Timm(model=SMOOTH))
    if stage == "train":
        making = builder.train(wanted, recorder)
    elif stage == "prune":
        making = builder.prune(given, replace(wanted, pruning=Taylor(recovery=1.0)), recorder)
    else:
        making = builder.tune(
            given, replace(wanted, quantization=Int4Weights(tuning=0.5)), recorder
        )
    while True:
        try:
            next(making)
        except StopIteration as end:
            made: BuiltStudent = end.value
            break
    return {
        "losses": [point.loss for point in recorder.epochs],
        "logits": outputs(made.network),
        "left": [count_parameters(made.network)],
    }


def _pruned(folder: Path) -> Numbers:
    """A student's pruning; and the length and the schedule of each of its trainings."""
    taught: list[tuple[str, int, int, int]] = []

    def teach(phase: TrainingPhase, epochs: int, place: int) -> Iterator[EpochRecord]:
        taught.append((phase.stage, epochs, place, skipped_epochs(length=epochs, epochs=20)))
        yield EpochRecord(stage=phase.stage, epoch=0, loss=1.0, score=0.5, learning_rate=0.1)

    def steps(layer: nn.Module) -> PruningSteps:
        yield TrainingPhase(layer, "sparsify", 0.25)
        yield TrainingPhase.recovery(layer, 0.75)
        return layer, []

    layer = network()
    recorder = TrialRecorder(context(folder))
    for _ in carry_out(steps(layer), epochs=20, recorder=recorder, train=teach):
        pass
    return _made(folder, stage="prune") | {
        "taught": [zlib.crc32(json.dumps(taught).encode())],
    }


class _Uncommon(nn.Module):
    """What the exporter can't express by itself."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Conv2d(1, 4, 3)

    def forward(self, given: Tensor) -> Tensor:
        seen = functional.adaptive_avg_pool2d(self.layer(given), 7)
        most = functional.adaptive_max_pool2d(seen, (3, 2)).flatten(1)
        return functional.rms_norm(most, (24,)).unfold(1, 6, 3).sum(dim=2)


def _exported(folder: Path) -> Numbers:
    """The files of three networks, and what they predict."""
    found: Numbers = {}
    given = {"cnn": network(), "vit": network("test_vit"), "uncommon": _Uncommon()}
    for name, one in given.items():
        path = folder / f"{name}.onnx"
        export_onnx(one, path, image_shape=SHAPE)
        found |= _file(name, path)
        found[f"{name} logits"] = numbers(Session(path, threads=1).predict(images(4).numpy()))
    return found


def _converted(folder: Path) -> Numbers:
    """The served files of a student with zeros, of one without, and of one in int8."""
    found: Numbers = {}
    for pruning in (Magnitude(), SparseMagnitude()):
        place = folder / pruning.name
        place.mkdir()
        given, _ = pruning.apply(network(), torch.zeros(1, *SHAPE))
        served = place / OnnxRuntime.file
        student = FloatStudent(given, place / "floats", SHAPE, pruning=pruning)
        OnnxRuntime().make(student, served, quantization=Float32(), calibration=[])
        found |= _file(pruning.name, served)
    quantized = folder / "int8.onnx"
    student = FloatStudent(network(), folder / "int8", SHAPE, pruning=NoPruning())
    calibration = [images(4).numpy()]
    OnnxRuntime().make(student, quantized, quantization=Int8Static(), calibration=calibration)
    found["imports"] = [len(onnx.load(quantized).opset_import)]
    return found


def _file(name: str, path: Path) -> Numbers:
    """A file's bytes, its operators and its weights."""
    nodes = sorted(Counter(node.op_type for node in onnx.load(path).graph.node).items())
    weights = [
        numpy_helper.to_array(one).astype(np.float64).ravel()
        for one in sorted(unpacked(path).graph.initializer, key=lambda one: str(one.name))
    ]
    return {
        f"{name} bytes": [float(path.stat().st_size)],
        f"{name} nodes": [zlib.crc32(json.dumps(nodes).encode())],
        f"{name} weights": numbers(np.concatenate(weights)),
    }


def _dry_run(_: Path) -> Numbers:
    cost = dry_run(recipe(pruning=Magnitude(scope="global")), requirements())
    return {
        "bytes": [float(cost["size_bytes"])],
        "counted": [cost["parameters"], cost["macs"]],
    }


def _counted(_: Path) -> Numbers:
    networks = (network(), network("test_vit"), nn.GRU(32, 5))
    given = (images(1), images(1), images(1)[0])
    return {
        "macs": [count_macs(one, taken) for one, taken in zip(networks, given, strict=True)],
        "parameters": [count_parameters(one) for one in networks],
    }


def _cut(_: Path) -> Numbers:
    """Parameters of networks that are cut evenly."""
    return {
        model: [
            count_parameters(
                Magnitude(ratio=ratio).apply(network(model), torch.zeros(1, *SHAPE))[0]
            )
            for ratio in (0.1, 0.5)
        ]
        for model in ("test_resnet", "test_vit")
    }


STAGES: Mapping[str, Callable[[Path], Numbers]] = {
    "search.config.student_spec.VERSION": _built,
    "spaces.students.normalization.VERSION": _folded,
    "search.pipeline.student_builder.TRAINING_VERSION": partial(_made, stage="train"),
    "search.pipeline.pruning_steps.VERSION": _pruned,
    "search.pipeline.student_builder.TUNING_VERSION": partial(_made, stage="tune"),
    "search.targets.onnx_runtime.OnnxRuntime.file_version": _converted,
    "search.targets.onnx_export.VERSION": _exported,
    "search.cost_model.dry_run.VERSION": _dry_run,
    "spaces.counting.VERSION": _counted,
    "spaces.pruning.structured.channels.VERSION": _cut,
}
"""By the constant that states the stage's version; each is given an empty folder."""

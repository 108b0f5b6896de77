"""Versions of the code that computes. Keys of what is kept hash these, and no file's bytes.

Each stage states its version beside its computation, each method as `Method.version`. Whoever
changes what one computes bumps its version: what was computed before is then computed again.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from typing import TypeAlias

from search.config import student_spec
from search.data import images, parts, views
from search.targets import onnx_export
from search.targets.target import Runtime
from search.training import distiller, ema, erasing, mixup, trainer
from spaces import counting
from spaces.axes.training import Training
from spaces.pruning.structured import channels

# Stages by name.
StageVersions: TypeAlias = dict[str, int]

TRAINING_LIBRARIES = ("torch", "timm")
PRUNING_LIBRARIES = (*TRAINING_LIBRARIES, "torch-pruning")
FILE_LIBRARIES = (*PRUNING_LIBRARIES, "onnx")


@dataclass(frozen=True, kw_only=True)
class Versions:
    """What a result was computed by.

    Attributes:
        libraries: the names of their distributions.
        methods: the version of each of the recipe's methods, by axis.
        stages: the version of each stage, by name.
    """

    libraries: tuple[str, ...]
    methods: Mapping[str, int] = field(default_factory=dict)
    stages: Mapping[str, int]

    def key(self, *given: object) -> str:
        """Hexadecimal SHA-256 of the JSON values `given`, which the result follows from too."""
        installed = {library: version(library) for library in self.libraries}
        text = json.dumps([given, asdict(self), installed], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


def image_stages() -> StageVersions:
    """Versions of the stages that decide what a network is shown of an image."""
    return {"images": images.VERSION, "views": views.VERSION, "batches": parts.VERSION}


def training_stages(training: Training) -> StageVersions:
    """Versions of the stages that a network is fitted by."""
    stages = image_stages() | {"train": trainer.VERSION, "distil": distiller.VERSION}
    if training.mixup or training.cutmix:
        stages["mixup"] = mixup.VERSION
    if training.erasing:
        stages["erasing"] = erasing.VERSION
    if training.ema:
        stages["ema"] = ema.VERSION
    return stages


def file_stages(runtime: Runtime) -> StageVersions:
    """Versions of the stages that decide a student's shapes and its file, besides its methods."""
    return {
        "build": student_spec.VERSION,
        "cut": channels.VERSION,
        "count": counting.VERSION,
        "export": onnx_export.VERSION,
        "make": runtime.file_version,
    }

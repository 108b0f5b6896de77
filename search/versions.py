"""Versions of the code that computes. Cache keys hash these versions, not source files.

Each stage has a version constant in its module, each method has `Method.version`. A change of code
that changes results must increase the version, so that cached results are computed again.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from typing import TypeAlias

from search.config import student_spec
from search.data import images, parts
from search.data.views import rendering
from search.objectives.limits import limits
from search.targets import onnx_export
from search.targets.target import Runtime
from search.training import balancing, distiller, drop_path, ema, erasing, mixup, trainer
from spaces import counting
from spaces.axes import label_loss
from spaces.axes.label_loss import CROSS_ENTROPY, UNWEIGHTED
from spaces.axes.training import UNIFORM, Training
from spaces.pruning.structured import channels

# The version of each stage, by the name of the stage.
StageVersions: TypeAlias = dict[str, int]

TRAINING_LIBRARIES = ("torch", "timm")
PRUNING_LIBRARIES = (*TRAINING_LIBRARIES, "torch-pruning")
FILE_LIBRARIES = (*PRUNING_LIBRARIES, "onnx")


@dataclass(frozen=True, kw_only=True)
class Versions:
    """The versions of the code that computed a result.

    Attributes:
        libraries: the names of the libraries' distributions.
        methods: the version of each of the recipe's methods, by axis.
        stages: the version of each stage, by name.
    """

    libraries: tuple[str, ...]
    methods: Mapping[str, int] = field(default_factory=dict)
    stages: Mapping[str, int]

    def key(self, *values: object) -> str:
        """Return the hexadecimal SHA-256 of these versions and of JSON values."""
        installed = {library: version(library) for library in self.libraries}
        text = json.dumps([values, asdict(self), installed], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


def image_stages() -> StageVersions:
    """Return the versions of the stages that prepare an image for a network."""
    return {"images": images.VERSION, "views": rendering.VERSION, "batches": parts.VERSION}


def training_stages(training: Training) -> StageVersions:
    """Return the versions of the stages that train a network."""
    stages = image_stages() | {"train": trainer.VERSION, "distil": distiller.VERSION}
    if training.mixup or training.cutmix:
        stages["mixup"] = mixup.VERSION
    if training.erasing:
        stages["erasing"] = erasing.VERSION
    if training.ema:
        stages["ema"] = ema.VERSION
    if training.label_loss != CROSS_ENTROPY or training.class_weights != UNWEIGHTED:
        stages["label loss"] = label_loss.VERSION
    if training.sampling != UNIFORM or training.class_weights != UNWEIGHTED:
        stages["balance"] = balancing.VERSION
    if training.drop_path:
        stages["drop path"] = drop_path.VERSION
    return stages


def file_stages(runtime: Runtime) -> StageVersions:
    """Return the versions of the stages that decide a student's shapes and file."""
    return {
        "build": student_spec.VERSION,
        "cut": channels.VERSION,
        "count": counting.VERSION,
        "export": onnx_export.VERSION,
        "make": runtime.file_version,
        # Only changed limits (version above 1), so that installing a plugin keeps known costs
        # valid.
        **{f"count {name}": one.version for name, one in limits().items() if one.version > 1},
    }

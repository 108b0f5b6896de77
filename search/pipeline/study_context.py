"""What all trials of a study share: as its parts' paths, and opened."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING

import numpy as np
from torch import nn

from search.config.student_spec import StudentRequirements
from search.data.dataset import Dataset
from search.data.prepare import open_dataset
from search.data.views import View
from search.evaluation.predictions_file import PREDICTIONS, TEACHER, read_predictions
from search.files.filestore import FolderStore
from search.objectives.metric import Metric
from search.objectives.metrics import metric_of
from search.pipeline.stage_cache import StageCache
from search.records import Scalar
from search.storage.artifact_owner import Claim
from search.teachers.logits_cache import open_soft_targets
from search.teachers.saved_teacher import open_teachers
from search.training.trainer import Targets
from search.training.validation import Validation

if TYPE_CHECKING:
    from search.pipeline.lineage import Lineage  # which knows the stages that take a context


@dataclass(frozen=True, kw_only=True)
class StudyContext:
    """What all trials of a study share.

    Attributes:
        requirements: what every student must be.
        metric: what the study maximises: learning curves and stages are scored by it.
        dataset: the images.
        views: the augmented views that students see.
        targets: the teachers' logits for these views; None where no open method asks for them.
        teachers: gives the teachers themselves, for methods that need their features; loaded when
            they are first asked for.
        teacher_classes: the teacher's predictions for the validation images, [images], int64.
        device: where students are trained.
        claim: to where the study keeps its artifacts.
        origin: hashes and versions, written into each artifact.
        lineage: what each stage of a trial follows from, besides its recipe.
        stages: those that were computed before.
    """

    requirements: StudentRequirements
    metric: Metric
    dataset: Dataset
    views: tuple[View, ...]
    targets: Targets | None
    teachers: Callable[[], tuple[nn.Module, ...]]
    teacher_classes: np.ndarray
    device: str
    claim: Claim
    origin: Mapping[str, Scalar]
    lineage: Lineage
    stages: StageCache

    @property
    def validation(self) -> Validation:
        """How good students are while they learn."""
        return Validation(self.metric, self.teacher_classes)

    @property
    def artifacts(self) -> FolderStore:
        """Where the study keeps its artifacts; they are written by the claim."""
        return self.claim.artifacts


@dataclass(frozen=True, kw_only=True)
class StudyContextSpec:
    """A study context by the paths of its parts: small enough to be sent to any worker.

    Attributes:
        objective: the name of the metric that the study maximises.
        cache: where the folders are that `dataset`, `targets` and `teachers` name.
        dataset: the prepared images.
        claim: to where the study keeps its artifacts, and the teacher's predictions.
        stages: where stages that were computed are kept; of a URL, on each machine by itself.
        stages_bytes: the most that it keeps.
        allow_code: whether a teacher's factory may run.
        targets: the teachers' logits; None where no open method asks for them.
        teachers: the teachers themselves; None where no open method asks for them.
    """

    study: str
    requirements: StudentRequirements
    objective: str
    cache: FolderStore
    dataset: str
    views: tuple[View, ...]
    device: str
    claim: Claim
    origin: tuple[tuple[str, Scalar], ...]
    lineage: Lineage
    stages: FolderStore
    stages_bytes: int
    allow_code: bool
    targets: str | None = None
    teachers: str | None = None

    @property
    def artifacts(self) -> FolderStore:
        """Where the study keeps its artifacts; they are written by the claim."""
        return self.claim.artifacts

    @property
    def data_digest(self) -> str:
        """Of the prepared data, as `DataInfo` gives it."""
        return str(dict(self.origin)["data_sha256"])

    def stage_cache(self) -> StageCache:
        """The stages that were computed before."""
        return StageCache(self.stages.folder, limit_bytes=self.stages_bytes)

    def open_dataset(self) -> Dataset:
        """The prepared images."""
        return open_dataset(self.cache.fetched(self.dataset))

    def open_targets(self) -> Targets | None:
        """The teachers' logits, mapped into memory."""
        return open_soft_targets(self.cache.fetched(self.targets)).of if self.targets else None


@cache
def open_context(spec: StudyContextSpec) -> StudyContext:
    """Opens what the trials share, its files mapped into memory; once in each process."""
    taught = read_predictions(spec.artifacts.fetched(TEACHER) / PREDICTIONS)["validation"]
    return StudyContext(
        requirements=spec.requirements,
        metric=metric_of(spec.objective),
        dataset=spec.open_dataset(),
        views=spec.views,
        targets=spec.open_targets(),
        teachers=partial(_teachers, spec),
        teacher_classes=taught.classes,
        device=spec.device,
        claim=spec.claim,
        origin=dict(spec.origin),
        lineage=spec.lineage,
        stages=spec.stage_cache(),
    )


def _teachers(spec: StudyContextSpec) -> tuple[nn.Module, ...]:
    if spec.teachers is None:
        return ()
    return open_teachers(spec.cache.fetched(spec.teachers), allow_code=spec.allow_code)

"""What all trials of a study share: as the paths of its parts, and opened."""

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
    from search.pipeline.lineage import Lineage  # which defines stages that take a context


@dataclass(frozen=True, kw_only=True)
class StudyContext:
    """What all trials of a study share.

    Attributes:
        requirements: what every student must satisfy.
        metric: what the study maximises; learning curves and stages are scored by it.
        dataset: the images.
        views: the augmented views that students see.
        targets: the teachers' logits for these views; None where no open method needs them.
        teachers: returns the teachers themselves, for methods that need their features; they are
            loaded at the first call.
        teacher_classes: the teacher's predictions for the validation images, [images], int64.
        device: where students are trained.
        claim: the study's claim to its artifacts folder.
        origin: hashes and versions, written into each artifact.
        lineage: what each stage of a trial depends on, besides its recipe.
        stages: the cache of computed stages.
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
        """The scores of students while they learn."""
        return Validation(self.metric, self.teacher_classes)

    @property
    def artifacts(self) -> FolderStore:
        """The study's artifacts folder; only the claim writes to it."""
        return self.claim.artifacts


@dataclass(frozen=True, kw_only=True)
class StudyContextSpec:
    """A study context by the paths of its parts: small enough to send to any worker.

    Attributes:
        cache: the folder that contains `dataset`, `targets` and `teachers`.
        dataset: the prepared images.
        claim: the study's claim to its artifacts folder, which holds the teacher's predictions too.
        stages: the cache of computed stages; if it is a URL, each machine has its own.
        stages_bytes: the most bytes that it keeps.
        allow_code: whether a teacher's factory may run.
        targets: the teachers' logits; None where no open method needs them.
        teachers: the teachers themselves; None where no open method needs them.
    """

    study: str
    requirements: StudentRequirements
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
        """The study's artifacts folder; only the claim writes to it."""
        return self.claim.artifacts

    @property
    def data_digest(self) -> str:
        """Digest of the prepared data, as in `DataInfo`."""
        return str(dict(self.origin)["data_sha256"])

    def stage_cache(self) -> StageCache:
        """Return the cache of computed stages."""
        return StageCache(self.stages.folder, limit_bytes=self.stages_bytes)

    def open_dataset(self) -> Dataset:
        """Open the prepared images."""
        return open_dataset(self.cache.fetched(self.dataset))

    def open_targets(self) -> Targets | None:
        """Open the teachers' logits, mapped into memory."""
        return open_soft_targets(self.cache.fetched(self.targets)).of if self.targets else None


@cache
def open_context(spec: StudyContextSpec) -> StudyContext:
    """Open what the trials share, its files mapped into memory; once in each process."""
    taught = read_predictions(spec.artifacts.fetched(TEACHER) / PREDICTIONS)["validation"]
    return StudyContext(
        requirements=spec.requirements,
        metric=metric_of(spec.lineage.metric),
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

"""The context that all trials of a study share: as paths, and opened."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor, nn

from search.config.student_spec import StudentRequirements
from search.data.dataset import Dataset
from search.data.prepare import open_dataset
from search.data.views.view import Views
from search.evaluation.predictions_file import PREDICTIONS, TEACHER, read_predictions
from search.files.filestore import FolderStore
from search.objectives.metric import Metric
from search.objectives.metrics import metric_of
from search.pipeline.floor_classes import floor_labels
from search.pipeline.given_weights import GivenWeights, read_weights
from search.pipeline.refit import refit_dataset
from search.pipeline.stage_cache import StageCache
from search.records import Scalar
from search.storage.artifact_owner import Claim
from search.teachers.logits_cache import open_soft_targets
from search.teachers.saved_teacher import open_teachers
from search.training.training_plan import Targets
from search.training.validation import Validation
from spaces.axes.student import Student

if TYPE_CHECKING:
    from search.pipeline.lineage import Lineage  # it imports modules that import this one


@dataclass(frozen=True, kw_only=True)
class StudyContext:
    """The context that all trials of a study share.

    Attributes:
        requirements: the requirements on every student.
        metric: the metric that the study maximises; it scores learning curves and stages.
        dataset: the images.
        views: the augmented views that students see.
        targets: the teachers' logits for these views; None if no method of the study needs them,
            or the teachers run in each step.
        teachers: returns the teachers' networks, for methods that need their features, and for
            teachers that run in each step; the first call loads them.
        teacher_classes: the teacher's predictions for the validation images, [images], int64.
        device: the device on which students are trained.
        claim: the study's claim to its artifacts folder.
        origin: hashes and versions, which each artifact records.
        lineage: the inputs of each stage of a trial, besides its recipe.
        stages: the cache of computed stages.
        is_refit: whether the training images include the validation images, so that no quality on
            these is recorded.
        weights: returns the given weights of a student; None if it has none.
    """

    requirements: StudentRequirements
    metric: Metric
    dataset: Dataset
    views: Views
    targets: Targets | None
    teachers: Callable[[], tuple[nn.Module, ...]]
    teacher_classes: np.ndarray
    device: str
    claim: Claim
    origin: Mapping[str, Scalar]
    lineage: Lineage
    stages: StageCache
    is_refit: bool = False
    weights: Callable[[Student], Mapping[str, Tensor] | None] = lambda student: None

    @property
    def validation(self) -> Validation:
        """The validation that scores students in training."""
        floors = self.requirements.budget.floors()
        return Validation(self.metric, self.teacher_classes, floors, self.floor_labels)

    @property
    def floor_labels(self) -> Mapping[str, int]:
        """The label of each class that the budget names."""
        return floor_labels(self.requirements.budget, self.dataset.info)

    @property
    def artifacts(self) -> FolderStore:
        """The study's artifacts folder; write to it only through `claim`."""
        return self.claim.artifacts


@dataclass(frozen=True, kw_only=True)
class StudyContextSpec:
    """The paths of a study context's parts: small enough to send to any worker.

    Attributes:
        cache: the folder that contains `dataset`, `targets` and `teachers`.
        dataset: the folder of the prepared images, within `cache`.
        claim: the study's claim to its artifacts folder, which contains the teacher's predictions
            too.
        stages: the cache of computed stages; if it is a URL, each machine has its own cache.
        stages_bytes: the limit of that cache, in bytes.
        allow_code: whether a teacher's factory may run.
        targets: the key of the teachers' logits in the cache; None if no method of the study needs
            them, or the teachers run in each step.
        teachers: the folder of the teachers' networks, within `cache`; None if no method of the
            study needs them.
        workers: the number of processes that decode images for a trial; 0: the trial's own process.
        is_refit: whether the training images include the validation images.
        weights: the weights with which students start, besides random and timm's ones.
    """

    study: str
    requirements: StudentRequirements
    cache: FolderStore
    dataset: str
    views: Views
    device: str
    claim: Claim
    origin: tuple[tuple[str, Scalar], ...]
    lineage: Lineage
    stages: FolderStore
    stages_bytes: int
    allow_code: bool
    targets: str | None = None
    teachers: str | None = None
    workers: int = 0
    is_refit: bool = False
    weights: tuple[GivenWeights, ...] = ()

    @property
    def artifacts(self) -> FolderStore:
        """The study's artifacts folder; write to it only through `claim`."""
        return self.claim.artifacts

    @property
    def data_digest(self) -> str:
        """Digest of the prepared data, as in `DataInfo`."""
        return str(dict(self.origin)["data_sha256"])

    def stage_cache(self) -> StageCache:
        """Return the cache of computed stages."""
        return StageCache(self.stages.folder, limit_bytes=self.stages_bytes)

    def open_dataset(self) -> Dataset:
        """Open the images that students are trained on and measured with."""
        dataset = self.open_prepared()
        return refit_dataset(dataset) if self.is_refit else dataset

    def open_prepared(self) -> Dataset:
        """Open the prepared images in their three parts."""
        folder = self.cache.fetched(self.dataset)
        return open_dataset(folder, augmentation=self.views.augmentation, workers=self.workers)

    def open_targets(self) -> Targets | None:
        """Return the teachers' logits, which are mapped into memory as they are used."""
        if self.targets is None:
            return None
        classes = self.requirements.classes
        return open_soft_targets(self.targets, classes=classes, cache=self.cache).of


@cache
def open_context(spec: StudyContextSpec) -> StudyContext:
    """Open the context, with its files mapped into memory; a process opens it once."""
    teacher_predictions = read_predictions(spec.artifacts.fetched(TEACHER) / PREDICTIONS)[
        "validation"
    ]
    return StudyContext(
        requirements=spec.requirements,
        metric=metric_of(spec.lineage.metric),
        dataset=spec.open_dataset(),
        views=spec.views,
        targets=spec.open_targets(),
        teachers=partial(_teachers, spec),
        teacher_classes=teacher_predictions.classes,
        device=spec.device,
        claim=spec.claim,
        origin=dict(spec.origin),
        lineage=spec.lineage,
        stages=spec.stage_cache(),
        is_refit=spec.is_refit,
        weights=partial(_weights, spec),
    )


def _weights(spec: StudyContextSpec, student: Student) -> Mapping[str, Tensor] | None:
    for given in spec.weights:
        if given.belongs_to(student):
            return read_weights(spec.cache.fetched(given.folder))
    return None


def _teachers(spec: StudyContextSpec) -> tuple[nn.Module, ...]:
    if spec.teachers is None:
        return ()
    return open_teachers(spec.cache.fetched(spec.teachers), allow_code=spec.allow_code)

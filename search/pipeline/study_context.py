"""What all trials of a study share."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from torch import nn

from search.config.student_spec import StudentRequirements
from search.data.dataset import Dataset
from search.data.views import View
from search.files.filestore import FolderStore
from search.objectives.metric import Metric
from search.pipeline.stage_cache import Lineage, StageCache
from search.records import Scalar
from search.storage.artifact_owner import Claim
from search.training.trainer import Targets
from search.training.validation import Validation


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

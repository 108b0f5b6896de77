"""A teacher that runs in every step, as in scripts without cached logits."""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from search.config.study import Study
from search.data.dataset import Dataset, normalize
from search.data.views.view import View
from search.files.filestore import FolderStore
from search.pipeline.study_context import StudyContextSpec
from search.teachers.setting import TeacherContext
from search.teachers.teacher import prepare_teacher
from search.training.training_plan import Targets


def live_teacher(study: Study, dataset: Dataset) -> nn.Module:
    """Return the study's teacher from the cache; it must have been trained before."""
    room = TeacherContext(
        dataset=dataset,
        cache=FolderStore.of(study.run.cache),
        seed=study.seed,
        device="cpu",
        metric=study.goal.metric,
        allow_code=False,
        progress=lambda text: None,
    )
    return prepare_teacher(study.stated_teachers, room).network


def live_targets(teacher: nn.Module, dataset: Dataset, *, clean: bool = False) -> Targets:
    """Return targets that run the teacher on the student's own view, or on the clean image."""

    @torch.inference_mode()
    def targets(view: View, indices: Tensor) -> Tensor:
        (batch,) = dataset.training.batches(
            len(indices), order=indices, view=None if clean else view
        )
        images = normalize(batch.images, dataset.info.mean, dataset.info.std)
        logits: Tensor = teacher(images)
        return logits[None].clone()

    return targets


@dataclass(frozen=True, kw_only=True)
class LiveSpec(StudyContextSpec):
    """A task whose students learn from a live teacher instead of its cached logits."""

    asked: Study = field(compare=False)

    def open_targets(self) -> Targets:
        dataset = self.open_dataset()
        return live_targets(live_teacher(self.asked, dataset), dataset)

    @classmethod
    def of(cls, spec: StudyContextSpec, study: Study) -> "LiveSpec":
        """Return the same task with a live teacher."""
        return cls(**vars(spec), asked=study)

"""A study's teacher that is asked in every step, as scripts do without cached logits."""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from search.config.study import Study
from search.data.dataset import Dataset, normalize
from search.data.views import View
from search.files.filestore import FolderStore
from search.pipeline.study_context import StudyContextSpec
from search.teachers.setting import TeacherContext
from search.teachers.teacher import prepare_teacher
from search.training.trainer import Targets


def live_teacher(study: Study, dataset: Dataset) -> nn.Module:
    """The study's teacher, which was trained before, from the cache."""
    room = TeacherContext(
        dataset=dataset,
        cache=FolderStore.of(study.run.cache),
        seed=study.seed,
        device="cpu",
        metric=study.goal.metric,
        allow_code=False,
        progress=lambda text: None,
    )
    return prepare_teacher(study.teachers, room).network


def live_targets(teacher: nn.Module, dataset: Dataset, *, clean: bool = False) -> Targets:
    """Asks the teacher about the very view that the student sees, or about the clean image."""

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
    """A task whose students are taught by a live teacher in place of its cached logits."""

    asked: Study = field(compare=False)

    def open_targets(self) -> Targets:
        dataset = self.open_dataset()
        return live_targets(live_teacher(self.asked, dataset), dataset)

    @classmethod
    def of(cls, spec: StudyContextSpec, study: Study) -> "LiveSpec":
        """The same task, its teacher live."""
        return cls(**vars(spec), asked=study)

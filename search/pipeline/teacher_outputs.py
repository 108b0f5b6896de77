"""The teachers' logits and networks that the trials of a study need, in the cache."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from search.config.resources import preparing_device
from search.config.study import Study
from search.data.dataset import Dataset
from search.files.filestore import FolderStore
from search.pipeline.checks import needs_of
from search.pipeline.study_context import StudyContextSpec
from search.progress import Callback, Step
from search.teachers.logits_cache import soft_targets
from search.teachers.prepared import Teacher
from search.teachers.saved_teacher import check_members_features, save_teacher
from search.teachers.setting import TeacherContext
from search.teachers.teacher import prepare_teacher
from spaces.axes.distillation import Needs


def teacher_context(
    study: Study,
    dataset: Dataset,
    device: str,
    callback: Callback,
    *,
    allow_code: bool,
    step: Step,
) -> TeacherContext:
    """Return what the preparation of the study's teachers needs."""
    needed = needs_of(study)
    return TeacherContext(
        dataset=dataset,
        cache=FolderStore.of(study.run.cache),
        seed=study.seed,
        device=device,
        metric=study.goal.metric,
        allow_code=allow_code,
        progress=callback.log,
        step=step,
        features_alone=Needs.FEATURES in needed and Needs.LOGITS not in needed,
    )


def with_teacher_outputs(
    spec: StudyContextSpec,
    study: Study,
    teacher: Teacher,
    dataset: Dataset,
    context: TeacherContext,
) -> StudyContextSpec:
    """Cache the teachers' logits and networks that methods of the study need."""
    needed, cache = needs_of(study), spec.cache
    is_live = Needs.LOGITS in needed and spec.views.count is None
    if Needs.LOGITS in needed and not is_live:
        targets = soft_targets(
            teacher,
            dataset,
            spec.views,
            cache=cache,
            progress=context.progress,
            step=context.step,
        )
        spec = replace(spec, targets=targets.key)
    if Needs.FEATURES in needed:
        check_members_features(teacher, dataset.info)
    if Needs.FEATURES in needed or is_live:
        folder = save_teacher(teacher, study.teachers, dataset.info, cache=cache)
        spec = replace(spec, teachers=name_in(cache, folder))
    return spec


def with_logits(
    spec: StudyContextSpec, study: Study, dataset: Dataset, callback: Callback, *,
    count_views: Callable[[Teacher], int], allow_code: bool, step: Step,
) -> StudyContextSpec:  # fmt: skip
    """Return the spec with the teachers' logits for other training images, or for more views.

    The teachers are loaded again; those that the study trained are in the cache.
    """
    here = preparing_device(study.run)
    step("preparing the teacher")
    prepared = spec.open_prepared()
    context = teacher_context(study, prepared, here, callback, allow_code=allow_code, step=step)
    teacher = prepare_teacher(study.stated_teachers, context)
    views = replace(spec.views, count=count_views(teacher))
    progress, cache = callback.log, spec.cache
    targets = soft_targets(teacher, dataset, views, cache=cache, progress=progress, step=step)
    free_gpu(teacher, here)
    lineage = replace(spec.lineage, views=views)
    return replace(spec, views=views, lineage=lineage, targets=targets.key)


def name_in(cache: FolderStore, folder: Path) -> str:
    """Return the path relative to the cache: other machines may have another cache path."""
    return folder.relative_to(cache.folder).as_posix()


def free_gpu(teacher: Teacher, device: str) -> None:
    """Move the teacher to the CPU, so that the trials can use the GPU's memory."""
    if device == "cuda":
        teacher.network.cpu()
        torch.cuda.empty_cache()

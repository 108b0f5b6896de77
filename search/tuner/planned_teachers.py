"""The teachers of a study in its plan: their networks, without trained weights."""

from collections.abc import Callable, Iterator
from typing import TypeAlias

from torch import nn

from search.config.study import Study
from search.config.teacher_members import TeacherMember, all_members
from search.data.dataset import Dataset
from search.pipeline.checks import needs_of
from search.teachers.outputs import check_outputs
from search.teachers.saved_teacher import architecture, check_features
from spaces.axes.distillation import Needs

PlannedTeachers: TypeAlias = tuple[tuple[TeacherMember, nn.Module], ...]
"""The teachers, and those from which they learn, with their networks on the CPU."""


def planned_teachers(
    study: Study, dataset: Dataset, progress: Callable[[str], None], *, allow_code: bool
) -> PlannedTeachers:
    """Return the teachers' networks without trained weights, which do not change their duration.

    Raises:
        TeacherError: a method needs the features of a teacher that does not provide them, or a
            factory's code fails.
    """
    found, needed = [], needs_of(study)
    features_alone = Needs.FEATURES in needed and Needs.LOGITS not in needed
    teaching = {member.label for member in study.teacher_members}
    for member in all_members(study.teacher_members):
        settings = member.settings
        if settings.factory and not allow_code:
            progress(
                f"a plan runs {settings.factory} only with --allow-code: without it, the estimate "
                "lacks this teacher's time"
            )
            continue
        may_fit = features_alone or not settings.factory
        network = architecture(
            settings, dataset.info, allow_code=allow_code, fit_classes=may_fit
        ).eval()
        if settings.factory:
            check_outputs(network, dataset.info, factory=settings.factory)
        if Needs.FEATURES in needed and member.label in teaching:
            check_features(network, dataset.info)
        found.append((member, network))
    return tuple(found)


def teaching_networks(study: Study, teachers: PlannedTeachers) -> tuple[nn.Module, ...]:
    """Return the networks that teach the students."""
    teaching = {member.label for member in study.teacher_members}
    return tuple(network for member, network in teachers if member.label in teaching)


def teacher_texts(study: Study) -> Iterator[str]:
    """Yield a line for each teacher, in the order in which they are prepared."""
    for member in all_members(study.teacher_members):
        schedule = member.settings.schedule
        by = " and ".join(dict.fromkeys(one.name for one in member.taught_by))
        taught = f"; learns from {by}" if by else ""
        copies = f", copy {member.copy + 1}" if member.settings.copies > 1 else ""
        yield f"{member.name}{copies}: {schedule or 'used as it is'}{taught}"

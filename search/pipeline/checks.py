"""What can't be run is refused before any work is done."""

import math
from collections.abc import Iterable

from search.config.resources import parallel_trials, preparing_device
from search.config.study import Study
from search.errors import BadInput, TeacherError
from search.files.filestore import FolderStore
from search.targets.agent_client import describe_agent
from search.targets.onnx_runtime import check_device
from search.teachers.factory import factory_file
from spaces import registry
from spaces.axes.distillation import Distillation, Needs
from spaces.distributions import OneOf
from spaces.students.timm_model import check_model_name


def student_models(study: Study) -> tuple[str, ...]:
    """The models that may be chosen, in the order in which the study names them."""
    distribution = study.search_space().distributions().get("student.timm.model")
    return tuple(map(str, distribution.options)) if isinstance(distribution, OneOf) else ()


def check_study(study: Study) -> None:
    """Refuses what timm, the disk or this machine does not have, before any work is done.

    Raises:
        BadInput: a line for each student and teacher that timm does not know, with what comes
            near; or every recipe contradicts itself; or a teacher's file is missing; or there are
            too few cores or no GPU; or the file system of a URL is not installed.
        ArtifactError: this ONNX Runtime does not serve on the target's device.
        DepotError: a URL does not answer.
        DiskError: the artifacts can't be written.
    """
    _check_space(study)
    for teacher in study.teachers:
        for key, path in (
            ("checkpoint", teacher.checkpoint),
            ("exported", teacher.exported),
            ("factory", factory_file(teacher.factory)),
        ):
            if path and not path.expanduser().exists():
                raise TeacherError(f"teacher.{key} must be there, but {path} is not")
    parallel_trials(study.run)
    preparing_device(study.run)
    for address in (study.run.artifacts, study.run.cache):
        FolderStore.of(address).check()
    # A cache that may only be read will do, if it holds what is needed.
    FolderStore.of(study.run.artifacts).check_writable()
    check_device(study.budget.target.device_here)
    if study.budget.target.agent:
        describe_agent(study.budget.target.agent)


def _check_space(study: Study) -> None:
    # It brings Optuna along, for which a trial's process has no use.
    from search.cost_model.refusals import contradictions

    wrong = _unknown("space.student.timm.model", student_models(study))
    wrong += _unknown("teacher.model", [t.model for t in study.teachers if t.model])
    if wrong:
        raise BadInput("\n".join(wrong))
    refused = contradictions(study)
    if math.isclose(sum(refused.values()), 1.0):
        raise BadInput(
            "a space must hold recipes that don't contradict themselves, but every one that was "
            f"drawn does: {'; '.join(refused)}"
        )
    if study.data.unlabelled and all(method.uses_labels for method in _distillations(study)):
        raise BadInput(
            "data.unlabelled is learned from by methods that use no labels, but the study opens "
            "none: open label_free in space.distillation, or leave data.unlabelled out"
        )


def needs_of(study: Study) -> set[Needs]:
    """What the open distillation methods ask of the teacher."""
    return {method.needs for method in _distillations(study)}


def _distillations(study: Study) -> list[type[Distillation]]:
    opened = study.search_space().axes[Distillation.axis]
    methods = [registry.method(Distillation.axis, name) for name in opened]
    return [method for method in methods if issubclass(method, Distillation)]


def _unknown(place: str, models: Iterable[object]) -> list[str]:
    """A line for each name that timm does not have."""
    lines = []
    for model in models:
        try:
            check_model_name(str(model))
        except ValueError as error:
            lines.append(f"{place} {error}")
    return lines

"""Checks that refuse a study that can't be run, before the search begins."""

import math
from collections.abc import Iterable

from search.config.resources import parallel_trials, preparing_device
from search.config.study import Study
from search.config.teacher_members import all_settings
from search.cost_model.refusals import contradictions
from search.errors import BadInput, TeacherError
from search.files.filestore import FolderStore
from search.targets.agent_client import describe_agent
from search.targets.registry import runtime
from search.teachers.class_order import classes_file
from search.teachers.factory import factory_file
from search.teachers.sources import WEIGHTS_ADVICE
from spaces import registry
from spaces.axes.distillation import Distillation, Needs
from spaces.axes.quantization import Quantization
from spaces.axes.training import Training, most_epochs
from spaces.distributions import OneOf
from spaces.students.timm_model import check_model_name
from spaces.students.weights import WeightsUnavailable, check_weights


def student_models(study: Study) -> tuple[str, ...]:
    """Return the timm models of the search space, in the order of the study file."""
    distribution = study.search_space().distributions().get("student.timm.model")
    return tuple(map(str, distribution.options)) if isinstance(distribution, OneOf) else ()


def check_study(study: Study) -> None:
    """Check that timm, the disk and this machine have everything that the study needs.

    Raises:
        BadInput: timm does not know a student or teacher (one line for each, with similar names);
            the target's runtime can't run a number format (one line for each); every recipe
            contradicts itself; pretrained weights are neither in the cache nor can be downloaded;
            a teacher's file is missing; there are too few cores or no GPU; or the file system of a
            URL is not installed.
        ArtifactError: the target's runtime can't run on the target's device of this machine.
        FolderStoreError: a URL does not answer.
        DiskError: the artifacts folder can't be written.
    """
    _check_space(study)
    _check_final_epochs(study)
    _check_weights(study)
    for teacher in all_settings(study.stated_teachers):
        for key, path in (
            ("checkpoint", teacher.checkpoint),
            ("exported", teacher.exported),
            ("factory", factory_file(teacher.factory)),
            ("classes", classes_file(teacher)),
        ):
            if path and not path.expanduser().exists():
                raise TeacherError(
                    f"teacher.{key} must be an existing file or folder, but {path} is missing"
                )
    parallel_trials(study.run)
    preparing_device(study.run)
    for address in (study.run.artifacts, study.run.cache):
        FolderStore.of(address).check()
    # A read-only cache is enough if all required entries are in it.
    FolderStore.of(study.run.artifacts).check_writable()
    target = study.budget.target
    runtime(target.runtime).check_device(target.device_here)
    if target.agent:
        describe_agent(target.agent, target.runtime)


def _check_space(study: Study) -> None:
    wrong = _unknown("space.student.timm.model", student_models(study))
    wrong += _unknown(
        "teacher.model", [t.model for t in all_settings(study.stated_teachers) if t.model]
    )
    wrong += _unserved(study)
    if wrong:
        raise BadInput("\n".join(wrong))
    refused = contradictions(study)
    if math.isclose(sum(refused.values()), 1.0):
        raise BadInput(
            "the space must contain recipes that don't contradict themselves, but every recipe "
            f"that was drawn at random does: {'; '.join(refused)}. Change the key `space`"
        )
    if study.data.unlabelled and all(method.uses_labels for method in _distillations(study)):
        raise BadInput(
            "data.unlabelled needs a distillation method that uses no labels, but the study opens "
            "none: open label_free in space.distillation, or leave data.unlabelled out"
        )


def _check_final_epochs(study: Study) -> None:
    """Check that every training method of the space allows `final.epochs`.

    Raises:
        BadInput: a method allows fewer epochs.
    """
    if study.final is None or study.final.epochs is None:
        return
    for name in study.search_space().axes[Training.axis]:
        most = most_epochs(registry.method(Training.axis, name))
        if most is not None and study.final.epochs > most:
            raise BadInput(
                f"final.epochs must be at most {most}, the most epochs of training.{name}, but "
                f"got {study.final.epochs}"
            )


def _check_weights(study: Study) -> None:
    """Check the pretrained weights of the teachers and, if trials run here, of the students.

    Raises:
        BadInput: has a line for each model whose weights are missing.
    """
    models = [one.model for one in all_settings(study.stated_teachers) if one.pretrained]
    opened = study.search_space().distributions().get("student.timm.pretrained")
    if study.run.ray == "local" and opened is not None and opened.contains(True):
        models += student_models(study)
    missing = []
    for model in dict.fromkeys(models):
        try:
            check_weights(model or "")
        except WeightsUnavailable as error:
            missing.append(str(error))
    if missing:
        raise BadInput("\n".join([*missing, WEIGHTS_ADVICE]))


def _unserved(study: Study) -> list[str]:
    """Return a line for each number format in the space that the target's runtime can't run."""
    serving = runtime(study.budget.target.runtime)
    opened = study.search_space().axes[Quantization.axis]
    formats = [registry.method(Quantization.axis, name)() for name in opened]
    return [
        f"space.quantization.{one.name} must be a number format that budget.target.runtime can "
        f"run, but {serving.name} can't: {reason}. Leave the format out"
        for one in formats
        if isinstance(one, Quantization) and (reason := serving.conflict(one))
    ]


def needs_of(study: Study) -> set[Needs]:
    """Return what the study's distillation methods need from the teacher."""
    return {method.needs for method in _distillations(study)}


def _distillations(study: Study) -> list[type[Distillation]]:
    opened = study.search_space().axes[Distillation.axis]
    methods = [registry.method(Distillation.axis, name) for name in opened]
    return [method for method in methods if issubclass(method, Distillation)]


def _unknown(place: str, models: Iterable[object]) -> list[str]:
    """Return a line for each model name that timm does not know."""
    lines = []
    for model in models:
        try:
            check_model_name(str(model))
        except ValueError as error:
            lines.append(f"{place} {error}")
    return lines

"""Weights with which students start: those of files, and the teacher's own.

They are prepared once, in the process that prepares the teacher: with the data's classes, and for
the images that students receive. Workers read them from the cache, so a file need not be on their
machines. The cache has a folder for each pair of weights and model.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from search.config.study import Study
from search.config.teacher_settings import TeacherSettings
from search.config.teacher_training import TeacherTraining
from search.data.dataset import DataInfo
from search.errors import BadInput, TeacherError
from search.evaluation.artifact import write_weights
from search.files.atomic import file_digest
from search.teachers import adapters, linear_probe
from search.teachers.adapters import AdaptedTeacher, OrderedTeacher
from search.teachers.class_order import CONFIGURATION
from search.teachers.new_classes import keep_rows
from search.teachers.prepared import Teacher
from search.teachers.setting import TeacherContext
from search.teachers.sources import from_timm
from search.teachers.teacher import starting_network
from search.versions import TRAINING_LIBRARIES, Versions
from spaces.axes.student import Student
from spaces.distributions import OneOf
from spaces.students import normalization
from spaces.students.normalization import fold_normalization
from spaces.students.timm_model import Timm

_FOLDER = "student_weights"
_WEIGHTS = "model.safetensors"


@dataclass(frozen=True, kw_only=True)
class GivenWeights:
    """Weights that fit a model.

    Attributes:
        weights: the value of `student.timm.weights`.
        model: the timm model.
        folder: the folder of the prepared weights, within the cache.
        digest: the hash of all from which they follow.
    """

    weights: str
    model: str
    folder: str
    digest: str

    def belongs_to(self, student: Student) -> bool:
        """Return whether the student starts with these weights."""
        return (student.given_weights, student.timm_model) == (self.weights, self.model)


def fitting_weights(study: Study, info: DataInfo) -> tuple[tuple[str, str], ...]:
    """Return each pair of given weights and model in the space that fit each other.

    Raises:
        BadInput: weights fit no model of the space.
    """
    models = _opened(study, "model")
    pairs: list[tuple[str, str]] = []
    for weights in _opened(study, "weights"):
        if not (needed := Timm(weights=weights).given_weights):
            continue
        reasons = {model: _misfit(study, needed, model, info) for model in models}
        fitting = [(needed, model) for model, reason in reasons.items() if reason is None]
        if not fitting:
            raise BadInput(
                f"space.student.timm.weights must fit a model of the space, but {needed} fits "
                f"none: {next(iter(reasons.values()), 'there is no model')}"
            )
        pairs += fitting
    return tuple(pairs)


def prepare_weights(
    study: Study, teacher: Teacher, context: TeacherContext
) -> tuple[GivenWeights, ...]:
    """Prepare all weights with which students of the study start, unless they are cached."""
    info = context.dataset.info
    found = []
    for weights, model in fitting_weights(study, info):
        is_teacher = Timm(weights=weights).starts_trained
        origin = teacher.digest if is_teacher else _file_digests(Path(weights))
        versions = Versions(
            libraries=TRAINING_LIBRARIES,
            stages={
                "adapt": adapters.VERSION,
                "fold": normalization.VERSION,
                "probe": linear_probe.VERSION,
            },
        )
        known = origin, model, context.dataset.key, info.classes, context.seed
        digest = versions.key(*known)[:24]
        folder_store = context.cache / _FOLDER
        with folder_store.making(digest, context.progress):
            if folder_store.kept(digest) is None:
                network = (
                    _of_teacher(study, teacher, model)
                    if is_teacher
                    else _of_file(Path(weights), model, context)
                )
                plain = _for_students(network, info, context)
                with folder_store.writing(digest) as temporary:
                    write_weights(temporary / _WEIGHTS, plain)
        found.append(
            GivenWeights(weights=weights, model=model, folder=f"{_FOLDER}/{digest}", digest=digest)
        )
    return tuple(found)


def _file_digests(weights: Path) -> Sequence[str]:
    """Return the hashes of the file and of the configuration beside it, if there is one."""
    beside = weights.with_name(CONFIGURATION)
    return [file_digest(file) for file in (weights, beside) if file.is_file()]


def read_weights(folder: Path) -> Mapping[str, Tensor]:
    """Return the prepared weights in a folder."""
    return load_file(folder / _WEIGHTS)


def _opened(study: Study, key: str) -> list[str]:
    distribution = study.search_space().distributions().get(f"student.timm.{key}")
    return [*map(str, distribution.options)] if isinstance(distribution, OneOf) else []


def _misfit(study: Study, weights: str, model: str, info: DataInfo) -> str | None:
    """Return why the weights are not those of the model; None if they are."""
    if Timm(weights=weights).starts_trained:
        if model in _teachers_models(study.teachers):
            return None
        return f"no teacher is the timm model {model} with timm's own stem"
    try:
        from_timm(_as_teacher(weights, model), info)
    except TeacherError as error:
        return str(error)
    return None


def _teachers_models(teachers: Sequence[TeacherSettings]) -> list[str | None]:
    """Return each teacher's model; None for one that is not as timm builds it."""
    return [settings.model if settings.stem == "original" else None for settings in teachers]


def _as_teacher(weights: str, model: str) -> TeacherSettings:
    return TeacherSettings(model=model, checkpoint=Path(weights), train=TeacherTraining())


def _of_teacher(study: Study, teacher: Teacher, model: str) -> nn.Module:
    """Return a copy of the first teacher of this model."""
    place = _teachers_models(study.teachers).index(model)
    return copy.deepcopy(teacher.members[place]).cpu()


def _of_file(path: Path, model: str, context: TeacherContext) -> nn.Module:
    """Return the network with the file's weights, with a classifier for the data's classes."""
    torch.manual_seed(context.seed)
    network, needs_probe = starting_network(_as_teacher(str(path), model), context)
    return linear_probe.probed(network, context).cpu() if needs_probe else network


def _for_students(network: nn.Module, info: DataInfo, context: TeacherContext) -> nn.Module:
    """Return the network within the adapters, so that it takes students' images by itself."""
    if isinstance(network, OrderedTeacher):
        rows, network = network.columns.tolist(), network.network
        inner = network.network if isinstance(network, AdaptedTeacher) else network
        keep_rows(inner, rows)
    if not isinstance(network, AdaptedTeacher):
        return network
    inner = network.network
    size = network.size[0] if _has_fixed_size(inner) else info.image_size
    example = torch.zeros(1, info.channels, size, size)
    scale, offset = network.scale.flatten().tolist(), network.offset.flatten().tolist()
    if not fold_normalization(inner, scale, offset, example):
        context.progress(
            "warning: the first layer of the students' given weights can't absorb their "
            "normalisation: they start on images that are normalised by the data's mean and std"
        )
    return inner


def _has_fixed_size(network: nn.Module) -> bool:
    cfg = getattr(network, "pretrained_cfg", None) or {}
    return bool(cfg.get("fixed_input_size"))

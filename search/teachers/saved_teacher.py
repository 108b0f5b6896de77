"""Saves teachers as files for the workers, whose students compare features with the teachers."""

import hashlib
import json
import shutil
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import nn

from search.config.teacher_settings import TeacherSettings
from search.data.dataset import DataInfo
from search.errors import TeacherError
from search.evaluation.artifact import load_network, write_weights
from search.files.atomic import damaged_files
from search.files.filestore import FolderStore
from search.teachers.adapters import AdaptedTeacher, OrderedTeacher, adapt
from search.teachers.class_order import in_data_order, stated_names
from search.teachers.factory import factory_digest, from_factory
from search.teachers.linear_probe import with_classes
from search.teachers.prepared import Teacher
from search.teachers.sources import preprocessing, timm_network
from spaces.features import features_of

_DESCRIPTION = "teacher.json"


def save_teacher(
    teacher: Teacher, members: Sequence[TeacherSettings], info: DataInfo, *, cache: FolderStore
) -> Path:
    """Save each member's weights and settings, unless they are cached; return the folder."""
    description = json.dumps(
        {
            "digest": teacher.digest,
            "data": info.to_json(),
            "members": [
                _as_saved(settings, network, info).model_dump(mode="json")
                for settings, network in zip(members, teacher.members, strict=True)
            ],
            "code": [factory_digest(settings.factory) for settings in members],
        },
        indent=1,
    )
    folder_store, name = (
        cache / "live_teachers",
        hashlib.sha256(description.encode()).hexdigest()[:24],
    )
    if folder := folder_store.kept(name):
        return folder
    with folder_store.writing(name) as temporary:
        for number, network in enumerate(teacher.members):
            write_weights(temporary / _weights_file(number), network)
        for number, settings in enumerate(members):
            if settings.exported:  # the folder may be missing on another machine
                shutil.copytree(settings.exported.expanduser(), temporary / _export_copy(number))
        (temporary / _DESCRIPTION).write_text(description)
    return folder_store.folder / name


def check_members_features(teacher: Teacher, info: DataInfo) -> None:
    """Check that methods of the study can compare features with every member.

    Raises:
        TeacherError: a member does not provide them.
    """
    for network in teacher.members:
        check_features(network, info, device=teacher.device)


@cache
def open_teachers(folder: Path, *, allow_code: bool) -> tuple[nn.Module, ...]:
    """Load the networks in `folder`, in evaluation mode, on the CPU; a process loads them once.

    Raises:
        TeacherError: a file is missing or damaged, or a factory's code is not allowed to run.
    """
    if damaged := damaged_files(folder):
        raise TeacherError(
            f"{folder} must be unchanged since it was written, but {', '.join(damaged)} is "
            "damaged: run the study again"
        )
    description = json.loads((folder / _DESCRIPTION).read_text())
    info = DataInfo.from_json(description["data"])
    networks = []
    for number, values in enumerate(description["members"]):
        settings = TeacherSettings.model_validate_json(json.dumps(values))
        if settings.exported:
            settings = settings.model_copy(update={"exported": folder / _export_copy(number)})
        _check_code(settings, description["code"][number])
        network = architecture(settings, info, allow_code=allow_code)
        network.load_state_dict(load_file(folder / _weights_file(number)))
        networks.append(network.eval().requires_grad_(False))
    return tuple(networks)


def architecture(
    settings: TeacherSettings, info: DataInfo, *, allow_code: bool, fit_classes: bool = True
) -> nn.Module:
    """Build a teacher's network for the students' images, without its final weights.

    Args:
        settings: the teacher's settings.
        info: the description of the data.
        allow_code: whether a factory's code may run.
        fit_classes: whether a classifier of other classes is replaced, as a linear probe does.

    Raises:
        TeacherError: the network can't be built, or a factory's code is not allowed to run.
    """
    # A teacher that is trained here has the data's classes, whatever its weights had.
    names = (None if settings.train else stated_names(settings, info)) or info.classes
    if settings.exported:
        network = load_network(settings.exported)
    elif settings.factory:
        network = from_factory(settings.factory, info, allow_code=allow_code)
    else:
        network = timm_network(settings, info, classes=len(names), blank=True)
    if fit_classes or settings.train:
        network = with_classes(network, len(names))
    network = adapt(network, info, *preprocessing(settings, network, info))
    return in_data_order(network, names, info)


def check_features(network: nn.Module, info: DataInfo, *, device: str = "cpu") -> None:
    """Raise TeacherError unless the network provides its feature maps."""
    example = torch.zeros(1, info.channels, info.image_size, info.image_size, device=device)
    try:
        features_of(network, example)
    except ValueError as error:
        raise TeacherError(
            f"the teacher must provide its feature maps, but can't: {error}. Leave out the "
            "distillation methods that need them, or choose a timm model as the teacher"
        ) from error


def _as_saved(settings: TeacherSettings, network: nn.Module, info: DataInfo) -> TeacherSettings:
    """Return the settings with what only files state: the class of each output, mean and std."""
    names = list(network.names) if isinstance(network, OrderedTeacher) else None
    found: dict[str, Any] = {"classes": names, "copies": 1, "assistant": None}
    inner = network.network if isinstance(network, OrderedTeacher) else network
    if settings.checkpoint and isinstance(inner, AdaptedTeacher):
        mean, std = inner.statistics(info)
        found |= {"mean": mean, "std": std}
    return settings.model_copy(update=found)


def _check_code(settings: TeacherSettings, digest: str) -> None:
    if factory_digest(settings.factory) != digest:
        raise TeacherError(
            f"the file of teacher.factory, {settings.factory}, must not change during a run, but "
            "it has changed: run the study again"
        )


def _weights_file(number: int) -> str:
    return f"member-{number}.safetensors"


def _export_copy(number: int) -> str:
    return f"member-{number}-exported"

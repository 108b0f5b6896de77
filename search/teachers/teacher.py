"""The teacher that a study names, prepared and checked against the data."""

import hashlib
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from search.config.study import TeacherSettings
from search.errors import TeacherError
from search.evaluation.artifact import load_network
from search.objectives.metrics import ACCURACY
from search.objectives.predictions import Predictions
from search.teachers.adapters import Ensemble, adapt
from search.teachers.factory import factory_digest, from_factory
from search.teachers.finetune import trained
from search.teachers.linear_probe import outputs_of, probed
from search.teachers.setting import TeacherContext, network_digest
from search.teachers.sources import from_timm, preprocessing
from search.training.validation import predictions_of
from spaces.counting import count_parameters

# The most parameters of a teacher to copy in double precision, at eight bytes each.
_MOST_COPIED = 500_000_000


@dataclass(frozen=True)
class Teacher:
    """A network, or several as one, that takes the students' normalised images.

    Attributes:
        name: for people.
        network: to logits [batch, classes], in evaluation mode, on `device`.
        digest: hexadecimal SHA-256 of what decides its outputs.
        device: where it computes.
    """

    name: str
    network: nn.Module
    digest: str
    device: str

    @property
    def members(self) -> tuple[nn.Module, ...]:
        """The member networks, in the order in which the study names them."""
        if isinstance(self.network, Ensemble):
            return tuple(self.network.members)
        return (self.network,)


def prepare_teacher(members: Sequence[TeacherSettings], room: TeacherContext) -> Teacher:
    """Return the teacher that a study names, trained here if its settings ask for it.

    Raises:
        TeacherError: weights are missing or unfit, or a factory's code is not allowed to run.
    """
    # Members with the same settings are still trained with different seeds.
    rooms = [replace(room, seed=room.seed + number) for number in range(len(members))]
    pairs = zip(members, rooms, strict=True)
    networks = [_member(settings, own).to(room.device).eval() for settings, own in pairs]
    network = networks[0] if len(networks) == 1 else Ensemble(networks).eval()
    _check_outputs(network, room)
    _warn_of_chance(network, room)
    names = [str(s.model or s.exported or s.factory) for s in members]
    name = names[0] if len(names) == 1 else f"ensemble of {', '.join(names)}"
    digest = _digest(network, room, code=[factory_digest(s.factory) for s in members])
    return Teacher(name, network.requires_grad_(False), digest, room.device)


def _member(settings: TeacherSettings, room: TeacherContext) -> nn.Module:
    info = room.dataset.info
    torch.manual_seed(room.seed)  # for weights that are not loaded
    if settings.exported:
        network = load_network(settings.exported)
    elif settings.factory:
        network = from_factory(settings.factory, info, allow_code=room.allow_code)
    else:
        network = from_timm(settings, info)
    if settings.train:
        return trained(network, settings.train, room, code=factory_digest(settings.factory))
    network = adapt(network, info, *preprocessing(settings, network, info))
    if room.features_alone and outputs_of(network) not in (None, len(info.classes)):
        room.progress(
            f"the teacher's {outputs_of(network)} classes are not the data's "
            f"{len(info.classes)}: its predictions are those of a linear classifier on its "
            "features"
        )
        return probed(network, room)
    return network


@torch.inference_mode()
def _check_outputs(network: nn.Module, room: TeacherContext) -> None:
    info = room.dataset.info
    example = torch.zeros(2, info.channels, info.image_size, info.image_size, device=room.device)
    try:
        shape = tuple(network(example).shape)
    except (RuntimeError, AssertionError) as error:
        raise TeacherError(
            f"the teacher must take images of {info.channels} channels and {info.image_size} "
            f"pixels, but: {error}"
        ) from error
    if shape != (2, len(info.classes)):
        raise TeacherError(
            f"the teacher must predict the data's {len(info.classes)} classes, but its outputs for "
            f"2 images are of shape {list(shape)}: fine-tune it with `train: {{}}`, or open "
            "distillation methods that need its features alone"
        )


def _warn_of_chance(network: nn.Module, room: TeacherContext) -> None:
    """Warn if labels are hit no more often than by always naming the most common class.

    This test uses labels, whatever metric the study maximises.
    """
    validation = room.dataset.validation
    found = predictions_of(network, validation, room.dataset, device=room.device)
    guess = Predictions(
        labels=validation.labels,
        classes=np.full_like(validation.labels, np.bincount(validation.labels).argmax()),
        confidence=np.ones(len(validation), np.float32),
    )
    right, chance = (ACCURACY.compute(one, validation.labels) for one in (found, guess))
    if right <= chance + 3 * ACCURACY.standard_error(guess, validation.labels):
        room.progress(
            f"warning: the teacher's validation {ACCURACY.label} of {ACCURACY.format(right)} is "
            f"hardly above chance ({ACCURACY.format(chance)}): check its preprocessing and the "
            "order of the classes"
        )


def _digest(network: nn.Module, room: TeacherContext, *, code: Sequence[str]) -> str:
    """Return the digest of the weights, of the outputs for a probe, and of the members' own code.

    Only the probe identifies the code of an installed module.
    """
    info = room.dataset.info
    noise = torch.Generator().manual_seed(0)
    probe = torch.randn(2, info.channels, info.image_size, info.image_size, generator=noise)
    outputs = _outputs_anywhere(network, probe, device=room.device)
    known = network_digest(network) + "".join(code)
    return hashlib.sha256(known.encode() + outputs.tobytes()).hexdigest()


@torch.inference_mode()
def _outputs_anywhere(network: nn.Module, probe: Tensor, *, device: str) -> np.ndarray:
    """Return outputs for the probe, rounded so that every machine computes the same.

    In single precision, processors differ in the last digits, and these digits sometimes decide how
    a number is rounded; in double precision they hardly ever do.
    """
    exact = _in_double_precision(network, probe)
    outputs = network(probe.to(device)).cpu().float() if exact is None else exact
    rounded: np.ndarray = outputs.numpy().round(1 if exact is None else 2)
    return rounded + 0.0  # turns -0 into 0


def _in_double_precision(network: nn.Module, probe: Tensor) -> Tensor | None:
    """Return outputs of a copy on the CPU; None if it is too large, or insists on a precision."""
    if count_parameters(network) > _MOST_COPIED:
        return None
    ordinary = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        outputs: Tensor = deepcopy(network).cpu().double()(probe.double())
    except Exception:  # noqa: BLE001  code of others
        return None
    finally:
        torch.set_default_dtype(ordinary)
    return outputs

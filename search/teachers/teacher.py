"""Prepares the teacher of a study, and checks it against the data."""

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

# The maximum number of parameters of a teacher that is copied in double precision, 8 bytes each.
_MAX_COPIED = 500_000_000


@dataclass(frozen=True)
class Teacher:
    """A network or an ensemble that takes the students' normalised images.

    Attributes:
        name: the name for people.
        network: returns logits [batch, classes]; in evaluation mode, on `device`.
        digest: the hexadecimal SHA-256 of its weights, code and outputs.
        device: the device on which it runs.
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


def prepare_teacher(members: Sequence[TeacherSettings], context: TeacherContext) -> Teacher:
    """Prepare the teacher of a study; train it if its settings ask for that.

    Raises:
        TeacherError: weights are missing or do not fit, or a factory's code is not allowed to run.
    """
    # Different seeds, so that members with the same settings differ.
    contexts = [replace(context, seed=context.seed + number) for number in range(len(members))]
    pairs = zip(members, contexts, strict=True)
    networks = [_member(settings, own).to(context.device).eval() for settings, own in pairs]
    network = networks[0] if len(networks) == 1 else Ensemble(networks).eval()
    _check_outputs(network, context)
    _warn_of_chance(network, context)
    names = [str(s.model or s.exported or s.factory) for s in members]
    name = names[0] if len(names) == 1 else f"ensemble of {', '.join(names)}"
    digest = _digest(network, context, code=[factory_digest(s.factory) for s in members])
    return Teacher(name, network.requires_grad_(False), digest, context.device)


def _member(settings: TeacherSettings, context: TeacherContext) -> nn.Module:
    info = context.dataset.info
    torch.manual_seed(context.seed)  # for randomly initialised weights
    if settings.exported:
        network = load_network(settings.exported)
    elif settings.factory:
        network = from_factory(settings.factory, info, allow_code=context.allow_code)
    else:
        network = from_timm(settings, info)
    if settings.train:
        return trained(network, settings.train, context, code=factory_digest(settings.factory))
    network = adapt(network, info, *preprocessing(settings, network, info))
    if context.features_alone and outputs_of(network) not in (None, len(info.classes)):
        context.progress(
            f"the teacher has {outputs_of(network)} classes, but the data have "
            f"{len(info.classes)}: a new linear classifier on the teacher's features is fitted to "
            "the data"
        )
        return probed(network, context)
    return network


@torch.inference_mode()
def _check_outputs(network: nn.Module, context: TeacherContext) -> None:
    info = context.dataset.info
    example = torch.zeros(2, info.channels, info.image_size, info.image_size, device=context.device)
    try:
        shape = tuple(network(example).shape)
    except (RuntimeError, AssertionError) as error:
        raise TeacherError(
            f"the teacher must accept images with {info.channels} channels and "
            f"{info.image_size} pixels, but fails: {error}"
        ) from error
    if shape != (2, len(info.classes)):
        raise TeacherError(
            f"the teacher must predict the {len(info.classes)} classes of the data, but its "
            f"outputs for 2 images have the shape {list(shape)}: fine-tune it with `train: {{}}`, "
            "or open only distillation methods that need only its features"
        )


def _warn_of_chance(network: nn.Module, context: TeacherContext) -> None:
    """Warn if the teacher is not significantly better than always predicting the commonest class.

    This check uses the accuracy, whatever metric the study maximises.
    """
    validation = context.dataset.validation
    found = predictions_of(network, validation, context.dataset, device=context.device)
    guess = Predictions(
        labels=validation.labels,
        classes=np.full_like(validation.labels, np.bincount(validation.labels).argmax()),
        confidence=np.ones(len(validation), np.float32),
    )
    right, chance = (ACCURACY.compute(one, validation.labels) for one in (found, guess))
    if right <= chance + 3 * ACCURACY.standard_error(guess, validation.labels):
        context.progress(
            f"warning: the teacher's validation {ACCURACY.label} of {ACCURACY.format(right)} is "
            f"not significantly above chance ({ACCURACY.format(chance)}): check its preprocessing "
            "and the order of its classes"
        )


def _digest(network: nn.Module, context: TeacherContext, *, code: Sequence[str]) -> str:
    """Return the digest of the weights, of the members' code, and of the outputs for a probe.

    The code of an installed module is not read: only the probe's outputs identify it.
    """
    info = context.dataset.info
    generator = torch.Generator().manual_seed(0)
    probe = torch.randn(2, info.channels, info.image_size, info.image_size, generator=generator)
    outputs = _portable_outputs(network, probe, device=context.device)
    known = network_digest(network) + "".join(code)
    return hashlib.sha256(known.encode() + outputs.tobytes()).hexdigest()


@torch.inference_mode()
def _portable_outputs(network: nn.Module, probe: Tensor, *, device: str) -> np.ndarray:
    """Return the outputs for the probe, rounded so that they are equal on all machines.

    In single precision, processors differ in the last digits, and this difference sometimes changes
    a rounded number. In double precision it almost never does.
    """
    exact = _in_double_precision(network, probe)
    outputs = network(probe.to(device)).cpu().float() if exact is None else exact
    rounded: np.ndarray = outputs.numpy().round(1 if exact is None else 2)
    return rounded + 0.0  # turns -0 into 0


def _in_double_precision(network: nn.Module, probe: Tensor) -> Tensor | None:
    """Return the outputs of a copy in double precision, on the CPU.

    Returns:
        The outputs; None if the network is too large, or fails in double precision.
    """
    if count_parameters(network) > _MAX_COPIED:
        return None
    ordinary = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        outputs: Tensor = deepcopy(network).cpu().double()(probe.double())
    except Exception:  # noqa: BLE001  the network may be the user's own code
        return None
    finally:
        torch.set_default_dtype(ordinary)
    return outputs

"""Prepares the teacher of a study, and checks it against the data."""

import hashlib
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from search.config.teacher_settings import TeacherSettings
from search.evaluation.artifact import load_network
from search.teachers.adapters import Ensemble, OrderedTeacher, adapt
from search.teachers.class_order import Names, in_data_order, names_of_weights, stated_names
from search.teachers.factory import factory_digest, from_factory
from search.teachers.finetune import trained
from search.teachers.linear_probe import outputs_of, probed
from search.teachers.order_check import check_order
from search.teachers.outputs import check_outputs, told_accuracy
from search.teachers.setting import TeacherContext, network_digest
from search.teachers.sources import from_timm, preprocessing
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
    keys = _keys(members)
    networks = [
        _checked(settings, own, key)
        for settings, own, key in zip(members, contexts, keys, strict=True)
    ]
    names = [_name(settings) for settings in members]
    network, name = networks[0], names[0]
    if len(networks) > 1:
        network, name = Ensemble(networks).eval(), f"ensemble of {', '.join(names)}"
        told_accuracy(network, name, context)
    digest = _digest(network, context, code=[factory_digest(s.factory) for s in members])
    return Teacher(name, network.requires_grad_(False), digest, context.device)


def _keys(members: Sequence[TeacherSettings]) -> list[str]:
    """Return the study file's key of each member."""
    if len(members) == 1:
        return ["teacher"]
    return [f"teacher.{number}" for number in range(len(members))]


def _name(settings: TeacherSettings) -> str:
    return str(settings.model or settings.exported or settings.factory)


def _checked(settings: TeacherSettings, context: TeacherContext, key: str) -> nn.Module:
    """Return a member that predicts the data's classes, in their order; report its accuracy."""
    info = context.dataset.info
    network = _member(settings, context).to(context.device).eval()
    check_outputs(network, info, factory=settings.factory, device=context.device)
    found = told_accuracy(network, _name(settings), context)
    # One that was trained here has the data's order, and features have no classes.
    if settings.train is None and not context.features_alone:
        names = network.names if isinstance(network, OrderedTeacher) else None
        check_order(found, info.classes, names, key=f"{key}.classes", class_ids=info.class_ids)
    return network


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
    names = _class_names(settings, network, context)
    # In evaluation mode, since an example must not change the statistics of its normalisation.
    network = adapt(network, info, *preprocessing(settings, network, info)).eval()
    if names:
        check_outputs(network, info, outputs=len(names), factory=settings.factory)
        return in_data_order(network, names, info)
    if context.features_alone and outputs_of(network) not in (None, len(info.classes)):
        context.progress(
            f"the teacher has {outputs_of(network)} classes, but the data have "
            f"{len(info.classes)}: a new linear classifier on the teacher's features is fitted to "
            "the data"
        )
        return probed(network, context)
    return network


def _class_names(
    settings: TeacherSettings, network: nn.Module, context: TeacherContext
) -> Names | None:
    """Return the class of each output as the study states it, or else the weights."""
    info = context.dataset.info
    if (stated := stated_names(settings, info)) is not None:
        return stated
    own = names_of_weights(settings, network, info, outputs=outputs_of(network))
    if own is not None and own != info.classes:
        context.progress(
            f"the weights of {_name(settings)} state the order of their classes, which is not the "
            "data's: its outputs are reordered"
        )
    return own


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

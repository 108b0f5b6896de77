"""Prepares the teacher of a study, and checks it against the data."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import nn

from search.config.teacher_members import TeacherMember, teaching_members
from search.config.teacher_settings import TeacherSettings
from search.evaluation.artifact import load_network
from search.teachers.adapters import Ensemble, OrderedTeacher, adapt
from search.teachers.class_order import Names, in_data_order, names_of_weights, stated_names
from search.teachers.factory import factory_digest, from_factory
from search.teachers.finetune import TeacherTask, trained
from search.teachers.linear_probe import outputs_of, probed
from search.teachers.new_classes import fit_classes
from search.teachers.order_check import check_order
from search.teachers.outputs import check_outputs, told_accuracy
from search.teachers.prepared import Teacher, teacher_digest
from search.teachers.setting import TeacherContext
from search.teachers.sources import from_timm, preprocessing


def prepare_teacher(stated: Sequence[TeacherSettings], context: TeacherContext) -> Teacher:
    """Prepare the teacher of a study; train it if its settings ask for that.

    Args:
        stated: the teachers as the study file states them.
        context: the data, the cache and the device.

    Raises:
        TeacherError: weights are missing or do not fit, or a factory's code is not allowed to run.
    """
    return _Preparation(context).teacher(teaching_members(stated))


class _Preparation:
    """The preparation of a study's teacher, with that of all teachers from which it learns."""

    def __init__(self, context: TeacherContext) -> None:
        self._context = context
        self._networks: dict[int, nn.Module] = {}
        self._ensembles: dict[tuple[int, ...], Teacher] = {}

    def teacher(self, members: Sequence[TeacherMember]) -> Teacher:
        """Prepare the members, and join several to an ensemble."""
        key = tuple(map(id, members))
        if key not in self._ensembles:
            self._ensembles[key] = self._joined(members)
        return self._ensembles[key]

    def _joined(self, members: Sequence[TeacherMember]) -> Teacher:
        context = self._context
        networks = [self._network(member) for member in members]
        network, name = networks[0], members[0].name
        if len(networks) > 1:
            network = Ensemble(networks).eval()
            name = f"ensemble of {', '.join(member.name for member in members)}"
            told_accuracy(network, name, context)
        code = [factory_digest(member.settings.factory) for member in members]
        digest = teacher_digest(network, context.dataset.info, code=code, device=context.device)
        return Teacher(name, network.requires_grad_(False), digest, context.device)

    def _network(self, member: TeacherMember) -> nn.Module:
        if id(member) not in self._networks:
            taught_by = self.teacher(member.taught_by) if member.taught_by else None
            # Different seeds, so that members with the same settings differ.
            own = replace(self._context, seed=member.seed(self._context.seed))
            self._networks[id(member)] = _checked(member, own, taught_by)
        return self._networks[id(member)]


def _checked(
    member: TeacherMember, context: TeacherContext, taught_by: Teacher | None
) -> nn.Module:
    """Return a member that predicts the data's classes, in their order; report its accuracy."""
    settings, info = member.settings, context.dataset.info
    network = _member(member, context, taught_by).to(context.device).eval()
    check_outputs(network, info, factory=settings.factory, device=context.device)
    found = told_accuracy(network, member.name, context)
    # One that was trained here has the data's order, and features have no classes.
    if settings.train is None and not context.features_alone:
        names = network.names if isinstance(network, OrderedTeacher) else None
        check_order(
            found, info.classes, names, key=f"{member.key}.classes", class_ids=info.class_ids
        )
    return network


def _member(member: TeacherMember, context: TeacherContext, taught_by: Teacher | None) -> nn.Module:
    settings, info = member.settings, context.dataset.info
    if settings.train and settings.schedule:
        network, needs_probe = starting_network(settings, context)
        task = TeacherTask(
            training=settings.train,
            schedule=settings.schedule,
            role=member.role,
            code=factory_digest(settings.factory),
            probes=needs_probe and settings.train.probe and settings.schedule.fine_tunes,
            taught_by=taught_by,
        )
        return trained(network, task, context)
    network = _with_given_weights(settings, context)
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


def starting_network(settings: TeacherSettings, context: TeacherContext) -> tuple[nn.Module, bool]:
    """Return the network with which a training starts, and whether a probe must fit its classifier.

    It has the data's classes, takes the students' images, and normalises them as its weights need.
    """
    info = context.dataset.info
    network = _with_given_weights(settings, context)
    expected = preprocessing(settings, network, info)  # while it has the classes of its weights
    names = _class_names(settings, network, context)
    needs_probe = fit_classes(network, names, info, progress=context.progress)
    return adapt(network, info, *expected), needs_probe


def _with_given_weights(settings: TeacherSettings, context: TeacherContext) -> nn.Module:
    """Return the network as it is before it is trained here or adapted."""
    info = context.dataset.info
    torch.manual_seed(context.seed)  # for randomly initialised weights
    if settings.exported:
        return load_network(settings.exported)
    if settings.factory:
        return from_factory(settings.factory, info, allow_code=context.allow_code)
    return from_timm(settings, info)


def _class_names(
    settings: TeacherSettings, network: nn.Module, context: TeacherContext
) -> Names | None:
    """Return the class of each output as the study states it, or else the weights."""
    info, outputs = context.dataset.info, outputs_of(network)
    if (stated := stated_names(settings, info, outputs=outputs)) is not None:
        return stated
    own = names_of_weights(settings, network, info, outputs=outputs)
    if own is not None and own != info.classes and not settings.train:
        context.progress(
            f"the weights of {settings.model or settings.exported or settings.factory} state the "
            "order of their classes, which is not the data's: its outputs are reordered"
        )
    return own

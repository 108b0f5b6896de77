"""Trains a teacher in this process: from scratch, from given weights, or by another teacher."""

from dataclasses import asdict, dataclass, replace

from safetensors.torch import load_file
from torch import Tensor, nn

from search.config.teacher_training import Schedule, TeacherTraining
from search.data.views.view import Views
from search.errors import TeacherError, TrialError
from search.evaluation.artifact import write_weights
from search.records import EpochRecord
from search.teachers import linear_probe
from search.teachers.adapters import own_size
from search.teachers.linear_probe import probed
from search.teachers.logits_cache import soft_targets, teaching_stages
from search.teachers.prepared import Teacher
from search.teachers.setting import TeacherContext, network_digest
from search.training.trainer import train
from search.training.training_plan import Targets, TrainingPlan
from search.training.validation import Validation
from search.versions import TRAINING_LIBRARIES, Versions, training_stages
from spaces.axes.distillation import Distillation, Needs
from spaces.distillation.labels import Labels
from spaces.training.standard import Standard

# Bump it when the training plan of teachers changes, or the choice of the best epoch.
VERSION = 3
_WEIGHTS = "model.safetensors"

# These keys decide which trainings there are, not what one of them computes.
_OUTSIDE = frozenset({"generations", "teaches", "seed"})


@dataclass(frozen=True, kw_only=True)
class TeacherTask:
    """The training of one teacher.

    Attributes:
        training: the settings of the training.
        schedule: their values where they depend on the network's weights.
        role: what the teacher is, for lines about its progress.
        code: the digest of the factory's code; empty without a factory.
        probes: whether a linear probe fits the classifier first.
        taught_by: the teacher from which it learns by distillation; None: from the labels alone.
    """

    training: TeacherTraining
    schedule: Schedule
    role: str = "teacher"
    code: str = ""
    probes: bool = False
    taught_by: Teacher | None = None

    @property
    def distillation(self) -> Distillation:
        """The method that computes the loss."""
        return Labels() if self.taught_by is None else self.training.method()


def trained(network: nn.Module, task: TeacherTask, context: TeacherContext) -> nn.Module:
    """Train the network, or read its trained weights from the cache.

    Args:
        network: the network, with the weights from which training starts.
        task: the training.
        context: the data, the cache and the device.
    """
    name = finetuned_key(network, task, context)
    folder_store = context.cache / "teachers"
    with folder_store.making(name, context.progress):
        if folder := folder_store.kept(name):
            context.progress(f"{task.role}: uses the weights that an earlier run trained")
            network.load_state_dict(load_file(folder / _WEIGHTS))
            return network
        with folder_store.writing(name) as temporary:
            # The file has its final size now: a full disk is found before hours of training.
            write_weights(temporary / _WEIGHTS, network)
            _fit(network, task, context)
            write_weights(temporary / _WEIGHTS, network)
    return network


def finetuned_key(network: nn.Module, task: TeacherTask, context: TeacherContext) -> str:
    """Return the folder name of the trained network in the cache: a hash of all its inputs."""
    method = task.distillation
    training = _standard(task)
    versions = Versions(
        libraries=TRAINING_LIBRARIES,
        methods={one.axis: one.version for one in (training, method)},
        stages=training_stages(training)
        | {"finetune": VERSION, "score": context.metric.version}
        | teaching_stages(method.needs)
        | ({"probe": linear_probe.VERSION} if task.probes else {}),
    )
    views = _views(task, context)
    settings = task.training.model_dump(mode="json", exclude={*_OUTSIDE})
    settings |= asdict(task.schedule) | {"probe": task.probes}
    digest = task.taught_by.digest if task.taught_by else ""
    if task.taught_by is None:
        del settings["distillation"]
    # The metric decides which epoch's weights are used.
    data = context.dataset.key
    inputs = (settings, data, views.key(), network_digest(network), task.code, digest)
    return versions.key(*inputs, context.metric.name)[:24]


def _fit(network: nn.Module, task: TeacherTask, context: TeacherContext) -> None:
    """Train for all epochs, or until the score has not improved for `patience` epochs.

    The network keeps the weights of the epoch with the best score, the latest of several. For given
    weights, the start counts as an epoch.
    """
    plan = training_plan(task, context, image_size=own_size(network))
    metric, epochs = context.metric, task.schedule.epochs
    if task.probes:
        context.step(f"fitting the classifier of the {task.role}")
        probed(network, context)
    peak = _start(network, plan, task, context)
    best = _copied(network)
    _tell_epoch(1, task, context)
    try:
        for point in train(network, context.dataset, plan):
            if peak is None or not plan.validation.is_better(peak.score, point.score):
                best = _copied(network)
            if peak is None or plan.validation.is_better(point.score, peak.score):
                peak = point
            context.progress(
                f"{task.role}: epoch {point.epoch + 1} of {epochs}, loss {point.loss:.3f}, "
                f"validation {metric.label} {metric.format(point.score)} "
                f"(best {metric.format(peak.score)})"
            )
            if point.epoch - peak.epoch >= task.training.patience:
                break
            _tell_epoch(point.epoch + 2, task, context)
    except TrialError as error:
        raise TeacherError(f"the {task.role} could not be trained: {error}") from error
    network.load_state_dict(best)


def _copied(network: nn.Module) -> dict[str, Tensor]:
    return {key: value.clone() for key, value in network.state_dict().items()}


def _start(
    network: nn.Module, plan: TrainingPlan, task: TeacherTask, context: TeacherContext
) -> EpochRecord | None:
    """Return the score of given weights before any epoch; None for random weights."""
    if not task.schedule.fine_tunes:
        return None
    metric = context.metric
    network.to(context.device)
    score = plan.validation.score(
        network, context.dataset, device=context.device, image_size=plan.image_size
    )
    context.progress(
        f"{task.role}: {task.schedule}; validation {metric.label} before it {metric.format(score)}"
    )
    return EpochRecord(stage=plan.stage, epoch=-1, loss=0.0, score=score, learning_rate=0.0)


def _tell_epoch(epoch: int, task: TeacherTask, context: TeacherContext) -> None:
    epochs = task.schedule.epochs
    context.step(f"training the {task.role}: epoch {min(epoch, epochs)} of {epochs}")


def training_plan(
    task: TeacherTask, context: TeacherContext, *, image_size: int | None = None
) -> TrainingPlan:
    """Return the plan of the training.

    Args:
        task: the training.
        context: the data, the cache and the device.
        image_size: the side of the teacher's images, in pixels; None: that of the data set. A
            teacher that compares its features with another's sees the images of the data set.
    """
    method = task.distillation
    views = _views(task, context)
    features = task.taught_by is not None and method.needs is Needs.FEATURES
    return TrainingPlan(
        stage="teacher",
        training=_standard(task),
        distillation=method,
        epochs=task.schedule.epochs,
        validation=Validation.of_teacher(context.metric, context.dataset),
        views=views,
        targets=_targets(task, context, views),
        teachers=task.taught_by.members if task.taught_by and features else (),
        seed=context.seed,
        device=context.device,
        image_size=None if features else image_size,
    )


def _views(task: TeacherTask, context: TeacherContext) -> Views:
    """Return the views of the training: a new one in each epoch, and none that students see."""
    augmentation = context.dataset.info.augmentation
    views = Views.of_teacher(seed=context.seed, augmentation=augmentation)
    return replace(views, count=task.schedule.epochs)


def _targets(task: TeacherTask, context: TeacherContext, views: Views) -> Targets | None:
    """Return the other teacher's logits for these views; None if the loss needs no logits."""
    if task.taught_by is None or task.distillation.needs is not Needs.LOGITS:
        return None
    return soft_targets(
        task.taught_by,
        context.dataset,
        views,
        cache=context.cache,
        progress=context.progress,
        step=context.step,
    ).of


def _standard(task: TeacherTask) -> Standard:
    schedule, training = task.schedule, task.training
    try:
        return Standard(
            epochs=schedule.epochs,
            batch_size=schedule.batch_size,
            learning_rate=schedule.learning_rate,
            optimizer=training.optimizer,
            weight_decay=training.weight_decay,
            warmup_epochs=schedule.warmup_epochs,
            label_smoothing=training.label_smoothing,
            ema=training.ema,
            layer_decay=schedule.layer_decay,
            freeze_statistics=schedule.freeze_statistics,
        )
    except ValueError as error:
        raise TeacherError(f"teacher.train: {error}") from error

"""Trains a teacher in this process, from scratch or from given weights."""

from safetensors.torch import load_file
from torch import Tensor, nn

from search.config.teacher_settings import TeacherTraining
from search.data.views.view import Views
from search.errors import TeacherError, TrialError
from search.evaluation.artifact import write_weights
from search.records import EpochRecord
from search.teachers.setting import TeacherContext, network_digest
from search.training.trainer import TrainingPlan, train
from search.training.validation import Validation
from search.versions import TRAINING_LIBRARIES, Versions, training_stages
from spaces.distillation.labels import Labels
from spaces.training.standard import Standard

# Bump it when the training plan of teachers changes, or the choice of the best epoch.
VERSION = 2
_WEIGHTS = "model.safetensors"


def trained(
    network: nn.Module, training: TeacherTraining, context: TeacherContext, *, code: str = ""
) -> nn.Module:
    """Train the network, or read its trained weights from the cache.

    Args:
        network: the network, with the weights from which training starts.
        training: the settings of the training.
        context: the data, the cache and the device.
        code: the digest of the factory's code; empty without a factory.
    """
    name = finetuned_key(network, training, context, code=code)
    folder_store = context.cache / "teachers"
    with folder_store.making(name, context.progress):
        if folder := folder_store.kept(name):
            context.progress("teacher: uses the weights that an earlier run trained")
            network.load_state_dict(load_file(folder / _WEIGHTS))
            return network
        with folder_store.writing(name) as temporary:
            # The file has its final size now: a full disk is found before hours of training.
            write_weights(temporary / _WEIGHTS, network)
            _fit(network, training, context)
            write_weights(temporary / _WEIGHTS, network)
    return network


def finetuned_key(
    network: nn.Module, training: TeacherTraining, context: TeacherContext, *, code: str = ""
) -> str:
    """Return the folder name of the trained network in the cache: a hash of all its inputs."""
    info, plan = context.dataset.info, _plan(training, context)
    methods = (plan.training, plan.distillation)
    versions = Versions(
        libraries=TRAINING_LIBRARIES,
        methods={method.axis: method.version for method in methods},
        stages=training_stages(plan.training)
        | {"finetune": VERSION, "score": context.metric.version},
    )
    settings = training.model_dump(mode="json")
    # The metric decides which epoch's weights are used.
    views = plan.views.key()
    inputs = (settings, info.digest, views, network_digest(network), code, context.metric.name)
    return versions.key(*inputs)[:24]


def _fit(network: nn.Module, training: TeacherTraining, context: TeacherContext) -> None:
    """Train for all epochs, or until the score has not improved for `patience` epochs."""
    plan, metric = _plan(training, context), context.metric
    peak: EpochRecord | None = None
    best: dict[str, Tensor] = {}
    _tell_epoch(1, training, context)
    try:
        for point in train(network, context.dataset, plan):
            if peak is None or plan.validation.is_better(point.score, peak.score):
                peak = point
                best = {key: value.clone() for key, value in network.state_dict().items()}
            context.progress(
                f"teacher: epoch {point.epoch + 1} of {training.epochs}, loss {point.loss:.3f}, "
                f"validation {metric.label} {metric.format(point.score)} "
                f"(best {metric.format(peak.score)})"
            )
            if point.epoch - peak.epoch >= training.patience:
                break
            _tell_epoch(point.epoch + 2, training, context)
    except TrialError as error:
        raise TeacherError(f"the teacher could not be trained: {error}") from error
    network.load_state_dict(best)


def _tell_epoch(epoch: int, training: TeacherTraining, context: TeacherContext) -> None:
    context.step(f"training the teacher: epoch {min(epoch, training.epochs)} of {training.epochs}")


def _plan(training: TeacherTraining, context: TeacherContext) -> TrainingPlan:
    info = context.dataset.info
    return TrainingPlan(
        stage="teacher",
        training=_standard(training),
        distillation=Labels(),
        epochs=training.epochs,
        validation=Validation.of_teacher(context.metric, context.dataset),
        # The teacher trains on other views than those on which students use its logits.
        views=Views.of_teacher(seed=context.seed, augmentation=info.augmentation),
        targets=None,
        seed=context.seed,
        device=context.device,
    )


def _standard(training: TeacherTraining) -> Standard:
    try:
        return Standard(
            epochs=training.epochs,
            batch_size=training.batch_size,
            learning_rate=training.learning_rate,
            weight_decay=training.weight_decay,
            warmup_epochs=1 if training.epochs > 1 else 0,
        )
    except ValueError as error:
        raise TeacherError(f"teacher.train: {error}") from error

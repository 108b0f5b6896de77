"""Training a teacher here, from scratch or from its present weights."""

from safetensors.torch import load_file
from torch import Tensor, nn

from search.config.study import TeacherTraining
from search.data.views import View
from search.errors import TeacherError, TrialError
from search.evaluation.artifact import write_weights
from search.records import EpochRecord
from search.teachers.setting import TeacherContext, network_digest
from search.training.trainer import TrainingPlan, train
from search.training.validation import Validation
from search.versions import TRAINING_LIBRARIES, Versions, training_stages
from spaces.distillation.labels import Labels
from spaces.training.standard import Standard

# Bump it when a teacher is trained by another plan, or other weights of its curve are kept.
VERSION = 1
_WEIGHTS = "model.safetensors"


def trained(
    network: nn.Module, training: TeacherTraining, room: TeacherContext, *, code: str = ""
) -> nn.Module:
    """Return the network fitted now, or as an earlier run fitted it.

    Args:
        network: the network, with the weights from which training starts.
        training: the settings of the training.
        room: the data, the cache and the device.
        code: the digest of the network's code, where the code is not retort's own.
    """
    name = finetuned_key(network, training, room, code=code)
    folder_store = room.cache / "teachers"
    with folder_store.making(name, room.progress):
        if folder := folder_store.kept(name):
            room.progress("teacher: trained by an earlier run")
            network.load_state_dict(load_file(folder / _WEIGHTS))
            return network
        with folder_store.writing(name) as temporary:
            # The file has its final size now, so a lack of room shows before the hours of training.
            write_weights(temporary / _WEIGHTS, network)
            _fit(network, training, room)
            write_weights(temporary / _WEIGHTS, network)
    return network


def finetuned_key(
    network: nn.Module, training: TeacherTraining, room: TeacherContext, *, code: str = ""
) -> str:
    """Return the trained network's folder name: a hash of all inputs of `trained`."""
    info, plan = room.dataset.info, _course(training, room)
    methods = (plan.training, plan.distillation)
    versions = Versions(
        libraries=TRAINING_LIBRARIES,
        methods={method.axis: method.version for method in methods},
        stages=training_stages(plan.training) | {"finetune": VERSION, "score": room.metric.version},
    )
    views = [room.seed, info.shift, info.flip]
    settings = training.model_dump(mode="json")
    # The metric decides which epoch's weights are kept.
    given = (settings, info.digest, views, network_digest(network), code, room.metric.name)
    return versions.key(*given)[:24]


def _fit(network: nn.Module, training: TeacherTraining, room: TeacherContext) -> None:
    """Train until the epochs are over or validation has not improved for `patience` epochs."""
    plan, metric = _course(training, room), room.metric
    peak: EpochRecord | None = None
    best: dict[str, Tensor] = {}
    try:
        for point in train(network, room.dataset, plan):
            if peak is None or plan.validation.is_better(point.score, peak.score):
                peak = point
                best = {key: value.clone() for key, value in network.state_dict().items()}
            room.progress(
                f"teacher: epoch {point.epoch + 1} of {training.epochs}, loss {point.loss:.3f}, "
                f"validation {metric.label} {metric.format(point.score)} "
                f"(best {metric.format(peak.score)})"
            )
            if point.epoch - peak.epoch >= training.patience:
                break
    except TrialError as error:
        raise TeacherError(f"the teacher could not be trained: {error}") from error
    network.load_state_dict(best)


def _course(training: TeacherTraining, room: TeacherContext) -> TrainingPlan:
    info = room.dataset.info
    return TrainingPlan(
        stage="teacher",
        training=_standard(training),
        distillation=Labels(),
        epochs=training.epochs,
        validation=Validation.of_teacher(room.metric, room.dataset),
        # Its own views, other than those for which its students will need its logits.
        views=tuple(
            View(number=-1 - epoch, seed=room.seed, shift=info.shift, flip=info.flip)
            for epoch in range(training.epochs)
        ),
        targets=None,
        seed=room.seed,
        device=room.device,
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

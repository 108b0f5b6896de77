"""Fitting a network to a part of the data: steps, epochs, and the learning curve."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from search.data.dataset import Batch, Dataset, normalize
from search.data.joined import for_learning
from search.data.views import View
from search.errors import TrialError
from search.records import EpochRecord
from search.training.checkpoint import Checkpoint
from search.training.distiller import Distiller
from search.training.ema import MovingAverage
from search.training.ensemble import as_one
from search.training.erasing import erased
from search.training.mixup import draw_mixture
from search.training.validation import Validation
from spaces.axes.distillation import Distillation, DistillationBatch
from spaces.axes.training import OptimizationSteps, Training

# Bump it when a plan trains to other weights, or reports another curve.
VERSION = 1

# Maps a view and image indices [batch] to each teacher's logits [teachers, batch, classes].
Targets = Callable[[View, Tensor], Tensor]


@dataclass(frozen=True, kw_only=True)
class TrainingPlan:
    """A network's training as it is planned.

    Attributes:
        stage: the name under which its learning curve is recorded.
        training: optimizer, schedule and batch.
        distillation: the loss.
        epochs: passes over the training images; epoch e shows view e modulo the number of views.
        validation: scores the network after each epoch, for the curve.
        views: the augmented views, numbered from 0.
        targets: the teachers' logits for these views; None where the loss needs none.
        teachers: the teachers themselves, where the loss needs their features.
        seed: of the order of the images, and of dropout.
        device: the device on which the network computes.
        checkpoint: where the training is kept while it is in progress; None: nowhere.
        penalty: added to the loss of each step, a scalar in nats; None adds nothing.
        constraint: called after each step, for weights that must satisfy a constraint; None: none.
    """

    stage: str
    training: Training
    distillation: Distillation
    epochs: int
    validation: Validation
    views: tuple[View, ...]
    targets: Targets | None
    seed: int
    device: str = "cpu"
    checkpoint: Checkpoint | None = None
    teachers: tuple[nn.Module, ...] = ()
    penalty: Callable[[], Tensor] | None = None
    constraint: Callable[[], None] | None = None


def train(network: nn.Module, dataset: Dataset, plan: TrainingPlan) -> Iterator[EpochRecord]:
    """Fit `network` in place, an epoch at a time; the caller stops when it has seen enough.

    After each epoch the network is the one whose score is reported: it has the moving average of
    its weights, where the training keeps one.

    An interrupted training continues after the epoch of its checkpoint, to the same weights; the
    earlier epochs are reported again.

    Raises:
        TrialError: `non_finite`, the loss became infinite or not a number.
    """
    dataset = for_learning(dataset, by_labels=plan.distillation.uses_labels)
    torch.manual_seed(plan.seed)
    network.to(plan.device).to(memory_format=_memory_format(network))
    for teacher in plan.teachers:
        teacher.to(plan.device)
    try:
        yield from _curve(network, dataset, plan)
    finally:
        network.to(memory_format=torch.contiguous_format)


@dataclass(frozen=True)
class _TrainingRun:
    """What changes while a network is trained."""

    distiller: Distiller
    fit: OptimizationSteps
    average: MovingAverage | None

    def exchange(self) -> None:
        """Put the weights' average into the network, or take it out again."""
        if self.average is not None:
            self.average.swap()

    def state_dict(self) -> dict[str, Any]:
        """Return the whole state, between two epochs."""
        state = {
            "pupil": self.distiller.state_dict(),
            "optimizer": self.fit.optimizer.state_dict(),
            "scheduler": self.fit.scheduler.state_dict(),
        }
        return state if self.average is None else state | {"average": self.average.state_dict()}

    def fits(self, state: Mapping[str, Any]) -> bool:
        """Return whether the state is of a distiller of the same shapes."""
        own = {name: value.shape for name, value in self.distiller.state_dict().items()}
        return own == {name: value.shape for name, value in state["pupil"].items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the state that `state_dict` returned."""
        self.distiller.load_state_dict(state["pupil"])
        self.fit.optimizer.load_state_dict(state["optimizer"])
        self.fit.scheduler.load_state_dict(state["scheduler"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])


def _curve(network: nn.Module, dataset: Dataset, plan: TrainingPlan) -> Iterator[EpochRecord]:
    fitting = _fitting(network, dataset, plan)
    curve = _restored(fitting, plan)
    yield from curve
    for epoch in range(len(curve), plan.epochs):
        if epoch:
            fitting.exchange()
        order = _shuffled(len(dataset.training), seed=plan.seed, epoch=epoch)
        loss = _epoch(fitting, dataset, plan, epoch=epoch, order=order)
        fitting.exchange()
        point = EpochRecord(
            stage=plan.stage,
            epoch=epoch,
            loss=loss,
            score=plan.validation.score(network, dataset, device=plan.device),
            learning_rate=fitting.fit.optimizer.param_groups[0]["lr"],
        )
        curve.append(point)
        _kept(fitting, plan, curve)
        yield point


def _distiller(network: nn.Module, dataset: Dataset, plan: TrainingPlan) -> Distiller:
    info = dataset.info
    example = torch.zeros(1, info.channels, info.image_size, info.image_size, device=plan.device)
    return Distiller(network, plan.distillation, plan.teachers, example)


def _fitting(network: nn.Module, dataset: Dataset, plan: TrainingPlan) -> _TrainingRun:
    distiller = _distiller(network, dataset, plan)
    steps = len(dataset.training) // _batch_size(dataset, plan)
    fit = plan.training.fit(distiller, epochs=plan.epochs, steps_per_epoch=steps)
    decay = plan.training.ema
    return _TrainingRun(distiller, fit, MovingAverage(network, decay=decay) if decay else None)


def _batch_size(dataset: Dataset, plan: TrainingPlan) -> int:
    return min(plan.training.batch_size, len(dataset.training))


def _restored(fitting: _TrainingRun, plan: TrainingPlan) -> list[EpochRecord]:
    """Return the checkpoint's epochs, with everything restored as it was after the last one."""
    if plan.checkpoint is None or (state := plan.checkpoint.load()) is None:
        return []
    if not fitting.fits(state):
        return []  # the checkpoint's network was cut differently
    fitting.load_state_dict(state)
    torch.set_rng_state(state["chance"])
    if plan.device == "cuda":
        torch.cuda.set_rng_state(state["cuda_chance"])
    return [EpochRecord(**point) for point in state["curve"]]


def _kept(fitting: _TrainingRun, plan: TrainingPlan, curve: Sequence[EpochRecord]) -> None:
    if plan.checkpoint is None or not plan.checkpoint.is_due or len(curve) == plan.epochs:
        return
    state = fitting.state_dict() | {
        "chance": torch.get_rng_state(),
        "curve": [asdict(point) for point in curve],
    }
    if plan.device == "cuda":
        state["cuda_chance"] = torch.cuda.get_rng_state()
    plan.checkpoint.save(state)


def sample_losses(
    network: nn.Module, dataset: Dataset, plan: TrainingPlan, *, batches: int
) -> Iterator[Tensor]:
    """Yield the plan's loss on a few batches of training images, in evaluation mode.

    Each loss has a gradient; normalisations keep their statistics, and the network is moved back
    to the CPU.
    """
    distiller = _distiller(network.to(plan.device), dataset, plan)
    batch_size = _batch_size(dataset, plan)
    order = _shuffled(len(dataset.training), seed=plan.seed, epoch=0)[: batches * batch_size]
    try:
        for batch in dataset.training.batches(
            batch_size, order=order, view=plan.views[0], device=plan.device, drop_last=True
        ):
            yield _loss(distiller.eval(), batch, dataset, plan, view=plan.views[0])
    finally:
        network.cpu()


def _memory_format(network: nn.Module) -> torch.memory_format:
    """Return channels last for convolutional networks: their steps take 0.5 to 1.0 of the time.

    benchmarks/training_step.py measures it. A vision transformer, with its one convolution, does
    not become faster.
    """
    convolutions = sum(isinstance(module, nn.Conv2d) for module in network.modules())
    return torch.channels_last if convolutions > 1 else torch.contiguous_format


def _epoch(
    fitting: _TrainingRun, dataset: Dataset, plan: TrainingPlan, *, epoch: int, order: Tensor
) -> float:
    """Train for an epoch; return its mean loss, in nats."""
    distiller, fit = fitting.distiller, fitting.fit
    distiller.train()
    view = plan.views[epoch % len(plan.views)]
    # Batch normalisation can't take a last batch of one image, so the last, short batch is left
    # out; the next epoch has another order.
    batch_size = _batch_size(dataset, plan)
    batches = dataset.training.batches(
        batch_size, order=order, view=view, device=plan.device, drop_last=True
    )
    losses = []
    done = epoch * (len(dataset.training) // batch_size)
    for step, batch in enumerate(batches, start=done + 1):
        loss = _loss(distiller, batch, dataset, plan, view=view)
        if plan.penalty is not None:
            loss = loss + plan.penalty()
        fit.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        fit.optimizer.step()
        if plan.constraint is not None:
            plan.constraint()
        fit.scheduler.step_update(step)
        if fitting.average is not None:
            fitting.average.update(step)
        losses.append(loss.detach())
    mean = float(torch.stack(losses).mean())
    # The last step's update affects no loss any more, only the weights.
    if not (math.isfinite(mean) and _is_finite(distiller)):
        raise TrialError(
            "non_finite",
            f"loss and weights must stay finite, but the loss was {mean} and the weights "
            f"{'finite' if _is_finite(distiller) else 'not'} in epoch {epoch} of {plan.stage}: "
            "lower training.standard.learning_rate",
        )
    return mean


def _is_finite(network: nn.Module) -> bool:
    # Sums: integers, such as the batches that a normalisation counted, are finite anyway.
    return all(bool(tensor.sum().isfinite()) for tensor in network.state_dict().values())


def _loss(
    distiller: Distiller, batch: Batch, dataset: Dataset, plan: TrainingPlan, *, view: View
) -> Tensor:
    images = normalize(batch.images, dataset.info.mean, dataset.info.std)
    images = images.contiguous(memory_format=_memory_format(distiller.student))
    members = None
    if plan.targets is not None:
        members = plan.targets(view, batch.indices).to(plan.device)
    labels = batch.labels
    training = plan.training
    images = erased(images, probability=training.erasing)
    if mixture := draw_mixture(images, mixup=training.mixup, cutmix=training.cutmix):
        images = mixture.images(images)
        if plan.distillation.uses_labels:  # an image without a label has no class to mix
            labels = mixture.labels(labels, len(dataset.info.classes))
        members = None if members is None else mixture.logits(members)
    # Not float16, the default: its range is too small to train in without scaling gradients.
    with torch.autocast(plan.device, torch.bfloat16, enabled=plan.device == "cuda"):
        logits, maps = distiller(images)
    predicted = DistillationBatch(
        student=logits.float(),
        labels=labels,
        teacher=None if members is None else as_one(members),
        members=members,
        maps=maps,
    )
    return plan.distillation.loss(predicted, label_smoothing=training.label_smoothing)


def _shuffled(images: int, *, seed: int, epoch: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed * 100_003 + epoch)
    return torch.randperm(images, generator=generator)

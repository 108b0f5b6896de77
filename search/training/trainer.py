"""Training of a network: steps, epochs, and the learning curve."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from search.data.dataset import Batch, Dataset, normalize
from search.data.joined import for_learning
from search.data.views.view import View
from search.errors import TrialError
from search.records import EpochRecord
from search.training.balancing import epoch_order, label_loss_of
from search.training.distiller import Distiller
from search.training.drop_path import drop_path
from search.training.ema import MovingAverage
from search.training.ensemble import ensemble_logits
from search.training.erasing import erased
from search.training.inference import memory_format
from search.training.mixup import draw_mixture
from search.training.training_plan import TrainingPlan
from search.training.training_run import TrainingRun, restored, save_checkpoint
from spaces.axes.distillation import DistillationBatch, Needs
from spaces.axes.label_loss import LabelLoss

# Bump it when the same plan leads to other weights, or to another curve.
VERSION = 1


def train(network: nn.Module, dataset: Dataset, plan: TrainingPlan) -> Iterator[EpochRecord]:
    """Train `network` in place, and yield a point of the learning curve after each epoch.

    The caller may stop after any epoch. When an epoch is yielded, the network has the weights of
    the reported score: the moving average, if the training method uses one.

    An interrupted training continues from its checkpoint, and reaches the same weights as without
    the interruption. The epochs before the checkpoint are yielded again.

    Raises:
        TrialError: `non_finite`: the loss or a weight became infinite or NaN.
    """
    dataset = for_learning(dataset, by_labels=plan.distillation.uses_labels)
    plan = _with_label_loss(plan, dataset)
    torch.manual_seed(plan.seed)
    network.to(plan.device).to(memory_format=memory_format(network))
    for teacher in plan.teachers:
        teacher.to(plan.device)
    try:
        with drop_path(network, _examples(dataset, plan, count=2), rate=plan.training.drop_path):
            yield from _curve(network, dataset, plan)
    finally:
        network.to(memory_format=torch.contiguous_format)


def _curve(network: nn.Module, dataset: Dataset, plan: TrainingPlan) -> Iterator[EpochRecord]:
    run = _training_run(network, dataset, plan)
    curve = restored(run, plan)
    yield from curve
    for epoch in range(len(curve), plan.epochs):
        if epoch:
            run.swap_average()
        order = _order(dataset, plan, epoch=epoch)
        loss = _epoch(run, dataset, plan, epoch=epoch, order=order)
        run.swap_average()
        found = plan.validation.scores(
            network, dataset, device=plan.device, image_size=plan.image_size
        )
        point = EpochRecord(
            stage=plan.stage,
            epoch=epoch,
            loss=loss,
            score=found.score,
            learning_rate=max(group["lr"] for group in run.fit.optimizer.param_groups),
            floors=found.floors,
        )
        curve.append(point)
        save_checkpoint(run, plan, curve)
        yield point


def _with_label_loss(plan: TrainingPlan, dataset: Dataset) -> TrainingPlan:
    """Return the plan with the loss on the labels that its training method chooses."""
    labels, classes = dataset.training.labels, len(dataset.info.classes)
    loss = label_loss_of(plan.training, labels, classes=classes, device=plan.device)
    return replace(plan, label_loss=plan.label_loss or loss)


def _examples(dataset: Dataset, plan: TrainingPlan, *, count: int) -> Tensor:
    """Return different images in the shape of the data set's, on the device of the plan."""
    info, noise = dataset.info, torch.Generator().manual_seed(0)
    shape = count, info.channels, info.image_size, info.image_size
    return torch.randn(shape, generator=noise).to(plan.device)


def _distiller(network: nn.Module, dataset: Dataset, plan: TrainingPlan) -> Distiller:
    example = torch.zeros_like(_examples(dataset, plan, count=1))
    return Distiller(network, plan.distillation, plan.teachers, example)


def _training_run(network: nn.Module, dataset: Dataset, plan: TrainingPlan) -> TrainingRun:
    distiller = _distiller(network, dataset, plan)
    steps = len(dataset.training) // _batch_size(dataset, plan)
    epochs = plan.skipped_epochs + plan.epochs
    fit = plan.training.fit(distiller, epochs=epochs, steps_per_epoch=steps)
    if plan.skipped_epochs:
        fit.scheduler.step_update(plan.skipped_epochs * steps)
    decay = plan.training.ema
    return TrainingRun(distiller, fit, MovingAverage(network, decay=decay) if decay else None)


def _batch_size(dataset: Dataset, plan: TrainingPlan) -> int:
    return min(plan.training.batch_size, len(dataset.training))


def sample_losses(
    network: nn.Module, dataset: Dataset, plan: TrainingPlan, *, batches: int
) -> Iterator[Tensor]:
    """Yield the plan's loss on a few batches of training images, in evaluation mode.

    Each loss has a gradient. The statistics of normalisations do not change. At the end, the
    network is moved back to the CPU.
    """
    plan = _with_label_loss(plan, dataset)
    distiller = _distiller(network.to(plan.device), dataset, plan)
    batch_size, view = _batch_size(dataset, plan), plan.views.in_epoch(0)
    order = _order(dataset, plan, epoch=0)[: batches * batch_size]
    try:
        for batch in _batches(dataset, plan, view=view, order=order):
            yield _loss(distiller.eval(), batch, dataset, plan, view=view, progress=1.0)
    finally:
        network.cpu()


def _epoch(
    run: TrainingRun, dataset: Dataset, plan: TrainingPlan, *, epoch: int, order: Tensor
) -> float:
    """Train for one epoch; return the mean loss, in nats."""
    distiller, fit = run.distiller, run.fit
    distiller.train()
    if plan.training.freeze_statistics is True:
        _freeze_statistics(distiller.student)
    view = plan.views.in_epoch(epoch)
    # Batch normalisation fails with a batch of one image, so the last, smaller batch is dropped.
    # The next epoch drops other images, because it has another order.
    batch_size = _batch_size(dataset, plan)
    batches = _batches(dataset, plan, view=view, order=order)
    losses = []
    steps = len(dataset.training) // batch_size
    skipped = plan.skipped_epochs * steps
    for step, batch in enumerate(batches, start=epoch * steps + 1):
        progress = (skipped + step) / (skipped + plan.epochs * steps)
        loss = _loss(distiller, batch, dataset, plan, view=view, progress=progress)
        if plan.penalty is not None:
            loss = loss + plan.penalty()
        fit.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        if plan.training.clip_norm:
            nn.utils.clip_grad_norm_(distiller.parameters(), plan.training.clip_norm)
        fit.optimizer.step()
        if plan.constraint is not None:
            plan.constraint()
        fit.scheduler.step_update(skipped + step)
        if run.average is not None:
            run.average.update(step)
        losses.append(loss.detach())
    mean = float(torch.stack(losses).mean())
    # The update of the last step changes the weights but no recorded loss, so check both.
    if not (math.isfinite(mean) and _is_finite(distiller)):
        raise TrialError(
            "non_finite",
            f"loss and weights must stay finite, but in epoch {epoch} of {plan.stage} the mean "
            f"loss was {mean} and the weights were "
            f"{'finite' if _is_finite(distiller) else 'not finite'}: lower "
            "training.standard.learning_rate",
        )
    return mean


def _batches(dataset: Dataset, plan: TrainingPlan, *, view: View, order: Tensor) -> Iterator[Batch]:
    return dataset.training.batches(
        _batch_size(dataset, plan),
        order=order,
        view=view,
        device=plan.device,
        image_size=plan.image_size,
        drop_last=True,
    )


def _freeze_statistics(network: nn.Module) -> None:
    """Set batch normalisations to evaluation mode; their scales and biases are still trained."""
    for module in network.modules():
        if isinstance(module, _BatchNorm):
            module.eval()


def _is_finite(network: nn.Module) -> bool:
    # The sum of a tensor is finite only if all its values are; integer tensors are always finite.
    return all(bool(tensor.sum().isfinite()) for tensor in network.state_dict().values())


def _loss(
    distiller: Distiller,
    batch: Batch,
    dataset: Dataset,
    plan: TrainingPlan,
    *,
    view: View,
    progress: float,
) -> Tensor:
    images = normalize(batch.images, dataset.info.mean, dataset.info.std)
    images = images.contiguous(memory_format=memory_format(distiller.student))
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
    # bfloat16, not float16: the range of float16 is too small without scaled gradients.
    with torch.autocast(plan.device, torch.bfloat16, enabled=plan.device == "cuda"):
        if plan.targets is None and plan.teachers and plan.distillation.needs is Needs.LOGITS:
            members = _live_logits(plan.teachers, images)
        logits, maps = distiller(images)
    predicted = DistillationBatch(
        student=logits.float(),
        labels=labels,
        teacher=None if members is None else ensemble_logits(members),
        members=members,
        maps=maps,
        progress=progress,
        criterion=plan.label_loss or LabelLoss(),
    )
    return plan.distillation.loss(predicted, label_smoothing=training.label_smoothing)


@torch.no_grad()
def _live_logits(teachers: Sequence[nn.Module], images: Tensor) -> Tensor:
    """Return the teachers' logits for the very images of a step, [teachers, batch, classes]."""
    return torch.stack([teacher(images).float() for teacher in teachers])


def _order(dataset: Dataset, plan: TrainingPlan, *, epoch: int) -> Tensor:
    return epoch_order(
        dataset.training.labels, seed=plan.seed, epoch=epoch, sampling=plan.training.sampling
    )

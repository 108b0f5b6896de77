"""Distillation as usually written: a DataLoader, per-image augmentation, a live teacher.

No channels last, fused step, cached logits or shared views, as in a user's own script. Optimizer,
schedule and loss are the recipe's.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset
from torchvision.transforms import v2

from search.data.dataset import Dataset, normalize
from search.data.parts import MemoryPart
from search.records import EpochRecord
from search.training.training_plan import TrainingPlan
from spaces.axes.distillation import DistillationBatch, Needs


@dataclass(frozen=True)
class _Augmented(TorchDataset[tuple[Tensor, int]]):
    part: MemoryPart
    transform: v2.Transform

    def __len__(self) -> int:
        return len(self.part)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image = torch.from_numpy(np.array(self.part.pixels[index]))
        return self.transform(image), int(self.part.labels[index])


def train_naturally(
    network: nn.Module, dataset: Dataset, plan: TrainingPlan, *, teacher: nn.Module
) -> Iterator[EpochRecord]:
    """Train a network as `search.training.trainer.train` does, in the usual way."""
    torch.manual_seed(plan.seed)
    loader = _loader(dataset, plan.training.batch_size)
    fit = plan.training.fit(network, epochs=plan.epochs, steps_per_epoch=len(loader))
    step = 0
    for epoch in range(plan.epochs):
        network.train()
        for pixels, labels in loader:
            images = normalize(pixels, dataset.info.mean, dataset.info.std)
            loss = _loss(network, images, labels, plan, teacher)
            fit.optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            fit.optimizer.step()
            step += 1
            fit.scheduler.step_update(step)
        yield EpochRecord(
            stage=plan.stage,
            epoch=epoch,
            loss=float(loss),
            score=plan.validation.score(network, dataset),
            learning_rate=fit.optimizer.param_groups[0]["lr"],
        )


def _loss(
    network: nn.Module, images: Tensor, labels: Tensor, plan: TrainingPlan, teacher: nn.Module
) -> Tensor:
    taught = None
    if plan.distillation.needs is not Needs.NOTHING:
        with torch.no_grad():
            taught = teacher(images)
    batch = DistillationBatch(student=network(images), labels=labels, teacher=taught)
    return plan.distillation.loss(batch, label_smoothing=plan.training.label_smoothing)


def _loader(dataset: Dataset, batch_size: int) -> DataLoader[tuple[Tensor, int]]:
    info = dataset.info
    augmentation = info.augmentation
    assert not augmentation.crops, "only shifts and mirror images are written by hand here"
    assert not augmentation.changes_crops
    shift = round(augmentation.shift * info.image_size)
    augment = v2.Compose(
        [
            v2.RandomCrop(info.image_size, padding=shift, padding_mode="reflect"),
            v2.RandomHorizontalFlip(0.5 if augmentation.flip else 0.0),
        ]
    )
    assert isinstance(dataset.training, MemoryPart)
    images = _Augmented(dataset.training, augment)
    return DataLoader(images, batch_size, shuffle=True, drop_last=True)

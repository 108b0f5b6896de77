"""Mini-batch training with timm's optimizers and schedules."""

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

from timm.optim import create_optimizer_v2
from timm.scheduler import create_scheduler_v2
from torch import nn

from spaces.axes.label_loss import UNWEIGHTED
from spaces.axes.student import Student
from spaces.axes.training import AUTO, BALANCED, OptimizationSteps, Training
from spaces.method import FloatRange, IntRange, OneOf, param
from spaces.training.layer_decay import decayed_groups

if TYPE_CHECKING:
    from spaces.recipe import Recipe

# Arguments of timm's scheduler factory for each schedule; each schedule ends at 0.
_SCHEDULES: dict[str, dict[str, Any]] = {
    "cosine": {"sched": "cosine"},
    "linear": {"sched": "poly", "decay_rate": 1.0},
    "wsd": {"sched": "wsd", "decay_epochs": 0.3},
}


_SGD = "sgd"
# The automatic learning rate of a network with random weights, in batches of this size.
_RATES = {"adamw": 1e-2, "nadamw": 1e-2, "lamb": 1e-2, _SGD: 1e-1}
_BATCH_SIZE = 64
# Fine-tuning takes this share of the rate of a network with random weights.
_FINE_TUNING = 0.1
_RANGE = FloatRange(1e-5, 1.0, log=True, word=AUTO)


@dataclass(frozen=True)
class Standard(Training):
    """Mini-batch training with timm's optimizers and schedules, augmentation, and weight averaging.

    The learning rate rises in a warm-up and then falls to 0; a training of one epoch has no
    warm-up. `schedule` selects its decay: a cosine
    (`cosine`), a line (`linear`), or a constant rate with a decay over the last 30% of the epochs
    (`wsd`: warm-up, stable, decay).

    `learning_rate` is the highest rate. `auto` depends on the optimizer, and grows with the batch
    size: linearly for `sgd`, by the square root for the others. A pretrained student has a tenth of
    it. `sgd` has a Nesterov momentum of 0.9. `lamb` clips the gradient to a norm of 1 itself.

    `layer_decay` multiplies the rate of each layer by this factor for each layer after it, so that
    the first layers of a pretrained student hardly change. It has no effect on a student that does
    not name its layers, as timm's do.

    `freeze_statistics` keeps the mean and variance of batch normalisations: a small data set
    estimates them worse than the one on which given weights were trained. `auto` does so for a
    pretrained student.

    `bce`, class weights, balanced sampling, gradient clipping and drop path work as described at
    `Training` (spaces/axes/training.py). Class weights and balanced sampling exclude each other:
    together they would weigh small classes by the square.

    Source: Loshchilov and Hutter 2017, arXiv:1608.03983 (cosine, without restarts), and 2019,
    arXiv:1711.05101 (AdamW); Hu et al. 2024, arXiv:2404.06395 (wsd); Zhang et al. 2018,
    arXiv:1710.09412 (mixup); Yun et al. 2019, arXiv:1905.04899 (CutMix); Zhong et al. 2020,
    arXiv:1708.04896 (random erasing); Wightman et al. 2021, arXiv:2110.00476 (bce); Cui et al.
    2019, arXiv:1901.05555 (effective class weights); Pascanu et al. 2013, arXiv:1211.5063
    (clipping); Huang et al. 2016, arXiv:1603.09382 (drop path); Bao et al. 2022, arXiv:2106.08254
    (layer_decay); Goyal et al. 2017, arXiv:1706.02677, and Malladi et al. 2022, arXiv:2205.10287
    (growth of the learning rate with the batch size).
    """

    name: ClassVar[str] = "standard"
    version: ClassVar[int] = 2
    epochs: int = param(8, IntRange(1, 1000, log=True))
    batch_size: int = param(64, IntRange(2, 4096, log=True))
    learning_rate: float | str = param(AUTO, _RANGE)
    optimizer: str = param("adamw", OneOf(tuple(_RATES)))
    weight_decay: float = param(0.02, FloatRange(0.0, 1.0))
    schedule: str = param("cosine", OneOf(tuple(_SCHEDULES)))
    warmup_epochs: int = param(1, IntRange(0, 100))
    label_smoothing: float = param(0.0, FloatRange(0.0, 0.5))
    mixup: float = param(0.0, FloatRange(0.0, 2.0))
    cutmix: float = param(0.0, FloatRange(0.0, 2.0))
    erasing: float = param(0.0, FloatRange(0.0, 1.0))
    ema: float = param(0.0, FloatRange(0.0, 0.9999))
    layer_decay: float = param(1.0, FloatRange(0.1, 1.0))

    def conflict(self, recipe: "Recipe") -> str | None:
        # A training of one epoch has no warm-up, so the default of 1 is no conflict: see `fit`.
        if self.warmup_epochs >= max(self.epochs, 2):
            return (
                f"warmup_epochs must be below epochs ({self.epochs}), but got {self.warmup_epochs}"
            )
        if self.class_weights != UNWEIGHTED and self.sampling == BALANCED:
            return (
                f"sampling: balanced must have class_weights: none, but got {self.class_weights}: "
                "each makes up for the sizes of classes"
            )
        return super().conflict(recipe)

    def prepared_for(self, student: Student) -> Self:
        rate = self._rate(is_pretrained=student.is_pretrained)
        return replace(super().prepared_for(student), learning_rate=rate)

    def fit(self, model: nn.Module, *, epochs: int, steps_per_epoch: int) -> OptimizationSteps:
        # Only torch's optimizers can update all weights in one call; timm implements the others.
        fused: dict[str, Any] = {"fused": True} if self.optimizer in ("adamw", _SGD) else {}
        rate = self._rate(is_pretrained=False)
        parameters: Any = model
        if self.layer_decay < 1:
            parameters = decayed_groups(
                model, weight_decay=self.weight_decay, layer_decay=self.layer_decay
            )
        optimizer = create_optimizer_v2(
            parameters,
            opt=self.optimizer,
            lr=rate,
            weight_decay=self.weight_decay,
            **fused,
        )
        # A shorter training, such as a recovery, has the same share of warm-up epochs.
        share = round(self.warmup_epochs * epochs / self.epochs)
        warmup = min(self.warmup_epochs, max(1, share), epochs - 1)
        # timm's wsd needs a stable step and a decay step, so it can't run for a single step.
        is_single = (epochs - warmup) * steps_per_epoch == 1
        schedule = _SCHEDULES["cosine" if is_single else self.schedule]
        scheduler, _ = create_scheduler_v2(
            optimizer,
            num_epochs=epochs - warmup,  # timm adds the warm-up epochs
            warmup_epochs=warmup,
            warmup_lr=rate / 100,
            warmup_prefix=True,
            min_lr=0.0,
            step_on_epochs=False,
            updates_per_epoch=steps_per_epoch,
            **schedule,
        )
        return OptimizationSteps(optimizer, scheduler)

    def _rate(self, *, is_pretrained: bool) -> float:
        """Return the highest learning rate, in place of `auto` too."""
        if not isinstance(self.learning_rate, str):
            return self.learning_rate
        growth = self.batch_size / _BATCH_SIZE
        rate = _RATES[self.optimizer] * (growth if self.optimizer == _SGD else math.sqrt(growth))
        return min(max(rate * (_FINE_TUNING if is_pretrained else 1), _RANGE.low), _RANGE.high)

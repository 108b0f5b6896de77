"""Mini-batch training with timm's optimizers and schedules."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from timm.optim import create_optimizer_v2
from timm.scheduler import create_scheduler_v2
from torch import nn

from spaces.axes.training import OptimizationSteps, Training
from spaces.method import FloatRange, IntRange, OneOf, param

if TYPE_CHECKING:
    from spaces.recipe import Recipe

# Arguments of timm's scheduler factory for each schedule; each schedule ends at 0.
_SCHEDULES: dict[str, dict[str, Any]] = {
    "cosine": {"sched": "cosine"},
    "linear": {"sched": "poly", "decay_rate": 1.0},
    "wsd": {"sched": "wsd", "decay_epochs": 0.3},
}


@dataclass(frozen=True)
class Standard(Training):
    """Mini-batch training with timm's optimizers and schedules, augmentation, and weight averaging.

    The learning rate rises in a warm-up and then falls to 0; a training of one epoch has no
    warm-up. `schedule` selects its decay: a cosine
    (`cosine`), a line (`linear`), or a constant rate with a decay over the last 30% of the epochs
    (`wsd`: warm-up, stable, decay).

    Source: Loshchilov and Hutter 2017, arXiv:1608.03983 (cosine, without restarts), and 2019,
    arXiv:1711.05101 (AdamW); Hu et al. 2024, arXiv:2404.06395 (wsd); Zhang et al. 2018,
    arXiv:1710.09412 (mixup); Yun et al. 2019, arXiv:1905.04899 (CutMix); Zhong et al. 2020,
    arXiv:1708.04896 (random erasing).
    """

    name: ClassVar[str] = "standard"
    epochs: int = param(8, IntRange(1, 1000, log=True))
    batch_size: int = param(64, IntRange(2, 4096, log=True))
    learning_rate: float = param(1e-2, FloatRange(1e-5, 1.0, log=True))
    optimizer: str = param("adamw", OneOf(("adamw", "nadamw", "lamb", "sgd")))
    weight_decay: float = param(0.02, FloatRange(0.0, 1.0))
    schedule: str = param("cosine", OneOf(tuple(_SCHEDULES)))
    warmup_epochs: int = param(1, IntRange(0, 100))
    label_smoothing: float = param(0.0, FloatRange(0.0, 0.5))
    mixup: float = param(0.0, FloatRange(0.0, 2.0))
    cutmix: float = param(0.0, FloatRange(0.0, 2.0))
    erasing: float = param(0.0, FloatRange(0.0, 1.0))
    ema: float = param(0.0, FloatRange(0.0, 0.9999))

    def conflict(self, recipe: "Recipe") -> str | None:
        # A training of one epoch has no warm-up, so the default of 1 is no conflict: see `fit`.
        if self.warmup_epochs >= max(self.epochs, 2):
            return (
                f"warmup_epochs must be below epochs ({self.epochs}), but got {self.warmup_epochs}"
            )
        return super().conflict(recipe)

    def fit(self, model: nn.Module, *, epochs: int, steps_per_epoch: int) -> OptimizationSteps:
        # Only torch's optimizers can update all weights in one call; timm implements the others.
        fused: dict[str, Any] = {"fused": True} if self.optimizer in ("adamw", "sgd") else {}
        optimizer = create_optimizer_v2(
            model,
            opt=self.optimizer,
            lr=self.learning_rate,
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
            warmup_lr=self.learning_rate / 100,
            warmup_prefix=True,
            min_lr=0.0,
            step_on_epochs=False,
            updates_per_epoch=steps_per_epoch,
            **schedule,
        )
        return OptimizationSteps(optimizer, scheduler)

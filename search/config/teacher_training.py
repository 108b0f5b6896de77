"""The training of a teacher, from random weights or from given ones."""

from dataclasses import dataclass, fields, replace
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from search.config.fields import Section
from spaces import registry
from spaces.axes.distillation import Distillation
from spaces.distributions import Scalar

_DEFAULT_DISTILLATION: dict[str, dict[str, Scalar]] = {"soft_targets": {}}


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """The values of a teacher's training that depend on whether it starts from given weights.

    The attributes are those of `TeacherTraining`, without null.
    """

    fine_tunes: bool
    epochs: int
    learning_rate: float
    batch_size: int
    warmup_epochs: int
    layer_decay: float
    freeze_statistics: bool

    def __str__(self) -> str:
        statistics = ", statistics of batch normalisation kept" if self.freeze_statistics else ""
        decay = f", layer decay {self.layer_decay:g}" if self.layer_decay < 1 else ""
        return (
            f"{'fine-tuned' if self.fine_tunes else 'trained from scratch'}: up to {self.epochs} "
            f"epochs, batches of {self.batch_size}, learning rate {self.learning_rate:g}"
            f"{decay}{statistics}"
        )


# docs/teachers.md has the measurements.
_FROM_SCRATCH = Schedule(
    fine_tunes=False,
    epochs=20,
    learning_rate=3e-3,
    batch_size=128,
    warmup_epochs=1,
    layer_decay=1.0,
    freeze_statistics=False,
)
_FINE_TUNING = Schedule(
    fine_tunes=True,
    epochs=8,
    learning_rate=1e-4,
    batch_size=32,
    warmup_epochs=1,
    layer_decay=0.8,
    freeze_statistics=True,
)


def _is_distillation(given: dict[str, dict[str, Scalar]]) -> dict[str, dict[str, Scalar]]:
    if len(given) != 1:
        raise ValueError(f"must name exactly one method, but names {sorted(given) or 'none'}")
    ((name, params),) = given.items()
    method = registry.method(Distillation.axis, name)
    if unknown := sorted(params.keys() - method.distributions()):
        raise ValueError(
            f"{name} has the parameters {', '.join(method.distributions())}, but got {unknown}"
        )
    method(**params)
    return given


class TeacherTraining(Section):
    """The training of the teacher here, on this data; from given weights, it is fine-tuning."""

    fine_tune: bool | None = Field(
        None,
        description="whether the keys below have their defaults for given weights; null: true with "
        "pretrained or checkpoint, false with factory",
    )
    epochs: int | None = Field(
        None,
        ge=1,
        description="the most passes over the training images; null: 20 from scratch, 8 for "
        "fine-tuning",
    )
    learning_rate: float | None = Field(
        None,
        gt=0,
        description="the highest learning rate, after warm-up; null: 0.003 from scratch, 0.0001 "
        "for fine-tuning",
    )
    batch_size: int | None = Field(
        None,
        ge=1,
        description="images in a batch; null: 128 from scratch, 32 for fine-tuning",
    )
    weight_decay: float = Field(0.05, ge=0, description="decoupled weight decay, as in AdamW")
    patience: int = Field(5, ge=1, description="stop after this many epochs without improvement")
    warmup_epochs: int | None = Field(
        None,
        ge=0,
        description="epochs in which the learning rate rises; null: 1, or 0 in a single epoch",
    )
    optimizer: Literal["adamw", "nadamw", "lamb", "sgd"] = Field(
        "adamw", description="the optimizer of timm"
    )
    layer_decay: float | None = Field(
        None,
        ge=0.1,
        le=1,
        description="the learning rate of each layer, as a share of the next layer's; null: 1 from "
        "scratch, 0.8 for fine-tuning",
    )
    freeze_statistics: bool | None = Field(
        None,
        description="keep the mean and variance of batch normalisation as the weights have them; "
        "null: false from scratch, true for fine-tuning",
    )
    probe: bool = Field(
        True,
        description="fit a new classifier to the training images before the other layers are "
        "trained; without given weights, nothing is fitted",
    )
    label_smoothing: float = Field(
        0.0, ge=0, le=0.5, description="share of each label that is spread over all classes"
    )
    ema: float = Field(
        0.0, ge=0, le=0.9999, description="decay of the moving average of the weights; 0: none"
    )
    seed: int | None = Field(
        None,
        ge=0,
        lt=2**31,
        description="seed of the training; null: the study's seed plus the place of the teacher "
        "in the list",
    )
    generations: int = Field(
        1,
        ge=1,
        le=16,
        description="train the teacher so many times, each time by distillation from the one "
        "before and with another seed (born-again networks)",
    )
    teaches: Literal["last", "all"] = Field(
        "last", description="the generations that teach: the last one, or all as an ensemble"
    )
    distillation: Annotated[dict[str, dict[str, Scalar]], AfterValidator(_is_distillation)] = Field(
        _DEFAULT_DISTILLATION,
        description="the method, with its parameters, by which a generation or an assistant learns "
        "from its teacher; `retort methods` lists them",
    )

    def schedule(self, *, from_weights: bool) -> Schedule:
        """Return the values, with defaults in place of null.

        Args:
            from_weights: whether the network has given weights, unless `fine_tune` says so.
        """
        fine_tunes = from_weights if self.fine_tune is None else self.fine_tune
        defaults = _FINE_TUNING if fine_tunes else _FROM_SCRATCH
        given = {
            field.name: value
            for field in fields(Schedule)
            if (value := getattr(self, field.name, None)) is not None
        }
        found = replace(defaults, **given)
        # A training of one epoch has no warm-up.
        is_short = self.warmup_epochs is None and found.epochs == 1
        return replace(found, warmup_epochs=0) if is_short else found

    def method(self) -> Distillation:
        """Return the method by which a generation or an assistant learns from its teacher."""
        ((name, params),) = self.distillation.items()
        found = registry.method(Distillation.axis, name)(**params)
        assert isinstance(found, Distillation)
        return found

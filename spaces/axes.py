"""The five axes of a recipe, in the order of compression, and what a method of each must do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self, TypeAlias

from spaces.choice import Choice
from spaces.shrinks import NOTHING, Shrinks

if TYPE_CHECKING:
    import numpy as np
    from timm.scheduler.scheduler import Scheduler
    from torch import Tensor, nn
    from torch.optim import Optimizer

    from spaces.features import Feature, Pairing
    from spaces.recipe import Recipe


class Part(StrEnum):
    """What a cut takes out of a module."""

    OUTPUTS = "outputs"  # channels that it gives
    INPUTS = "inputs"  # channels that it takes
    HEADS = "heads"  # of an attention, all of each
    ALL = "all"  # it gives what it is given


# One cut: the module's dotted name, what was cut, and which of them (of all, none is named).
Cut: TypeAlias = tuple[str, Part, Sequence[int]]

# From a network to its training loss on a few batches, in nats, each a scalar with a gradient.
Losses: TypeAlias = Callable[["nn.Module"], Iterable["Tensor"]]
Operation: TypeAlias = Generator["Exercise", None, tuple["nn.Module", list[Cut]]]


@dataclass(frozen=True)
class Student(Choice, ABC):
    """Which network is trained."""

    axis: ClassVar[str] = "student"
    shrinks: ClassVar[Shrinks] = NOTHING

    @property
    def is_timms_own(self) -> bool:
        """Whether timm, told the model's name alone, builds the same network."""
        return True

    @abstractmethod
    def build(
        self, *, classes: int, channels: int, image_size: int, blank: bool = False
    ) -> nn.Module:
        """A network from [batch, channels, image_size, image_size] to logits [batch, classes].

        Random weights come from torch's global generator.

        Args:
            classes: number of outputs.
            channels: of the images, 1 or 3.
            image_size: height and width, in pixels.
            blank: leave out pretrained weights, since others will be loaded.

        Raises:
            ValueError: there is no such network, or it can't take such images.
            OSError: pretrained weights can't be read.
        """


@dataclass(frozen=True)
class Fit:
    """What updates the weights, and how its learning rate changes over the steps."""

    optimizer: Optimizer
    scheduler: Scheduler


@dataclass(frozen=True)
class Training(Choice, ABC):
    """How the student's weights are fitted.

    Attributes:
        epochs: passes over the training images.
        batch_size: images in a step.
        label_smoothing: share of each label that is spread over all classes.
        mixup: parameter of the Beta distribution of shares by which images are mixed; 0: none.
        cutmix: likewise, of shares by which they are cut and pasted.
        ema: decay of the weights' moving average, which then is what was trained; 0: none.
    """

    axis: ClassVar[str] = "training"
    shrinks: ClassVar[Shrinks] = NOTHING
    epochs: int
    batch_size: int
    label_smoothing: float
    mixup: float
    cutmix: float
    ema: float

    @abstractmethod
    def fit(self, model: nn.Module, *, epochs: int, steps_per_epoch: int) -> Fit:
        """Optimizer and schedule for training `model` over so many epochs."""


@dataclass(frozen=True)
class Lesson:
    """One batch, as a distillation method sees it.

    Attributes:
        student: the student's logits, [batch, classes].
        labels: the true classes, [batch], int64; or each class's share, [batch, classes], float32.
        teacher: the teacher's logits for the same views, [batch, classes]; of several teachers the
            logarithm of their mean prediction. None where the method did not ask for them.
        members: the logits of each of the teachers, [teachers, batch, classes]; None likewise.
        maps: for each pair of features the student's map, as the method's projector gives it, and
            the teacher's, without a gradient; both [batch, channels, height, width], of one height
            and width. Empty where the method did not ask for them.
    """

    student: Tensor
    labels: Tensor
    teacher: Tensor | None
    members: Tensor | None = None
    maps: Sequence[tuple[Tensor, Tensor]] = ()


class Needs(StrEnum):
    """What a distillation asks of the teacher."""

    NOTHING = "nothing"
    LOGITS = "logits"  # computed once for every view: no trial runs the teacher
    FEATURES = "features"  # its maps: it runs beside the student, in every step


@dataclass(frozen=True)
class Distillation(Choice, ABC):
    """What the student is asked to match."""

    axis: ClassVar[str] = "distillation"
    shrinks: ClassVar[Shrinks] = NOTHING
    needs: ClassVar[Needs]
    # One that uses none learns from unlabelled images too, where the study has such.
    uses_labels: ClassVar[bool] = True

    @abstractmethod
    def loss(self, lesson: Lesson, *, label_smoothing: float = 0.0) -> Tensor:
        """Scalar, averaged over the batch.

        Raises:
            ValueError: the lesson lacks what the method needs.
        """


@dataclass(frozen=True)
class FeatureDistillation(Distillation):
    """A distillation of what the teacher sees: its maps, beside the true labels.

    Its classes don't matter, so that it may be a teacher of others.
    """

    needs: ClassVar[Needs] = Needs.FEATURES
    weight: float

    @abstractmethod
    def pairs(self, student: Sequence[Feature], teacher: Sequence[Feature]) -> Pairing:
        """Which of the student's features is compared with which of the teacher's.

        Raises:
            ValueError: these networks have none that can be compared.
        """

    def projector(self, student: Feature, teacher: Feature) -> nn.Module:
        """What makes a student's map comparable with the teacher's.

        It is trained with the student and thrown away afterwards; its random weights come from
        torch's global generator. By default there is nothing to be made.
        """
        from torch import nn

        return nn.Identity()

    @abstractmethod
    def mismatch(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Scalar: how far the student is from the teacher in one pair of maps."""

    def loss(self, lesson: Lesson, *, label_smoothing: float = 0.0) -> Tensor:
        """Cross-entropy with the true labels, plus `weight` times the pairs' mean mismatch."""
        from torch.nn import functional

        if not lesson.maps:
            raise ValueError(f"{self.name} needs the teacher's features, but the lesson has none")
        true = functional.cross_entropy(
            lesson.student, lesson.labels, label_smoothing=label_smoothing
        )
        mismatches = [self.mismatch(student, teacher) for student, teacher in lesson.maps]
        return true + self.weight * sum(mismatches[1:], mismatches[0]) / len(mismatches)


@dataclass(frozen=True, eq=False)
class Exercise:
    """Training that a pruning asks for, by the recipe's own method and distillation.

    Attributes:
        network: trained in place.
        stage: the name under which its curve is recorded.
        share: of the training's epochs; 0 where the network is only shown.
        has_cut: whether something was cut since the exercise before.
        is_last: whether nothing is cut any more: it may then end as soon as it gains nothing.
        penalty: added to the loss of each step, a scalar in nats; None adds nothing.
        constraint: called after each step, puts weights back to where they must be; None leaves
            them.
    """

    network: nn.Module
    stage: str
    share: float
    has_cut: bool = False
    is_last: bool = False
    penalty: Callable[[], Tensor] | None = None
    constraint: Callable[[], None] | None = None

    @classmethod
    def recovery(
        cls,
        network: nn.Module,
        share: float,
        *,
        is_last: bool = True,
        constraint: Callable[[], None] | None = None,
    ) -> Self:
        """That of a network that something was cut out of."""
        return cls(network, "recover", share, has_cut=True, is_last=is_last, constraint=constraint)


@dataclass(frozen=True)
class Pruning(Choice, ABC):
    """Which part of a trained student is taken out."""

    axis: ClassVar[str] = "pruning"
    leaves_zeros: ClassVar[bool] = False
    """Whether weights are set to zero rather than taken out: they are then stored sparsely."""

    @property
    @abstractmethod
    def training_share(self) -> float:
        """Epochs of all exercises together, at the most, as a share of the training's epochs."""

    @property
    def uniform_ratio(self) -> float | None:
        """The share of channels cut in every layer alike; None where shapes depend on more.

        Two methods that cut the same share leave the same shapes, whatever the weights, and one
        that cuts a larger share leaves none that is larger: what a student costs is then known
        before it is trained, and from what others cost.
        """
        return None

    @property
    def nominal_ratio(self) -> float | None:
        """The uniform ratio whose costs come near, as long as nothing better is known."""
        return self.uniform_ratio

    @property
    def shape_error(self) -> float:
        """How far an untrained student's cost may lie from the trained one's, relative to it.

        0 where shapes don't depend on what was learned: the cost is then known exactly.
        """
        return 0.0

    @abstractmethod
    def operate(self, model: nn.Module, example: Tensor, *, losses: Losses | None) -> Operation:
        """Prunes a copy of `model`, and asks for training in between and afterwards.

        Args:
            model: left as it is.
            example: one input, [1, channels, height, width].
            losses: gives what a network loses on training images; None where there are none, as
                only shapes are asked for. It leaves no gradients.

        Returns:
            A generator of exercises, each of which has been done when it is asked for the next. At
            last it returns the pruned network, and the cuts that give an unpruned one its shapes.

        Raises:
            ValueError: the model can't be pruned by this method.
        """

    def apply(self, model: nn.Module, example: Tensor) -> tuple[nn.Module, list[Cut]]:
        """What `operate` comes to where nothing is trained: the shapes to be reckoned with.

        Raises:
            ValueError: the model can't be pruned by this method.
        """
        operation = self.operate(model, example, losses=None)
        while True:
            try:
                next(operation)
            except StopIteration as end:
                pruned, cuts = end.value
                return pruned, cuts


@dataclass(frozen=True)
class Quantization(Choice, ABC):
    """The number format in which the student is shipped."""

    axis: ClassVar[str] = "quantization"
    keeps_zeros: ClassVar[bool] = True
    """Whether weights that pruning set to zero stay so, and can be stored as what they are."""
    least_bits: ClassVar[float] = 1.0
    """For each number of a layer's weight the file has at least so many bits, whatever else."""

    def conflict(self, recipe: Recipe) -> str | None:
        if recipe.pruning.leaves_zeros and (self.tuning_share or not self.keeps_zeros):
            does = "trains every weight" if self.tuning_share else "stores zeros like other weights"
            return f"it {does}, so that nothing is left of pruning.{recipe.pruning.name}"
        return super().conflict(recipe)

    @property
    def size_error(self) -> float:
        """How much less a trained student's file may take than an untrained one's, relative to it.

        0 where it doesn't depend on what was learned.
        """
        return 0.0

    @property
    def tuning_share(self) -> float:
        """Epochs of training under the format's rounding, as a share of the training's epochs."""
        return 0.0

    def rounded(self, network: nn.Module, example: Tensor) -> AbstractContextManager[None]:
        """While it lasts, `network` computes with the numbers of this format, and can be trained.

        Args:
            network: rounded in place; afterwards it has its own weights, trained on.
            example: one input, [1, channels, height, width].
        """
        return nullcontext()

    @abstractmethod
    def convert(
        self, source: Path, destination: Path, *, calibration: Iterable[np.ndarray]
    ) -> None:
        """Writes the ONNX file `source` (float32) to `destination` in this format.

        Args:
            source: an ONNX file with one input.
            destination: a path in an existing folder.
            calibration: normalised training inputs, each [batch, channels, height, width], float32.
        """


AXES: tuple[type[Choice], ...] = (Student, Training, Distillation, Pruning, Quantization)

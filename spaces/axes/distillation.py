"""The third axis: the loss that trains the student."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar

from spaces.axes.label_loss import LabelLoss
from spaces.method import Method
from spaces.shrinks import NOTHING, Shrinks

if TYPE_CHECKING:
    from torch import Tensor, nn

    from spaces.features import Feature, Pairing


_CROSS_ENTROPY = LabelLoss()


@dataclass(frozen=True)
class DistillationBatch:
    """The outputs of the student and of the teachers for one batch, and its labels.

    Attributes:
        student: the student's logits, [batch, classes].
        labels: the true classes, [batch], int64; or the share of each class, [batch, classes],
            float32.
        teacher: the teacher's logits for the same views, [batch, classes]. For several teachers:
            the logarithm of their mean prediction. None if the method does not need them.
        members: the logits of each teacher, [teachers, batch, classes]. None if the method does not
            need them.
        maps: the two maps of each pair of features: the student's map after the method's projector,
            and the teacher's map without a gradient. Both are [batch, channels, height, width],
            with the same height and width. Empty if the method does not need them.
        progress: the share of the training's steps up to and including this one, above 0 to 1.
        criterion: the loss on the labels that the training method chose; methods use `label_loss`.
    """

    student: Tensor
    labels: Tensor
    teacher: Tensor | None
    members: Tensor | None = None
    maps: Sequence[tuple[Tensor, Tensor]] = ()
    progress: float = 1.0
    criterion: LabelLoss = _CROSS_ENTROPY

    def label_loss(self, smoothing: float = 0.0) -> Tensor:
        """Return the loss on the labels, a scalar in nats; every method that uses labels adds it.

        Args:
            smoothing: share of each label to distribute over all classes.
        """
        return self.criterion(self.student, self.labels, smoothing=smoothing)


class Needs(StrEnum):
    """Outputs of the teacher that a distillation needs."""

    NOTHING = "nothing"
    LOGITS = "logits"  # computed once for each view, so that no trial runs the teacher
    FEATURES = "features"  # the teacher's feature maps: a trial runs the teacher in each step


@dataclass(frozen=True)
class Distillation(Method, ABC):
    """The loss that trains the student."""

    axis: ClassVar[str] = "distillation"
    shrinks: ClassVar[Shrinks] = NOTHING
    needs: ClassVar[Needs]
    # If False, the student is also trained on the unlabelled images of the study.
    uses_labels: ClassVar[bool] = True

    @abstractmethod
    def loss(self, batch: DistillationBatch, *, label_smoothing: float = 0.0) -> Tensor:
        """Return the loss, a scalar averaged over the batch.

        A method that uses the labels adds `batch.label_loss(label_smoothing)`.

        Raises:
            ValueError: the batch lacks an output that the method needs.
        """


@dataclass(frozen=True)
class FeatureDistillation(Distillation):
    """A distillation that matches the teacher's feature maps and the true labels.

    The loss does not use the teacher's logits, so the teacher can have other classes.
    """

    needs: ClassVar[Needs] = Needs.FEATURES
    weight: float

    @abstractmethod
    def pairs(self, student: Sequence[Feature], teacher: Sequence[Feature]) -> Pairing:
        """Return the pairs of features to compare, each of the student and of the teacher.

        Raises:
            ValueError: these networks have no comparable features.
        """

    def projector(self, student: Feature, teacher: Feature) -> nn.Module:
        """Return a module that maps the student's feature map to the shape of the teacher's.

        The module is trained with the student and discarded afterwards. torch's global generator
        provides its random weights. The default module returns its input.
        """
        from torch import nn

        return nn.Identity()

    @abstractmethod
    def mismatch(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Return the distance between the two maps of one pair, a scalar."""

    def loss(self, batch: DistillationBatch, *, label_smoothing: float = 0.0) -> Tensor:
        """Return the loss on the labels plus `weight` times the mean mismatch."""
        if not batch.maps:
            raise ValueError(
                f"batch.maps must hold the features for {self.name}, but it is empty: "
                "give it the maps of each pair of features"
            )
        label_loss = batch.label_loss(label_smoothing)
        mismatches = [self.mismatch(student, teacher) for student, teacher in batch.maps]
        return label_loss + self.weight * sum(mismatches[1:], mismatches[0]) / len(mismatches)

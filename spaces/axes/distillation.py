"""The third axis: what the student is asked to match."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar

from spaces.method import Method
from spaces.shrinks import NOTHING, Shrinks

if TYPE_CHECKING:
    from torch import Tensor, nn

    from spaces.features import Feature, Pairing


@dataclass(frozen=True)
class DistillationBatch:
    """One batch, with what a distillation method reads of it.

    Attributes:
        student: the student's logits, [batch, classes].
        labels: the true classes, [batch], int64; or the share of each class, [batch, classes],
            float32.
        teacher: the teacher's logits for the same views, [batch, classes]; for several teachers the
            logarithm of their mean prediction. None if the method does not need them.
        members: the logits of each teacher, [teachers, batch, classes]; None if the method does not
            need them.
        maps: for each pair of features the student's map after the method's projector, and the
            teacher's map without a gradient; both [batch, channels, height, width], with the same
            height and width. Empty if the method does not need them.
    """

    student: Tensor
    labels: Tensor
    teacher: Tensor | None
    members: Tensor | None = None
    maps: Sequence[tuple[Tensor, Tensor]] = ()


class Needs(StrEnum):
    """What a distillation needs from the teacher."""

    NOTHING = "nothing"
    LOGITS = "logits"  # computed once for every view: no trial runs the teacher
    FEATURES = "features"  # the teacher's maps: it runs beside the student, in every step


@dataclass(frozen=True)
class Distillation(Method, ABC):
    """What the student is asked to match."""

    axis: ClassVar[str] = "distillation"
    shrinks: ClassVar[Shrinks] = NOTHING
    needs: ClassVar[Needs]
    # A method that uses no labels also learns from unlabelled images, if the study has any.
    uses_labels: ClassVar[bool] = True

    @abstractmethod
    def loss(self, batch: DistillationBatch, *, label_smoothing: float = 0.0) -> Tensor:
        """Return the loss, a scalar averaged over the batch.

        Raises:
            ValueError: the batch lacks what the method needs.
        """


@dataclass(frozen=True)
class FeatureDistillation(Distillation):
    """A distillation of the teacher's feature maps, beside the true labels.

    The teacher's classes don't matter, so it may have been trained on others.
    """

    needs: ClassVar[Needs] = Needs.FEATURES
    weight: float

    @abstractmethod
    def pairs(self, student: Sequence[Feature], teacher: Sequence[Feature]) -> Pairing:
        """Return the pairs of features, the student's and the teacher's, to compare.

        Raises:
            ValueError: these networks have no features that can be compared.
        """

    def projector(self, student: Feature, teacher: Feature) -> nn.Module:
        """Return a module that makes a student's map comparable with the teacher's.

        It is trained with the student and discarded afterwards; its random weights come from
        torch's global generator. The default changes nothing.
        """
        from torch import nn

        return nn.Identity()

    @abstractmethod
    def mismatch(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Return the distance between student and teacher in one pair of maps, a scalar."""

    def loss(self, batch: DistillationBatch, *, label_smoothing: float = 0.0) -> Tensor:
        """Return cross-entropy with the labels, plus `weight` times the pairs' mean mismatch."""
        from torch.nn import functional

        if not batch.maps:
            raise ValueError(f"{self.name} needs the teacher's features, but the batch has none")
        true = functional.cross_entropy(
            batch.student, batch.labels, label_smoothing=label_smoothing
        )
        mismatches = [self.mismatch(student, teacher) for student, teacher in batch.maps]
        return true + self.weight * sum(mismatches[1:], mismatches[0]) / len(mismatches)

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
class Distillation(Method, ABC):
    """What the student is asked to match."""

    axis: ClassVar[str] = "distillation"
    shrinks: ClassVar[Shrinks] = NOTHING
    needs: ClassVar[Needs]
    # One that uses none learns from unlabelled images too, where the study has such.
    uses_labels: ClassVar[bool] = True

    @abstractmethod
    def loss(self, batch: DistillationBatch, *, label_smoothing: float = 0.0) -> Tensor:
        """Scalar, averaged over the batch.

        Raises:
            ValueError: the batch lacks what the method needs.
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

    def loss(self, batch: DistillationBatch, *, label_smoothing: float = 0.0) -> Tensor:
        """Cross-entropy with the true labels, plus `weight` times the pairs' mean mismatch."""
        from torch.nn import functional

        if not batch.maps:
            raise ValueError(f"{self.name} needs the teacher's features, but the batch has none")
        true = functional.cross_entropy(
            batch.student, batch.labels, label_smoothing=label_smoothing
        )
        mismatches = [self.mismatch(student, teacher) for student, teacher in batch.maps]
        return true + self.weight * sum(mismatches[1:], mismatches[0]) / len(mismatches)

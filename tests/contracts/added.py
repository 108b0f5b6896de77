"""A metric, a limit and a distillation that are no part of retort, in the one file it takes."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from search.objectives.limit import CountedStudent, Limit
from search.objectives.metric import Metric
from search.objectives.predictions import Predictions
from spaces.axes.distillation import Distillation, DistillationBatch, Needs
from spaces.distributions import FloatRange
from spaces.method import param
from spaces.quantity import parse_count

_BINS = 10


def _calibration_error(found: Predictions, teacher: NDArray[np.int64]) -> float:
    """Expected calibration error. Guo et al. 2017, arXiv:1706.04599, section 2."""
    bins = np.minimum((found.confidence * _BINS).astype(int), _BINS - 1)
    gaps = [
        abs((found.right[bins == one] - found.confidence[bins == one]).sum())
        for one in range(_BINS)
    ]
    return float(sum(gaps) / len(found.labels))


def _calibration_spread(found: Predictions, teacher: NDArray[np.int64]) -> float:
    return float((found.right - found.confidence).std() / np.sqrt(len(found.labels)))


CALIBRATION = Metric(
    name="calibration_error",
    label="calibration error",
    description="how far confidence lies from the share that is predicted right",
    compute=_calibration_error,
    standard_error=_calibration_spread,
    best=0.0,
    worst=1.0,
    format="{:.4f}".format,
)


def _layers(student: CountedStudent) -> int:
    return sum(weight.dim() > 1 for weight in student.network.parameters())


LAYERS = Limit(
    name="layers",
    cost="layers",
    label="layers",
    description="tensors of weights with two dimensions or more",
    parse=parse_count,
    format="{:.0f} layers".format,
    takes="count, such as 12",
    count=_layers,
    less="shallower",
    more="deeper",
)


@dataclass(frozen=True)
class Logits(Distillation):
    """The teacher's logits by least squares, mixed with the true labels."""

    name: ClassVar[str] = "logits"
    needs: ClassVar[Needs] = Needs.LOGITS
    weight: float = param(0.5, FloatRange(0.0, 1.0))

    def loss(self, batch: DistillationBatch, *, label_smoothing: float = 0.0) -> Tensor:
        if batch.teacher is None:
            raise ValueError("batch.teacher must hold the teacher's logits, but is None")
        taught = functional.mse_loss(batch.student, batch.teacher.detach())
        true = batch.label_loss(label_smoothing)
        return self.weight * taught + (1 - self.weight) * true

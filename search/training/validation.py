"""The study's metric and floors for a network in training, computed on the float32 network."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import nn

from search.data.dataset import Dataset, Labels, Part, normalize
from search.objectives.floors import Floor
from search.objectives.metric import Metric
from search.objectives.predictions import Predictions
from search.training.inference import inference_batch


@dataclass(frozen=True, kw_only=True)
class Scores:
    """The scores of a network on the validation images.

    Attributes:
        score: the study's metric, in the metric's unit.
        floors: the values that the budget's floors bound, by their stored names.
    """

    score: float
    floors: Mapping[str, float]


@dataclass(frozen=True)
class Validation:
    """Validation that scores a network in training on the validation images.

    Attributes:
        metric: the study's metric.
        teacher: the classes that the teacher predicts, for metrics that compare with the teacher,
            [validation images].
        floors: the budget's floors.
        labels: the label of each class whose recall a floor bounds, by its name in the budget.
    """

    metric: Metric
    teacher: Labels
    floors: tuple[Floor, ...] = ()
    labels: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of_teacher(cls, metric: Metric, dataset: Dataset) -> "Validation":
        """Return the validation of a teacher that is being trained.

        A teacher always agrees with itself. The labels therefore replace the teacher's classes: a
        metric of agreement with the teacher becomes an agreement with the labels.
        """
        return cls(metric, dataset.validation.labels)

    def scores(
        self,
        network: nn.Module,
        dataset: Dataset,
        *,
        device: str = "cpu",
        image_size: int | None = None,
    ) -> Scores:
        """Return the network's values of the metric and of the floors; see `predictions_of`."""
        found = predictions_of(
            network, dataset.validation, dataset, device=device, image_size=image_size
        )
        measured = {
            floor.name: floor.measure(found, self.teacher, self.labels) for floor in self.floors
        }
        return Scores(
            score=self.metric.compute(found, self.teacher),
            floors={name: one.value for name, one in measured.items() if one is not None},
        )

    def score(
        self,
        network: nn.Module,
        dataset: Dataset,
        *,
        device: str = "cpu",
        image_size: int | None = None,
    ) -> float:
        """Return the metric's value for the network, in the metric's unit; see `predictions_of`."""
        return self.scores(network, dataset, device=device, image_size=image_size).score

    def is_better(self, score: float, than: float) -> bool:
        """Return whether a score is better than another."""
        return self.metric.is_better(score, than)


@torch.inference_mode()
def predictions_of(
    network: nn.Module,
    part: Part,
    dataset: Dataset,
    *,
    device: str = "cpu",
    image_size: int | None = None,
) -> Predictions:
    """Predict the unaugmented images of `part`; set the network to evaluation mode.

    Args:
        network: returns logits.
        part: the images.
        dataset: the data set of the part.
        device: the device of the network.
        image_size: the size of the images; None is that of the data set.
    """
    network.eval()
    size = inference_batch(image_size or dataset.info.image_size, device=device)
    logits = (
        network(normalize(batch.images, dataset.info.mean, dataset.info.std)).float().cpu().numpy()
        for batch in part.batches(size, device=device, image_size=image_size)
    )
    return Predictions.of_batches(logits, part.labels)

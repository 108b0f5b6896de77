from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from search.data.dataset import Dataset
from search.objectives.metrics import ACCURACY, AGREEMENT
from search.training.validation import Validation, predictions_of


class First(nn.Module):
    """Takes every image for the first of three classes, with the probability of one half."""

    def forward(self, images: Tensor) -> Tensor:
        return torch.tensor([[0.5, 0.25, 0.25]]).log().expand(len(images), 3)


def test_predictions_are_of_every_image_of_the_part_in_its_order(stripes: Dataset) -> None:
    found = predictions_of(First(), stripes.training, stripes)
    assert np.array_equal(found.labels, stripes.training.labels)
    assert found.classes.tolist() == [0] * len(stripes.training)
    assert np.allclose(found.confidence, 0.5)


def test_the_score_is_the_metric_of_the_validation_images(stripes: Dataset) -> None:
    labels = stripes.validation.labels
    teacher = np.where(np.arange(len(labels)) < 9, 0, 1)
    assert Validation(ACCURACY, teacher).score(First(), stripes) == np.mean(labels == 0)
    assert Validation(AGREEMENT, teacher).score(First(), stripes) == 9 / len(labels)


def test_a_teacher_in_training_is_compared_with_the_labels(stripes: Dataset) -> None:
    validation = Validation.of_teacher(AGREEMENT, stripes)
    assert validation.score(First(), stripes) == np.mean(stripes.validation.labels == 0)


@pytest.mark.parametrize(("best", "worst", "better"), [(1.0, 0.0, 0.7), (0.0, 1.0, 0.5)])
def test_the_better_score_follows_the_metrics_direction(
    best: float, worst: float, better: float
) -> None:
    metric = replace(ACCURACY, best=best, worst=worst)
    validation = Validation(metric, np.empty(0, np.int64))
    assert validation.is_better(better, 0.6)
    assert not validation.is_better(0.6, better)
    assert not validation.is_better(0.6, 0.6)

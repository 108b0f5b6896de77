"""The times that a plan predicts."""

import pytest

from search.config.study import Study
from search.data.dataset import PartSizes
from search.tuner.planned_times import PlannedTimes

SIZES = PartSizes(training=300, validation=60, test=40)


@pytest.mark.parametrize(("final", "rounds"), [(None, 1), ({}, 1), ({"refit": True}, 2.2)])
def test_the_teacher_answers_once_more_for_a_refit_with_its_validation_images(
    final: object, rounds: float
) -> None:
    study = Study.model_validate(
        {
            "study": "times",
            "data": {"source": "digits"},
            "teacher": {"model": "test_resnet", "train": {}},
            "space": {
                "student": {"timm": {"model": "test_resnet"}},
                "distillation": "soft_targets",
            },
            "search": {"views": 8},
            "final": final,
        }
    )
    times = PlannedTimes.of(study, [], SIZES, training_s=100, view_s=10)
    assert times.teacher_s == pytest.approx(100 + 80 * rounds)

"""What an untouched teacher expects of images."""

from types import SimpleNamespace
from typing import cast

import pytest
from torch import nn

from search.data.dataset import Dataset
from search.settings.config import TeacherSettings
from search.teacher.origins import preprocessing


def test_a_pretrained_teacher_of_colours_sees_grey_images_as_three_equal_colours(
    stripes: Dataset,
) -> None:
    known = {"input_size": (3, 64, 64), "mean": (0.4, 0.5, 0.6), "std": (0.1, 0.2, 0.3)}
    network = cast("nn.Module", SimpleNamespace(pretrained_cfg=known))
    settings = TeacherSettings(model="resnet18", pretrained=True)
    assert len(stripes.info.mean) == 1
    size, (mean, std) = preprocessing(settings, network, stripes.info)
    assert size == 64
    assert mean == [pytest.approx(0.5)]
    assert std == [pytest.approx(0.2)]

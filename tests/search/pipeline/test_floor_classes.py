"""The classes that a budget names are those of the data, and have images to measure on."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from search.config.data_settings import DataSettings
from search.data.dataset import Dataset
from search.data.prepare import prepare
from search.errors import DataError
from search.files.filestore import FolderStore
from search.objectives.budget import Budget
from search.pipeline.floor_classes import floor_labels, floor_warnings
from tests.conftest import SIZE
from tests.messages import naming


def recall(**shares: float) -> Budget:
    return Budget.model_validate({"recall": shares})


@pytest.fixture(scope="module")
def named(stripes_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """The stripes, whose classes 0, 1 and 2 are called stop, yield and 0."""
    settings = DataSettings(
        source="npz",
        path=stripes_file,
        image_size=SIZE,
        flip=False,
        class_names={"0": "stop", "1": "give way"},
    )
    return prepare(settings, seed=0, cache=FolderStore.of(tmp_path_factory.mktemp("named")))


def test_a_class_has_its_name_in_the_data_or_its_readable_name(named: Dataset) -> None:
    asked = Budget.model_validate({"recall": {"stop": 0.9, "0": 0.9, "give  way": 0.9, "2": 0.9}})
    assert floor_labels(asked, named.info) == {"stop": 0, "0": 0, "give  way": 1, "2": 2}


def test_an_unknown_class_is_refused_with_similar_names(named: Dataset) -> None:
    with pytest.raises(DataError, match=naming("budget.recall", "stopp", "did you mean 'stop'")):
        floor_warnings(recall(stopp=0.9), named)


def test_a_class_without_validation_images_is_refused(stripes: Dataset) -> None:
    class Other:
        labels = np.asarray([0, 0, 2])

    with pytest.raises(DataError, match=naming("budget.recall", "'1'", "validation images")):
        floor_warnings(
            Budget.model_validate({"recall": {"1": 0.9}}),
            replace(stripes, validation=Other()),  # type: ignore[arg-type]
        )


def test_a_floor_that_allows_no_wrong_image_is_warned_of(stripes: Dataset) -> None:
    images = int((np.asarray(stripes.validation.labels) == 1).sum())

    def warnings(bound: float) -> list[str]:
        return floor_warnings(Budget.model_validate({"recall": {"1": bound}}), stripes)

    (warning,) = warnings(1 - 0.5 / images)
    assert naming("budget.recall.1", images).search(warning)
    assert warnings(1 - 1 / images) == []
    assert warnings(1.0) == []

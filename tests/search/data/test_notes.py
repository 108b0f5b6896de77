"""What is told about mirroring: which augmentation is on, and where it may do harm."""

from dataclasses import replace

import pytest

from search.data.chirality import chiral_names
from search.data.dataset import DataInfo, Dataset
from search.data.notes import notes, warnings
from search.data.views.augmentation import Augmentation
from tests.messages import naming


@pytest.mark.parametrize(
    ("classes", "chiral"),
    [
        (("turn left", "turn right", "stop"), 2),
        (("KeepLeft", "KeepRight", "arrow_left_2"), 3),
        (("links", "rechts", "geradeaus"), 2),
        (("00000", "00001", "00014"), 3),
        (tuple("0123456789"), 10),
        (tuple("abdpq"), 5),
        (("zero", "one", "two"), 3),
        (("letter_a", "Digit7"), 2),
        (("ant", "bee", "Brightness", "lefty", "type a car"), 0),
        (("n01440764", "n02102040"), 0),
        (("2 wheels", "3 wheels"), 0),
    ],
)
def test_names_of_sides_and_characters_are_chiral(classes: tuple[str, ...], chiral: int) -> None:
    assert len(chiral_names(classes)) == chiral


FLIPPED = Augmentation(flip=True)


@pytest.fixture
def info(stripes: Dataset) -> DataInfo:
    return replace(stripes.info, classes=("left", "right", "ahead"), augmentation=FLIPPED)


def test_chiral_classes_are_told_while_images_are_mirrored(info: DataInfo) -> None:
    assert any(naming("data.augment.flip", 2, 3, "'left'").search(line) for line in warnings(info))
    assert warnings(replace(info, augmentation=Augmentation(shift=0.1))) == ()
    assert warnings(replace(info, classes=("ant", "bee", "cat"))) == ()


def test_the_augmentation_that_is_on_is_told(info: DataInfo) -> None:
    for flip in (True, False):
        for shift in (0.0, 0.25):
            augmentation = Augmentation(flip=flip, shift=shift)
            told = [
                line
                for line in notes(replace(info, augmentation=augmentation))
                if "data.augment" in line
            ]
            assert ("mirrored at random" in told[0]) is flip
            assert ("25%" in told[0]) is (shift > 0)

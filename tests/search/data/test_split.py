import numpy as np
import pytest

from search.data.split import SplitOff, limit, split_off
from search.errors import DataError
from tests.messages import naming

LABELS = np.repeat(np.arange(3), (100, 20, 3))
CLASSES = ("ant", "bee", "cat")
FIFTH = SplitOff(part="test", share=0.2)


def test_a_split_is_disjoint_and_complete():
    stays, off = split_off(LABELS, FIFTH, seed=0, classes=CLASSES)
    assert sorted([*stays, *off]) == list(range(len(LABELS)))


def test_a_split_takes_its_share_of_every_class():
    _, off = split_off(LABELS, FIFTH, seed=0, classes=CLASSES)
    assert np.bincount(LABELS[off]).tolist() == [20, 4, 1]


def test_a_split_follows_its_seed():
    splits = [
        split_off(LABELS, FIFTH, seed=seed, classes=CLASSES)[1].tolist() for seed in (0, 0, 1)
    ]
    assert splits[0] == splits[1] != splits[2]


def test_a_share_of_nothing_splits_nothing_off():
    none = SplitOff(part="test", share=0)
    assert [len(own) for own in split_off(LABELS, none, seed=0, classes=CLASSES)] == [123, 0]


def test_a_class_too_small_to_split_is_refused():
    """With the images that it has, and no share that nobody set."""
    rest = SplitOff(part="validation", share=0.15 / 0.85)
    with pytest.raises(DataError, match=naming("'bee'", "data.validation_share", 1)) as error:
        split_off(np.array([0, 0, 1]), rest, seed=0, classes=("ant", "bee"))
    assert "0.17" not in str(error.value)


@pytest.mark.parametrize("most", [3, 4, 10, 77])
def test_a_limit_gives_just_so_many_and_some_of_every_class(most):
    labels = LABELS[limit(LABELS, most, seed=0, classes=CLASSES)]
    assert len(labels) == most
    assert set(labels) == {0, 1, 2}


def test_a_limit_keeps_the_classes_shares():
    labels = LABELS[limit(LABELS, 41, seed=0, classes=CLASSES)]
    assert np.bincount(labels).tolist() == [33, 7, 1]


def test_a_limit_above_all_takes_all():
    assert len(limit(LABELS, 10**6, seed=0, classes=CLASSES)) == len(LABELS)


def test_a_limit_below_the_number_of_classes_is_refused():
    with pytest.raises(DataError, match=naming("data.train_images", 3, 2)):
        limit(LABELS, 2, seed=0, classes=CLASSES)

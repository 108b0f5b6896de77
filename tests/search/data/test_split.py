import numpy as np
import pytest

from search.data.split import limit, split_off
from search.errors import DataError
from tests.messages import naming

LABELS = np.repeat(np.arange(3), (100, 20, 3))
CLASSES = ("ant", "bee", "cat")


def test_a_split_is_disjoint_and_complete():
    stays, off = split_off(LABELS, 0.2, seed=0, classes=CLASSES)
    assert sorted([*stays, *off]) == list(range(len(LABELS)))


def test_a_split_takes_its_share_of_every_class():
    _, off = split_off(LABELS, 0.2, seed=0, classes=CLASSES)
    assert np.bincount(LABELS[off]).tolist() == [20, 4, 1]


def test_a_split_follows_its_seed():
    splits = [split_off(LABELS, 0.2, seed=seed, classes=CLASSES)[1].tolist() for seed in (0, 0, 1)]
    assert splits[0] == splits[1] != splits[2]


def test_a_share_of_nothing_splits_nothing_off():
    assert len(split_off(LABELS, 0, seed=0, classes=CLASSES)[1]) == 0


def test_a_class_too_small_to_split_is_refused():
    with pytest.raises(DataError, match=naming("'bee'", 0.5)):
        split_off(np.array([0, 0, 1]), 0.5, seed=0, classes=("ant", "bee"))


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

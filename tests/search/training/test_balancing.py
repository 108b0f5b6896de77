import numpy as np
import pytest
import torch
from torch import Tensor

from search.data.dataset import NO_LABEL
from search.training.balancing import epoch_order, label_loss_of
from spaces.axes.label_loss import BCE, CROSS_ENTROPY
from spaces.training.standard import Standard

# 90 images of class 0, 9 of class 1 and 1 of class 3; none of class 2.
LABELS = np.repeat([0, 1, 3], [90, 9, 1])


def _order(labels: np.ndarray = LABELS, *, seed: int = 0, epoch: int = 0) -> Tensor:
    return epoch_order(labels, seed=seed, epoch=epoch, sampling="balanced")


def test_balanced_sampling_shows_each_class_equally_often_in_as_many_images() -> None:
    order = _order()
    counts = np.bincount(LABELS[order.numpy()])
    assert len(order) == len(LABELS)
    assert sorted(counts[[0, 1, 3]]) == [33, 33, 34]
    # Which class has one more image differs from epoch to epoch.
    most = {int(np.bincount(LABELS[_order(epoch=one).numpy()]).argmax()) for one in range(20)}
    assert most == {0, 1, 3}


def test_balanced_sampling_repeats_no_image_before_its_class_is_through() -> None:
    times = np.bincount(_order().numpy(), minlength=len(LABELS))
    assert set(times[:90]) == {0, 1}
    assert set(times[90:99]) == {3, 4}
    assert times[99] >= 33


def test_balanced_sampling_shows_the_images_of_a_large_class_in_turns() -> None:
    shown = {int(index) for epoch in range(20) for index in _order(epoch=epoch)}
    assert shown == set(range(100))


def test_the_seed_and_the_epoch_decide_the_order() -> None:
    assert torch.equal(_order(seed=1, epoch=2), _order(seed=1, epoch=2))
    assert not torch.equal(_order(seed=1, epoch=2), _order(seed=1, epoch=3))
    assert not torch.equal(_order(seed=1, epoch=2), _order(seed=2, epoch=2))


def test_classes_are_mixed_within_the_epoch() -> None:
    first, last = _order().chunk(2)
    for half in (first, last):
        assert np.bincount(LABELS[half.numpy()])[[0, 1, 3]].min() > 5


def test_images_without_a_label_keep_their_place_among_the_labelled() -> None:
    labels = np.concatenate([LABELS, np.full(50, NO_LABEL)])
    order = _order(labels).numpy()
    assert len(order) == 150
    assert sorted(order[order >= 100]) == list(range(100, 150))
    assert sorted(np.bincount(LABELS[order[order < 100]])[[0, 1, 3]]) == [33, 33, 34]
    assert sorted(_order(labels[100:]).tolist()) == list(range(50))


def test_uniform_sampling_shows_each_image_once() -> None:
    order = epoch_order(LABELS, seed=3, epoch=4, sampling="uniform")
    assert sorted(order.tolist()) == list(range(100))
    # The order that stored trainings have.
    generator = torch.Generator().manual_seed(3 * 100_003 + 4)
    assert torch.equal(order, torch.randperm(100, generator=generator))


def test_the_loss_has_the_kind_of_the_training_and_weights_of_the_training_images() -> None:
    labels = np.concatenate([LABELS, np.full(50, NO_LABEL)])
    plain = label_loss_of(Standard(), labels, classes=4, device="cpu")
    assert (plain.kind, plain.class_weights) == (CROSS_ENTROPY, None)
    training = Standard(label_loss=BCE, class_weights="inverse")
    found = label_loss_of(training, labels, classes=4, device="cpu")
    assert found.kind == BCE
    assert found.class_weights is not None
    weights = [100 / 3 / 90, 100 / 3 / 9, 0.0, 100 / 3]
    assert found.class_weights.tolist() == pytest.approx(weights)

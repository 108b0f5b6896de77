"""The loss on the labels, against cases worked out by hand and PyTorch's own losses."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from spaces import registry
from spaces.axes.distillation import Distillation, DistillationBatch, FeatureDistillation
from spaces.axes.label_loss import BCE, LabelLoss, class_weights

LOGITS = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([0, 1, 2, 0, 1, 0])
SHARES = 0.7 * functional.one_hot(LABELS, 3) + 0.3 * functional.one_hot(LABELS.flip(0), 3)
WEIGHTS = torch.tensor([0.5, 1.0, 3.0])
# Probabilities of 1/2, 1/4 and 1/4.
ONE = torch.tensor([[math.log(2), 0.0, 0.0]])


@pytest.mark.parametrize("labels", [LABELS, SHARES])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_plain_cross_entropy_is_pytorchs(labels: Tensor, smoothing: float) -> None:
    expected = functional.cross_entropy(LOGITS, labels, label_smoothing=smoothing)
    assert torch.equal(LabelLoss()(LOGITS, labels, smoothing=smoothing), expected)
    alike = LabelLoss(class_weights=torch.ones(3))
    assert torch.allclose(alike(LOGITS, labels, smoothing=smoothing), expected)


def test_weights_of_classes_multiply_the_loss_of_each_image() -> None:
    images = functional.cross_entropy(LOGITS, LABELS, reduction="none")
    found = LabelLoss(class_weights=WEIGHTS)(LOGITS, LABELS)
    assert torch.allclose(found, (WEIGHTS[LABELS] * images).mean())


def test_weights_of_mixed_labels_are_pytorchs() -> None:
    found = LabelLoss(class_weights=WEIGHTS)(LOGITS, SHARES)
    assert torch.allclose(found, functional.cross_entropy(LOGITS, SHARES, weight=WEIGHTS))


def test_weighted_cross_entropy_of_a_mixed_image_by_hand() -> None:
    shares = torch.tensor([[0.75, 0.0, 0.25]])
    # An image of class 0 with the share 3/4 and weight 1/2, and one of class 2: 1/4 and 3.
    first, last = 0.75 * 0.5 * math.log(2), 0.25 * 3 * math.log(4)
    found = LabelLoss(class_weights=WEIGHTS)(ONE, shares)
    assert found.item() == pytest.approx(first + last)
    # Smoothing by 0.3 puts a tenth of each of the two labels on each class.
    anywhere = (math.log(2) + 2 * math.log(4)) / 3
    found = LabelLoss(class_weights=WEIGHTS)(ONE, shares, smoothing=0.3)
    smoothed = 0.7 * (first + last) + 0.3 * (0.75 * 0.5 + 0.25 * 3) * anywhere
    assert found.item() == pytest.approx(smoothed)


def _bce(targets: list[float]) -> float:
    """Binary cross-entropies of logits log 3, 0 and 0: probabilities 3/4, 1/2 and 1/2."""
    probabilities = (0.75, 0.5, 0.5)
    return -sum(
        target * math.log(found) + (1 - target) * math.log(1 - found)
        for target, found in zip(targets, probabilities, strict=True)
    )


@pytest.mark.parametrize(
    ("labels", "smoothing", "targets"),
    [
        ([1.0, 0.0, 0.0], 0.0, [1.0, 0.0, 0.0]),
        ([1.0, 0.0, 0.0], 0.3, [0.8, 0.1, 0.1]),
        # Of a mixed image, both classes are there; but hardly one with a share of 0.1.
        ([0.6, 0.4, 0.0], 0.0, [1.0, 1.0, 0.0]),
        ([0.6, 0.4, 0.0], 0.3, [0.8, 0.8, 0.1]),
        ([0.9, 0.0, 0.1], 0.0, [1.0, 0.0, 0.0]),
    ],
)
def test_binary_cross_entropy_by_hand(
    labels: list[float], smoothing: float, targets: list[float]
) -> None:
    logits, shares = torch.tensor([[math.log(3), 0.0, 0.0]]), torch.tensor([labels])
    found = LabelLoss(BCE)(logits, shares, smoothing=smoothing)
    assert found.item() == pytest.approx(_bce(targets))
    weighted = LabelLoss(BCE, WEIGHTS)(logits, shares, smoothing=smoothing)
    weight = float((shares * WEIGHTS).sum())
    assert weighted.item() == pytest.approx(weight * _bce(targets))


def test_binary_cross_entropy_of_whole_labels_is_pytorchs_summed_over_the_classes() -> None:
    whole = functional.one_hot(LABELS, 3).float()
    expected = 3 * functional.binary_cross_entropy_with_logits(LOGITS, whole)
    assert torch.allclose(LabelLoss(BCE)(LOGITS, LABELS), expected)
    assert torch.allclose(LabelLoss(BCE)(LOGITS, whole), expected)


def test_class_weights_by_hand() -> None:
    assert class_weights("none", [10, 30]) is None
    # 1/10 and 1/30, times 20: ten images of weight 2 and thirty of 2/3 are forty in all.
    assert class_weights("inverse", [10, 30]) == pytest.approx([2, 2 / 3])
    assert class_weights("inverse", [10, 0, 30]) == pytest.approx([2, 0, 2 / 3])


def test_effective_numbers_are_those_of_the_paper() -> None:
    counts = [20, 200, 2000]
    found = class_weights("effective", counts)
    assert found is not None
    numbers = [(1 - 0.999**count) / 0.001 for count in counts]
    assert [one / found[0] for one in found] == pytest.approx(
        [numbers[0] / number for number in numbers]
    )
    assert sum(map(float.__mul__, found, map(float, counts))) == pytest.approx(sum(counts))
    # Milder than weights by the plain number of images: 2000 are worth 865.
    assert found[0] / found[2] == pytest.approx(43.6, rel=1e-2)


DISTILLATIONS = [
    pytest.param(method(), id=name)
    for name, method in registry.methods("distillation").items()
    if method.uses_labels  # type: ignore[attr-defined]
]


@pytest.mark.parametrize("distillation", DISTILLATIONS)
def test_every_distillation_that_uses_labels_has_the_loss_that_the_training_chose(
    distillation: Distillation,
) -> None:
    maps = [(torch.ones(6, 2, 4, 4), torch.rand(6, 2, 4, 4))]
    batch = DistillationBatch(LOGITS, LABELS, 2 * LOGITS, members=2 * LOGITS[None], maps=maps)
    criterion = LabelLoss(BCE, WEIGHTS)
    chosen = distillation.loss(replace(batch, criterion=criterion), label_smoothing=0.1)
    plain = distillation.loss(batch, label_smoothing=0.1)
    apart = criterion(LOGITS, LABELS, smoothing=0.1) - LabelLoss()(LOGITS, LABELS, smoothing=0.1)
    # A feature's weight is not a share of the loss.
    is_shared = "weight" in distillation.params()
    is_shared &= not isinstance(distillation, FeatureDistillation)
    share = 1 - float(distillation.params()["weight"]) if is_shared else 1.0
    assert torch.allclose(chosen - plain, share * apart, atol=1e-4)

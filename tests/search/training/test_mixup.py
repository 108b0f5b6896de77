"""Mixing images, labels and predictions by the same shares."""

import pytest
import torch
from timm.data.mixup import mixup_target
from torch import Tensor

from search.training.mixup import MixedBatch, draw_mixture


def _images(count: int = 3, side: int = 8) -> Tensor:
    return torch.randn(count, 2, side, side, generator=torch.Generator().manual_seed(0))


def test_mixed_images_are_the_weighted_sum_of_an_image_and_its_partner() -> None:
    images = _images()
    mixed = MixedBatch(0.75).images(images)
    assert torch.allclose(mixed[0], 0.75 * images[0] + 0.25 * images[2])
    assert torch.allclose(mixed[1], images[1])


def test_a_cut_image_is_its_partners_inside_the_box_and_its_own_outside() -> None:
    images = _images()
    mixed = MixedBatch(0.5, box=(0, 4, 2, 8)).images(images)
    inside = torch.zeros(8, 8, dtype=torch.bool)
    inside[0:4, 2:8] = True
    assert torch.equal(mixed[0][:, inside], images[2][:, inside])
    assert torch.equal(mixed[0][:, ~inside], images[0][:, ~inside])


def test_labels_are_mixed_as_timm_mixes_them() -> None:
    labels = torch.tensor([0, 3, 1, 1])
    expected = mixup_target(labels, num_classes=5, lam=0.3)
    assert torch.allclose(MixedBatch(0.3).labels(labels, 5), expected)


def test_logits_are_those_of_the_mixed_predictions() -> None:
    logits = torch.tensor([[[2.0, 0.0], [0.0, 1.0]]])  # one teacher, two images
    mixed = MixedBatch(0.75).logits(logits).softmax(dim=-1)
    own, other = logits[0].softmax(dim=-1)
    assert torch.allclose(mixed[0, 0], 0.75 * own + 0.25 * other)
    assert torch.allclose(mixed[0, 1], 0.75 * other + 0.25 * own)


def test_a_teacher_that_is_certain_gives_finite_logits() -> None:
    mixed = MixedBatch(0.5).logits(torch.tensor([[[65504.0, -65504.0], [65504.0, -65504.0]]]))
    assert mixed.isfinite().all()


def test_nothing_is_drawn_where_nothing_is_mixed() -> None:
    torch.manual_seed(0)
    assert draw_mixture(_images(), mixup=0.0, cutmix=0.0) is None
    first = torch.rand(())
    torch.manual_seed(0)
    assert torch.equal(first, torch.rand(()))


def _drawn(count: int = 400, **kinds: float) -> list[MixedBatch]:
    torch.manual_seed(0)
    drawn = [draw_mixture(_images(), **kinds) for _ in range(count)]
    assert None not in drawn
    return drawn  # type: ignore[return-value]


def test_mixup_draws_shares_from_a_beta_distribution() -> None:
    shares = torch.tensor([mixture.share for mixture in _drawn(mixup=0.5, cutmix=0.0)])
    # Beta(a, a): mean 1/2, variance 1 / (4 (2 a + 1)).
    assert float(shares.mean()) == pytest.approx(0.5, abs=0.05)
    assert float(shares.var()) == pytest.approx(1 / 8, rel=0.15)


def test_a_tiny_concentration_leaves_images_almost_alone() -> None:
    shares = torch.tensor([mixture.share for mixture in _drawn(mixup=1e-3, cutmix=0.0)])
    assert bool(shares.isfinite().all())
    assert float(((shares - 0.5).abs() > 0.49).float().mean()) > 0.95


def test_cutmix_tells_the_share_that_is_really_left() -> None:
    for mixture in _drawn(mixup=0.0, cutmix=1.0):
        assert mixture.box is not None
        top, bottom, left, right = mixture.box
        assert 0 <= top <= bottom <= 8
        assert 0 <= left <= right <= 8
        assert mixture.share == pytest.approx(1 - (bottom - top) * (right - left) / 64)


def test_where_both_are_asked_for_batches_are_mixed_one_way_or_the_other() -> None:
    boxes = [mixture.box is not None for mixture in _drawn(mixup=0.2, cutmix=1.0)]
    assert 0.4 < sum(boxes) / len(boxes) < 0.6

"""Erasing a rectangle of an image."""

import random

import pytest
import torch
from torch import Tensor

from search.training.erasing import erased


def _images(count: int = 400) -> Tensor:
    return torch.full((count, 2, 16, 16), 3.0)


def test_about_the_asked_share_of_images_loses_one_rectangle_of_both_channels() -> None:
    torch.manual_seed(0)
    found = erased(_images(), probability=0.25)
    gone = (found == 0).all(dim=1)  # [images, height, width]
    assert torch.equal(gone, (found == 0).any(dim=1))
    hit = gone.flatten(1).any(dim=1)
    assert hit.float().mean() == pytest.approx(0.25, abs=0.07)
    for image in gone[hit]:
        rows, columns = image.any(dim=1).sum(), image.any(dim=0).sum()
        assert image.sum() == rows * columns
        # Sides are rounded to whole pixels.
        assert 0.01 < image.float().mean() < 0.40


def test_the_images_that_were_given_stay_whole() -> None:
    images = _images(8)
    assert (erased(images, probability=1.0) == 0).flatten(1).any(dim=1).all()
    assert torch.equal(images, _images(8))


def test_torchs_seed_alone_decides_what_is_erased() -> None:
    drawn = []
    for other in (1, 2):
        torch.manual_seed(0)
        random.seed(other)
        before = random.getstate()
        drawn.append(erased(_images(16), probability=0.5))
        assert random.getstate() == before
    assert torch.equal(*drawn)


def test_nothing_is_drawn_where_nothing_is_erased() -> None:
    images = _images(4)
    torch.manual_seed(0)
    assert erased(images, probability=0.0) is images
    first = torch.rand(())
    torch.manual_seed(0)
    assert torch.equal(first, torch.rand(()))

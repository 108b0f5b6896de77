import numpy as np
import pytest
import torch
from PIL import Image

from search.data.views import View, crops_of, resize_batch, view_of

VIEW = View(number=1, seed=5, shift=0.25, flip=True)

# Three views of the 4×4 pixels 0 to 15.
KNOWN = (
    ((6, 5, 4, 5), (10, 9, 8, 9), (14, 13, 12, 13), (10, 9, 8, 9)),
    ((5, 6, 7, 6), (1, 2, 3, 2), (5, 6, 7, 6), (9, 10, 11, 10)),
    ((6, 7, 6, 5), (10, 11, 10, 9), (14, 15, 14, 13), (10, 11, 10, 9)),
)


def random_images(number: int = 64, channels: int = 3, size: int = 8) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    shape = (number, channels, size, size)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


def test_a_view_is_the_same_in_any_batch_and_order():
    images = random_images()
    whole = view_of(images, torch.arange(64), VIEW)
    order = torch.randperm(64, generator=torch.Generator().manual_seed(1))
    shuffled = torch.cat([view_of(images[part], part, VIEW) for part in torch.split(order, 7)])
    assert torch.equal(shuffled, whole[order])


def test_a_view_neither_reads_nor_moves_torchs_random_state():
    before = torch.random.get_rng_state()
    view_of(random_images(), torch.arange(64), VIEW)
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("other", [View(2, 5, 0.25, True), View(1, 6, 0.25, True)])
def test_another_number_or_seed_is_another_view(other):
    images, indices = random_images(), torch.arange(64)
    same = (view_of(images, indices, VIEW) == view_of(images, indices, other)).flatten(1).all(1)
    assert same.float().mean() < 0.2


def test_a_view_is_a_shift_filled_by_reflection_and_perhaps_a_mirror_image():
    images = random_images(16, 1, 4)
    for image, seen in zip(images, view_of(images, torch.arange(16), VIEW), strict=True):
        padded = torch.nn.functional.pad(image.float(), (1, 1, 1, 1), mode="reflect").byte()
        shifts = [padded[:, y : y + 4, x : x + 4] for y in range(3) for x in range(3)]
        assert any(torch.equal(seen, s) or torch.equal(seen, s.flip(2)) for s in shifts)


def test_every_shift_and_both_mirrorings_occur_about_equally_often():
    image = torch.arange(64, dtype=torch.uint8).view(1, 1, 8, 8)
    many = image.expand(20_000, 1, 8, 8)
    views = view_of(many, torch.arange(20_000), View(0, 3, 0.125, True))
    seen, counts = torch.unique(views.flatten(1), dim=0, return_counts=True)
    assert len(seen) == 3 * 3 * 2
    assert counts.min() > 0.85 * 20_000 / 18
    assert counts.max() < 1.15 * 20_000 / 18


def test_without_shift_and_flip_a_view_is_the_image():
    images = random_images()
    assert torch.equal(view_of(images, torch.arange(64), View(0, 1, 0.0, False)), images)


def test_without_flip_no_view_is_mirrored():
    ramp = torch.arange(8, dtype=torch.uint8).expand(100, 1, 8, 8)
    views = view_of(ramp, torch.arange(100), View(0, 1, 0.1, False)).int()
    assert (views[..., 5] > views[..., 2]).all()


def test_the_views_of_a_seed_are_the_same_for_ever():
    # Cached logits belong to these very views: a change here must change the cache's format.
    image = torch.arange(16).view(1, 1, 4, 4).expand(3, 1, 4, 4)
    assert torch.equal(view_of(image, torch.arange(3), VIEW)[:, 0], torch.tensor(KNOWN))


def test_the_largest_shift_stays_inside_the_image():
    images = random_images()
    assert view_of(images, torch.arange(64), View(0, 1, 0.99, True)).shape == images.shape


def test_crops_depend_on_the_image_and_not_on_its_neighbours():
    whole = crops_of(torch.arange(50), VIEW)
    assert crops_of(torch.tensor([41, 7]), VIEW) == [whole[41], whole[7]]


def test_crops_stay_within_the_shift():
    crops = crops_of(torch.arange(500), VIEW)
    assert all(0.75 <= side <= 1 for crop in crops for side in (crop.height, crop.width))
    assert all(abs(move) <= 0.25 for crop in crops for move in (crop.down, crop.right))
    assert 0.4 < sum(crop.flip for crop in crops) / 500 < 0.6


def test_resizing_a_batch_is_what_pillow_does_to_each_image():
    images = random_images(4, 3, 16)
    resized = resize_batch(images, 7)
    for image, small in zip(images, resized, strict=True):
        reference = Image.fromarray(image.permute(1, 2, 0).numpy()).resize(
            (7, 7), Image.Resampling.BILINEAR
        )
        difference = small.permute(1, 2, 0).int() - torch.from_numpy(np.array(reference)).int()
        assert difference.abs().max() <= 1


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_view_is_the_same_on_a_gpu():
    images, indices = random_images(), torch.arange(64)
    assert torch.equal(view_of(images.cuda(), indices, VIEW).cpu(), view_of(images, indices, VIEW))

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms.v2 import functional as torchvision

from search.data.images import square
from search.data.views.augmentation import LEVELS, Augmentation
from search.data.views.crops import crops_of
from search.data.views.rendering import finished, resize_batch, view_of
from search.data.views.view import View

SHIFTED = Augmentation(shift=0.25, flip=True)
VIEW = View(number=1, seed=5, augmentation=SHIFTED)
STRONG = Augmentation.of_level("strong", may_flip=True, knobs={"rotation": 20.0, "color": 0.3})

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


def smooth_images(number: int, size: int) -> torch.Tensor:
    """Colours that change slowly, so that resampling hardly matters."""
    line = torch.linspace(0, 3, size)
    waves = [
        torch.sin(line[:, None] * (1 + index % 3) + channel) + torch.cos(line * (index % 5))
        for index in range(number)
        for channel in range(3)
    ]
    return ((torch.stack(waves) + 2) * 63).byte().view(number, 3, size, size)


def view(augmentation: Augmentation, number: int = 1) -> View:
    return View(number, 5, augmentation)


@pytest.mark.parametrize("augmentation", [SHIFTED, STRONG], ids=["shifted", "strong"])
def test_a_view_is_the_same_in_any_batch_and_order(augmentation):
    images = random_images()
    whole = view_of(images, torch.arange(64), view(augmentation))
    order = torch.randperm(64, generator=torch.Generator().manual_seed(1))
    parts = [view_of(images[part], part, view(augmentation)) for part in torch.split(order, 7)]
    assert (torch.cat(parts).int() - whole[order].int()).abs().max() <= 1
    assert (torch.cat(parts) != whole[order]).float().mean() < 1e-3


@pytest.mark.parametrize("augmentation", [SHIFTED, STRONG], ids=["shifted", "strong"])
def test_a_view_neither_reads_nor_moves_torchs_random_state(augmentation):
    before = torch.random.get_rng_state()
    view_of(random_images(), torch.arange(64), view(augmentation))
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("augmentation", [SHIFTED, STRONG], ids=["shifted", "strong"])
@pytest.mark.parametrize("changes", [{"number": 2}, {"seed": 6}])
def test_another_number_or_seed_is_another_view(augmentation, changes):
    images, indices, first = random_images(), torch.arange(64), view(augmentation)
    other = view_of(images, indices, replace(first, **changes))
    same = (view_of(images, indices, first) == other).flatten(1).all(1)
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
    views = view_of(many, torch.arange(20_000), View(0, 3, Augmentation(shift=0.125, flip=True)))
    seen, counts = torch.unique(views.flatten(1), dim=0, return_counts=True)
    assert len(seen) == 3 * 3 * 2
    assert counts.min() > 0.85 * 20_000 / 18
    assert counts.max() < 1.15 * 20_000 / 18


def test_without_changes_a_view_is_the_image():
    images = random_images()
    assert torch.equal(view_of(images, torch.arange(64), view(Augmentation())), images)


def test_without_flip_no_view_is_mirrored():
    ramp = torch.arange(8, dtype=torch.uint8).expand(100, 1, 8, 8)
    views = view_of(ramp, torch.arange(100), View(0, 1, Augmentation(shift=0.1))).int()
    assert (views[..., 5] > views[..., 2]).all()


def test_the_views_of_a_seed_are_the_same_for_ever():
    # Cached logits belong to these very views: a change here must change the cache's format.
    image = torch.arange(16).view(1, 1, 4, 4).expand(3, 1, 4, 4)
    assert torch.equal(view_of(image, torch.arange(3), VIEW)[:, 0], torch.tensor(KNOWN))


def test_the_largest_shift_stays_inside_the_image():
    images = random_images()
    far = view(Augmentation(shift=0.99, flip=True))
    assert view_of(images, torch.arange(64), far).shape == images.shape


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [None, 5, 12])
@pytest.mark.parametrize("level", LEVELS)
def test_every_level_gives_images_of_the_wanted_size(level, size, channels):
    augmentation = Augmentation.of_level(level, may_flip=True, knobs={})
    found = view_of(random_images(6, channels), torch.arange(6), view(augmentation), size=size)
    assert found.dtype == torch.uint8
    assert found.shape == (6, channels, size or 8, size or 8)


KNOBS = (
    *({"shift": 0.2}, {"flip": True}, {"scale": (0.3, 0.6)}, {"ratio": (0.5, 2.0)}),
    *({"rotation": 30.0}, {"color": 0.5}, {"policy": "trivial"}, {"policy": "rand"}),
    {"erasing": 1.0},
)


@pytest.mark.parametrize("knobs", KNOBS, ids=lambda knobs: " ".join(map(str, *knobs.items())))
def test_every_knob_changes_most_images_and_not_the_images_that_it_was_given(knobs):
    images = random_images(40, 3, 16)
    before = images.clone()
    found = view_of(images, torch.arange(40), view(Augmentation(**knobs)))
    assert torch.equal(images, before)
    assert (found != images).flatten(1).any(1).float().mean() > 0.4


@pytest.mark.parametrize("augmentation", [SHIFTED, replace(STRONG, erasing=0.0)])
def test_the_view_of_a_file_is_that_of_its_pixels(augmentation):
    """Two ways to the same view: the crop of a file, then the rest; or all of it from pixels."""
    images, indices = smooth_images(30, 64), torch.arange(30)
    seen = view_of(images, indices, view(augmentation)).int()
    crops = crops_of(indices, view(augmentation), size=64)
    files = [Image.fromarray(image.permute(1, 2, 0).numpy()) for image in images]
    decoded = np.stack(
        [
            square(*pair, crop)
            for pair, crop in zip([(file, 64) for file in files], crops, strict=True)
        ]
    )
    other = finished(torch.from_numpy(decoded), indices, view(augmentation)).int()
    # Crops of files have whole pixels, and are resampled once more if they are turned.
    assert (seen - other).abs().float().mean() < 3


@pytest.mark.parametrize("augmentation", [SHIFTED, replace(STRONG, policy="none")])
def test_a_view_is_the_same_at_the_resolution_of_a_teacher(augmentation):
    images, indices = smooth_images(30, 64), torch.arange(30)
    small = view_of(resize_batch(images, 32), indices, view(augmentation))
    large = view_of(images, indices, view(augmentation), students=32)
    difference = (resize_batch(large, 32).int() - small.int()).abs().float()
    assert difference.mean() < 3


def test_resizing_a_batch_is_what_pillow_does_to_each_image():
    images = random_images(4, 3, 16)
    resized = resize_batch(images, 7)
    for image, small in zip(images, resized, strict=True):
        reference = Image.fromarray(image.permute(1, 2, 0).numpy()).resize(
            (7, 7), Image.Resampling.BILINEAR
        )
        difference = small.permute(1, 2, 0).int() - torch.from_numpy(np.array(reference)).int()
        assert difference.abs().max() <= 1


def test_a_crop_is_torchvisions_resized_crop():
    (crop,) = crops_of(torch.tensor([7]), view(Augmentation(scale=(0.3, 0.5))), size=64)
    images = smooth_images(1, 64)
    left, top, width, height = crop.box(64, 64)
    reference = torchvision.resized_crop(images, top, left, height, width, [64, 64])
    found = view_of(images, torch.tensor([7]), view(Augmentation(scale=(0.3, 0.5))))
    assert (found.int() - reference.int()).abs().float().mean() < 2


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("augmentation", [SHIFTED, STRONG], ids=["shifted", "strong"])
def test_a_view_is_the_same_on_a_gpu(augmentation):
    images, indices = random_images(), torch.arange(64)
    there = view_of(images.cuda(), indices, view(augmentation)).cpu()
    difference = (there.int() - view_of(images, indices, view(augmentation)).int()).abs()
    assert (difference > 1).float().mean() < 1e-3

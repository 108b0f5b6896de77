import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from search.data.images import load_image, square
from search.data.views import Crop
from search.errors import DataError
from tests.messages import naming


def saved(tmp_path: Path, image: Image.Image, name: str, **options: object) -> Path:
    path = tmp_path / name
    image.save(path, **options)
    return path


def flat(mode: str, color: object) -> Image.Image:
    return Image.new(mode, (9, 9), color)


def test_an_image_becomes_channels_by_size_by_size(tmp_path, save_image):
    image = load_image(save_image(tmp_path / "a.png", size=(20, 11)), 8, 3)
    assert image.shape == (3, 8, 8)
    assert image.dtype == np.uint8


def test_grey_becomes_three_equal_channels(tmp_path):
    image = load_image(saved(tmp_path, flat("L", 77), "grey.png"), 8, 3)
    assert (image == 77).all()


def test_colour_becomes_one_channel_where_one_is_asked_for(tmp_path):
    image = load_image(saved(tmp_path, flat("RGB", (90, 90, 90)), "colour.png"), 8, 1)
    assert image.shape == (1, 8, 8)
    assert (image == 90).all()


def test_fault_22_cmyk_is_converted(tmp_path):
    path = saved(tmp_path, flat("CMYK", (0, 255, 255, 0)), "red.jpg")
    assert np.abs(load_image(path, 8, 3)[:, 4, 4].astype(int) - (255, 0, 0)).max() < 20


def test_fault_22_a_palette_is_looked_up(tmp_path):
    image = flat("P", 3)
    image.putpalette([0, 0, 0, 1, 1, 1, 2, 2, 2, 10, 200, 30])
    assert load_image(saved(tmp_path, image, "p.png"), 8, 3)[:, 0, 0].tolist() == [10, 200, 30]


def test_a_palette_with_transparency_is_looked_up(tmp_path):
    image = flat("P", 1)
    image.putpalette([0, 0, 0, 10, 200, 30])
    path = saved(tmp_path, image, "p.png", transparency=b"\x00\x80")
    assert load_image(path, 8, 3)[:, 0, 0].tolist() == [10, 200, 30]


@pytest.mark.parametrize("name", ["sixteen.png", "sixteen.tif"])
def test_fault_22_sixteen_bits_are_scaled_not_clipped(tmp_path, name):
    values = np.full((9, 9), 0x8080, dtype=np.uint16)
    image = load_image(saved(tmp_path, Image.fromarray(values), name), 8, 3)
    assert (image == 0x80).all()


def test_one_bit_becomes_black_and_white(tmp_path):
    assert (load_image(saved(tmp_path, flat("1", 1), "one.png"), 8, 3) == 255).all()


def test_fault_22_an_animation_gives_its_first_frame(tmp_path):
    frames = [flat("L", 10), flat("L", 200)]
    path = saved(tmp_path, frames[0], "moving.gif", save_all=True, append_images=frames[1:])
    assert (load_image(path, 8, 3) == 10).all()


def test_fault_22_a_single_pixel_is_enlarged(tmp_path):
    path = saved(tmp_path, Image.new("RGB", (1, 1), (1, 2, 3)), "dot.png")
    assert load_image(path, 8, 3)[:, 7, 7].tolist() == [1, 2, 3]


def test_a_very_long_image_is_cut_before_it_is_enlarged(tmp_path):
    path = saved(tmp_path, Image.new("L", (60_000, 1), 9), "long.png")
    assert (load_image(path, 64, 3) == 9).all()


@pytest.mark.parametrize("name", ["with space.png", "ünï — ☃.png", "new\nline.png"])
def test_odd_names_are_read(tmp_path, save_image, name):
    assert load_image(save_image(tmp_path / name), 8, 3).shape == (3, 8, 8)


def test_a_name_that_is_no_utf8_is_read(tmp_path, save_image):
    source = save_image(tmp_path / "a.png")
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe.png"))
    source.rename(path)
    assert load_image(path, 8, 3).shape == (3, 8, 8)


def test_fault_22_a_truncated_jpeg_is_refused(tmp_path, save_image):
    path = save_image(tmp_path / "a.jpg", size=(64, 64))
    path.write_bytes(path.read_bytes()[:-400])
    with pytest.raises(DataError, match=naming(path)):
        load_image(path, 8, 3)


@pytest.mark.parametrize("kind", ["png", "gif", "bmp", "tif", "webp"])
def test_a_file_cut_in_half_is_refused_in_every_format(tmp_path, save_image, kind):
    path = save_image(tmp_path / f"a.{kind}", size=(64, 64))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DataError, match=naming(path)):
        load_image(path, 8, 3)


@pytest.mark.parametrize("content", [b"", b"this is no image\n", b"\x89PNG\r\n\x1a\n", b"\xff\xd8"])
def test_fault_22_what_is_no_image_is_refused(tmp_path, content):
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    with pytest.raises(DataError, match=naming(path)):
        load_image(path, 8, 3)


@pytest.mark.parametrize("side", [8_300, 10_000, 14_000])
def test_fault_22_a_decompression_bomb_is_refused(tmp_path, side):
    path = saved(tmp_path, Image.new("1", (side, side)), "bomb.png")
    with pytest.raises(DataError, match=naming(path)):
        load_image(path, 8, 3)


def test_postscript_is_never_run(tmp_path):
    path = saved(tmp_path, flat("RGB", (1, 2, 3)), "a.eps")
    with pytest.raises(DataError, match=naming(tmp_path / "a.jpg")):
        load_image(path.rename(tmp_path / "a.jpg"), 8, 3)


def test_float_pixels_are_refused(tmp_path):
    path = saved(tmp_path, flat("F", 0.5), "a.tif")
    with pytest.raises(DataError, match=naming(path)):
        load_image(path, 8, 3)


def test_a_square_of_the_asked_size_is_not_touched():
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    assert np.array_equal(square(Image.fromarray(pixels), 8), pixels.transpose(2, 0, 1))


def test_only_cutting_moves_no_pixel():
    pixels = np.random.default_rng(0).integers(0, 256, (8, 11), dtype=np.uint8)
    assert np.array_equal(square(Image.fromarray(pixels), 8)[0], pixels[:, 1:9])


def test_resizing_is_torchvisions_resize_and_centre_crop():
    from torchvision.transforms.v2 import functional

    smooth = np.add.outer(np.arange(40), 2 * np.arange(60)).astype(np.uint8)
    image = Image.fromarray(smooth)
    reference = functional.center_crop(functional.resize(image, [20], antialias=True), [20, 20])
    difference = square(image, 20)[0].astype(int) - np.asarray(reference).astype(int)
    assert np.abs(difference).max() <= 1


def test_a_crop_without_shift_is_the_centre_square():
    pixels = np.random.default_rng(0).integers(0, 256, (8, 11), dtype=np.uint8)
    image = Image.fromarray(pixels)
    mirrored = square(image, 8, Crop(1, 1, 0, 0, flip=True))
    assert np.array_equal(mirrored[:, :, ::-1], square(image, 8))


@pytest.mark.parametrize("crop", [Crop(0.5, 1, 0.9, -0.9, flip=False), Crop(1, 0.01, -1, 1, True)])
def test_a_crop_stays_inside_the_image(crop):
    assert (square(Image.new("L", (13, 9), 50), 8, crop) == 50).all()

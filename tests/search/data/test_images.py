import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from search.data import preprocess
from search.data.decoding import decoded
from search.data.images import decode, load_image, square
from search.data.pictures import FilePictures
from search.data.preprocess import ORIENTATION, upright
from search.data.views.crop import Crop
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
    path = saved(tmp_path, image, "p.png", transparency=b"\x00\xff")
    assert load_image(path, 8, 3)[:, 0, 0].tolist() == [10, 200, 30]


@pytest.mark.parametrize(
    ("mode", "color"), [("RGBA", (0, 50, 100)), ("LA", (50,)), ("PA", (50,)), ("RGBA", (255, 0, 0))]
)
def test_fault_39_a_half_transparent_colour_is_mixed_with_white(tmp_path, mode, color):
    image = flat(mode, (*color, 51))
    if mode == "PA":
        image.putpalette([step for value in range(256) for step in [value] * 3])
    path = saved(tmp_path, image, "a.tif" if mode == "PA" else "a.png")
    expected = [round(255 - (255 - value) * 51 / 255) for value in color]
    assert load_image(path, 8, 3)[:, 0, 0].tolist() == expected * (3 // len(color))


@pytest.mark.parametrize("kind", ["png", "tif", "webp"])
@pytest.mark.parametrize("channels", [1, 3])
def test_fault_39_noise_under_alpha_0_is_white(tmp_path, kind, channels):
    noise = np.random.default_rng(0).integers(0, 256, (9, 9, 4), dtype=np.uint8)
    noise[..., 3] = 0
    options = {"lossless": True, "exact": True} if kind == "webp" else {}
    path = saved(tmp_path, Image.fromarray(noise), f"a.{kind}", **options)
    assert np.array_equal(np.asarray(Image.open(path)), noise)
    assert (load_image(path, 8, channels) == 255).all()


def test_fault_39_a_transparent_colour_of_a_palette_is_white(tmp_path):
    image = flat("P", 1)
    image.putpalette([0, 0, 0, 10, 200, 30])
    for name in ("a.png", "a.gif"):
        path = saved(tmp_path, image, name, transparency=1)
        assert (load_image(path, 8, 3) == 255).all(), name


@pytest.mark.parametrize(("kind", "value"), [(np.uint8, 77), (np.uint16, 300)])
def test_fault_39_the_transparent_value_of_a_grey_image_is_white(tmp_path, kind, value):
    values = np.array([[value, value], [0, 0]], kind)
    path = saved(tmp_path, Image.fromarray(values), "a.png", transparency=value)
    assert load_image(path, 2, 1).tolist() == [[[255, 255], [0, 0]]]


@pytest.mark.parametrize(
    ("name", "order"), [("sixteen.png", "<"), ("sixteen.tif", "<"), ("sixteen.tif", ">")]
)
def test_fault_22_sixteen_bits_are_scaled_not_clipped(tmp_path, name, order):
    values = np.full((9, 9), 0x8080, dtype=f"{order}u2")
    image = load_image(saved(tmp_path, Image.fromarray(values), name), 8, 3)
    assert (image == 0x80).all()


# What a camera stores in a file of each orientation, if it sees the first picture.
STORED = {
    1: [[1, 2, 3], [4, 5, 6]],
    2: [[3, 2, 1], [6, 5, 4]],
    3: [[6, 5, 4], [3, 2, 1]],
    4: [[4, 5, 6], [1, 2, 3]],
    5: [[1, 4], [2, 5], [3, 6]],
    6: [[3, 6], [2, 5], [1, 4]],
    7: [[6, 3], [5, 2], [4, 1]],
    8: [[4, 1], [5, 2], [6, 3]],
}


@pytest.mark.parametrize("kind", ["png", "tif", "webp"])
@pytest.mark.parametrize("orientation", STORED)
def test_fault_39_an_image_is_turned_as_its_orientation_says(tmp_path, kind, orientation):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    stored = Image.fromarray(np.array(STORED[orientation], np.uint8) * 40)
    options = {"lossless": True} if kind == "webp" else {}
    path = saved(tmp_path, stored, f"a.{kind}", exif=exif, **options)
    image = decode(path, 1, name="a")
    assert (np.asarray(image) // 40).tolist() == STORED[1]


def test_an_image_that_is_upright_already_is_not_turned_again(tmp_path):
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    image = decode(saved(tmp_path, Image.new("L", (3, 2)), "a.png", exif=exif), 1, name="a")
    assert image.size == upright(image, 1).size == (2, 3)


@pytest.mark.parametrize("orientation", [0, 9, 500])
def test_an_unknown_orientation_turns_nothing(tmp_path, orientation):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    path = saved(tmp_path, Image.new("L", (3, 2), 9), "a.png", exif=exif)
    assert decode(path, 1, name="a").size == (3, 2)


def test_damaged_exif_turns_nothing(tmp_path):
    path = saved(tmp_path, Image.new("L", (3, 2), 9), "a.png", exif=b"Exif\0\0MM\0\x2b")
    assert decode(path, 1, name="a").size == (3, 2)


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


def test_fault_39_a_jpeg_of_more_pixels_is_decoded_at_half_its_size(tmp_path):
    halves = Image.new("L", (8_300, 8_200), 40)
    halves.paste(200, (4_150, 0, 8_300, 8_200))
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    image = decode(saved(tmp_path, halves, "a.jpg", exif=exif), 1, name="a")
    assert image.size == (4_100, 4_150)
    above, *_, below = square(image, 8)[0, :, 0].tolist()
    assert abs(above - 40) <= 1
    assert abs(below - 200) <= 1


def test_fault_39_a_jpeg_that_claims_four_gigapixels_is_refused(tmp_path, save_image):
    path = save_image(tmp_path / "a.jpg")
    content = path.read_bytes()
    head = content.index(b"\xff\xc0") + 5  # height and width in the frame's header
    path.write_bytes(content[:head] + b"\xff\xdc\xff\xdc" + content[head + 4 :])
    with pytest.raises(DataError, match=naming(path, 2**28)):
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


CENTRE = Crop(area=None, ratio=1, top=0, left=0, down=0, right=0, flip=False)
CORNER = Crop(area=0.25, ratio=1, top=1, left=0, down=0, right=0, flip=False)


def test_a_crop_without_changes_is_the_centre_square():
    pixels = np.random.default_rng(0).integers(0, 256, (8, 11), dtype=np.uint8)
    image = Image.fromarray(pixels)
    mirrored = square(image, 8, replace(CENTRE, flip=True))
    assert np.array_equal(mirrored[:, :, ::-1], square(image, 8))


def test_a_crop_is_a_share_of_the_image_at_its_place():
    pixels = np.random.default_rng(0).integers(0, 256, (8, 12), dtype=np.uint8)
    # 24 of 96 pixels, as high as wide, at the lower left.
    assert CORNER.box(12, 8) == (0, 3, 5, 5)
    assert np.array_equal(square(Image.fromarray(pixels), 5, CORNER)[0], pixels[3:8, :5])


def test_a_moved_crop_sees_the_image_and_beyond_it_its_reflection():
    pixels = np.arange(32, dtype=np.uint8).reshape(4, 8)
    moved = replace(CENTRE, right=0.5, down=-0.25)
    found = square(Image.fromarray(pixels), 4, moved)[0]
    assert np.array_equal(found[:, :4], pixels[[1, 0, 1, 2]][:, 4:8])
    far = square(Image.fromarray(pixels), 4, replace(CENTRE, right=1.0))[0]
    assert np.array_equal(far, pixels[:, [6, 7, 6, 5]])


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize(
    ("down", "right"), [(0.2, -0.3), (-0.4, 0.4), (0.3, 0.0), (0.0, -0.3), (0.7, 0.3), (-0.6, 0.9)]
)
def test_edges_are_reflected_by_their_pixels(mode, down, right):
    shape = (20, 14) if mode == "L" else (20, 14, 3)
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    crop = replace(CENTRE, down=down, right=right)
    left, top, across, along = crop.box(14, 20)
    wide = np.pad(pixels, [(20, 20), (14, 14), *[(0, 0)] * (len(shape) - 2)], mode="reflect")
    expected = wide[20 + top : 20 + top + along, 14 + left : 14 + left + across]
    found = square(Image.fromarray(pixels), 14, crop)
    assert np.array_equal(found, expected.reshape(14, 14, -1).transpose(2, 0, 1))


@pytest.mark.parametrize(
    "crop",
    [
        replace(CENTRE, right=0.9, down=-0.9),
        replace(CORNER, ratio=100.0),
        replace(CORNER, area=1e-6),
    ],
)
def test_any_crop_of_any_image_has_its_colour(crop):
    for size in ((13, 9), (1, 50), (1, 1)):
        assert (square(Image.new("L", size, 50), 8, crop) == 50).all()
        assert (square(Image.new("RGB", size, (50, 50, 50)), 8, crop) == 50).all()


def test_a_large_jpeg_is_decoded_at_a_part_of_its_size_where_that_suffices(tmp_path):
    path = saved(tmp_path, Image.linear_gradient("L").resize((640, 480)), "a.jpg", quality=95)
    sizes = {least: decode(path, 3, name="a", least=least).size for least in (480, 241, 240, 100)}
    assert sizes == {480: (640, 480), 241: (640, 480), 240: (320, 240), 100: (160, 120)}


def test_a_reduced_jpeg_is_turned_as_its_orientation_says(tmp_path):
    image = Image.linear_gradient("L").resize((640, 480))
    image.getexif()[ORIENTATION] = 6
    path = saved(tmp_path, image, "a.jpg", exif=image.getexif())
    assert decode(path, 3, name="a", least=240).size == (240, 320)


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_view_of_a_huge_jpeg_is_at_its_place(tmp_path, monkeypatch, orientation):
    path, exif = tmp_path / "a.jpg", Image.Exif()
    exif[ORIENTATION] = orientation
    Image.fromarray(np.zeros((40, 80, 3), np.uint8)).save(path, exif=exif)
    monkeypatch.setattr(preprocess, "MOST_PIXELS", 40 * 80 - 1)
    found = decode(path, 3, name="a", least=30)
    assert found.size == ((40, 20) if orientation == 1 else (20, 40))
    # The crop is found in the whole image, which is as broad, or as high, as before.
    assert found.info["full size"] == ((80, 40) if orientation == 1 else (40, 80))


def test_other_kinds_are_decoded_at_their_own_size(tmp_path):
    path = saved(tmp_path, Image.linear_gradient("L"), "a.png")
    assert decode(path, 3, name="a", least=10).size == (256, 256)


def test_a_view_of_a_large_jpeg_is_nearly_that_of_the_whole_image(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    photo = Image.fromarray(noise).resize((640, 480), Image.Resampling.BICUBIC)
    path = saved(tmp_path, photo, "a.jpg", quality=95)
    pictures = FilePictures.under(tmp_path, [path.name])
    crop = replace(CORNER, area=0.6, left=0.4)
    whole = square(pictures.open(0), 64, crop).astype(int)
    assert pictures.open(0, least=2 * 64).size == (320, 240)
    assert np.abs(decoded(pictures, 0, 64, crop) - whole).mean() < 2
    assert np.array_equal(decoded(pictures, 0, 64, None), square(pictures.open(0), 64))

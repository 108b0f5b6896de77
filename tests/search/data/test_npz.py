"""The .npz source: images and labels as arrays of one file."""

from pathlib import Path

import numpy as np
import pytest

from search.errors import DataError
from tests.search.bombs import write_header_bomb, write_zip_bomb


def pixels(*shape: int) -> np.ndarray:
    return np.random.default_rng(len(shape)).integers(0, 256, shape, dtype=np.uint8)


def write_npz(path: Path, **arrays: object) -> Path:
    content = {"images": pixels(40, 9, 9), "labels": np.arange(40) % 4, **arrays}
    np.savez(path, **{name: array for name, array in content.items() if array is not None})
    return path


def test_npz_is_divided_three_ways(tmp_path, prepared):
    info = prepared(source="npz", path=write_npz(tmp_path / "a.npz")).info
    assert (info.classes, info.channels) == (("0", "1", "2", "3"), 1)
    assert vars(info.sizes) == {"training": 28, "validation": 4, "test": 8}


@pytest.mark.parametrize("dtype", [str, bytes])
def test_npz_may_bring_parts_colours_and_names(tmp_path, prepared, dtype):
    arrays = {
        f"{part}_{name}": array
        for part in ("val", "test")
        for name, array in (("images", pixels(8, 9, 7, 3)), ("labels", np.arange(8) % 4))
    }
    names = np.array(["ant", "bee", "cat", "dog"], dtype=dtype)
    path = write_npz(tmp_path / "a.npz", images=pixels(40, 9, 7, 3), classes=names, **arrays)
    info = prepared(source="npz", path=path).info
    assert (info.classes, info.channels) == (("ant", "bee", "cat", "dog"), 3)
    assert vars(info.sizes) == {"training": 40, "validation": 8, "test": 8}


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": None}, "must hold 'images', but holds"),
        ({"test_images": pixels(4, 9, 9)}, "must hold 'test_labels', but holds"),
        ({"images": np.zeros((40, 9, 9))}, "must be uint8 .* but got float64 of shape"),
        ({"images": pixels(40, 9, 9, 4)}, r"got uint8 of shape \[40, 9, 9, 4\]"),
        ({"images": pixels(40, 0, 9)}, "must hold images"),
        ({"labels": np.arange(40) / 2}, "must be whole numbers .* got float64"),
        ({"labels": np.arange(39)}, "39 labels and 40 images"),
        ({"labels": np.arange(40) % 4 - 1}, r"from 0 to 2, .* \(the first: -1\)"),
        ({"labels": np.arange(40) % 4 * 2}, r"3 of 7 have none \('1', '3', '5'\)"),
        ({"labels": np.arange(40) + 2 * 10**10}, r"40 images have one of 20000000039; number"),
        ({"labels": np.zeros(40, int)}, "two classes or more, but this has 1"),
        ({"classes": np.array("ant")}, r"must be names of shape \[n\], but got \[\]"),
        ({"classes": np.array(["ant", "bee"])}, "from 0 to 1, .* but 20 are not"),
        ({"labels": np.array([{}] * 40)}, "free of Python objects"),
        (
            {"test_images": pixels(4, 9, 9, 3), "test_labels": np.arange(4)},
            "must have the same channels",
        ),
        ({"test_images": pixels(4, 9, 9)[:0], "test_labels": np.arange(0)}, "must hold images"),
    ],
)
def test_unfit_arrays_are_refused(tmp_path, prepared, arrays, message):
    with pytest.raises(DataError, match=message):
        prepared(source="npz", path=write_npz(tmp_path / "a.npz", **arrays))


def test_a_missing_npz_file_is_refused(tmp_path, prepared):
    with pytest.raises(DataError, match=r"must be an .npz file, but '.*' is none"):
        prepared(source="npz", path=tmp_path / "a.npz")


@pytest.mark.parametrize("kept", [0, 30, 2000])
def test_a_cut_npz_file_is_refused(tmp_path, prepared, kept):
    path = write_npz(tmp_path / "a.npz")
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(DataError, match=r"an .npz file must be whole"):
        prepared(source="npz", path=path)


@pytest.mark.parametrize("write", [write_header_bomb, write_zip_bomb])
def test_fault_36_an_npz_file_that_holds_or_says_too_much_is_refused(tmp_path, prepared, write):
    write(tmp_path / "a.npz", "images")
    with pytest.raises(DataError, match=r"a\.npz.*bytes"):
        prepared(source="npz", path=tmp_path / "a.npz")


@pytest.mark.parametrize(
    "names", [np.array([b"ant", b"\xff"]), np.array([1, 2**31], "<u4").view("<U1")]
)
def test_fault_36_names_of_classes_that_are_no_text_are_refused(tmp_path, prepared, names):
    with pytest.raises(DataError, match=r"classes.* (UTF-8|no character)"):
        prepared(source="npz", path=write_npz(tmp_path / "a.npz", classes=names))


def test_a_single_array_is_no_npz_file(tmp_path, prepared):
    with (tmp_path / "a.npz").open("wb") as file:
        np.save(file, pixels(4, 9, 9))
    with pytest.raises(DataError, match=r"it is no .npz archive"):
        prepared(source="npz", path=tmp_path / "a.npz")

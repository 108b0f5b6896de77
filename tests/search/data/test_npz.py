"""The .npz source: images and labels as arrays of one file."""

from pathlib import Path

import numpy as np
import pytest

from search.errors import DataError
from tests.messages import naming
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
    ("arrays", "facts"),
    [
        ({"images": None}, ["'images'", "['labels']"]),
        (
            {"test_images": pixels(4, 9, 9)},
            ["'test_labels'", "['images', 'labels', 'test_images']"],
        ),
        ({"images": np.zeros((40, 9, 9))}, ["images", "uint8", "float64"]),
        ({"images": pixels(40, 9, 9, 4)}, ["images", "[40, 9, 9, 4]"]),
        ({"images": pixels(40, 0, 9)}, ["images", "[40, 0, 9, 1]"]),
        ({"labels": np.arange(40) / 2}, ["labels", "float64"]),
        ({"labels": np.arange(39)}, [39, 40]),
        ({"labels": np.arange(40) % 4 - 1}, ["labels", 0, 2, 10, -1]),
        ({"labels": np.arange(40) % 4 * 2}, [3, 7, "'1'", "'3'", "'5'"]),
        ({"labels": np.arange(40) + 2 * 10**10}, ["labels", 40, 20000000039]),
        ({"labels": np.zeros(40, int)}, ["data.path", 1, "['0']"]),
        ({"classes": np.array("ant")}, ["classes", "[]"]),
        ({"classes": np.array(["ant", "bee"])}, ["labels", 0, 1, 20, 2]),
        ({"labels": np.array([{}] * 40)}, ["a.npz", "'labels'", "object"]),
        ({"test_images": pixels(4, 9, 9, 3), "test_labels": np.arange(4)}, ["channels"]),
        (
            {"test_images": pixels(4, 9, 9)[:0], "test_labels": np.arange(0)},
            ["test_images", "[0, 9, 9, 1]"],
        ),
    ],
)
def test_unfit_arrays_are_refused(tmp_path, prepared, arrays, facts):
    with pytest.raises(DataError, match=naming(*facts)):
        prepared(source="npz", path=write_npz(tmp_path / "a.npz", **arrays))


def test_a_missing_npz_file_is_refused(tmp_path, prepared):
    with pytest.raises(DataError, match=naming("data.path", tmp_path / "a.npz")):
        prepared(source="npz", path=tmp_path / "a.npz")


@pytest.mark.parametrize("kept", [0, 30, 2000])
def test_a_cut_npz_file_is_refused(tmp_path, prepared, kept):
    path = write_npz(tmp_path / "a.npz")
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(DataError, match=naming(path)):
        prepared(source="npz", path=path)


@pytest.mark.parametrize(
    ("write", "announced"),
    [(write_header_bomb, "2,936,012,800,000"), (write_zip_bomb, "3,221,225,600")],
)
def test_fault_36_an_npz_file_that_holds_or_says_too_much_is_refused(
    tmp_path, prepared, write, announced
):
    write(tmp_path / "a.npz", "images")
    with pytest.raises(DataError, match=naming("a.npz", announced)):
        prepared(source="npz", path=tmp_path / "a.npz")


@pytest.mark.parametrize(
    "names", [np.array([b"ant", b"\xff"]), np.array([1, 2**31], "<u4").view("<U1")]
)
def test_fault_36_names_of_classes_that_are_no_text_are_refused(tmp_path, prepared, names):
    with pytest.raises(DataError, match=naming("classes")):
        prepared(source="npz", path=write_npz(tmp_path / "a.npz", classes=names))


def test_a_single_array_is_no_npz_file(tmp_path, prepared):
    with (tmp_path / "a.npz").open("wb") as file:
        np.save(file, pixels(4, 9, 9))
    with pytest.raises(DataError, match=naming(tmp_path / "a.npz")):
        prepared(source="npz", path=tmp_path / "a.npz")

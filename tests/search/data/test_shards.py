"""Shards: which images are stored in them, and that they are the same images."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError

from search.config.data_settings import DataSettings
from search.data import shards
from search.data.dataset import Dataset, Part
from search.data.notes import storage_text
from search.data.prepare import prepare
from search.data.prepared import open_dataset
from search.data.stored_part import Placement
from search.data.views.augmentation import Augmentation
from search.data.views.view import View
from search.errors import DataError
from search.files.filestore import FolderStore
from tests.messages import naming

VIEW = View(number=0, seed=0, augmentation=Augmentation(shift=0.25, flip=True))
Prepared = Callable[..., Dataset]
SIZE = 8
LARGE, SMALL = (80, 60), (12, 10)


def _photo(path: Path, size: tuple[int, int], *, seed: int) -> None:
    """Write a JPEG with slopes of random colours, as smooth as a photo."""
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse = np.random.default_rng(seed).integers(96, 160, (3, 4, 3), dtype=np.uint8)
    photo = Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)
    photo.save(path, quality=95, subsampling=0)


def _photos(folder: Path, size: tuple[int, int], *, images: int = 10) -> Path:
    for part, number in (("train", images), ("val", 2), ("test", 2)):
        for label, name in enumerate(("ant", "bee")):
            for index in range(number):
                seed = 1000 * label + index + len(part) * 100
                _photo(folder / part / name / f"{index}.jpg", size, seed=seed)
    return folder


@pytest.fixture
def large(tmp_path: Path) -> Path:
    return _photos(tmp_path / "large", LARGE)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return _photos(tmp_path / "small", SMALL)


def _images(part: Part, **options: object) -> torch.Tensor:
    return torch.cat([batch.images for batch in part.batches(5, **options)])  # type: ignore[arg-type]


def _placements(dataset: Dataset) -> dict[str, str]:
    return {part: one.placement.value for part, one in dataset.stored.items()}


def _by_url(folder: Path, cache: Path, **settings: object) -> Dataset:
    given = {"source": "folder", "path": folder, "image_size": SIZE, "workers": 0, **settings}
    store = FolderStore.of(f"file://{cache}")
    return prepare(DataSettings.model_validate(given), seed=0, cache=store)


def test_large_photos_are_stored_at_a_reduced_size(prepared: Prepared, large: Path) -> None:
    data = prepared(source="folder", path=large, in_memory="2kB")
    assert _placements(data) == {"training": "reduced", "validation": "pixels", "test": "pixels"}
    assert data.stored["training"].reduced == 20
    pictures = data.training.pictures  # type: ignore[attr-defined]
    assert {pictures.open(index).size for index in range(20)} == {(16, 12)}
    assert (
        0
        < data.stored["training"].bytes
        < sum(file.stat().st_size for file in (large / "train").rglob("*.jpg"))
    )


def test_the_description_of_the_data_does_not_depend_on_shards(
    prepared: Prepared, large: Path
) -> None:
    held = prepared(source="folder", path=large)
    sharded = prepared(source="folder", path=large, in_memory="2kB")
    assert held.info == sharded.info
    assert torch.equal(_images(held.validation), _images(sharded.validation))
    assert torch.equal(_images(held.test), _images(sharded.test))


def test_a_view_of_a_reduced_photo_is_nearly_that_of_the_photo(
    prepared: Prepared, large: Path
) -> None:
    own = prepared(source="folder", path=large, in_memory="1B", shards="never")
    sharded = prepared(source="folder", path=large, in_memory="1B")
    for view in (None, VIEW):
        one, other = (_images(data.training, view=view).int() for data in (own, sharded))
        assert (one - other).abs().float().mean() < 4


def test_small_photos_stay_in_their_own_files(prepared: Prepared, small: Path) -> None:
    data = prepared(source="folder", path=small, in_memory="2kB")
    assert _placements(data) == {"training": "originals", "validation": "pixels", "test": "pixels"}


def test_small_photos_in_shards_keep_their_bytes(prepared: Prepared, small: Path) -> None:
    own = prepared(source="folder", path=small, in_memory="1B", shards="never")
    sharded = prepared(source="folder", path=small, in_memory="1B", shards="always")
    assert _placements(sharded)["training"] == "reduced"
    assert sharded.stored["training"].reduced == 0
    first = sharded.training.pictures.content(0)  # type: ignore[attr-defined]
    assert first == (small / "train" / "ant" / "0.jpg").read_bytes()
    assert torch.equal(_images(own.training, view=VIEW), _images(sharded.training, view=VIEW))


def test_validation_and_test_images_are_never_reduced(prepared: Prepared, large: Path) -> None:
    held = prepared(source="folder", path=large)
    sharded = prepared(source="folder", path=large, in_memory="1B", shards="always")
    assert _placements(sharded)["test"] == "copies"
    for part in ("validation", "test"):
        one, other = getattr(held, part), getattr(sharded, part)
        assert torch.equal(_images(one), _images(other))


@pytest.mark.parametrize("in_memory", ["2kB", "1B"])
@pytest.mark.parametrize("kind", ["large", "small"])
def test_data_at_a_url_need_no_original_files(
    tmp_path: Path, request: pytest.FixtureRequest, kind: str, in_memory: str
) -> None:
    folder: Path = request.getfixturevalue(kind)
    data = _by_url(folder, tmp_path / "cache", in_memory=in_memory)
    before = [_images(part, view=VIEW) for part in (data.training, data.validation, data.test)]
    shutil.rmtree(folder)
    copied = shutil.copytree(data.folder, tmp_path / "another machine")
    again = open_dataset(copied)
    after = [_images(part, view=VIEW) for part in (again.training, again.validation, again.test)]
    assert all(map(torch.equal, before, after))


def test_shards_are_refused_where_the_study_says_never(tmp_path: Path, large: Path) -> None:
    data = _by_url(large, tmp_path / "cache", in_memory="1B", shards="never")
    assert set(_placements(data).values()) == {"originals"}


def test_damaged_photos_are_left_out(prepared: Prepared, large: Path) -> None:
    (large / "train" / "ant" / "3.jpg").write_bytes(b"no image")
    options = {"source": "folder", "path": large, "max_corrupt_share": 0.5}
    held = prepared(**options)
    sharded = prepared(**options, in_memory="2kB")
    assert held.info == sharded.info
    assert sharded.info.sizes.training == sharded.stored["training"].images == 19
    assert _images(sharded.training).shape[0] == 19


def test_images_are_spread_over_several_shards(
    prepared: Prepared, large: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = prepared(source="folder", path=large, in_memory="2kB")
    shutil.rmtree(whole.folder.parent)
    monkeypatch.setattr(shards, "_SHARD_BYTES", 3000)
    data = prepared(source="folder", path=large, in_memory="2kB")
    files = sorted(data.folder.glob("training_images*.bin"))
    assert len(files) > 1
    assert all(file.stat().st_size <= 3000 for file in files)
    assert data.stored == whole.stored
    assert sum(file.stat().st_size for file in files) == data.stored["training"].bytes


def test_a_truncated_shard_is_refused_and_made_again(prepared: Prepared, large: Path) -> None:
    data = prepared(source="folder", path=large, in_memory="2kB")
    shard = data.folder / "training_images0000.bin"
    content = shard.read_bytes()
    shard.write_bytes(content[:-1])
    with pytest.raises(DataError, match=naming(data.folder, shard.name, len(content))):
        open_dataset(data.folder)
    assert prepared(source="folder", path=large, in_memory="2kB").folder == data.folder
    assert shard.read_bytes() == content


def test_arrays_have_no_shards(prepared: Prepared) -> None:
    data = prepared(source="digits", in_memory="1B", shards="always")
    assert set(_placements(data).values()) == {"array"}


def test_a_side_below_the_images_is_refused() -> None:
    with pytest.raises(ValidationError, match=naming("shard_side", "image_size", 20, 32)):
        DataSettings(source="digits", image_size=32, shard_side=20)


def test_unlabelled_photos_are_stored_like_training_images(
    tmp_path: Path, prepared: Prepared, large: Path
) -> None:
    more = tmp_path / "more"
    for number in range(5):
        _photo(more / f"{number}.jpg", LARGE, seed=7000 + number)
    data = prepared(source="folder", path=large, unlabelled=more, in_memory="2kB")
    assert data.stored["unlabelled"].placement is Placement.REDUCED
    assert data.unlabelled is not None
    assert _images(data.unlabelled, view=VIEW).shape[0] == 5


def test_where_images_are_is_told(prepared: Prepared, large: Path) -> None:
    text = storage_text(prepared(source="folder", path=large, in_memory="2kB").stored)
    for told in ("validation and test", "in memory", "training", "20 of 20", "KB"):
        assert told in text

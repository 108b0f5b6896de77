import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from search.config.data_settings import DataSettings
from search.data.prepare import open_dataset, prepare
from search.data.views.augmentation import Augmentation
from search.data.views.rendering import view_of
from search.data.views.view import View
from search.errors import DataError
from search.files.filestore import FolderStore
from tests.messages import naming

VIEW = View(0, 0, Augmentation(shift=0.25, flip=True))
WAYS = pytest.mark.parametrize("in_memory", ["1MB", "1B"], ids=["in memory", "streamed"])


@pytest.fixture
def folder(tmp_path, fill):
    return fill(tmp_path / "data", images=20)


def contents(part, **options):
    """Indices, images and labels of a whole part."""
    batches = list(part.batches(5, **options))
    return [
        torch.cat([getattr(b, key) for b in batches]) for key in ("indices", "images", "labels")
    ]


@WAYS
def test_batches_follow_the_order_given(prepared, folder, in_memory):
    part = prepared(source="folder", path=folder, in_memory=in_memory).training
    order = torch.tensor([7, 3, 3, 0, 20, 11])
    _, all_images, all_labels = contents(part)
    indices, images, labels = contents(part, order=order)
    assert torch.equal(indices, order)
    assert torch.equal(images, all_images[order])
    assert torch.equal(labels, all_labels[order])


@WAYS
def test_a_view_is_the_same_whenever_it_is_asked_for(prepared, folder, in_memory):
    part = prepared(source="folder", path=folder, in_memory=in_memory).training
    order = torch.randperm(len(part), generator=torch.Generator().manual_seed(3))
    _, straight, _ = contents(part, view=VIEW)
    _, shuffled, _ = contents(part, view=VIEW, order=order)
    assert torch.equal(shuffled, straight[order])
    assert not torch.equal(straight, contents(part)[1])


def test_a_view_in_memory_is_the_view_of_the_image(prepared, folder):
    part = prepared(source="folder", path=folder).training
    indices, images, _ = contents(part)
    assert torch.equal(contents(part, view=VIEW)[1], view_of(images, indices, VIEW))


@WAYS
def test_the_last_batch_may_be_dropped(prepared, folder, in_memory):
    part = prepared(source="folder", path=folder, in_memory=in_memory).training
    assert [len(batch.labels) for batch in part.batches(10)] == [10, 10, 8]
    assert [len(batch.labels) for batch in part.batches(10, drop_last=True)] == [10, 10]


@WAYS
def test_images_may_be_asked_for_at_another_size(prepared, folder, in_memory):
    part = prepared(source="folder", path=folder, in_memory=in_memory).training
    assert contents(part, image_size=6)[1].shape == (28, 3, 6, 6)


@WAYS
def test_reading_does_not_move_torchs_random_state(prepared, folder, in_memory):
    part = prepared(source="folder", path=folder, in_memory=in_memory).training
    before = torch.random.get_rng_state()
    contents(part, view=VIEW)
    assert torch.equal(torch.random.get_rng_state(), before)


@WAYS
def test_an_empty_part_gives_no_batch(prepared, folder, in_memory):
    part = prepared(source="folder", path=folder, in_memory=in_memory, test_share=0).test
    assert len(part) == 0
    assert list(part.batches(5)) == []


@WAYS
def test_no_image_is_in_two_parts(prepared, folder, in_memory):
    data = prepared(source="folder", path=folder, in_memory=in_memory, image_size=16)
    parts = (data.training, data.validation, data.test)
    seen = [image.numpy().tobytes() for part in parts for image in contents(part)[1]]
    assert len(seen) == len(set(seen)) == 40


def test_held_in_memory_or_not_the_data_are_the_same(prepared, folder):
    held, streamed = (
        prepared(source="folder", path=folder, in_memory=size) for size in ("1MB", "1B")
    )
    assert held.info == streamed.info
    for one, other in zip(contents(held.test), contents(streamed.test), strict=True):
        assert torch.equal(one, other)


def test_arrays_too_large_for_memory_are_resized_as_they_are_used(prepared):
    held, streamed = (prepared(source="digits", in_memory=size) for size in ("1MB", "1B"))
    assert held.info == streamed.info
    assert torch.equal(contents(held.test)[1], contents(streamed.test)[1])


def test_worker_processes_decode_the_same_images(prepared, folder):
    data = prepared(source="folder", path=folder, in_memory="1B")
    other = open_dataset(data.folder, workers=1)
    assert torch.equal(contents(other.test, view=VIEW)[1], contents(data.test, view=VIEW)[1])


def test_an_image_lost_after_preparing_is_named(prepared, folder):
    data = prepared(source="folder", path=folder, in_memory="1B")
    shutil.rmtree(folder / "ant")
    with pytest.raises(DataError, match=r"ant/data\d+\.png"):
        contents(data.training)


def test_mean_and_deviation_are_those_of_the_training_pixels(prepared, folder):
    data = prepared(source="folder", path=folder)
    scaled = contents(data.training)[1].double() / 255
    assert data.info.mean == pytest.approx(scaled.mean((0, 2, 3)).tolist())
    assert data.info.std == pytest.approx(scaled.std((0, 2, 3), correction=0).tolist())


def test_a_constant_channel_is_not_divided_by_nothing(tmp_path, prepared):
    np.savez(tmp_path / "a.npz", images=np.zeros((20, 9, 9), np.uint8), labels=np.arange(20) % 2)
    assert prepared(source="npz", path=tmp_path / "a.npz").info.std[0] > 0


def test_training_images_are_limited_after_the_division(prepared, folder):
    whole, limited = (prepared(source="folder", path=folder, train_images=n) for n in (None, 10))
    assert vars(limited.info.sizes) == {"training": 10, "validation": 6, "test": 6}
    assert np.bincount(limited.training.labels).tolist() == [5, 5]
    assert torch.equal(contents(limited.test)[1], contents(whole.test)[1])


def test_shares_that_leave_nothing_for_training_are_refused(prepared, folder):
    facts = ("data.validation_share", "data.test_share", 0.6, 0.5)
    with pytest.raises(DataError, match=naming(*facts)):
        prepared(source="folder", path=folder, validation_share=0.6, test_share=0.5)


def test_the_division_follows_the_seed(prepared, folder):
    digests = [prepared(source="folder", path=folder, seed=seed).info.digest for seed in (0, 1)]
    assert digests[0] != digests[1]


def test_what_is_prepared_is_found_again(prepared, folder):
    told: list[str] = []
    first = prepared(source="folder", path=folder)
    second = prepared(source="folder", path=folder, progress=told.append)
    assert (first.folder, first.info) == (second.folder, second.info)
    assert told == []


def test_a_changed_file_is_prepared_anew(prepared, folder, save_image):
    first = prepared(source="folder", path=folder)
    save_image(folder / "ant" / "data0.png", seed=9)
    assert prepared(source="folder", path=folder).info.digest != first.info.digest


def test_the_digest_tells_contents_and_not_file_times(prepared, folder):
    first = prepared(source="folder", path=folder)
    os.utime(folder / "ant" / "data0.png", (1, 1))
    second = prepared(source="folder", path=folder)
    assert first.folder != second.folder
    assert first.info.digest == second.info.digest


@pytest.mark.parametrize(
    "name", ["info.json", "training_labels.npy", "test_pixels.npy", "validation_pixels.npy"]
)
@pytest.mark.parametrize("kept", [None, 0, 100])
def test_a_damaged_preparation_is_made_again(prepared, folder, name, kept):
    first = prepared(source="folder", path=folder)
    path = first.folder / name
    content = path.read_bytes()
    path.unlink() if kept is None else path.write_bytes(content[:kept])
    with pytest.raises(DataError, match=naming(first.folder)):
        open_dataset(first.folder)
    told: list[str] = []
    again = prepared(source="folder", path=folder, progress=told.append)
    assert naming(first.folder).search(told[0])
    assert (again.folder / name).read_bytes() == content


@pytest.mark.parametrize(
    "change",
    [
        {"format": 99},
        {"info": {}},
        {"info": None},
        {"pictures": {"test": {"kind": "unknown", "origin": {}}}},
    ],
)
def test_a_folder_that_another_version_wrote_is_refused(prepared, folder, change):
    path = prepared(source="folder", path=folder).folder / "info.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(DataError, match=naming(path.parent)):
        open_dataset(path.parent)


def test_labels_beyond_the_classes_are_refused_when_opened(prepared, folder):
    data = prepared(source="folder", path=folder)
    np.save(data.folder / "test_labels.npy", np.full(6, 2))
    with pytest.raises(DataError, match=naming(data.folder, "test", 0, 1)):
        open_dataset(data.folder)


def test_two_that_prepare_at_once_find_the_same(tmp_path, folder):
    settings = DataSettings(source="folder", path=folder, image_size=8)

    def work(_):
        return prepare(settings, seed=0, cache=FolderStore.of(tmp_path / "cache")).info.digest

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(work, range(4)))) == 1
    assert len(list((tmp_path / "cache" / "data").glob("[!.]*"))) == 1


def test_a_cache_that_cannot_be_written_is_refused(tmp_path, prepared, folder):
    (tmp_path / "cache").write_text("a file, not a folder")
    with pytest.raises(DataError, match=naming("run.cache", tmp_path / "cache")):
        prepared(source="folder", path=folder)


def test_views_flip_as_the_source_allows_or_as_told(prepared, folder):
    assert prepared(source="folder", path=folder).info.augmentation.flip is True
    assert prepared(source="folder", path=folder, flip=False).info.augmentation.flip is False
    assert prepared(source="digits").info.augmentation.flip is False
    assert prepared(source="digits", flip=True).info.augmentation.flip is True

import gc
import importlib.util
import tarfile
import warnings

import numpy as np
import pytest
from PIL import Image

from search.config.data_settings import DataSettings
from search.data.images import load_image
from search.data.preprocess import ORIENTATION
from search.data.sources.registry import has_mirror_images
from search.errors import DataError
from tests.messages import naming


@pytest.mark.parametrize("name", ["folder", "torch/folder"])
def test_timm_reads_folders_with_their_splits(tmp_path, prepared, fill, name):
    fill(tmp_path / "data" / "train", images=10)
    fill(tmp_path / "data" / "validation", images=3)
    info = prepared(source="timm", name=name, path=tmp_path / "data").info
    assert info.classes == ("ant", "bee")
    assert vars(info.sizes) == {"training": 16, "validation": 4, "test": 6}


def test_a_folder_without_splits_is_read_once_and_divided(tmp_path, prepared, fill):
    fill(tmp_path / "data", images=20)
    info = prepared(source="timm", name="folder", path=tmp_path / "data").info
    assert vars(info.sizes) == {"training": 28, "validation": 6, "test": 6}


@pytest.mark.parametrize("in_memory", ["1MB", "1B"])
def test_timm_reads_archives(tmp_path, prepared, fill, in_memory):
    fill(tmp_path / "data", images=20)
    with tarfile.open(tmp_path / "data.tar", "w") as archive:
        for name in ("ant", "bee"):
            archive.add(tmp_path / "data" / name, name)
    with warnings.catch_warnings():
        # timm never closes the archive itself.
        warnings.simplefilter("ignore", ResourceWarning)
        data = prepared(source="timm", name="tar", path=tmp_path / "data.tar", in_memory=in_memory)
        assert sum(vars(data.info.sizes).values()) == 40
        assert next(data.training.batches(4)).images.shape == (4, 3, 8, 8)
        del data
        gc.collect()


@pytest.mark.parametrize("in_memory", ["1MB", "1B"])
@pytest.mark.parametrize("name", ["folder", "torch/folder"])
def test_a_damaged_image_is_skipped_and_not_replaced_by_its_neighbour(
    tmp_path, prepared, fill, name, in_memory
):
    fill(tmp_path / "data", images=20)
    (tmp_path / "data" / "ant" / "broken.png").write_bytes(b"")
    info = prepared(
        source="timm",
        name=name,
        path=tmp_path / "data",
        max_corrupt_share=0.1,
        in_memory=in_memory,
    ).info
    assert len(info.corrupt) == 1
    assert sum(vars(info.sizes).values()) == 40


@pytest.mark.parametrize("name", ["folder", "torch/folder"])
def test_fault_39_timm_and_torchvision_read_files_as_retort_does(tmp_path, prepared, fill, name):
    fill(tmp_path / "data", images=20)
    noise = np.random.default_rng(0).integers(0, 256, (9, 12, 4), np.uint8)
    turned = Image.Exif()
    turned[ORIENTATION] = 6
    for place, label in enumerate(("ant", "bee")):
        folder = tmp_path / "data" / label
        Image.fromarray(noise[place:]).save(folder / "alpha.png")
        Image.fromarray(noise[place:, :, :3]).save(folder / "turned.png", exif=turned)
        Image.fromarray(noise[place:, :, 0].astype(np.uint16) * 257).save(folder / "deep.png")
    data = prepared(source="timm", name=name, path=tmp_path / "data")
    parts = (data.training, data.validation, data.test)
    found = {image.numpy().tobytes() for part in parts for image in next(part.batches(99)).images}
    files = [*(tmp_path / "data").rglob("*.png")]
    assert found == {load_image(file, 8, 3).tobytes() for file in files}
    assert len(found) == len(files) == 46


def test_a_link_to_nothing_is_a_damaged_image(tmp_path, prepared, fill):
    fill(tmp_path / "data", images=20)
    (tmp_path / "data" / "ant" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    info = prepared(
        source="timm", name="folder", path=tmp_path / "data", max_corrupt_share=0.1
    ).info
    assert len(info.corrupt) == 1
    assert sum(vars(info.sizes).values()) == 40


def test_other_classes_in_a_split_are_refused(tmp_path, prepared, fill):
    fill(tmp_path / "data" / "train")
    fill(tmp_path / "data" / "val", classes=("ant", "cat"))
    with pytest.raises(DataError, match=naming("train", "val", "'folder'")):
        prepared(source="timm", name="folder", path=tmp_path / "data")


def test_a_held_out_folder_without_training_is_refused(tmp_path, prepared, fill):
    fill(tmp_path / "data" / "val")
    with pytest.raises(DataError, match=naming("data.path", "train/", "val/")):
        prepared(source="timm", name="folder", path=tmp_path / "data")


@pytest.mark.parametrize("name", ["folder", "torch/cifar10", "torch/folder", "torch/no_such"])
def test_data_that_are_not_at_hand_are_refused_with_what_to_do(tmp_path, prepared, name):
    with pytest.raises(DataError, match=naming("data.path", "data.name", f"'{name}'")):
        prepared(source="timm", name=name, path=tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["tfds/mnist", "wds/shards", "hfids/food101"])
def test_streams_are_refused(prepared, name):
    with pytest.raises(DataError, match=naming("data.name", name.split("/")[0])):
        prepared(source="timm", name=name)


@pytest.mark.skipif(
    importlib.util.find_spec("datasets") is not None, reason="Hugging Face's datasets is installed"
)
def test_hugging_faces_data_sets_name_the_extra_they_need(prepared):
    with pytest.raises(DataError, match=naming("pip install -e '.[datasets]'")):
        prepared(source="timm", name="hfds/food101")


@pytest.mark.parametrize(
    ("name", "mirrored"), [("torch/mnist", False), ("hfds/ylecun/mnist", False), ("folder", True)]
)
def test_digits_are_not_mirrored_by_whatever_name_they_come(name, mirrored):
    settings = DataSettings(source="timm", name=name, path="data")
    assert has_mirror_images(settings) is mirrored

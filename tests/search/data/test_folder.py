import os
import shutil
from pathlib import Path

import pytest

from search.data.notes import notes, warnings
from search.errors import DataError
from tests.messages import naming


def test_one_folder_of_classes_is_divided_three_ways(tmp_path, prepared, fill):
    info = prepared(source="folder", path=fill(tmp_path / "data", images=20)).info
    assert info.classes == ("ant", "bee")
    assert (info.sizes.training, info.sizes.validation, info.sizes.test) == (28, 6, 6)


def test_training_validation_and_test_folders_are_used_as_they_are(tmp_path, prepared, fill):
    for part, images in (("train", 5), ("val", 3), ("test", 2)):
        fill(tmp_path / "data" / part, images=images)
    sizes = prepared(source="folder", path=tmp_path / "data").info.sizes
    assert (sizes.training, sizes.validation, sizes.test) == (10, 6, 4)


@pytest.mark.parametrize("name", ["val", "valid", "validation"])
def test_a_validation_folder_alone_is_the_test_part(tmp_path, prepared, fill, name):
    fill(tmp_path / "data" / "train", images=10)
    fill(tmp_path / "data" / name, images=3)
    sizes = prepared(source="folder", path=tmp_path / "data", validation_share=0.2).info.sizes
    assert (sizes.training, sizes.validation, sizes.test) == (16, 4, 6)


def test_fault_22_classes_that_training_and_validation_do_not_share_are_refused(
    tmp_path, prepared, fill
):
    fill(tmp_path / "data" / "train")
    fill(tmp_path / "data" / "val", classes=("ant", "cat"))
    with pytest.raises(DataError, match=naming("val/", "'bee'", "'cat'")):
        prepared(source="folder", path=tmp_path / "data")


def test_fault_22_a_class_without_images_is_refused_by_name(tmp_path, prepared, fill):
    fill(tmp_path / "data")
    (tmp_path / "data" / "cat").mkdir()
    (tmp_path / "data" / "cat" / "notes.txt").touch()
    with pytest.raises(DataError, match=naming(1, 3, "'cat'")):
        prepared(source="folder", path=tmp_path / "data")


def test_a_class_whose_images_are_all_damaged_is_refused(tmp_path, prepared, fill):
    fill(tmp_path / "data", images=20)
    for index in range(3):
        (tmp_path / "data" / "cat").mkdir(exist_ok=True)
        (tmp_path / "data" / "cat" / f"{index}.jpg").write_text("no image")
    with pytest.raises(DataError, match="'cat'"):
        prepared(source="folder", path=tmp_path / "data", max_corrupt_share=0.5)


def test_fault_23_a_single_class_is_refused(tmp_path, prepared, fill):
    fill(tmp_path / "data", classes=("ant",))
    with pytest.raises(DataError, match=naming("data.path", 1, "['ant']")):
        prepared(source="folder", path=tmp_path / "data")


def test_a_missing_folder_is_named_with_what_it_should_hold(tmp_path, prepared):
    path = tmp_path / "nowhere"
    with pytest.raises(DataError, match=naming("data.path", path, "train/", "val/")):
        prepared(source="folder", path=path)


def test_a_folder_without_classes_is_refused(tmp_path, prepared, save_image):
    save_image(tmp_path / "data" / "a.png")
    with pytest.raises(DataError, match=naming("data.path", tmp_path / "data")):
        prepared(source="folder", path=tmp_path / "data")


def test_two_validation_folders_are_refused(tmp_path, prepared, fill):
    for part in ("train", "val", "valid"):
        fill(tmp_path / "data" / part)
    with pytest.raises(DataError, match=naming(tmp_path / "data", "val", "valid")):
        prepared(source="folder", path=tmp_path / "data")


def test_fault_22_damaged_images_are_named_and_skipped(tmp_path, prepared, fill):
    fill(tmp_path / "data", images=20)
    (tmp_path / "data" / "ant" / "broken.jpg").write_bytes(b"")
    info = prepared(source="folder", path=tmp_path / "data", max_corrupt_share=0.1).info
    assert info.corrupt == ("ant/broken.jpg",)
    assert sum(vars(info.sizes).values()) == 40
    assert any(naming(1, "'ant/broken.jpg'").search(line) for line in notes(info))


def test_fault_22_too_many_damaged_images_are_refused_naming_the_first(tmp_path, prepared, fill):
    fill(tmp_path / "data", images=20)
    for index in range(5):
        (tmp_path / "data" / "ant" / f"broken{index}.jpg").write_bytes(b"")
    facts = ("data.max_corrupt_share", 0.01, 5, 45, "'ant/broken0.jpg'")
    with pytest.raises(DataError, match=naming(*facts)):
        prepared(source="folder", path=tmp_path / "data")


def test_nothing_is_left_in_the_cache_by_a_refused_data_set(tmp_path, prepared, fill):
    fill(tmp_path / "data", images=20)
    (tmp_path / "data" / "ant" / "broken.jpg").write_bytes(b"")
    with pytest.raises(DataError, match=naming("data.max_corrupt_share", "'ant/broken.jpg'")):
        prepared(source="folder", path=tmp_path / "data")
    assert list((tmp_path / "cache" / "data").glob("[!.]*")) == []


@pytest.mark.parametrize("in_memory", ["1MB", "1B"])
def test_fault_22_a_link_out_of_the_folder_is_not_followed(
    tmp_path, prepared, fill, save_image, in_memory
):
    fill(tmp_path / "data", images=20)
    outside = save_image(tmp_path / "secret.png")
    (tmp_path / "data" / "ant" / "link.png").symlink_to(outside)
    info = prepared(source="folder", path=tmp_path / "data", in_memory=in_memory).info
    assert (info.corrupt, info.unused) == ((), (("links out of the folder", 1),))
    assert sum(vars(info.sizes).values()) == 40
    assert any(naming("data.follow_links: true").search(line) for line in warnings(info))


def test_a_class_folder_that_leads_out_is_not_followed(tmp_path, prepared, fill):
    fill(tmp_path / "data", images=20)
    fill(tmp_path / "elsewhere", classes=("cat",))
    (tmp_path / "data" / "cat").symlink_to(tmp_path / "elsewhere" / "cat")
    with pytest.raises(DataError, match="'cat'"):
        prepared(source="folder", path=tmp_path / "data", max_corrupt_share=0.9)


def test_a_link_inside_the_folder_is_followed(tmp_path, prepared, fill):
    fill(tmp_path / "data", images=20)
    (tmp_path / "data" / "ant" / "link.png").symlink_to(tmp_path / "data" / "ant" / "data0.png")
    assert prepared(source="folder", path=tmp_path / "data").info.corrupt == ()


def test_the_data_folder_itself_may_be_a_link(tmp_path, prepared, fill):
    fill(tmp_path / "real")
    (tmp_path / "data").symlink_to(tmp_path / "real")
    assert prepared(source="folder", path=tmp_path / "data").info.corrupt == ()


def test_a_pipe_named_as_an_image_is_skipped_and_not_waited_for(tmp_path, prepared, fill):
    fill(tmp_path / "data", images=20)
    os.mkfifo(tmp_path / "data" / "ant" / "pipe.jpg")
    info = prepared(source="folder", path=tmp_path / "data", max_corrupt_share=0.1).info
    assert info.corrupt == ("ant/pipe.jpg",)


@pytest.mark.parametrize("in_memory", ["1MB", "1B"])
def test_fault_22_odd_file_names_are_read(tmp_path, prepared, fill, in_memory):
    fill(tmp_path / "data", images=20)
    ant = os.fsencode(tmp_path / "data" / "ant")
    for index, name in enumerate([b"a b.png", "ünï☃.png".encode(), b"new\nline.png", b"\xff.png"]):
        Path(os.fsdecode(ant + f"/data{index}.png".encode())).rename(os.fsdecode(ant + b"/" + name))
    data = prepared(source="folder", path=tmp_path / "data", in_memory=in_memory)
    assert data.info.corrupt == ()
    assert sum(len(batch.labels) for batch in data.training.batches(8)) == 28


def test_a_damaged_file_with_an_odd_name_is_named_in_plain_text(tmp_path, prepared, fill):
    fill(tmp_path / "data", images=20)
    name = os.fsencode(tmp_path / "data" / "ant") + b"/\xff\n.png"
    Path(os.fsdecode(name)).write_bytes(b"")
    info = prepared(source="folder", path=tmp_path / "data", max_corrupt_share=0.1).info
    assert info.corrupt == ("ant/\\udcff\n.png",)


def test_hidden_files_and_other_kinds_are_no_images(tmp_path, prepared, fill):
    fill(tmp_path / "data", images=20)
    for name in (".hidden.png", "notes.txt"):
        (tmp_path / "data" / "ant" / name).write_text("no image")
    (tmp_path / "data" / ".cache").mkdir()
    info = prepared(source="folder", path=tmp_path / "data").info
    assert (info.corrupt, info.classes) == ((), ("ant", "bee"))


def test_images_that_training_and_test_share_are_counted_and_told(tmp_path, prepared, fill):
    fill(tmp_path / "data" / "train", images=10)
    fill(tmp_path / "data" / "test", images=3)
    (tmp_path / "data" / "val").mkdir()
    shutil.copytree(tmp_path / "data" / "train" / "ant", tmp_path / "data" / "val" / "ant")
    shutil.copytree(tmp_path / "data" / "test" / "bee", tmp_path / "data" / "val" / "bee")
    info = prepared(source="folder", path=tmp_path / "data").info
    assert info.repeated == 10
    assert any(naming(10, "validation", "test").search(line) for line in warnings(info))

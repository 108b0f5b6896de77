"""Row 39 of the faults: which files are found, and what is not used is told by kind."""

import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from search.config.data_settings import DataSettings
from search.data import preprocess
from search.data.dataset import DataInfo, Dataset
from search.data.image_files import LinkRules, find_images
from search.data.image_kinds import FORMATS, SUFFIXES, suffix_of
from search.data.notes import notes, unused_text, warnings
from search.data.pictures import FilePictures
from search.data.prepare import prepare
from search.errors import DataError
from search.files.filestore import FolderStore
from tests.messages import naming

Prepared = Callable[..., Dataset]
Fill = Callable[..., Path]

READS_AVIF = pytest.mark.skipif("AVIF" not in FORMATS, reason="this Pillow does not read AVIF")


def _images(info: DataInfo) -> int:
    return info.sizes.training + info.sizes.validation + info.sizes.test


@pytest.mark.parametrize(
    ("suffix", "kind"),
    [(".jfif", "JPEG"), (".JPE", "JPEG"), pytest.param(".avif", "AVIF", marks=READS_AVIF)],
)
def test_fault_39_each_kind_that_pillow_reads_is_used(
    tmp_path: Path, prepared: Prepared, fill: Fill, suffix: str, kind: str
) -> None:
    fill(tmp_path / "data", images=20)
    for number in range(4):
        Image.new("RGB", (12, 12), (60 * number, 90, 9)).save(
            tmp_path / "data" / "ant" / f"other{number}{suffix}", format=kind
        )
    info = prepared(source="folder", path=tmp_path / "data").info
    assert (_images(info), info.corrupt, info.unused) == (44, (), ())


def test_fault_39_what_is_not_used_is_counted_by_kind(
    tmp_path: Path, prepared: Prepared, fill: Fill
) -> None:
    root = fill(tmp_path / "data", images=20)
    content = ("ant/a.heic", "ant/b.HEIC", "bee/c.txt", "bee/deep/Thumbs", "labels.csv", ".git/x")
    for name in (*content, "ant/._a.png", "stray.png"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    info = prepared(source="folder", path=root).info
    assert dict(info.unused) == {
        ".heic": 2, ".txt": 1, "without a suffix": 1, ".csv": 1, "hidden": 2,
        ".png outside of the class folders": 1,
    }  # fmt: skip
    assert any(naming(2, ".heic").search(line) for line in notes(info))
    assert any(naming(".heic", "convert").search(line) for line in warnings(info))
    assert _images(info) == 40


def test_what_is_not_used_is_told_from_the_cache_too(
    tmp_path: Path, prepared: Prepared, fill: Fill
) -> None:
    (fill(tmp_path / "data", images=20) / "ant" / "a.heic").touch()
    found = [prepared(source="folder", path=tmp_path / "data").info for _ in range(2)]
    assert found[0] == found[1]
    assert unused_text(found[1]) == "1 .heic"


@pytest.mark.parametrize("suffix", [".heic", ".jxl", ".nef"])
def test_fault_39_a_class_of_unread_images_is_told_by_kind_with_what_to_do(
    tmp_path: Path, prepared: Prepared, fill: Fill, suffix: str
) -> None:
    fill(tmp_path / "data")
    (tmp_path / "data" / "cat").mkdir()
    for number in range(3):
        (tmp_path / "data" / "cat" / f"{number}{suffix}").touch()
    with pytest.raises(DataError, match=naming("'cat'", 3, suffix, "convert", "JPEG")):
        prepared(source="folder", path=tmp_path / "data")


def test_fault_39_an_empty_stray_folder_is_no_class(
    tmp_path: Path, prepared: Prepared, fill: Fill
) -> None:
    for part in ("train", "test"):
        fill(tmp_path / "data" / part, images=10)
    (tmp_path / "data" / "train" / "cat").mkdir()
    (tmp_path / "data" / "train" / "cat" / ".DS_Store").touch()
    (tmp_path / "data" / "test" / "dog").mkdir()
    info = prepared(source="folder", path=tmp_path / "data").info
    assert info.classes == ("ant", "bee")
    assert dict(info.unused)["empty folders"] == 2


def test_a_class_that_is_empty_in_training_alone_is_refused(
    tmp_path: Path, prepared: Prepared, fill: Fill
) -> None:
    fill(tmp_path / "data" / "train")
    fill(tmp_path / "data" / "val", classes=("ant", "bee", "cat"))
    (tmp_path / "data" / "train" / "cat").mkdir()
    with pytest.raises(DataError, match=naming(1, 3, "'cat'")):
        prepared(source="folder", path=tmp_path / "data")


def test_a_class_that_is_empty_in_validation_alone_is_kept(
    tmp_path: Path, prepared: Prepared, fill: Fill
) -> None:
    fill(tmp_path / "data" / "train", classes=("ant", "bee", "cat"))
    fill(tmp_path / "data" / "val")
    (tmp_path / "data" / "val" / "cat").mkdir()
    assert prepared(source="folder", path=tmp_path / "data").info.classes == ("ant", "bee", "cat")


def test_fault_39_nested_folders_belong_to_their_class(
    tmp_path: Path, prepared: Prepared, fill: Fill
) -> None:
    fill(tmp_path / "data", images=20)
    fill(tmp_path / "data" / "ant" / "more", classes=("deep", "deeper"), images=3)
    dataset = prepared(source="folder", path=tmp_path / "data")
    assert _images(dataset.info) == 46
    assert dataset.info.classes == ("ant", "bee")


def test_fault_39_folders_beside_train_and_test_are_told(
    tmp_path: Path, prepared: Prepared, fill: Fill
) -> None:
    for part in ("train", "test", "extra"):
        fill(tmp_path / "data" / part, images=10)
    unused = dict(prepared(source="folder", path=tmp_path / "data").info.unused)
    assert list(unused.values()) == [20]
    assert "extra/" in next(iter(unused))


def test_many_kinds_are_told_in_short(tmp_path: Path, prepared: Prepared, fill: Fill) -> None:
    fill(tmp_path / "data", images=20)
    for number in range(30):
        (tmp_path / "data" / "ant" / f"a.x{number}").touch()
    unused = prepared(source="folder", path=tmp_path / "data").info.unused
    assert len(unused) < 20
    assert sum(number for _, number in unused) == 30


@pytest.mark.parametrize(
    ("name", "suffix"),
    [("a.HEIC", ".heic"), ("a", "without a suffix"), ("v. Some text", "without a suffix"),
     ("a.\x1b[1m", "without a suffix"), ("a.b.mp4", ".mp4")],
)  # fmt: skip
def test_a_suffix_is_told_if_it_is_one(name: str, suffix: str) -> None:
    assert suffix_of(name) == suffix


def test_the_suffixes_are_those_of_the_formats_in_pillow() -> None:
    Image.init()
    assert {Image.registered_extensions()[suffix] for suffix in SUFFIXES} <= set(FORMATS)
    assert set(FORMATS) <= set(preprocess.FORMATS)


COMPOSED = unicodedata.normalize("NFC", "café")
DECOMPOSED = unicodedata.normalize("NFD", "café")


def test_fault_39_both_forms_of_one_name_are_one_class(
    tmp_path: Path, prepared: Prepared, fill: Fill
) -> None:
    fill(tmp_path / "data", classes=("tea", COMPOSED), images=20)
    fill(tmp_path / "data", classes=(DECOMPOSED,), images=9)
    info = prepared(source="folder", path=tmp_path / "data").info
    assert info.classes == (COMPOSED, "tea")
    assert _images(info) == 49


def test_fault_39_a_class_may_have_another_form_of_its_name_in_another_part(
    tmp_path: Path, prepared: Prepared, fill: Fill
) -> None:
    """Also where the forms sort differently: `cafés` comes after `café`'s decomposed form alone."""
    between = "cafz"  # after `cafe` with an accent behind it, before `caf` and the letter `é`
    fill(tmp_path / "data" / "train", classes=(DECOMPOSED, between), images=5)
    fill(tmp_path / "data" / "val", classes=(between, COMPOSED), images=(3))
    fill(tmp_path / "data" / "test", classes=(COMPOSED,), images=2)
    fill(tmp_path / "data" / "test", classes=(between,), images=4)
    dataset = prepared(source="folder", path=tmp_path / "data")
    assert dataset.info.classes == (DECOMPOSED, between)
    assert dataset.test.labels.tolist() == [0, 0, 1, 1, 1, 1]


def test_fault_39_a_linked_subfolder_inside_the_data_is_used(
    tmp_path: Path, prepared: Prepared, fill: Fill
) -> None:
    for part in ("train", "test"):
        fill(tmp_path / "data" / part, images=10)
    fill(tmp_path / "data" / "pool", classes=("ants",), images=20)
    (tmp_path / "data" / "train" / "ant" / "more").symlink_to("../../pool/ants")
    info = prepared(source="folder", path=tmp_path / "data").info
    assert (_images(info), info.unused) == (60, ())


def test_fault_39_data_made_of_links_into_one_pool_are_read(
    tmp_path: Path, prepared: Prepared, fill: Fill
) -> None:
    root = tmp_path / "data"
    fill(root / "pool", classes=("all",), images=41)
    for number in range(40):
        link = root / "train" / ("ant", "bee")[number % 2] / f"{number}.png"
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(f"../../pool/all/pool{number}.png")
    info = prepared(source="folder", path=root).info
    assert (_images(info), info.corrupt) == (40, ())
    assert sum(number for _, number in info.unused) == 1  # the file that no link names


@pytest.mark.parametrize("in_memory", ["1MB", "1B"])
def test_fault_39_links_out_of_the_folder_are_followed_if_the_study_says_so(
    tmp_path: Path, prepared: Prepared, fill: Fill, save_image: Callable[..., Path], in_memory: str
) -> None:
    root = fill(tmp_path / "data", images=20)
    fill(tmp_path / "outside", classes=("cat", "more"), images=10)
    (root / "cat").symlink_to(tmp_path / "outside" / "cat")
    (root / "ant" / "more").symlink_to(tmp_path / "outside" / "more")
    (root / "bee" / "link.png").symlink_to(save_image(tmp_path / "one.png"))
    dataset = prepared(source="folder", path=root, follow_links=True, in_memory=in_memory)
    assert (_images(dataset.info), dataset.info.unused) == (61, ())
    assert sum(len(batch.labels) for batch in dataset.training.batches(16)) == len(dataset.training)
    with pytest.raises(DataError, match=naming("'cat'", "data.follow_links: true")):
        prepared(source="folder", path=root)


def test_a_change_behind_a_followed_link_is_seen(
    tmp_path: Path, prepared: Prepared, fill: Fill, save_image: Callable[..., Path]
) -> None:
    root = fill(tmp_path / "data", images=20)
    fill(tmp_path / "outside", classes=("cat",), images=20)
    (root / "cat").symlink_to(tmp_path / "outside" / "cat")
    (tmp_path / "outside" / "cat" / "round").symlink_to(tmp_path / "outside")  # must end
    before = prepared(source="folder", path=root, follow_links=True).info
    save_image(tmp_path / "outside" / "cat" / "new.png")
    after = prepared(source="folder", path=root, follow_links=True).info
    assert _images(after) == _images(before) + 1


def test_fault_22_a_link_that_is_turned_outwards_after_the_preparation_is_refused(
    tmp_path: Path, fill: Fill, save_image: Callable[..., Path]
) -> None:
    root = fill(tmp_path / "data")
    (root / "ant" / "link.png").symlink_to("data0.png")
    pictures = FilePictures.under(root, ["ant/link.png"])
    assert pictures.open(0).size == (12, 10)
    (root / "ant" / "link.png").unlink()
    (root / "ant" / "link.png").symlink_to(save_image(tmp_path / "secret.png"))
    with pytest.raises(DataError, match=naming("'ant/link.png'", "data.follow_links: true")):
        pictures.open(0)


def test_links_in_a_circle_are_read_once(tmp_path: Path, fill: Fill) -> None:
    root = fill(tmp_path / "data", classes=("a", "b", "c"), images=2)
    for one in "abc":
        for other in "abc":
            (root / one / f"to_{other}").symlink_to(root / other)
    (root / "a" / "up").symlink_to(root)
    found = find_images(root / "a", LinkRules(root=root.resolve(), follow=False))
    assert len(found.images) == 6
    assert dict(found.unused) == {"links to a folder that contains them": 3 + 1}


def test_a_broken_link_is_no_damaged_image(tmp_path: Path, prepared: Prepared, fill: Fill) -> None:
    root = fill(tmp_path / "data", images=20)
    (root / "ant" / "gone.png").symlink_to("nowhere.png")
    (root / "gone").symlink_to("nowhere")
    info = prepared(source="folder", path=root).info
    assert (info.corrupt, info.unused) == ((), (("broken links", 2),))


def test_files_beside_unlabelled_images_are_told(tmp_path: Path, fill: Fill) -> None:
    root = fill(tmp_path / "data", images=20)
    for folder in (fill(tmp_path / "more", classes=("any",)), root):
        (folder / "a.heic").touch()
    settings = DataSettings(source="folder", path=root, unlabelled=tmp_path / "more", image_size=8)
    info = prepare(settings, seed=0, cache=FolderStore.of(tmp_path / "cache")).info
    assert info.unused == ((".heic", 2),)

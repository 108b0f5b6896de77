"""Row 45 of the faults: images of one scene stay in one part."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from search.config.data_settings import DataSettings
from search.config.fields import GROUP_WAYS
from search.data.dataset import Dataset
from search.data.groups import groups_of, numbered, suggested_groups
from search.data.notes import warnings
from search.data.split import SplitOff, split_off
from search.errors import DataError
from tests.messages import naming

Prepared = Callable[..., Dataset]
SaveImage = Callable[..., Path]

CLASSES = ("ant", "bee", "cat")


def _tracks(*, classes: int = 3, tracks: int = 10, frames: int = 6) -> list[str]:
    """Names as in GTSRB."""
    return [
        f"{label:05}/{track:05}_{frame:05}.png"
        for label in range(classes)
        for track in range(tracks)
        for frame in range(frames)
    ]


@pytest.mark.parametrize(
    ("way", "paths", "groups"),
    [
        ("prefix", ["a/s1_1.png", "a/s1_2.png", "a/s2_1.png", "b/s1_1.png"], [0, 0, 1, 2]),
        ("prefix", ["a/v/1.png", "a/v/2.png", "a/w/1.png", "a/x.png", "a/y.png"], [0, 0, 1, 2, 3]),
        ("folder", ["a/v/x.png", "a/v/y.png", "a/w/x.png", "b/v/x.png"], [0, 0, 1, 2]),
        # A regular expression decides alone: here a scene may hold several classes.
        (r"/(s\d+)_", ["a/s1_1.png", "b/s1_2.png", "a/s2_1.png", "a/x.png", "a/y.png"],
         [0, 0, 1, 2, 3]),
        (r"(\w)/s(\d+)_", ["a/s1_1.png", "b/s1_2.png", "a/s1_9.png"], [0, 1, 0]),
        (r"s\d+", ["a/s1_1.png", "b/s1_2.png", "a/s2_1.png"], [0, 0, 1]),
    ],
)  # fmt: skip
def test_the_group_of_an_image_follows_from_its_path(
    way: str, paths: Sequence[str], groups: list[int]
) -> None:
    assert numbered([groups_of(paths, way)])[0].tolist() == groups


def test_a_group_has_the_same_number_in_every_part() -> None:
    paths = ["a/s1_1.png", "a/s2_1.png"], ["a/s2_2.png", "a/s3_1.png"]
    first, second = numbered([groups_of(part, "prefix") for part in paths])
    assert (first.tolist(), second.tolist()) == ([0, 1], [1, 2])


def test_a_rule_that_matches_no_path_is_refused_with_an_example() -> None:
    with pytest.raises(DataError, match=naming("data.groups", "'a/1.png'")):
        groups_of(["a/1.png"], "scene(.)")


@pytest.mark.parametrize("way", ["(", "", "a" * 201])
def test_a_rule_that_is_no_regular_expression_is_refused(way: str) -> None:
    with pytest.raises(ValidationError, match="groups"):
        DataSettings(source="folder", path="data", groups=way)


@pytest.mark.parametrize("way", [*GROUP_WAYS, "scene(.)"])
def test_groups_need_paths_of_images(way: str) -> None:
    with pytest.raises(ValidationError, match=naming("folder", "npz")):
        DataSettings(source="npz", path="data.npz", groups=way)


def test_following_links_needs_a_folder() -> None:
    with pytest.raises(ValidationError, match="follow_links"):
        DataSettings(source="npz", path="data.npz", follow_links=True)


def test_fault_45_groups_are_kept_together_by_the_split(
    tmp_path: Path, prepared: Prepared, save_image: SaveImage
) -> None:
    for number, name in enumerate(_tracks()):
        save_image(tmp_path / "data" / name, seed=number)
    # Streamed, since the parts then keep the names of their files.
    dataset = prepared(source="folder", path=tmp_path / "data", groups="prefix", in_memory="1B")
    tracks = [
        {part.pictures.name(index)[:11] for index in range(len(part))}
        for part in (dataset.training, dataset.validation, dataset.test)
    ]
    assert sum(len(own) for own in tracks) == len(set.union(*tracks)) == dataset.info.groups == 30
    assert (dataset.info.shared_groups, dataset.info.repeated) == (0, 0)
    shares = [np.bincount(part.labels).tolist() for part in (dataset.validation, dataset.test)]
    assert shares == [[12, 12, 12], [6, 6, 6]]  # near 10 and 9, in groups of 6


@pytest.mark.parametrize("seed", range(5))
def test_a_split_by_groups_takes_about_its_share_of_each_class(seed: int) -> None:
    """Groups of 1 to 20 images, of one to three classes, as of scenes with several objects."""
    generator = np.random.default_rng(seed)
    groups = np.repeat(np.arange(200), generator.integers(1, 20, 200))
    main = generator.integers(0, 3, 200)[groups]
    labels = np.where(
        generator.random(len(groups)) < 0.8, main, generator.integers(0, 3, len(main))
    )
    wish = SplitOff(part="test", share=0.2, parts_after=1)
    rest, off = split_off(labels, wish, seed=seed, classes=CLASSES, groups=groups)
    assert sorted([*rest, *off]) == list(range(len(labels)))
    assert not set(groups[rest]) & set(groups[off])
    share = np.bincount(labels[off]) / np.bincount(labels)
    assert np.abs(share - 0.2).max() < 0.02


def test_a_split_by_groups_follows_its_seed() -> None:
    groups, labels = np.repeat(np.arange(60), 5), np.repeat(np.arange(3), 100)
    wish = SplitOff(part="test", share=0.2)
    splits = [
        split_off(labels, wish, seed=seed, classes=CLASSES, groups=groups)[1].tolist()
        for seed in (0, 0, 1)
    ]
    assert splits[0] == splits[1] != splits[2]


def test_each_part_gets_a_group_of_each_class() -> None:
    """Also where the nearest number of images would be none, or all that is left for validation."""
    groups = np.array([0] * 30 + [1] * 30 + [2] * 30 + [3] * 28 + [4, 5])
    labels = np.array([0] * 90 + [1] * 30)
    test = SplitOff(part="test", share=0.1, parts_after=1)
    rest, off = split_off(labels, test, seed=0, classes=("ant", "bee"), groups=groups)
    assert np.bincount(labels[off]).tolist() == [30, 1]
    validation = SplitOff(part="validation", share=0.1)
    kept, more = split_off(
        labels[rest], validation, seed=0, classes=("ant", "bee"), groups=groups[rest]
    )
    assert np.bincount(labels[rest][more]).tolist() == [30, 1]
    assert np.bincount(labels[rest][kept]).tolist() == [30, 28]


def test_fault_45_a_class_with_too_few_groups_is_refused_by_name(
    tmp_path: Path, prepared: Prepared, save_image: SaveImage
) -> None:
    for name in (*_tracks(classes=2), *(f"cat/00000_{frame}.png" for frame in range(30))):
        save_image(tmp_path / "data" / name)
    with pytest.raises(DataError, match=naming("data.groups", "'cat'", 3, 1)):
        prepared(source="folder", path=tmp_path / "data", groups="prefix")


def test_fault_45_groups_in_several_given_parts_are_told(
    tmp_path: Path, prepared: Prepared, save_image: SaveImage
) -> None:
    for part, first in (("train", 0), ("val", 4), ("test", 8)):
        for label in ("ant", "bee"):
            for frame in range(first, first + 4):
                save_image(tmp_path / "data" / part / label / f"scene{frame // 6}_{frame}.png")
    info = prepared(source="folder", path=tmp_path / "data", groups="prefix").info
    assert (info.groups, info.shared_groups) == (4, 4)
    assert any(naming(4).search(line) for line in warnings(info))


@pytest.mark.parametrize("layout", ["", "train"])
def test_fault_45_names_that_suggest_groups_are_told(
    tmp_path: Path, prepared: Prepared, save_image: SaveImage, layout: str
) -> None:
    for name in _tracks():
        save_image(tmp_path / "data" / layout / name)
    info = prepared(source="folder", path=tmp_path / "data").info
    assert info.suggested_groups == 30
    assert any(naming(30, "data.groups: prefix").search(line) for line in warnings(info))


def test_parts_that_the_data_define_suggest_nothing(
    tmp_path: Path, prepared: Prepared, save_image: SaveImage
) -> None:
    for part in ("train", "val", "test"):
        for name in _tracks():
            save_image(tmp_path / "data" / part / name, seed=len(part))
    assert prepared(source="folder", path=tmp_path / "data").info.suggested_groups == 0


@pytest.mark.parametrize(
    ("paths", "groups"),
    [
        (_tracks(), 30),
        ([f"{label}/clip{clip}/{frame}.jpg" for label in "ab" for clip in "xyz"
          for frame in range(5)], 6),
        # Counted through, as many data sets are.
        ([f"{label}/img_{number:04}.jpg" for label in "ab" for number in range(50)], 0),
        ([f"{label}/{number}.jpg" for label in "ab" for number in range(50)], 0),
        # ImageNet's: numbers without successors.
        ([f"n01/n01_{number * 37}.JPEG" for number in range(50)]
         + [f"n01/ILSVRC2012_val_{number * 91}.JPEG" for number in range(50)], 0),
        (["a/x.png", "b/y.png"], 0),
        ([], 0),
    ],
)  # fmt: skip
def test_names_suggest_groups_by_runs_of_numbers(paths: Sequence[str], groups: int) -> None:
    assert suggested_groups(paths) == groups

import copy
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from search.data.dataset import Dataset, normalize
from search.data.views import View
from search.files.atomic import damaged_files
from search.files.filestore import FolderStore
from search.teachers.adapters import Ensemble
from search.teachers.logits_cache import _reserve, open_soft_targets, soft_targets
from search.teachers.setting import network_digest
from search.teachers.teacher import Teacher


class _Counted(nn.Module):
    """The network, and how many images it was asked about."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.images = 0

    def forward(self, images: Tensor) -> Tensor:
        self.images += len(images)
        logits: Tensor = self.network(images)
        return logits


@pytest.fixture
def asked(schooled: nn.Module) -> _Counted:
    return _Counted(schooled).eval()


@pytest.fixture
def teacher(asked: _Counted) -> Teacher:
    return Teacher("counted", asked, network_digest(asked), "cpu")


def _cached(teacher: Teacher, dataset: Dataset, views: tuple[View, ...], cache: Path) -> Path:
    return soft_targets(
        teacher, dataset, views, cache=FolderStore.of(cache), progress=lambda _: None
    )


def test_where_the_system_reserves_no_room_the_file_takes_it_by_being_written(
    teacher: Teacher,
    stripes: Dataset,
    views: tuple[View, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As on macOS."""
    before = open_soft_targets(_cached(teacher, stripes, views, tmp_path / "here"))
    monkeypatch.delattr(os, "posix_fallocate")
    folder = _cached(teacher, stripes, views, tmp_path / "there")
    assert np.array_equal(open_soft_targets(folder).logits, before.logits)
    (file,) = folder.glob("*.npy")
    assert file.stat().st_blocks * 512 >= file.stat().st_size


def test_room_is_taken_before_anything_is_written_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, has_call in (("linux", True), ("macos", False)):
        if not has_call:
            monkeypatch.delattr(os, "posix_fallocate")
        file = tmp_path / name
        np.lib.format.open_memmap(file, mode="w+", dtype=np.float16, shape=(3, 1_000_000))
        assert file.stat().st_blocks * 512 < file.stat().st_size
        _reserve(file)
        assert file.stat().st_blocks * 512 >= file.stat().st_size
        assert not np.load(file).any()


def test_logits_are_a_live_teachers_for_the_very_images_that_students_see(
    teacher: Teacher,
    asked: _Counted,
    stripes: Dataset,
    views: tuple[View, ...],
    tmp_path: Path,
) -> None:
    targets = open_soft_targets(_cached(teacher, stripes, views, tmp_path))
    order = torch.randperm(len(stripes.training), generator=torch.Generator().manual_seed(5))
    for view in views:
        # As a student's training goes through them: shuffled, in other batches.
        for batch in stripes.training.batches(10, order=order, view=view):
            with torch.inference_mode():
                live = asked(normalize(batch.images, stripes.info.mean, stripes.info.std))
            (found,) = targets.of(view, batch.indices)
            assert torch.allclose(found, live, rtol=1e-3, atol=2e-3)


def test_views_have_logits_of_their_own(
    teacher: Teacher, stripes: Dataset, views: tuple[View, ...], tmp_path: Path
) -> None:
    targets = open_soft_targets(_cached(teacher, stripes, views, tmp_path))
    images = torch.arange(len(stripes.training))
    apart = (targets.of(views[0], images) - targets.of(views[1], images)).abs().mean()
    assert apart > 0.05


def test_the_second_study_finds_them_without_asking_the_teacher(
    teacher: Teacher,
    asked: _Counted,
    stripes: Dataset,
    views: tuple[View, ...],
    tmp_path: Path,
) -> None:
    folder = _cached(teacher, stripes, views, tmp_path)
    assert asked.images == len(views) * len(stripes.training)
    assert _cached(teacher, stripes, views, tmp_path) == folder
    assert asked.images == len(views) * len(stripes.training)


@pytest.mark.parametrize("damage", ["flip", "truncate", "remove"])
def test_fault_12_a_damaged_file_is_computed_again(
    damage: str, teacher: Teacher, stripes: Dataset, views: tuple[View, ...], tmp_path: Path
) -> None:
    folder = _cached(teacher, stripes, views, tmp_path)
    file = folder / "logits.npy"
    whole = file.read_bytes()
    if damage == "remove":
        file.unlink()
    else:
        changed = whole[:-1] if damage == "truncate" else whole[:-1] + bytes([whole[-1] ^ 1])
        file.write_bytes(changed)
    assert _cached(teacher, stripes, views, tmp_path) == folder
    assert file.read_bytes() == whole
    assert damaged_files(folder) == []


def test_another_teacher_and_other_views_have_others(
    teacher: Teacher, asked: _Counted, stripes: Dataset, views: tuple[View, ...], tmp_path: Path
) -> None:
    moved = tuple(View(number=v.number, seed=1, shift=v.shift, flip=v.flip) for v in views)
    other = Teacher("other", asked, "another digest", "cpu")
    folders = {
        _cached(teacher, stripes, views, tmp_path),
        _cached(teacher, stripes, moved, tmp_path),
        _cached(other, stripes, views, tmp_path),
    }
    assert len(folders) == 3


def test_logits_are_mapped_and_not_read(
    teacher: Teacher, stripes: Dataset, views: tuple[View, ...], tmp_path: Path
) -> None:
    logits = open_soft_targets(_cached(teacher, stripes, views, tmp_path)).logits
    assert isinstance(logits.base, np.memmap)
    assert not logits.flags.writeable
    assert (logits.dtype, logits.shape) == (np.float16, (1, 2, len(stripes.training), 3))


def test_each_member_of_an_ensemble_has_logits_of_its_own(
    schooled: nn.Module, stripes: Dataset, views: tuple[View, ...], tmp_path: Path
) -> None:
    other = copy.deepcopy(schooled)
    other.get_classifier().weight.data.neg_()
    both = Teacher("two", Ensemble([schooled, other]).eval(), "two", "cpu")
    targets = open_soft_targets(_cached(both, stripes, views, tmp_path))
    (batch,) = stripes.training.batches(len(stripes.training), view=views[1])
    found = targets.of(views[1], batch.indices)
    with torch.inference_mode():
        images = normalize(batch.images, stripes.info.mean, stripes.info.std)
        live = torch.stack([schooled(images), other(images)])
    assert torch.allclose(found, live, rtol=1e-3, atol=2e-3)


def test_logits_beyond_half_precision_stay_finite(
    stripes: Dataset, views: tuple[View, ...], tmp_path: Path
) -> None:
    class Loud(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return torch.tensor([[1e6, -1e6, 0.0]]).expand(len(images), 3)

    loud = Teacher("loud", Loud(), "loud", "cpu")
    targets = open_soft_targets(_cached(loud, stripes, views, tmp_path))
    found = targets.of(views[0], torch.tensor([3]))
    assert found.tolist() == [[[65504.0, -65504.0, 0.0]]]

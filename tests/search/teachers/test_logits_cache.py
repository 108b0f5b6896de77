import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from search.data.dataset import Dataset, normalize
from search.data.views.view import Views
from search.files.atomic import damaged_files
from search.files.filestore import FolderStore
from search.teachers.adapters import Ensemble, OrderedTeacher, adapt
from search.teachers.logits_cache import CachedLogits, soft_targets
from search.teachers.prepared import Teacher
from search.teachers.setting import network_digest


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


def _cached(teacher: Teacher, dataset: Dataset, views: Views, cache: Path) -> CachedLogits:
    return soft_targets(
        teacher, dataset, views, cache=FolderStore.of(cache), progress=lambda _: None
    )


def _folders(found: CachedLogits) -> list[Path]:
    return sorted(found.folders.folder.glob(f"{found.key}-*"))


def test_logits_are_a_live_teachers_for_the_very_images_that_students_see(
    teacher: Teacher,
    asked: _Counted,
    stripes: Dataset,
    views: Views,
    tmp_path: Path,
) -> None:
    targets = _cached(teacher, stripes, views, tmp_path)
    order = torch.randperm(len(stripes.training), generator=torch.Generator().manual_seed(5))
    for view in map(views.in_epoch, range(2)):
        # As a student's training goes through them: shuffled, in other batches.
        for batch in stripes.training.batches(10, order=order, view=view):
            with torch.inference_mode():
                live = asked(normalize(batch.images, stripes.info.mean, stripes.info.std))
            (found,) = targets.of(view, batch.indices)
            assert torch.allclose(found, live, rtol=1e-3, atol=2e-3)


def test_views_have_logits_of_their_own(
    teacher: Teacher, stripes: Dataset, views: Views, tmp_path: Path
) -> None:
    targets = _cached(teacher, stripes, views, tmp_path)
    images = torch.arange(len(stripes.training))
    apart = (
        (targets.of(views.in_epoch(0), images) - targets.of(views.in_epoch(1), images)).abs().mean()
    )
    assert apart > 0.05


def test_the_second_study_finds_them_without_asking_the_teacher(
    teacher: Teacher,
    asked: _Counted,
    stripes: Dataset,
    views: Views,
    tmp_path: Path,
) -> None:
    found = _cached(teacher, stripes, views, tmp_path)
    assert asked.images == 2 * len(stripes.training)
    assert _cached(teacher, stripes, views, tmp_path) == found
    assert asked.images == 2 * len(stripes.training)
    # A study with more views adds only those that are missing.
    assert _cached(teacher, stripes, replace(views, count=3), tmp_path) == found
    assert asked.images == 3 * len(stripes.training)
    assert len(_folders(found)) == 3


@pytest.mark.parametrize("damage", ["flip", "truncate", "remove"])
def test_fault_12_a_damaged_file_is_computed_again(
    damage: str, teacher: Teacher, stripes: Dataset, views: Views, tmp_path: Path
) -> None:
    found = _cached(teacher, stripes, views, tmp_path)
    folder = _folders(found)[1]
    file = folder / "logits.npy"
    whole = file.read_bytes()
    if damage == "remove":
        file.unlink()
    else:
        changed = whole[:-1] if damage == "truncate" else whole[:-1] + bytes([whole[-1] ^ 1])
        file.write_bytes(changed)
    assert _cached(teacher, stripes, views, tmp_path) == found
    assert file.read_bytes() == whole
    assert damaged_files(folder) == []


def test_another_teacher_and_other_views_have_others(
    teacher: Teacher, asked: _Counted, stripes: Dataset, views: Views, tmp_path: Path
) -> None:
    moved = replace(views, seed=1)
    other = Teacher("other", asked, "another digest", "cpu")
    colored = replace(views, augmentation=replace(views.augmentation, color=0.2))
    keys = {
        _cached(teacher, stripes, views, tmp_path).key,
        _cached(teacher, stripes, moved, tmp_path).key,
        _cached(teacher, stripes, colored, tmp_path).key,
        _cached(other, stripes, views, tmp_path).key,
    }
    assert len(keys) == 4


def test_each_member_of_an_ensemble_has_logits_of_its_own(
    schooled: nn.Module, stripes: Dataset, views: Views, tmp_path: Path
) -> None:
    other = copy.deepcopy(schooled)
    other.get_classifier().weight.data.neg_()
    both = Teacher("two", Ensemble([schooled, other]).eval(), "two", "cpu")
    targets = _cached(both, stripes, views, tmp_path)
    (batch,) = stripes.training.batches(len(stripes.training), view=views.in_epoch(1))
    found = targets.of(views.in_epoch(1), batch.indices)
    with torch.inference_mode():
        images = normalize(batch.images, stripes.info.mean, stripes.info.std)
        live = torch.stack([schooled(images), other(images)])
    assert torch.allclose(found, live, rtol=1e-3, atol=2e-3)


def test_logits_beyond_half_precision_stay_finite(
    stripes: Dataset, views: Views, tmp_path: Path
) -> None:
    class Loud(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return torch.tensor([[1e6, -1e6, 0.0]]).expand(len(images), 3)

    loud = Teacher("loud", Loud(), "loud", "cpu")
    targets = _cached(loud, stripes, views, tmp_path)
    found = targets.of(views.in_epoch(0), torch.tensor([3]))
    assert found.tolist() == [[[65504.0, -65504.0, 0.0]]]


def test_a_member_sees_each_view_at_its_own_resolution(
    schooled: nn.Module, stripes: Dataset, views: Views, tmp_path: Path
) -> None:
    sizes = []

    class Seeing(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            sizes.append(images.shape[-1])
            return images.mean(dim=(2, 3)).expand(-1, 3)

    mean, std = np.array(stripes.info.mean), np.array(stripes.info.std)
    large = adapt(Seeing(), stripes.info, 48, (mean, std))
    names = {name: name for name in stripes.info.classes}
    ordered = OrderedTeacher(large, names=[*names], columns=range(3))
    both = Teacher("two", Ensemble([ordered, schooled]).eval(), "two", "cpu")
    targets = _cached(both, stripes, replace(views, count=1), tmp_path)
    assert set(sizes) == {48}
    view = views.in_epoch(0)
    (batch,) = stripes.training.batches(len(stripes.training), view=view, image_size=48)
    with torch.inference_mode():
        live = large(normalize(batch.images, stripes.info.mean, stripes.info.std))
    assert torch.allclose(targets.of(view, batch.indices)[0], live, rtol=1e-3, atol=2e-3)

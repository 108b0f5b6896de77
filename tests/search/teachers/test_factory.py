"""A person's own code as a teacher: a file by its path, and what is known of it."""

import sys
from pathlib import Path

import pytest
from torch import nn

from search.config.study import TeacherSettings
from search.data.dataset import Dataset
from search.errors import TeacherError
from search.files.filestore import FolderStore
from search.objectives.metrics import ACCURACY
from search.teachers.factory import factory_digest, from_factory
from search.teachers.saved_teacher import open_teachers, save_teacher
from search.teachers.setting import TeacherContext
from search.teachers.teacher import Teacher, prepare_teacher
from tests.messages import naming

NETS = """
import timm
def make(*, classes, channels, image_size):
    return timm.create_model("test_resnet", num_classes=classes, in_chans=channels)
"""


@pytest.fixture
def nets(tmp_path: Path) -> Path:
    path = tmp_path / "code" / "timm.py"  # by its name alone, it would be taken for a library
    path.parent.mkdir()
    path.write_text(NETS)
    return path


def _taught(settings: TeacherSettings, dataset: Dataset, cache: Path) -> Teacher:
    room = TeacherContext(
        dataset=dataset,
        cache=FolderStore.of(cache),
        seed=0,
        device="cpu",
        metric=ACCURACY,
        allow_code=True,
        progress=lambda line: None,
    )
    return prepare_teacher([settings], room)


def test_fault_33_a_factorys_file_stands_in_for_no_module(nets: Path, stripes: Dataset) -> None:
    before, path = set(sys.modules), list(sys.path)
    network = from_factory(f"{nets}:make", stripes.info, allow_code=True)
    assert isinstance(network, nn.Module)
    assert sys.path == path
    (name,) = (name for name in set(sys.modules) - before if name.startswith("_retort_factory"))
    assert sys.modules[name].__file__ == str(nets)
    assert sys.modules["timm"].__file__ != str(nets)


def test_a_changed_file_makes_another_teacher_and_another_training(
    nets: Path, stripes: Dataset, tmp_path: Path
) -> None:
    train = {"epochs": 1, "batch_size": 16}
    settings = TeacherSettings.model_validate({"factory": f"{nets}:make", "train": train})
    trainings = tmp_path / "cache" / "teachers"
    first = _taught(settings, stripes, tmp_path / "cache")
    assert _taught(settings, stripes, tmp_path / "cache").digest == first.digest
    assert len(list(trainings.glob("[!.]*"))) == 1
    nets.write_text(f"{NETS}# another\n")
    assert _taught(settings, stripes, tmp_path / "cache").digest != first.digest
    assert len(list(trainings.glob("[!.]*"))) == 2


def test_a_worker_loads_the_file_unless_it_has_changed_or_is_away(
    nets: Path, stripes: Dataset, tmp_path: Path
) -> None:
    settings = TeacherSettings(factory=f"{nets}:make")
    teacher = _taught(settings, stripes, tmp_path / "cache")
    folder = save_teacher(
        teacher, [settings], stripes.info, cache=FolderStore.of(tmp_path / "cache")
    )
    assert len(open_teachers(folder, allow_code=True)) == 1
    open_teachers.cache_clear()
    with pytest.raises(TeacherError, match=naming("--allow-code")):
        open_teachers(folder, allow_code=False)
    nets.write_text(f"{NETS}# another\n")
    with pytest.raises(TeacherError, match=naming(f"{nets}:make")):
        open_teachers(folder, allow_code=True)
    nets.unlink()
    with pytest.raises(TeacherError, match=naming("teacher.factory", nets)):
        open_teachers(folder, allow_code=True)


def test_an_installed_module_has_no_file_to_tell_of() -> None:
    assert factory_digest("package.module:make") == factory_digest(None) == ""


def test_a_file_that_does_not_run_is_named_and_leaves_no_module(
    nets: Path, stripes: Dataset
) -> None:
    before = set(sys.modules)
    nets.write_text("def make(")
    with pytest.raises(TeacherError, match=naming(f"{nets}:make")):
        from_factory(f"{nets}:make", stripes.info, allow_code=True)
    assert not [name for name in set(sys.modules) - before if name.startswith("_retort_factory")]

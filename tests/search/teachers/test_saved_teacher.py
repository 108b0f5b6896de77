"""Teachers as files, and the trials that are shown what they see."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from search.config.teacher_settings import TeacherSettings
from search.data.dataset import Dataset
from search.errors import TeacherError
from search.evaluation.artifact import Provenance, write_student
from search.files.atomic import written_whole
from search.files.filestore import FolderStore
from search.objectives.metrics import ACCURACY
from search.teachers.saved_teacher import check_members_features, open_teachers, save_teacher
from search.teachers.setting import TeacherContext
from search.teachers.teacher import prepare_teacher
from spaces.features import features_of, maps_alone
from spaces.pruning.magnitude import Magnitude
from tests.messages import naming

IMAGES = torch.randn(4, 1, 32, 32, generator=torch.Generator().manual_seed(0))
MADE_HERE = """
import timm
from torch import nn
def make(*, classes, channels, image_size):
    return timm.create_model("test_resnet", num_classes=classes, in_chans=channels)
def make_plain(*, classes, channels, image_size):
    return nn.Sequential(nn.Flatten(), nn.Linear(channels * image_size**2, classes))
"""


@pytest.fixture
def checkpoint(schooled: nn.Module, tmp_path: Path) -> Path:
    save_file(schooled.state_dict(), tmp_path / "teacher.safetensors")
    return tmp_path / "teacher.safetensors"


@pytest.fixture
def exported(schooled: nn.Module, stripes: Dataset, recipe, tmp_path: Path) -> Path:
    pruned, cuts = Magnitude(ratio=0.3).apply(schooled, torch.zeros(1, 1, 32, 32))
    provenance = Provenance(
        params=recipe().to_params(), cuts=tuple(cuts), data=stripes.info, origin={}
    )
    with written_whole(tmp_path / "student") as folder:
        write_student(folder, pruned, provenance)
    return tmp_path / "student"


@pytest.fixture
def made_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "made_here.py").write_text(MADE_HERE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "made_here", raising=False)


@pytest.fixture
def saved(stripes: Dataset, tmp_path: Path) -> Callable[..., tuple[tuple[nn.Module, ...], Path]]:
    """Makes a teacher ready and saves it; its networks, and their folder."""

    def save(*members: dict[str, object]) -> tuple[tuple[nn.Module, ...], Path]:
        room = TeacherContext(
            dataset=stripes,
            cache=FolderStore.of(tmp_path / "cache"),
            seed=0,
            device="cpu",
            metric=ACCURACY,
            allow_code=True,
            progress=lambda _: None,
        )
        settings = [TeacherSettings(**member) for member in members]  # type: ignore[arg-type]
        teacher = prepare_teacher(settings, room)
        check_members_features(teacher, stripes.info)
        return teacher.members, save_teacher(teacher, settings, stripes.info, cache=room.cache)

    return save


def test_an_exported_teacher_is_opened_where_the_export_is_not(
    saved: Callable[..., tuple[tuple[nn.Module, ...], Path]], exported: Path
) -> None:
    networks, folder = saved({"exported": exported})
    shutil.rmtree(exported)
    assert _same(open_teachers(folder, allow_code=False), networks)


def _same(networks: tuple[nn.Module, ...], others: tuple[nn.Module, ...]) -> bool:
    with torch.inference_mode():
        return len(networks) == len(others) and all(
            torch.equal(one(IMAGES), other(IMAGES))
            and all(
                map(
                    torch.equal,
                    maps_alone(one, IMAGES, features_of(one, IMAGES)),
                    maps_alone(other, IMAGES, features_of(other, IMAGES)),
                )
            )
            for one, other in zip(networks, others, strict=True)
        )


def test_a_teacher_of_a_checkpoint_is_opened_as_it_was(saved, checkpoint: Path) -> None:
    networks, folder = saved({"model": "test_resnet", "checkpoint": checkpoint})
    checkpoint.unlink()
    opened = open_teachers(folder, allow_code=False)
    assert _same(opened, networks)
    assert not opened[0].training
    assert not any(parameter.requires_grad for parameter in opened[0].parameters())


def test_a_teacher_that_takes_other_pixels_is_opened_as_it_was(saved, checkpoint: Path) -> None:
    settings = {"image_size": 48, "mean": [0.4], "std": [0.3]}
    networks, folder = saved({"model": "test_resnet", "checkpoint": checkpoint, **settings})
    assert _same(open_teachers(folder, allow_code=False), networks)


def test_a_teacher_trained_here_is_opened_as_it_was(saved) -> None:
    networks, folder = saved({"model": "test_vit", "train": {"epochs": 1, "batch_size": 16}})
    assert _same(open_teachers(folder, allow_code=False), networks)


def test_a_pruned_student_that_teaches_is_opened_as_it_was(saved, exported: Path) -> None:
    networks, folder = saved({"exported": exported})
    assert _same(open_teachers(folder, allow_code=False), networks)


def test_an_ensemble_is_opened_as_it_was(saved, checkpoint: Path, exported: Path) -> None:
    networks, folder = saved(
        {"model": "test_resnet", "checkpoint": checkpoint}, {"exported": exported}
    )
    assert _same(open_teachers(folder, allow_code=False), networks)


@pytest.mark.usefixtures("made_here")
def test_a_factorys_teacher_is_opened_as_it_was_where_code_is_allowed(saved) -> None:
    networks, folder = saved({"factory": "made_here:make"})
    assert _same(open_teachers(folder, allow_code=True), networks)
    with pytest.raises(TeacherError, match=naming("made_here:make", "--allow-code")):
        open_teachers(folder, allow_code=False)


@pytest.mark.usefixtures("made_here")
def test_a_teacher_that_gives_no_features_is_refused(saved) -> None:
    with pytest.raises(TeacherError, match=naming("Sequential")):
        saved({"factory": "made_here:make_plain"})


def test_a_damaged_teacher_is_refused_and_written_again_by_the_next_run(
    saved, checkpoint: Path
) -> None:
    settings = {"model": "test_resnet", "checkpoint": checkpoint}
    networks, folder = saved(settings)
    weights = folder / "member-0.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(TeacherError, match=naming(folder, "member-0.safetensors")):
        open_teachers(folder, allow_code=False)
    assert saved(settings)[1] == folder
    assert _same(open_teachers(folder, allow_code=False), networks)


def test_another_process_opens_the_same_teacher(saved, checkpoint: Path, tmp_path: Path) -> None:
    (network,), folder = saved({"model": "test_resnet", "checkpoint": checkpoint})
    script = (
        "import sys, torch; from pathlib import Path\n"
        "from search.teachers.saved_teacher import open_teachers\n"
        "(network,) = open_teachers(Path(sys.argv[1]), allow_code=False)\n"
        "torch.save(network(torch.load(sys.argv[2], weights_only=True)), sys.argv[3])\n"
    )
    shown, given = tmp_path / "images.pt", tmp_path / "logits.pt"
    torch.save(IMAGES, shown)
    subprocess.run([sys.executable, "-c", script, folder, shown, given], check=True)
    assert torch.allclose(torch.load(given, weights_only=True), network(IMAGES), atol=1e-6)

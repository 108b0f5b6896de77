"""Teachers of other classes, which teach by what they see."""

import copy
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from search.config.study import Study
from search.config.teacher_settings import TeacherSettings
from search.data.dataset import Dataset
from search.errors import TeacherError
from search.files.filestore import FolderStore
from search.objectives.metrics import ACCURACY
from search.pipeline.setup import prepare_context
from search.pipeline.study_context import open_context
from search.pipeline.trial import finish, run_trial
from search.progress import SilentCallback
from search.records import TrialState
from search.teachers.linear_probe import probed, with_classes
from search.teachers.prepared import Teacher
from search.teachers.saved_teacher import open_teachers, save_teacher
from search.teachers.setting import TeacherContext
from search.teachers.teacher import prepare_teacher
from search.training.validation import predictions_of
from spaces.distillation.attention import Attention
from spaces.features import features_of, maps_alone
from spaces.students.timm_model import Timm
from tests.messages import naming

HEADLESS = """
import timm
def make(*, classes, channels, image_size):
    return timm.create_model("test_resnet", num_classes=0, in_chans=channels)
"""
IMAGES = torch.randn(4, 1, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def stranger(schooled: nn.Module) -> nn.Module:
    """A network that sees the stripes well, and tells ten other classes from them."""
    torch.manual_seed(3)
    return with_classes(copy.deepcopy(schooled), 10).eval()


@pytest.fixture
def checkpoint(stranger: nn.Module, tmp_path: Path) -> Path:
    save_file(stranger.state_dict(), tmp_path / "stranger.safetensors")
    return tmp_path / "stranger.safetensors"


def _room(dataset: Dataset, cache: Path, *, features_alone: bool = True) -> TeacherContext:
    return TeacherContext(
        dataset=dataset,
        cache=FolderStore.of(cache),
        seed=0,
        device="cpu",
        metric=ACCURACY,
        allow_code=False,
        progress=lambda _: None,
        features_alone=features_alone,
    )


def _taught(settings: dict[str, object], room: TeacherContext) -> Teacher:
    return prepare_teacher([TeacherSettings(**settings)], room)  # type: ignore[arg-type]


def test_a_probe_tells_the_datas_classes_by_what_the_network_sees(
    stranger: nn.Module, schooled: nn.Module, stripes: Dataset, tmp_path: Path
) -> None:
    network = probed(stranger, _room(stripes, tmp_path))
    own = predictions_of(schooled, stripes.validation, stripes).right.mean()
    assert predictions_of(network, stripes.validation, stripes).right.mean() > own - 0.1
    assert predictions_of(network, stripes.training, stripes).right.mean() > 0.9


def test_a_probe_is_the_optimum_of_its_own_loss(
    stranger: nn.Module, stripes: Dataset, tmp_path: Path
) -> None:
    """Scikit-learn is no dependency: at a regression's optimum, mean predictions are the shares."""
    network = probed(stranger, _room(stripes, tmp_path))
    predicted = []
    with torch.inference_mode():
        for batch in stripes.training.batches(64):
            mean, std = torch.tensor(stripes.info.mean), torch.tensor(stripes.info.std)
            images = (batch.images / 255 - mean.view(-1, 1, 1)) / std.view(-1, 1, 1)
            predicted.append(network(images).softmax(dim=1))
    shares = np.bincount(stripes.training.labels) / len(stripes.training)
    assert torch.cat(predicted).mean(dim=0).numpy() == pytest.approx(shares, abs=1e-3)


def test_what_a_network_sees_is_as_it_was_before_the_probe(
    stranger: nn.Module, stripes: Dataset, tmp_path: Path
) -> None:
    before = maps_alone(stranger, IMAGES, features_of(stranger, IMAGES))
    network = probed(stranger, _room(stripes, tmp_path))
    after = maps_alone(network, IMAGES, features_of(network, IMAGES))
    assert all(map(torch.equal, after, before))


def test_a_teacher_of_other_classes_is_taken_only_where_its_features_are_all_that_is_asked(
    checkpoint: Path, stripes: Dataset, tmp_path: Path
) -> None:
    settings: dict[str, object] = {"model": "test_resnet", "checkpoint": checkpoint}
    with pytest.raises(TeacherError, match=naming(3, "[2, 10]")):
        _taught(settings, _room(stripes, tmp_path, features_alone=False))
    assert _taught(settings, _room(stripes, tmp_path)).network(IMAGES).shape == (4, 3)


def test_a_teacher_that_comes_without_a_classifier_is_given_one_and_opened_by_workers(
    stripes: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As timm's networks of self-supervised weights do."""
    (tmp_path / "headless.py").write_text(HEADLESS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "headless", raising=False)
    settings: dict[str, object] = {"factory": "headless:make"}
    room = replace(_room(stripes, tmp_path / "cache"), allow_code=True)
    with pytest.raises(TeacherError, match=naming(3, "[2, 96]")):
        _taught(settings, replace(room, features_alone=False))
    teacher = _taught(settings, room)
    assert teacher.network(IMAGES).shape == (4, 3)
    members = [TeacherSettings(**settings)]  # type: ignore[arg-type]
    folder = save_teacher(teacher, members, stripes.info, cache=room.cache)
    (opened,) = open_teachers(folder, allow_code=True)
    assert torch.equal(opened(IMAGES), teacher.network(IMAGES))


@pytest.mark.parametrize("more", [{}, {"image_size": 48}], ids=["as it is", "adapted"])
def test_it_is_opened_by_workers_as_it_was(
    more: dict[str, object], checkpoint: Path, stripes: Dataset, tmp_path: Path
) -> None:
    settings: dict[str, object] = {"model": "test_resnet", "checkpoint": checkpoint, **more}
    room = _room(stripes, tmp_path / "cache")
    teacher = _taught(settings, room)
    folder = save_teacher(
        teacher,
        [TeacherSettings(**settings)],  # type: ignore[arg-type]
        stripes.info,
        cache=room.cache,
    )
    (opened,) = open_teachers(folder, allow_code=False)
    assert torch.equal(opened(IMAGES), teacher.network(IMAGES))


def test_a_network_without_a_linear_classifier_is_refused(stripes: Dataset, tmp_path: Path) -> None:
    with pytest.raises(TeacherError, match=naming("Sequential", "train: {}")):
        probed(nn.Sequential(nn.Flatten(), nn.Linear(1024, 10)), _room(stripes, tmp_path))


def test_a_student_learns_from_a_teacher_of_other_classes(
    checkpoint: Path, stripes_file: Path, tmp_path: Path, recipe
) -> None:
    study = Study.model_validate(
        {
            "study": "transfer",
            "data": {"source": "npz", "path": stripes_file, "image_size": 32, "flip": False},
            "teacher": {"model": "test_resnet", "checkpoint": checkpoint},
            "space": {
                "student": {"timm": {"model": "test_resnet"}},
                "distillation": ["labels", "attention"],
            },
            "run": {"cache": tmp_path / "cache", "artifacts": tmp_path / "artifacts"},
        }
    )
    spec, teacher = prepare_context(study, SilentCallback())  # type: ignore[arg-type]
    assert teacher.quality["accuracy"].value > 0.8  # the probe's
    trial = run_trial(
        recipe(student=Timm(), distillation=Attention()), open_context(spec), number=0, seed=0
    )
    outcome = finish(trial)
    assert outcome.state is TrialState.COMPLETE, outcome.failure
    assert outcome.quality
    assert outcome.quality["accuracy"].value > 0.5

"""What is told of data of which some classes have far more images than others."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import save_file
from torch import nn

from search.cli.planning import print_plan
from search.config.data_settings import DataSettings
from search.config.study import Study
from search.data.dataset import Dataset
from search.data.prepare import prepare
from search.files.filestore import FolderStore
from search.objectives.goal import DEFAULT_GOAL, Goal
from search.pipeline.balance import ClassBalance
from search.pipeline.setup import prepare_context
from search.tuner.plan import plan_study
from tests.messages import naming
from tests.recorder import TrialRecorder

SUGGESTION = "search.objective: balanced_accuracy"

WithClasses = Callable[..., Path]


@pytest.fixture
def with_classes(tmp_path: Path) -> WithClasses:
    """Writes a file of noise with so many images of each class, in one pool or in two parts."""

    def write(counts: Sequence[int], validation: Sequence[int] = ()) -> Path:
        arrays = {}
        for name, wanted in (("", counts), ("val_", validation), ("test_", validation)):
            if wanted:
                labels = np.repeat(np.arange(len(wanted)), wanted)
                noise = np.random.default_rng(0).integers(0, 256, (len(labels), 8, 8), np.uint8)
                arrays |= {f"{name}images": noise, f"{name}labels": labels}
        path = tmp_path / "noise.npz"
        np.savez(path, **arrays)
        return path

    return write


def _prepared(path: Path) -> Dataset:
    settings = DataSettings(source="npz", path=path, image_size=8, flip=False)
    return prepare(settings, seed=0, cache=FolderStore.of(path.parent / "cache"))


def test_imbalanced_classes_are_told_with_what_the_largest_alone_would_give(
    with_classes: WithClasses,
) -> None:
    balance = ClassBalance.of(_prepared(with_classes([400, 100, 100])))
    warning = balance.warning(DEFAULT_GOAL)
    assert warning
    sizes = balance.training
    assert sizes.largest_images == 4 * sizes.smallest_images
    found = naming("'0'", sizes.largest_images, "'1'", sizes.smallest_images, "66.67%", "33.33%")
    assert found.search(warning)
    assert SUGGESTION in warning
    assert balance.constant["accuracy"].value == pytest.approx(2 / 3)
    assert balance.constant["balanced_accuracy"].value == pytest.approx(1 / 3)


def test_a_study_that_weighs_all_classes_alike_gets_no_advice(with_classes: WithClasses) -> None:
    balance = ClassBalance.of(_prepared(with_classes([400, 100, 100])))
    warning = balance.warning(Goal.of("balanced_accuracy", ["size"]))
    assert warning
    assert "search.objective" not in warning


@pytest.mark.parametrize("counts", [[60, 60], [100, 80, 50]])
def test_nothing_is_told_of_balanced_classes(
    counts: Sequence[int], with_classes: WithClasses
) -> None:
    assert ClassBalance.of(_prepared(with_classes(counts))).warning(DEFAULT_GOAL) is None


def test_an_even_validation_part_hides_no_class(with_classes: WithClasses) -> None:
    balance = ClassBalance.of(_prepared(with_classes([80, 20], [10, 10])))
    warning = balance.warning(DEFAULT_GOAL)
    assert warning
    assert naming(80, "training", 20).search(warning)
    assert "search.objective" not in warning


def test_a_class_without_validation_images_is_imbalance(with_classes: WithClasses) -> None:
    balance = ClassBalance.of(_prepared(with_classes([20, 20], [10, 0])))
    assert balance.validation.smallest_images == 0
    assert SUGGESTION in (balance.warning(DEFAULT_GOAL) or "")


def _study(data: Path, teacher: Path) -> Study:
    return Study.model_validate(
        {
            "study": "signs",
            "data": {"source": "npz", "path": data, "image_size": 32, "flip": False},
            "teacher": {"model": "test_resnet", "checkpoint": teacher},
            "space": {
                "student": {"timm": {"model": "test_resnet"}},
                "training": {"standard": {"epochs": 2, "batch_size": 16}},
                "distillation": ["labels"],
            },
            "run": {
                "cache": data.parent / "cache",
                "artifacts": data.parent / "artifacts",
            },
        }
    )


def test_plan_and_run_tell_that_data_are_imbalanced(
    with_classes: WithClasses,
    schooled: nn.Module,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    save_file(schooled.state_dict(), tmp_path / "teacher.safetensors")
    study = _study(with_classes([120, 30, 30]), tmp_path / "teacher.safetensors")
    recorder = TrialRecorder()
    prepare_context(study, recorder)
    assert any(SUGGESTION in line for line in recorder.noted)
    plan = plan_study(study, progress=recorder.log)
    assert plan.to_json()["balance"]["training"] == asdict(plan.balance.training)
    print_plan(plan, study)
    assert SUGGESTION in capsys.readouterr().out

"""Images without labels: beside the three parts, and looked at by label_free alone."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from search.config.data_settings import DataSettings
from search.config.study import Study
from search.data.dataset import NO_LABEL, Dataset, normalize
from search.data.joined import for_learning
from search.data.prepare import prepare
from search.data.views.augmentation import Augmentation
from search.data.views.view import View, Views
from search.errors import BadInput, DataError
from search.files.filestore import FolderStore
from search.pipeline.checks import check_study
from search.pipeline.study_context import StudyContext
from search.pipeline.trial import finish, run_trial
from search.records import TrialState
from search.teachers.logits_cache import soft_targets
from search.teachers.prepared import Teacher
from spaces.distillation.label_free import LabelFree
from spaces.distillation.labels import Labels
from spaces.training.standard import Standard
from tests.messages import naming

IMAGES = 40
WAYS = pytest.mark.parametrize("in_memory", ["1MB", "1B"], ids=["in memory", "streamed"])


@pytest.fixture
def unlabelled(tmp_path: Path) -> Path:
    """A folder of stripes in files, some of them in a folder below it."""
    root = tmp_path / "unlabelled"
    (root / "more").mkdir(parents=True)
    generator = np.random.default_rng(1)
    rows, columns = np.mgrid[:32, :32]
    for number in range(IMAGES):
        along = (rows, columns, rows + columns)[number % 3] + generator.uniform(0, 6)
        pixels = 128 + 60 * np.sin(along) + generator.normal(0, 25, along.shape)
        folder = root / "more" if number % 2 else root
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / f"{number:03}.png")
    return root


@pytest.fixture
def both(stripes_file: Path, unlabelled: Path, tmp_path: Path) -> Dataset:
    return _prepared(stripes_file, unlabelled, tmp_path)


def _prepared(stripes_file: Path, unlabelled: Path | None, folder: Path, **more: object) -> Dataset:
    settings = DataSettings(
        source="npz", path=stripes_file, image_size=32, flip=False, unlabelled=unlabelled, **more
    )  # type: ignore[arg-type]
    return prepare(settings, seed=0, cache=FolderStore.of(folder / "cache"))


def test_the_three_parts_are_as_they_are_without(both: Dataset, stripes: Dataset) -> None:
    for part in ("training", "validation", "test"):
        own, other = getattr(both, part), getattr(stripes, part)
        assert np.array_equal(own.labels, other.labels)
        assert torch.equal(next(own.batches(9)).images, next(other.batches(9)).images)
    assert (both.info.mean, both.info.std) == (stripes.info.mean, stripes.info.std)
    assert both.info.digest != stripes.info.digest
    assert stripes.unlabelled is None


@WAYS
def test_every_image_below_the_folder_is_there_without_a_label(
    in_memory: str, stripes_file: Path, unlabelled: Path, tmp_path: Path
) -> None:
    both = _prepared(stripes_file, unlabelled, tmp_path, in_memory=in_memory)
    assert both.unlabelled is not None
    assert both.info.unlabelled == len(both.unlabelled) == IMAGES
    (batch,) = both.unlabelled.batches(IMAGES)
    assert batch.images.shape == (IMAGES, 1, 32, 32)
    assert batch.labels.tolist() == [NO_LABEL] * IMAGES
    first = np.asarray(Image.open(unlabelled / "000.png"))
    assert np.array_equal(batch.images[0, 0].numpy(), first)


@WAYS
def test_images_to_learn_from_come_in_the_order_asked_for_from_both_parts(
    in_memory: str, stripes_file: Path, unlabelled: Path, tmp_path: Path
) -> None:
    both = _prepared(stripes_file, unlabelled, tmp_path, in_memory=in_memory)
    learned = for_learning(both, by_labels=False).training
    view = View(1, 0, Augmentation(shift=0.1))
    training = len(both.training)
    assert len(learned) == training + IMAGES
    order = torch.randperm(len(learned), generator=torch.Generator().manual_seed(0))
    found = {
        int(index): (image, int(label))
        for batch in learned.batches(16, order=order, view=view, drop_last=False)
        for index, image, label in zip(batch.indices, batch.images, batch.labels, strict=True)
    }
    assert list(found) == order.tolist()
    assert both.unlabelled is not None
    (own,) = both.training.batches(training, view=view)
    (other,) = both.unlabelled.batches(IMAGES, view=view)
    for index, (image, label) in found.items():
        part, place = (own, index) if index < training else (other, index - training)
        assert torch.equal(image, part.images[place])
        assert label == part.labels[place]


def test_who_learns_by_labels_does_not_see_them(both: Dataset) -> None:
    assert for_learning(both, by_labels=True) is both


def test_validation_images_among_them_are_counted(
    stripes: Dataset, stripes_file: Path, unlabelled: Path, tmp_path: Path
) -> None:
    (batch,) = stripes.validation.batches(2, order=torch.arange(2))
    for number, image in enumerate(batch.images):
        Image.fromarray(image[0].numpy()).save(unlabelled / f"seen-{number}.png")
    assert _prepared(stripes_file, unlabelled, tmp_path).info.repeated == 2


def test_another_image_makes_another_data_set(
    both: Dataset, stripes_file: Path, unlabelled: Path, tmp_path: Path
) -> None:
    (unlabelled / "000.png").unlink()
    again = _prepared(stripes_file, unlabelled, tmp_path)
    assert again.info.unlabelled == IMAGES - 1
    assert again.info.digest != both.info.digest


def test_a_folder_without_images_is_refused(stripes_file: Path, tmp_path: Path) -> None:
    for folder in (tmp_path / "none", tmp_path):
        with pytest.raises(DataError, match=naming("data.unlabelled", folder)):
            _prepared(stripes_file, folder, tmp_path)


def test_a_study_that_opens_no_method_without_labels_is_refused(
    stripes_file: Path, unlabelled: Path
) -> None:
    def study(*methods: str) -> Study:
        return Study.model_validate(
            {
                "study": "stripes",
                "data": {"source": "npz", "path": stripes_file, "unlabelled": unlabelled},
                "teacher": {"model": "test_resnet", "train": {}},
                "space": {
                    "student": {"timm": {"model": "test_resnet"}},
                    "distillation": list(methods),
                },
            }
        )

    check_study(study("labels", "label_free"))
    facts = ("data.unlabelled", "space.distillation", "label_free")
    with pytest.raises(BadInput, match=naming(*facts)):
        check_study(study("labels", "soft_targets"))


def test_label_free_learns_from_them_by_the_teachers_logits_for_them(
    both: Dataset,
    schooled: nn.Module,
    views: Views,
    context: StudyContext,
    recipe,
    tmp_path: Path,
) -> None:
    teacher = Teacher("schooled", schooled, "schooled", "cpu")
    targets = soft_targets(
        teacher, both, views, cache=FolderStore.of(tmp_path / "soft"), progress=lambda _: None
    )
    training = len(both.training)
    assert both.unlabelled is not None
    (batch,) = both.unlabelled.batches(IMAGES, view=views.in_epoch(1))
    with torch.inference_mode():
        live = schooled(normalize(batch.images, both.info.mean, both.info.std))
    assert torch.allclose(
        targets.of(views.in_epoch(1), batch.indices + training)[0], live, rtol=1e-3, atol=2e-3
    )

    asked: list[int] = []

    def noted(view: View, indices: torch.Tensor) -> torch.Tensor:
        asked.extend(indices.tolist())
        return targets.of(view, indices)

    whole = replace(context, dataset=both, targets=noted)
    outcome = finish(run_trial(recipe(distillation=LabelFree()), whole, number=0, seed=0))
    assert outcome.state is TrialState.COMPLETE, outcome.failure
    assert outcome.quality
    assert outcome.quality["accuracy"].value > 0.5
    assert len(asked) == (training + IMAGES) // 16 * 16
    assert max(asked) >= training
    training_mixed = Standard(epochs=1, batch_size=16, warmup_epochs=0, mixup=0.4, cutmix=0.4)
    mixed = recipe(distillation=LabelFree(), training=training_mixed)
    outcome = finish(run_trial(mixed, whole, number=2, seed=0))
    assert outcome.state is TrialState.COMPLETE, outcome.failure
    by_labels = finish(run_trial(recipe(distillation=Labels()), whole, number=1, seed=0))
    assert by_labels.state is TrialState.COMPLETE, by_labels.failure

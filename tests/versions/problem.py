"""A problem so small that every method and stage can be run on it in a second."""

import math
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from search.config.student_spec import StudentRequirements
from search.config.target_settings import TargetSettings
from search.data.dataset import DataInfo, Dataset, PartSizes
from search.data.parts import MemoryPart
from search.data.views.augmentation import Augmentation
from search.data.views.view import Views
from search.files.filestore import FolderStore
from search.objectives.budget import Budget
from search.objectives.metrics import ACCURACY
from search.pipeline.lineage import Lineage
from search.pipeline.stage_cache import StageCache
from search.pipeline.study_context import StudyContext
from search.storage.artifact_owner import Claim
from search.teachers.setting import TeacherContext
from search.training.training_plan import TrainingPlan
from search.training.validation import Validation
from spaces.distillation.labels import Labels
from spaces.pruning.none import NoPruning
from spaces.quantization.float32 import Float32
from spaces.recipe import Recipe
from spaces.students.timm_model import Timm
from spaces.training.standard import Standard

# A list of each kind of what a fingerprint tells.
Numbers = dict[str, list[float]]

CLASSES = 3
SIZE = 32
SHAPE = (1, SIZE, SIZE)
AUGMENTATION = Augmentation(shift=0.1, flip=True)
VIEWS = Views(seed=0, augmentation=AUGMENTATION, count=2)
# Trained where results are compared: no kink, and no largest of a few, turns rounding into more.
SMOOTH = "test_vit"
# Plain steps: where gradients are next to nothing, others move a weight by how it was rounded.
TRAINING = Standard(epochs=2, batch_size=8, learning_rate=0.02, optimizer="sgd", warmup_epochs=0)


def numbers(values: object) -> list[float]:
    """The root mean square, and a projection that tells places and signs apart."""
    line = torch.as_tensor(values).detach().double().flatten()
    wave = torch.cos(torch.arange(len(line), dtype=torch.float64))
    return [float(line.square().mean().sqrt()), float(line @ wave) / math.sqrt(len(line))]


def pixels(count: int, *, channels: int = 1, side: int = SIZE) -> np.ndarray:
    """Noise, [count, channels, side, side], uint8."""
    generator = np.random.default_rng(0)
    return generator.integers(0, 256, (count, channels, side, side), dtype=np.uint8)


def images(count: int, *, channels: int = 1) -> Tensor:
    """Noise as networks take it, [count, channels, SIZE, SIZE]."""
    return torch.from_numpy(pixels(count, channels=channels)).float() / 128 - 1


def network(model: str = "test_resnet", *, seed: int = 0, classes: int = CLASSES) -> nn.Module:
    """A network whose every tensor differs from its start, as training leaves it."""
    torch.manual_seed(seed)
    found = Timm(model=model).build(classes=classes, channels=1, image_size=SIZE)
    with torch.no_grad():
        for parameter in found.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
        found.train()(images(8))  # moves the statistics of normalisation
    return found.eval()


def outputs(found: nn.Module) -> list[float]:
    """Numbers of the logits of a network that takes grey images."""
    with torch.inference_mode():
        return numbers(found.eval()(images(4)))


def losses(found: nn.Module) -> Iterator[Tensor]:
    """The network's loss on two batches."""
    labels = torch.arange(4) % CLASSES
    for shift in range(2):
        yield functional.cross_entropy(found.eval()(images(4) + shift), labels)


def dataset() -> Dataset:
    """24 images to learn from, and twice 6."""
    parts = [
        MemoryPart(pixels=pixels(count), labels=np.arange(count) % CLASSES) for count in (24, 6, 6)
    ]
    info = DataInfo(
        source="digits",
        classes=("a", "b", "c"),
        channels=1,
        image_size=SIZE,
        mean=(0.5,),
        std=(0.25,),
        augmentation=AUGMENTATION,
        digest="noise",
        sizes=PartSizes(training=24, validation=6, test=6),
    )
    return Dataset(info, *parts, folder=Path("digits-noise"))


def plan(**choices: object) -> TrainingPlan:
    """Two epochs on the labels, with the choices that are named instead."""
    plain: dict[str, object] = {
        "stage": "distil",
        "training": TRAINING,
        "distillation": Labels(),
        "epochs": 2,
        "views": VIEWS,
        "targets": None,
        "seed": 0,
        "validation": Validation.of_teacher(ACCURACY, dataset()),
    }
    return TrainingPlan(**{**plain, **choices})  # type: ignore[arg-type]


def recipe(**choices: object) -> Recipe:
    """Two epochs on the labels, with the choices that are named instead."""
    plain: dict[str, object] = {
        "student": Timm(),
        "training": TRAINING,
        "distillation": Labels(),
        "pruning": NoPruning(),
        "quantization": Float32(),
    }
    return Recipe(**{**plain, **choices})  # type: ignore[arg-type]


def requirements() -> StudentRequirements:
    """Of students without a budget."""
    return StudentRequirements(
        classes=CLASSES, channels=1, image_size=SIZE, budget=Budget(), target=TargetSettings()
    )


def context(folder: Path) -> StudyContext:
    """A study of such students, which keeps no stage."""
    return StudyContext(
        requirements=requirements(),
        metric=ACCURACY,
        dataset=dataset(),
        views=VIEWS,
        targets=None,
        teachers=tuple,
        teacher_classes=np.zeros(6, np.int64),
        device="cpu",
        claim=Claim(FolderStore.of(folder), hold=""),
        origin={},
        lineage=Lineage(
            data="noise", views=VIEWS, teacher="teacher", device="cpu", metric="accuracy"
        ),
        stages=StageCache(folder, limit_bytes=0),
    )


def teacher_context(folder: Path, progress: Callable[[str], None]) -> TeacherContext:
    """Where a teacher of these images is made ready."""
    return TeacherContext(
        dataset=dataset(),
        cache=FolderStore.of(folder),
        seed=0,
        device="cpu",
        metric=ACCURACY,
        allow_code=False,
        progress=progress,
    )

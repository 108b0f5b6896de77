"""Students of Fashion-MNIST, trained on all 60,000 training images, to quantize in benchmarks.

    python -m benchmarks.small_students DATA NETS [STUDENT …]

DATA is the folder of Fashion-MNIST's four files. NETS is the folder of the trained students. A
student that it holds is not trained again. An interrupted training continues from its checkpoint.
"""

import argparse
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from torch import nn

from search.config.data_settings import DataSettings
from search.data.dataset import Dataset
from search.data.joined import JoinedPart
from search.data.prepare import prepare
from search.data.views.view import Views
from search.files.filestore import FolderStore
from search.objectives.metrics import ACCURACY
from search.targets.onnx_export import export_onnx
from search.training.checkpoint import Checkpoint
from search.training.trainer import train
from search.training.training_plan import TrainingPlan
from search.training.validation import Validation
from spaces.distillation.labels import Labels
from spaces.students.timm_model import Timm
from spaces.training.standard import Standard

SIZE = 32
_SEED = 0
# Validation is taken from the training images, which all train: it only shows that a training runs.
_WATCHED_SHARE = 0.01


@dataclass(frozen=True)
class SmallStudent:
    """A student, and how it is trained.

    Attributes:
        model: the name of a timm model.
        epochs: passes over the training images.
        learning_rate: for AdamW with batches of 128 images.
    """

    model: str
    epochs: int
    learning_rate: float


STUDENTS: Mapping[str, SmallStudent] = {
    student.model: student
    for student in (
        SmallStudent("test_vit", epochs=10, learning_rate=2e-3),
        SmallStudent("mobilenetv3_small_050", epochs=2, learning_rate=5e-3),
        SmallStudent("mobilenetv2_035", epochs=2, learning_rate=5e-3),
        SmallStudent("resnet10t", epochs=1, learning_rate=2e-3),
        SmallStudent("tinynet_e", epochs=1, learning_rate=5e-3),
    )
}


def open_images(data: Path, cache: Path) -> Dataset:
    """Return Fashion-MNIST; its training part holds all 60,000 images, its test part 10,000."""
    settings = DataSettings(
        source="fashion_mnist",
        path=data,
        image_size=SIZE,
        validation_share=_WATCHED_SHARE,
    )
    dataset = prepare(settings, seed=_SEED, cache=FolderStore.of(str(cache)))
    return replace(dataset, training=JoinedPart(dataset.training, dataset.validation))


def exported_student(student: SmallStudent, dataset: Dataset, nets: Path) -> Path:
    """Return the float32 ONNX file of the student; train the student first, if it is missing."""
    path = nets / f"{student.model}.onnx"
    if not path.exists():
        network = _trained(student, dataset, nets)
        unfinished = path.with_suffix(".unfinished")
        export_onnx(network, unfinished, image_shape=(dataset.info.channels, SIZE, SIZE))
        unfinished.rename(path)
    return path


def _trained(student: SmallStudent, dataset: Dataset, nets: Path) -> nn.Module:
    torch.manual_seed(_SEED)
    network = Timm(model=student.model).build(
        classes=len(dataset.info.classes), channels=dataset.info.channels, image_size=SIZE
    )
    start = time.perf_counter()
    for point in train(network, dataset, _plan(student, dataset, nets)):
        print(
            f"{student.model}: epoch {point.epoch + 1} of {student.epochs}, loss {point.loss:.4f}, "
            f"{time.perf_counter() - start:.0f} s",
            flush=True,
        )
    return network.eval()


def _plan(student: SmallStudent, dataset: Dataset, nets: Path) -> TrainingPlan:
    return TrainingPlan(
        stage="train",
        training=Standard(
            epochs=student.epochs, batch_size=128, learning_rate=student.learning_rate
        ),
        distillation=Labels(),
        epochs=student.epochs,
        validation=Validation.of_teacher(ACCURACY, dataset),
        views=Views(seed=_SEED, augmentation=dataset.info.augmentation),
        targets=None,
        seed=_SEED,
        checkpoint=Checkpoint(nets / f"{student.model}.checkpoint"),
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Train the students that are missing."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("nets", type=Path)
    parser.add_argument("students", nargs="*", choices=[*STUDENTS, []], default=[])
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    options.nets.mkdir(parents=True, exist_ok=True)
    dataset = open_images(options.data, options.nets / "cache")
    for name in options.students or STUDENTS:
        exported_student(STUDENTS[name], dataset, options.nets)


if __name__ == "__main__":
    main()

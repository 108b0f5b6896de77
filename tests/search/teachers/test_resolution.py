"""A teacher of another resolution than the data, beside the same teacher on files of its own."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from search.config.data_settings import DataSettings
from search.config.teacher_settings import TeacherSettings
from search.config.teacher_training import TeacherTraining
from search.data.dataset import Dataset, normalize
from search.data.prepare import prepare
from search.files.filestore import FolderStore
from search.objectives.metrics import ACCURACY
from search.targets.onnx_export import export_onnx
from search.teachers.setting import TeacherContext
from search.teachers.teacher import prepare_teacher
from search.training.validation import predictions_of

OWN = 32
CLASSES = 3


def _file(folder: Path, side: int) -> Path:
    """Images of broad stripes, and of fine noise that only antialiasing averages away."""
    generator = np.random.default_rng(0)
    labels = np.arange(300) % CLASSES
    rows, columns = np.mgrid[:side, :side] * (OWN / side)
    along = np.stack([rows, columns, rows + columns])[labels]
    phase = generator.uniform(0, 2 * np.pi, (len(labels), 1, 1))
    strength = 25 * side / OWN
    images = 128 + 30 * np.sin(along + phase) + generator.normal(0, strength, along.shape)
    path = folder / f"{side}.npz"
    np.savez(path, images=images.clip(0, 255).astype(np.uint8), labels=labels)
    return path


def _prepared(file: Path, size: int) -> Dataset:
    settings = DataSettings(
        source="npz", path=file, image_size=size, flip=False, validation_share=0.4
    )
    return prepare(settings, seed=0, cache=FolderStore.of(file.parent / "cache"))


def _taught(dataset: Dataset, settings: TeacherSettings) -> nn.Module:
    context = TeacherContext(
        dataset=dataset,
        cache=FolderStore.of(dataset.folder.parent),
        seed=0,
        device="cpu",
        metric=ACCURACY,
        allow_code=False,
        progress=lambda line: None,
    )
    return prepare_teacher([settings], context).network


def _accuracy(network: nn.Module, dataset: Dataset) -> float:
    return float(predictions_of(network, dataset.validation, dataset).right.mean())


@pytest.mark.parametrize("side", [128, 16])
def test_fault_41_a_teacher_of_another_resolution_reaches_what_it_does_on_files_of_its_own(
    side: int, tmp_path: Path
) -> None:
    file = _file(tmp_path, side)
    own, given = _prepared(file, OWN), _prepared(file, side)
    training = TeacherTraining(epochs=4, batch_size=16, learning_rate=0.01)
    trained = _taught(own, TeacherSettings(model="test_resnet", train=training))
    save_file(trained.state_dict(), tmp_path / "teacher.safetensors")
    adapted = _taught(
        given,
        TeacherSettings(
            model="test_resnet",
            checkpoint=tmp_path / "teacher.safetensors",
            image_size=OWN,
            mean=list(own.info.mean),
            std=list(own.info.std),
        ),
    )
    reached = _accuracy(trained, own)
    assert reached > 0.8
    assert abs(_accuracy(adapted, given) - reached) <= 0.01
    _check_file(adapted, _images(given), tmp_path / "teacher.onnx")


@torch.inference_mode()
def _check_file(network: nn.Module, images: Tensor, path: Path) -> None:
    """Check that the file that measures the teacher resizes as the network does."""
    export_onnx(network, path, image_shape=tuple(images.shape[1:]))  # type: ignore[arg-type]
    (found,) = onnxruntime.InferenceSession(path).run(None, {"input": images.numpy()})
    assert np.allclose(found, network(images).numpy(), atol=1e-3)


def _images(dataset: Dataset) -> Tensor:
    batch = next(iter(dataset.validation.batches(8)))
    return normalize(batch.images, dataset.info.mean, dataset.info.std)

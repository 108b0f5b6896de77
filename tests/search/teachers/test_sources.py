"""What an untouched teacher expects of images."""

import io
import random
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from search.config.teacher_settings import TeacherSettings
from search.config.teacher_training import TeacherTraining
from search.data.dataset import Dataset
from search.errors import TeacherError
from search.teachers.sources import from_timm, preprocessing
from tests.messages import naming


def test_a_pretrained_teacher_of_colours_sees_grey_images_as_three_equal_colours(
    stripes: Dataset,
) -> None:
    known = {"input_size": (3, 64, 64), "mean": (0.4, 0.5, 0.6), "std": (0.1, 0.2, 0.3)}
    network = cast("nn.Module", SimpleNamespace(pretrained_cfg=known))
    settings = TeacherSettings(model="resnet18", pretrained=True)
    assert len(stripes.info.mean) == 1
    size, (mean, std) = preprocessing(settings, network, stripes.info)
    assert size == 64
    assert mean == [pytest.approx(0.5)]
    assert std == [pytest.approx(0.2)]


@pytest.mark.parametrize("train", [None, TeacherTraining()])
@pytest.mark.parametrize("prefix", ["model.", "net.", "module.model.", "model._orig_mod."])
def test_prefixes_of_training_frameworks_are_dropped(
    prefix: str, train: object, schooled: nn.Module, stripes: Dataset, tmp_path: Path
) -> None:
    path = tmp_path / "last.ckpt"
    weights = {f"{prefix}{key}": value for key, value in schooled.state_dict().items()}
    # As Lightning writes it, with the weights of a loss beside the network's.
    content = {"epoch": 3, "state_dict": {**weights, "loss.weight": torch.ones(3)}}
    torch.save(content, path)
    settings = TeacherSettings(model="test_resnet", checkpoint=path, train=train)  # type: ignore[arg-type]
    found = from_timm(settings, stripes.info).state_dict()
    assert all(torch.equal(found[key], value) for key, value in schooled.state_dict().items())


@pytest.mark.parametrize(("stem", "reduced_by"), [("original", 4), ("half", 2), ("small", 1)])
def test_a_stem_for_small_images_keeps_the_weights_and_the_resolution(
    stem: str, reduced_by: int, schooled: nn.Module, stripes: Dataset, tmp_path: Path
) -> None:
    path = tmp_path / "teacher.safetensors"
    save_file(schooled.state_dict(), path)
    settings = TeacherSettings.model_validate(
        {"model": "test_resnet", "stem": stem, "checkpoint": path}
    )
    network, size = from_timm(settings, stripes.info), stripes.info.image_size
    images = torch.zeros(1, stripes.info.channels, size, size)
    stage = network.get_submodule("layer1")
    stage.register_forward_pre_hook(lambda _, inputs: sizes.append(inputs[0].shape[2]))
    sizes: list[int] = []
    network.eval()(images)
    assert sizes == [size // reduced_by]
    assert torch.equal(network.get_parameter("fc.weight"), schooled.get_parameter("fc.weight"))


def test_a_model_that_can_have_no_such_stem_is_refused(stripes: Dataset) -> None:
    settings = TeacherSettings.model_validate({"model": "test_vit", "stem": "small", "train": {}})
    with pytest.raises(TeacherError, match=naming("teacher", "test_vit", "stem: original")):
        from_timm(settings, stripes.info)


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "_orig_mod.module._orig_mod.module."])
def test_prefixes_of_wrappers_are_dropped(
    prefix: str, schooled: nn.Module, stripes: Dataset, tmp_path: Path
) -> None:
    path = tmp_path / "wrapped.pth"
    torch.save({f"{prefix}{key}": value for key, value in schooled.state_dict().items()}, path)
    found = from_timm(TeacherSettings(model="test_resnet", checkpoint=path), stripes.info)
    assert torch.equal(found.fc.weight, schooled.fc.weight)


def test_a_prefix_of_no_known_wrapper_is_refused(
    schooled: nn.Module, stripes: Dataset, tmp_path: Path
) -> None:
    weights = {f"teacher.{key}": value for key, value in schooled.state_dict().items()}
    torch.save(weights, tmp_path / "a.pth")
    settings = TeacherSettings(model="test_resnet", checkpoint=tmp_path / "a.pth")
    with pytest.raises(TeacherError, match=naming(tmp_path / "a.pth")):
        from_timm(settings, stripes.info)


def _checkpoint(path: Path, pickled: bytes, *, padding: int = 0) -> TeacherSettings:
    """A checkpoint whose pickle is this, in an archive as torch writes one."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED if padding else 0) as archive:
        archive.writestr("archive/data.pkl", pickled)
        archive.writestr("archive/version", "3")
        archive.writestr("archive/padding", bytes(padding))
    return TeacherSettings(model="test_resnet", checkpoint=path)


def test_fault_36_a_checkpoint_that_is_packed_as_a_bomb_is_refused(
    stripes: Dataset, tmp_path: Path
) -> None:
    settings = _checkpoint(tmp_path / "a.pth", b"N.", padding=2**27)
    with pytest.raises(TeacherError, match=naming(tmp_path / "a.pth", "134,217")):
        from_timm(settings, stripes.info)


def test_fault_36_checkpoints_with_other_bytes_are_refused_by_name(
    stripes: Dataset, tmp_path: Path
) -> None:
    whole = io.BytesIO()
    torch.save({"weight": torch.zeros(2)}, whole)
    with zipfile.ZipFile(whole) as archive:
        (pickled,) = (archive.read(n) for n in archive.namelist() if n.endswith("data.pkl"))
    generator = random.Random(36)  # noqa: S311
    for _ in range(60):
        content = bytearray(pickled)
        content[generator.randrange(len(content))] = generator.randrange(256)
        settings = _checkpoint(tmp_path / "a.pth", bytes(content))
        with pytest.raises(TeacherError, match=naming(tmp_path / "a.pth")):
            from_timm(settings, stripes.info)

"""Fine-tuning: teachers that are trained here from given weights."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from search.config.teacher_settings import TeacherSettings
from search.data.dataset import Dataset, normalize
from search.errors import TeacherError
from search.files.filestore import FolderStore
from search.teachers.adapters import AdaptedTeacher
from search.teachers.class_order import natural_order
from search.teachers.new_classes import fit_classes
from search.teachers.saved_teacher import open_teachers, save_teacher
from search.teachers.setting import TeacherContext
from search.teachers.teacher import prepare_teacher, starting_network
from tests.messages import naming

# Training that changes no weight: what is left is the start.
STILL = {"epochs": 1, "learning_rate": 1e-5, "weight_decay": 0.0}


@pytest.fixture
def wide(schooled: nn.Module, tmp_path: Path) -> tuple[Path, nn.Module]:
    """A checkpoint of five classes; its outputs 4, 0 and 2 are those of the stripes' classes."""
    torch.manual_seed(3)
    network = timm.create_model("test_resnet", num_classes=5, in_chans=1)
    weights = network.state_dict() | {
        key: value for key, value in schooled.state_dict().items() if not key.startswith("fc.")
    }
    for key in ("fc.weight", "fc.bias"):
        weights[key][[4, 0, 2]] = schooled.state_dict()[key]
    network.load_state_dict(weights)
    save_file(weights, tmp_path / "wide.safetensors")
    return tmp_path / "wide.safetensors", network.eval()


def _settings(path: Path, **more: object) -> TeacherSettings:
    return TeacherSettings(model="test_resnet", checkpoint=path, **more)  # type: ignore[arg-type]


@torch.inference_mode()
def _logits(network: nn.Module, dataset: Dataset) -> Tensor:
    (batch,) = dataset.validation.batches(64)
    found: Tensor = network.eval()(normalize(batch.images, dataset.info.mean, dataset.info.std))
    return found


BY_PLACE = {"0": 4, "1": 0, "2": 2}


@pytest.mark.parametrize(
    "classes", [BY_PLACE, ["1", "x", "2", "y", "0"]], ids=["by output", "by name"]
)
def test_a_classifier_starts_from_the_rows_of_the_datas_classes(
    classes: object, wide: tuple[Path, nn.Module], room: TeacherContext, schooled: nn.Module
) -> None:
    settings = _settings(wide[0], classes=classes, train=STILL)
    network, is_new = starting_network(settings, room)
    assert not is_new
    assert torch.allclose(
        _logits(network, room.dataset), _logits(schooled, room.dataset), atol=1e-5
    )


def test_outputs_may_be_stated_without_a_training(
    wide: tuple[Path, nn.Module], room: TeacherContext, schooled: nn.Module
) -> None:
    teacher = prepare_teacher([_settings(wide[0], classes=BY_PLACE)], room)
    assert torch.allclose(
        _logits(teacher.network, room.dataset), _logits(schooled, room.dataset), atol=1e-5
    )


@pytest.mark.parametrize(
    ("classes", "facts"),
    [
        ({"0": 4, "1": 0, "2": 5}, [5, "0 to 4"]),
        ({"0": 4, "1": 0, "2": 0}, ["teacher.classes"]),
        ({"0": 4, "1": 0}, ["'2'"]),
    ],
)
@pytest.mark.parametrize("train", [None, STILL])
def test_outputs_that_can_not_be_those_of_the_classes_are_refused(
    train: object,
    classes: object,
    facts: list[object],
    wide: tuple[Path, nn.Module],
    room: TeacherContext,
) -> None:
    with pytest.raises(TeacherError, match=naming("teacher.classes", *facts)):
        prepare_teacher([_settings(wide[0], classes=classes, train=train)], room)


def test_names_that_are_fewer_than_the_outputs_are_refused_for_a_training(
    wide: tuple[Path, nn.Module], room: TeacherContext
) -> None:
    settings = _settings(wide[0], classes=["2", "1", "0"], train=STILL)
    with pytest.raises(TeacherError, match=naming("teacher.classes", 3, 5)):
        prepare_teacher([settings], room)


def test_a_classifier_of_unknown_classes_is_new_and_all_other_weights_are_used(
    wide: tuple[Path, nn.Module], room: TeacherContext, said: list[str]
) -> None:
    network, is_new = starting_network(_settings(wide[0], train=STILL), room)
    assert is_new
    found, given = network.state_dict(), wide[1].state_dict()
    assert found["fc.weight"].shape[0] == 3
    assert all(torch.equal(found[key], given[key]) for key in given if not key.startswith("fc."))
    assert any(naming("new", 3, 5).search(line) for line in said)


def test_a_new_classifier_is_fitted_before_the_other_layers_are_trained(
    wide: tuple[Path, nn.Module], room: TeacherContext
) -> None:
    start, _ = starting_network(_settings(wide[0], train=STILL), room)
    is_new = []
    for probe in (True, False):
        teacher = prepare_teacher([_settings(wide[0], train={**STILL, "probe": probe})], room)
        moved = teacher.network.state_dict()["fc.weight"] - start.state_dict()["fc.weight"]
        is_new.append(bool(moved.abs().max() > 0.01))
        if probe:
            right = _logits(teacher.network, room.dataset).argmax(1).numpy()
            assert (right == room.dataset.validation.labels).mean() > 0.9
    assert is_new == [True, False]


def test_the_weights_of_a_training_must_all_fit(
    schooled: nn.Module, room: TeacherContext, tmp_path: Path
) -> None:
    weights = schooled.state_dict()
    del weights["conv1.0.weight"]
    save_file(weights, tmp_path / "part.safetensors")
    with pytest.raises(TeacherError, match=naming(tmp_path / "part.safetensors", "conv1.0.weight")):
        prepare_teacher([_settings(tmp_path / "part.safetensors", train=STILL)], room)


def test_weights_without_a_classifier_get_one(
    schooled: nn.Module, room: TeacherContext, tmp_path: Path
) -> None:
    headless = {k: v for k, v in schooled.state_dict().items() if not k.startswith("fc.")}
    save_file(headless, tmp_path / "headless.safetensors")
    network, is_new = starting_network(
        _settings(tmp_path / "headless.safetensors", train=STILL), room
    )
    assert is_new
    assert _logits(network, room.dataset).shape == (36, 3)


def test_colours_become_grey_in_the_first_layer_of_a_checkpoint(
    room: TeacherContext, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    coloured = timm.create_model("test_resnet", num_classes=3)
    save_file(coloured.state_dict(), tmp_path / "coloured.safetensors")
    settings = _settings(tmp_path / "coloured.safetensors", train=STILL)
    found = starting_network(settings, room)[0].state_dict()
    expected = coloured.state_dict()["conv1.0.weight"].sum(dim=1, keepdim=True)
    assert torch.allclose(found["conv1.0.weight"], expected)


def test_a_teacher_is_trained_on_inputs_that_are_normalised_as_it_states(
    room: TeacherContext, schooled: nn.Module, tmp_path: Path
) -> None:
    save_file(schooled.state_dict(), tmp_path / "teacher.safetensors")
    settings = _settings(
        tmp_path / "teacher.safetensors", mean=[0.4], std=[0.3], image_size=48, train=STILL
    )
    teacher = prepare_teacher([settings], room)
    assert isinstance(teacher.network, AdaptedTeacher)
    assert teacher.network.size == (48, 48)
    mean, std = teacher.network.statistics(room.dataset.info)
    assert mean == pytest.approx([0.4], abs=1e-6)
    assert std == pytest.approx([0.3], abs=1e-6)


def test_a_copy_of_timms_weights_is_normalised_as_timm_states_for_them(
    room: TeacherContext, tmp_path: Path
) -> None:
    network = timm.create_model("test_resnet", num_classes=1000, in_chans=1)
    save_file(network.state_dict(), tmp_path / "own.safetensors")
    found, _ = starting_network(_settings(tmp_path / "own.safetensors", train=STILL), room)
    cfg = timm.get_pretrained_cfg("test_resnet")
    assert isinstance(found, AdaptedTeacher)
    mean, std = found.statistics(room.dataset.info)
    assert mean == pytest.approx([np.mean(cfg.mean)], abs=1e-6)
    assert std == pytest.approx([np.mean(cfg.std)], abs=1e-6)


def test_a_configuration_beside_a_checkpoint_states_its_normalisation(
    room: TeacherContext, schooled: nn.Module, tmp_path: Path
) -> None:
    save_file(schooled.state_dict(), tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text('{"pretrained_cfg": {"mean": [0.2], "std": [0.1]}}')
    found, _ = starting_network(_settings(tmp_path / "model.safetensors", train=STILL), room)
    assert isinstance(found, AdaptedTeacher)
    assert found.statistics(room.dataset.info)[0] == pytest.approx([0.2], abs=1e-6)


def test_rows_of_imagenet_are_known_by_the_names_of_the_folders(
    room: TeacherContext, tmp_path: Path
) -> None:
    network = timm.create_model("test_resnet", num_classes=1000, in_chans=1)
    save_file(network.state_dict(), tmp_path / "imagenet.safetensors")
    classes = ("n01440764", "n02102040", "n03888257")
    named = replace(room.dataset, info=replace(room.dataset.info, classes=classes))
    found, is_new = starting_network(
        _settings(tmp_path / "imagenet.safetensors", train=STILL), replace(room, dataset=named)
    )
    assert not is_new
    assert torch.equal(
        found.state_dict()["network.fc.weight"], network.state_dict()["fc.weight"][[0, 217, 701]]
    )


def test_frozen_statistics_stay_and_others_move(
    room: TeacherContext, schooled: nn.Module, tmp_path: Path
) -> None:
    save_file(schooled.state_dict(), tmp_path / "teacher.safetensors")
    moved = []
    for freeze in (True, False):
        train = {"epochs": 1, "freeze_statistics": freeze, "learning_rate": 1e-4}
        settings = _settings(tmp_path / "teacher.safetensors", train=train)
        found = prepare_teacher([settings], room).network.state_dict()
        given = schooled.state_dict()
        moved.append(
            any(not torch.equal(found[key], given[key]) for key in given if "running" in key)
        )
        assert not torch.equal(found["conv1.0.weight"], given["conv1.0.weight"])
    assert moved == [False, True]


def test_fine_tuning_that_makes_it_worse_is_dropped(
    room: TeacherContext, schooled: nn.Module, tmp_path: Path, said: list[str]
) -> None:
    save_file(schooled.state_dict(), tmp_path / "teacher.safetensors")
    train = {"epochs": 1, "learning_rate": 0.5, "layer_decay": 1.0, "freeze_statistics": False}
    teacher = prepare_teacher([_settings(tmp_path / "teacher.safetensors", train=train)], room)
    assert torch.equal(_logits(teacher.network, room.dataset), _logits(schooled, room.dataset))
    assert any(naming("fine-tuned", "before").search(line) for line in said)


def test_a_fine_tuned_teacher_is_found_again_by_all_that_it_follows_from(
    wide: tuple[Path, nn.Module], room: TeacherContext, said: list[str]
) -> None:
    def epochs(**train: object) -> int:
        said.clear()
        prepare_teacher([_settings(wide[0], train={"epochs": 1, **train})], room)
        return sum(bool(naming("epoch", "1 of 1").search(line)) for line in said)

    assert epochs() == 1
    assert epochs() == 0
    for key, value in {
        "probe": False,
        "layer_decay": 0.5,
        "freeze_statistics": False,
        "label_smoothing": 0.1,
        "ema": 0.9,
        "optimizer": "sgd",
    }.items():
        assert epochs(**{key: value}) == 1, key


def test_a_fine_tuned_teacher_of_other_pixels_opens_elsewhere_without_its_checkpoint(
    room: TeacherContext, tmp_path: Path
) -> None:
    network = timm.create_model("test_resnet", num_classes=1000, in_chans=1)
    path = tmp_path / "own.safetensors"
    save_file(network.state_dict(), path)
    settings = _settings(path, train=STILL)
    teacher = prepare_teacher([settings], room)
    folder = save_teacher(
        teacher, [settings], room.dataset.info, cache=FolderStore.of(tmp_path / "cache")
    )
    path.unlink()
    (opened,) = open_teachers(folder, allow_code=False)
    assert torch.equal(_logits(opened, room.dataset), _logits(teacher.network, room.dataset))


@pytest.mark.parametrize(
    ("settings", "fine_tunes"),
    [
        ({"model": "test_resnet", "train": {}}, False),
        ({"model": "test_resnet", "pretrained": True, "train": {}}, True),
        ({"model": "test_resnet", "checkpoint": "a.pth", "train": {}}, True),
        ({"factory": "nets:network", "train": {}}, False),
        ({"factory": "nets:network", "train": {"fine_tune": True}}, True),
    ],
)
def test_given_weights_are_trained_by_other_defaults(
    settings: dict[str, object], fine_tunes: bool
) -> None:
    found = TeacherSettings(**settings).schedule  # type: ignore[arg-type]
    scratch = TeacherSettings(model="test_resnet", train={}).schedule  # type: ignore[arg-type]
    assert found is not None
    assert scratch is not None
    assert found.fine_tunes is fine_tunes
    assert (found == scratch) is not fine_tunes
    assert (found.learning_rate < scratch.learning_rate) is fine_tunes
    assert found.freeze_statistics is fine_tunes


def test_a_stated_value_replaces_a_default_of_fine_tuning() -> None:
    train = {"layer_decay": 1.0, "freeze_statistics": False, "epochs": 1}
    found = TeacherSettings(model="test_resnet", pretrained=True, train=train).schedule  # type: ignore[arg-type]
    assert found is not None
    assert (found.layer_decay, found.freeze_statistics, found.epochs) == (1.0, False, 1)
    assert found.warmup_epochs == 0


def test_the_order_of_the_classes_is_that_of_a_pretrained_teacher_before_its_training(
    wide: tuple[Path, nn.Module], room: TeacherContext, schooled: nn.Module, tmp_path: Path
) -> None:
    rows = {k: v[[2, 0, 1]] for k, v in schooled.state_dict().items() if k.startswith("fc.")}
    save_file(schooled.state_dict() | rows, tmp_path / "moved.safetensors")
    settings = _settings(tmp_path / "moved.safetensors", classes=["2", "0", "1"], train=STILL)
    assert natural_order(room.dataset.info.classes) == room.dataset.info.classes
    network, _ = starting_network(settings, room)
    assert torch.allclose(_logits(network, room.dataset), _logits(schooled, room.dataset))


@pytest.mark.parametrize(
    ("more", "keys"),
    [
        ({"train": {}, "classes": "sorted"}, ["classes"]),
        ({"copies": 2, "pretrained": True}, ["copies", "train"]),
        ({"train": {}, "assistant": {"model": "test_vit", "pretrained": True}}, ["assistant"]),
    ],
)
def test_keys_that_contradict_each_other_are_refused(
    more: dict[str, object], keys: list[str], refused: Callable[..., None]
) -> None:
    refused({"model": "test_resnet", **more}, keys)


@pytest.fixture
def refused() -> Callable[..., None]:
    def check(given: dict[str, object], keys: list[str]) -> None:
        with pytest.raises(ValueError, match=naming(*keys)):
            TeacherSettings(**given)  # type: ignore[arg-type]

    return check


class _Convolutional(nn.Module):
    """A network whose classifier is a convolution, as timm builds some."""

    def __init__(self) -> None:
        super().__init__()
        self.reset_classifier(7)

    def get_classifier(self) -> nn.Module:
        return self.head

    def reset_classifier(self, classes: int) -> None:
        self.num_classes = classes
        self.head = nn.Conv2d(4, classes, 1)


def test_a_classifier_that_is_not_linear_is_new_and_no_probe_fits_it(stripes: Dataset) -> None:
    network, told = _Convolutional(), list[str]()
    assert not fit_classes(network, None, stripes.info, progress=told.append)
    assert network.head.out_channels == len(stripes.info.classes)
    assert naming("new", 7, "not linear").search(told[0])

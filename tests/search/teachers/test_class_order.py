"""Teachers whose classes stand in another order than the data's."""

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from search.config.study import Study
from search.config.teacher_settings import TeacherSettings
from search.data.dataset import DataInfo, Dataset, normalize
from search.errors import TeacherError
from search.evaluation.artifact import Provenance, write_student
from search.files.atomic import written_whole
from search.files.filestore import FolderStore
from search.objectives.metrics import ACCURACY
from search.pipeline.setup import prepare_context
from search.pipeline.study_context import open_context
from search.progress import SilentCallback
from search.teachers.class_order import (
    columns,
    names_of_weights,
    natural_order,
    sorted_order,
    stated_names,
)
from search.teachers.logits_cache import logits_key, soft_targets
from search.teachers.prepared import Teacher
from search.teachers.saved_teacher import open_teachers, save_teacher
from search.teachers.setting import TeacherContext
from search.teachers.teacher import prepare_teacher
from tests.messages import naming

ORDER = ["1", "2", "0"]
"""The class of each output of the shuffled teacher."""


@pytest.fixture
def shuffled(schooled: nn.Module) -> nn.Module:
    """The schooled network, its outputs in another order."""
    network = copy.deepcopy(schooled)
    rows = [int(name) for name in ORDER]
    with torch.no_grad():
        for values in (network.fc.weight, network.fc.bias):
            values.copy_(values[rows].clone())
    return network


@pytest.fixture
def checkpoint(shuffled: nn.Module, tmp_path: Path) -> Path:
    path = tmp_path / "folder" / "teacher.safetensors"
    path.parent.mkdir()
    save_file(shuffled.state_dict(), path)
    return path


@pytest.fixture
def prepared(stripes: Dataset, tmp_path: Path) -> Callable[..., tuple[Teacher, list[str]]]:
    """Prepares a teacher of these members; the teacher, and what was said."""

    def prepare(*members: dict[str, object], features: bool = False) -> tuple[Teacher, list[str]]:
        said: list[str] = []
        context = TeacherContext(
            dataset=stripes,
            cache=FolderStore.of(tmp_path / "cache"),
            seed=0,
            device="cpu",
            metric=ACCURACY,
            allow_code=False,
            progress=said.append,
            features_alone=features,
        )
        settings = [TeacherSettings(model="test_resnet", **member) for member in members]  # type: ignore[arg-type]
        return prepare_teacher(settings, context), said

    return prepare


@torch.inference_mode()
def _logits(network: nn.Module, dataset: Dataset) -> Tensor:
    (batch,) = dataset.validation.batches(64)
    logits: Tensor = network(normalize(batch.images, dataset.info.mean, dataset.info.std))
    return logits


def test_fault_40_a_teacher_of_another_order_is_refused_with_both_orders_and_the_key(
    prepared, checkpoint: Path
) -> None:
    with pytest.raises(TeacherError, match=naming("100.00%", "output")) as caught:
        prepared({"checkpoint": checkpoint})
    text = str(caught.value)
    rows = [tuple(line.split()) for line in text.splitlines()]
    assert {("0", "0", "1"), ("1", "1", "2"), ("2", "2", "0")} <= set(rows)
    assert f"teacher.classes: {json.dumps(ORDER)}" in text


def test_fault_40_the_key_puts_every_output_in_the_datas_order(
    prepared, checkpoint: Path, schooled: nn.Module, stripes: Dataset, views, tmp_path: Path
) -> None:
    settings = {"checkpoint": checkpoint, "classes": ORDER}
    teacher, said = prepared(settings)
    assert torch.equal(_logits(teacher.network, stripes), _logits(schooled, stripes))
    assert naming("accuracy", "100.00%").search(said[-1])
    cache = FolderStore.of(tmp_path / "cache")
    kept = soft_targets(teacher, stripes, views, cache=cache, progress=print)
    taught = kept.of(views.in_epoch(0), torch.arange(len(stripes.training)))
    assert (taught[0].argmax(dim=1).numpy() == stripes.training.labels).mean() > 0.95
    members = [TeacherSettings(model="test_resnet", **settings)]
    (opened,) = open_teachers(
        save_teacher(teacher, members, stripes.info, cache=cache), allow_code=False
    )
    assert torch.equal(_logits(opened, stripes), _logits(schooled, stripes))


def test_another_order_is_another_teacher(
    prepared, checkpoint: Path, schooled: nn.Module, stripes: Dataset, views
) -> None:
    save_file(schooled.state_dict(), checkpoint)
    right, _ = prepared({"checkpoint": checkpoint})
    same, _ = prepared({"checkpoint": checkpoint, "classes": "sorted"})
    other, _ = prepared({"checkpoint": checkpoint, "classes": ORDER}, features=True)
    assert right.digest == same.digest != other.digest
    keys = [logits_key(teacher, stripes, views) for teacher in (right, other)]
    assert keys[0] != keys[1]


def test_each_member_of_an_ensemble_is_judged_by_itself(
    prepared, checkpoint: Path, schooled: nn.Module, stripes: Dataset, tmp_path: Path
) -> None:
    save_file(schooled.state_dict(), tmp_path / "right.safetensors")
    right = {"checkpoint": tmp_path / "right.safetensors"}
    with pytest.raises(TeacherError, match=naming("teacher.1.classes")):
        prepared(right, {"checkpoint": checkpoint})
    teacher, said = prepared(right, {"checkpoint": checkpoint, "classes": ORDER})
    one, other = teacher.members
    assert torch.equal(_logits(one, stripes), _logits(other, stripes))
    assert sum("100.00%" in line for line in said) == 3


def test_a_teacher_of_which_only_features_are_used_may_have_any_order(
    prepared, checkpoint: Path
) -> None:
    prepared({"checkpoint": checkpoint}, features=True)


def test_a_wrongly_stated_order_is_refused_too(
    prepared, checkpoint: Path, schooled: nn.Module
) -> None:
    save_file(schooled.state_dict(), checkpoint)
    with pytest.raises(TeacherError, match=naming("teacher.classes: natural")):
        prepared({"checkpoint": checkpoint, "classes": ORDER})


def test_names_beside_a_checkpoint_of_timms_folder_are_used(
    prepared, checkpoint: Path, schooled: nn.Module, stripes: Dataset
) -> None:
    config = {"architecture": "test_resnet", "label_names": ORDER, "pretrained_cfg": {}}
    checkpoint.with_name("config.json").write_text(json.dumps(config))
    teacher, _ = prepared({"checkpoint": checkpoint})
    assert torch.equal(_logits(teacher.network, stripes), _logits(schooled, stripes))
    with pytest.raises(TeacherError, match=naming("teacher.classes")):
        prepared({"checkpoint": checkpoint, "classes": "natural"})  # the study's word goes first


@pytest.mark.parametrize("names", [ORDER, {"0": "1", "1": "2", "2": "0"}])
def test_names_of_timms_pretrained_configuration_are_used(names: object, stripes: Dataset) -> None:
    settings = TeacherSettings(model="test_resnet", pretrained=True)
    network = cast("nn.Module", SimpleNamespace(pretrained_cfg={"label_names": names}))
    assert names_of_weights(settings, network, stripes.info, outputs=3) == tuple(ORDER)
    assert names_of_weights(settings, network, stripes.info, outputs=4) is None
    others = replace(stripes.info, classes=("tench", "goldfish", "shark"))
    assert names_of_weights(settings, network, others, outputs=3) is None


def test_names_of_an_exported_student_are_used(
    shuffled: nn.Module, schooled: nn.Module, stripes: Dataset, recipe, tmp_path: Path
) -> None:
    provenance = Provenance(
        params=recipe().to_params(),
        cuts=(),
        data=replace(stripes.info, classes=tuple(ORDER)),
        origin={},
    )
    with written_whole(tmp_path / "student") as folder:
        write_student(folder, shuffled, provenance)
    context = TeacherContext(
        dataset=stripes,
        cache=FolderStore.of(tmp_path / "cache"),
        seed=0,
        device="cpu",
        metric=ACCURACY,
        allow_code=False,
        progress=print,
    )
    teacher = prepare_teacher([TeacherSettings(exported=tmp_path / "student")], context)
    assert torch.equal(_logits(teacher.network, stripes), _logits(schooled, stripes))


def test_a_teacher_of_more_classes_gives_the_outputs_of_the_datas(
    prepared, schooled: nn.Module, stripes: Dataset, checkpoint: Path
) -> None:
    weights = schooled.state_dict()
    for key in ("fc.weight", "fc.bias"):
        weights[key] = torch.cat([torch.full_like(weights[key], 9.0)[:2], weights[key]])
    save_file(weights, checkpoint)
    teacher, _ = prepared({"checkpoint": checkpoint, "classes": ["a", "b", "0", "1", "2"]})
    assert torch.allclose(_logits(teacher.network, stripes), _logits(schooled, stripes), atol=1e-5)
    with pytest.raises(TeacherError, match=naming("teacher.classes", 4, "[2, 5]")):
        prepared({"checkpoint": checkpoint, "classes": ["b", "0", "1", "2"]})


def _info(stripes: Dataset, *classes: str) -> DataInfo:
    return replace(stripes.info, classes=classes)


def test_natural_is_timms_order_and_sorted_is_torchvisions() -> None:
    numbers = ["0", "1", "10", "11", "2"]
    assert natural_order(numbers) == ("0", "1", "2", "10", "11")
    assert natural_order(["Dog", "ant", "cat"]) == ("ant", "cat", "Dog")
    assert natural_order(["a10b", "a9b", "²"]) == ("a9b", "a10b", "²")
    assert sorted_order(natural_order(numbers)) == tuple(numbers)
    assert columns(("ant", "cat", "Dog"), ("Dog", "ant", "cat")) == [2, 0, 1]


def test_names_are_read_from_a_file_and_compared_in_any_normal_form(
    stripes: Dataset, tmp_path: Path
) -> None:
    file = tmp_path / "classes.txt"
    file.write_text("\ufeffcafe\u0301\r\n\r\n tea \n", encoding="utf-8")
    settings = TeacherSettings(model="m", checkpoint=file, classes=str(file))
    info = _info(stripes, "tea", "caf\u00e9")
    assert stated_names(settings, info) == ("caf\u00e9", "tea")


def _renamed(stripes: Dataset) -> DataInfo:
    """Folders that sort in another way than the names by which they are shown."""
    shown, folders = ("snail", "cat", "Ant"), ("10", "9", "n2")
    return replace(stripes.info, classes=shown, original_classes=folders)


@pytest.mark.parametrize(
    ("given", "stated"),
    [
        ("natural", ("cat", "snail", "Ant")),
        ("sorted", ("snail", "cat", "Ant")),
        (["n2", "9", "10"], ("Ant", "cat", "snail")),
        (["Ant", "cat", "snail"], ("Ant", "cat", "snail")),
        (["Ant", "9", "other", "snail"], ("Ant", "cat", "other", "snail")),
    ],
)
def test_renamed_classes_are_stated_by_either_name_and_sorted_as_in_the_data(
    given: str | list[str], stated: tuple[str, ...], stripes: Dataset
) -> None:
    settings = TeacherSettings(model="m", checkpoint=Path("w"), classes=given)
    assert stated_names(settings, _renamed(stripes)) == stated


def test_a_class_that_is_stated_by_both_of_its_names_is_refused(stripes: Dataset) -> None:
    given = ["n2", "9", "10", "Ant"]
    settings = TeacherSettings(model="m", checkpoint=Path("w"), classes=given)
    with pytest.raises(TeacherError, match=naming("teacher.classes", "'Ant'", 2)):
        stated_names(settings, _renamed(stripes))


@pytest.mark.parametrize("renamed_before", [False, True])
def test_an_exported_teacher_is_known_by_the_names_in_the_data(
    renamed_before: bool, stripes: Dataset, recipe, schooled: nn.Module, tmp_path: Path
) -> None:
    known = replace(stripes.info, classes=tuple(ORDER))
    if renamed_before:
        known = replace(known, classes=("uno", "dos", "nil"), original_classes=tuple(ORDER))
    provenance = Provenance(params=recipe().to_params(), cuts=(), data=known, origin={})
    with written_whole(tmp_path / "student") as folder:
        write_student(folder, schooled, provenance)
    info = replace(stripes.info, classes=("a", "b", "c"), original_classes=stripes.info.classes)
    settings = TeacherSettings(exported=tmp_path / "student")
    assert names_of_weights(settings, schooled, info, outputs=3) == ("b", "c", "a")
    assert names_of_weights(settings, schooled, stripes.info, outputs=3) == tuple(ORDER)


@pytest.mark.parametrize(
    ("classes", "facts"),
    [
        (["a", "b", "a"], ("'a'", 2, 3)),
        (["a", "b"], (2, "'c'")),
        ("nowhere.txt", ("nowhere.txt",)),
    ],
)
def test_names_that_do_not_fit_the_data_are_refused(
    classes: object, facts: tuple[object, ...], stripes: Dataset
) -> None:
    settings = TeacherSettings(model="m", checkpoint=Path("w"), classes=classes)  # type: ignore[arg-type]
    with pytest.raises(TeacherError, match=naming("teacher.classes", *facts)):
        stated_names(settings, _info(stripes, "a", "b", "c"))


def test_agreement_and_accuracy_of_a_run_are_those_of_the_reordered_teacher(
    checkpoint: Path, stripes_file: Path, tmp_path: Path
) -> None:
    study = Study.model_validate(
        {
            "study": "stripes",
            "data": {"source": "npz", "path": stripes_file, "image_size": 32, "flip": False},
            "teacher": {"model": "test_resnet", "checkpoint": checkpoint, "classes": ORDER},
            "space": {"student": {"timm": {}}, "distillation": ["soft_targets", "fitnets"]},
            "run": {"cache": tmp_path / "cache", "artifacts": tmp_path / "artifacts"},
        }
    )
    spec, record = prepare_context(study, SilentCallback())
    assert record.quality["accuracy"].value == 1.0
    context = open_context(spec)
    assert (context.teacher_classes == context.dataset.validation.labels).all()
    (teacher,) = context.teachers()
    found = _logits(teacher, context.dataset).argmax(dim=1).numpy()
    assert (found == context.dataset.validation.labels).all()

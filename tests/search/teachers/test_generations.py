"""Teachers that learn from teachers: copies, generations and assistants."""

from pathlib import Path

import pytest
import torch

from search.config.teacher_members import all_members, teaching_members
from search.config.teacher_settings import TeacherSettings
from search.data.dataset import Dataset, normalize
from search.teachers.prepared import Teacher
from search.teachers.saved_teacher import open_teachers, save_teacher
from search.teachers.setting import TeacherContext
from search.teachers.teacher import prepare_teacher
from tests.messages import naming

TRAIN = {"epochs": 2, "batch_size": 16, "learning_rate": 0.01}


def _settings(**more: object) -> TeacherSettings:
    return TeacherSettings(**{"model": "test_resnet", "train": TRAIN, **more})  # type: ignore[arg-type]


def _epochs(said: list[str]) -> list[str]:
    """The roles that were trained, in their order."""
    return [line.partition(": epoch 1 ")[0] for line in said if ": epoch 1 " in line]


@torch.inference_mode()
def _logits(teacher: Teacher, dataset: Dataset) -> list[torch.Tensor]:
    (batch,) = dataset.validation.batches(64)
    images = normalize(batch.images, dataset.info.mean, dataset.info.std)
    return [member(images) for member in teacher.members]


def test_copies_are_an_ensemble_of_teachers_with_other_seeds(
    room: TeacherContext, said: list[str]
) -> None:
    teacher = prepare_teacher([_settings(copies=2)], room)
    one, other = _logits(teacher, room.dataset)
    assert not torch.allclose(one, other)
    assert _epochs(said) == ["teacher, copy 1 of 2", "teacher, copy 2 of 2"]
    # A list of the same settings has the same seeds.
    said.clear()
    listed = prepare_teacher([_settings(), _settings()], room)
    assert _epochs(said) == []
    assert listed.digest == teacher.digest


def test_each_generation_learns_from_the_one_before(room: TeacherContext, said: list[str]) -> None:
    first = prepare_teacher([_settings()], room)
    said.clear()
    last = prepare_teacher([_settings(train={**TRAIN, "generations": 2})], room)
    # The first generation is the teacher without generations, from the cache.
    assert _epochs(said) == ["teacher, generation 2 of 2"]
    assert len(last.members) == 1
    assert last.digest != first.digest
    assert naming("test_resnet", "generation", 2).search(last.name)
    assert sum("soft targets" in line for line in said) == TRAIN["epochs"]


def test_all_generations_can_teach_as_an_ensemble(
    room: TeacherContext, said: list[str], tmp_path: Path
) -> None:
    settings = _settings(train={**TRAIN, "generations": 2, "teaches": "all"})
    both = prepare_teacher([settings], room)
    alone = [
        prepare_teacher([_settings(train={**TRAIN, "generations": number})], room)
        for number in (1, 2)
    ]
    assert len(_epochs(said)) == 2
    for found, (expected,) in zip(
        _logits(both, room.dataset), (_logits(one, room.dataset) for one in alone), strict=True
    ):
        torch.testing.assert_close(found, expected)
    members = [member.settings for member in teaching_members([settings])]
    folder = save_teacher(both, members, room.dataset.info, cache=room.cache)
    opened = open_teachers(folder, allow_code=False)
    assert len(opened) == 2


@pytest.mark.parametrize(
    "distillation", [{"soft_targets": {"temperature": 2.0}}, {"attention": {}}]
)
def test_an_assistant_learns_from_the_teacher_and_teaches_in_its_place(
    distillation: object, room: TeacherContext, said: list[str]
) -> None:
    assistant = {
        "model": "test_efficientnet", "train": {**TRAIN, "distillation": distillation},
    }  # fmt: skip
    teacher = prepare_teacher([_settings(copies=2, assistant=assistant)], room)
    assert len(teacher.members) == 1
    assert naming("assistant", "test_efficientnet").search(teacher.name)
    assert _epochs(said)[-1] == "assistant"
    assert len(_epochs(said)) == 3


def test_an_assistant_of_another_teacher_is_trained_anew(
    room: TeacherContext, said: list[str]
) -> None:
    assistant = {"model": "test_resnet", "train": {**TRAIN, "epochs": 1}}
    for seed in (0, 5):
        train = {**TRAIN, "epochs": 1, "seed": seed}
        prepare_teacher([_settings(train=train, assistant=assistant)], room)
    assert _epochs(said).count("assistant") == 2


def test_assistants_form_a_chain() -> None:
    last = {"model": "test_vit", "train": TRAIN}
    settings = _settings(assistant={"model": "resnet10t", "train": TRAIN, "assistant": last})
    (taught,) = teaching_members([settings])
    names = [member.settings.model for member in all_members([taught])]
    assert names == ["test_resnet", "resnet10t", "test_vit"]
    assert taught.key == "teacher.assistant.assistant"


def test_members_of_a_study_have_seeds_of_their_own() -> None:
    train = {**TRAIN, "generations": 2, "teaches": "all"}
    stated = [_settings(copies=2, train=train), _settings(train={**TRAIN, "seed": 40})]
    members = teaching_members(stated)
    assert [member.seed(7) for member in members] == [7, 1007, 8, 1008, 40]
    assert len({member.label for member in members}) == 5
    assert len(all_members(members)) == 5


@pytest.mark.parametrize(
    ("distillation", "fact"),
    [
        ({}, "none"),
        ({"soft_targets": {}, "dist": {}}, "dist"),
        ({"soft_target": {}}, "soft_targets"),
        ({"soft_targets": {"heat": 2.0}}, "heat"),
        ({"soft_targets": {"temperature": -1.0}}, "temperature"),
    ],
)
def test_a_distillation_that_is_none_is_refused(distillation: object, fact: str) -> None:
    with pytest.raises(ValueError, match=naming("distillation", fact)):
        _settings(train={**TRAIN, "distillation": distillation})

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from search.training.distiller import Distiller
from spaces.axes.distillation import FeatureDistillation
from spaces.distillation.fitnets import FitNets
from spaces.distillation.labels import Labels
from spaces.features import Feature, Pairing, corresponding, features_of, with_maps
from spaces.method import FloatRange, param
from spaces.students.timm_model import Timm
from tests.messages import naming

IMAGES = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def _network(model: str = "test_resnet", *, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return Timm(model=model).build(classes=4, channels=3, image_size=32)


@dataclass(frozen=True)
class Bare(FeatureDistillation):
    """All pairs, and no projector."""

    name: ClassVar[str] = "bare"
    weight: float = param(1.0, FloatRange(0.0, 1.0))

    def pairs(self, student: Sequence[Feature], teacher: Sequence[Feature]) -> Pairing:
        return corresponding(student, teacher)

    def mismatch(self, student: Tensor, teacher: Tensor) -> Tensor:
        return functional.mse_loss(student, teacher)


@pytest.fixture
def teacher() -> nn.Module:
    return _network(seed=1).eval().requires_grad_(requires_grad=False)


def test_without_features_it_is_its_student(teacher: nn.Module) -> None:
    student = _network()
    distiller = Distiller(student, Labels(), [teacher], IMAGES[:1]).eval()
    logits, maps = distiller(IMAGES)
    assert torch.equal(logits, student(IMAGES))
    assert maps == []
    assert set(distiller.state_dict()) == {f"student.{key}" for key in student.state_dict()}


def test_maps_are_the_students_and_the_teachers_of_the_same_images(teacher: nn.Module) -> None:
    student = _network()
    logits, maps = Distiller(student, Bare(), [teacher], IMAGES[:1]).eval()(IMAGES)
    assert torch.allclose(logits, student(IMAGES), atol=1e-6)
    for network, found in ((student, [own for own, _ in maps]), (teacher, [t for _, t in maps])):
        expected = with_maps(network, IMAGES, features_of(network, IMAGES))[1]
        assert all(map(torch.equal, found, expected))
    assert all(own.requires_grad and not taught.requires_grad for own, taught in maps)


def test_maps_of_different_sizes_meet_at_the_smaller_one() -> None:
    student, teacher = _network(), _network("test_vit").eval()
    _, maps = Distiller(student, Bare(), [teacher], IMAGES[:1])(IMAGES)
    sides = [feature.side for feature in features_of(student, IMAGES)]
    assert [own.shape[2] for own, _ in maps] == [min(side, 2) for side in sides]
    assert all(own.shape[2:] == taught.shape[2:] for own, taught in maps)
    pooled = functional.adaptive_avg_pool2d(
        with_maps(student, IMAGES, features_of(student, IMAGES))[1][0], 2
    )
    assert torch.allclose(maps[0][0], pooled, atol=1e-5)


def test_each_of_several_teachers_is_compared(teacher: nn.Module) -> None:
    other = _network(seed=2).eval()
    pairs = Distiller(_network(), Bare(), [teacher], IMAGES[:1])(IMAGES)[1]
    both = Distiller(_network(), Bare(), [teacher, other], IMAGES[:1])(IMAGES)[1]
    assert len(both) == 2 * len(pairs)
    taught = [taught for _, taught in both]
    assert all(map(torch.equal, taught[: len(pairs)], [taught for _, taught in pairs]))
    assert not torch.equal(taught[0], taught[len(pairs)])


def test_its_state_holds_the_projectors_and_not_the_teachers(teacher: nn.Module) -> None:
    student = _network()
    distiller = Distiller(student, FitNets(), [teacher], IMAGES[:1])
    beside = {key for key in distiller.state_dict() if not key.startswith("student.")}
    assert beside == {"projectors.0.weight", "projectors.0.bias"}


def test_teachers_stay_in_evaluation_mode_while_it_trains(teacher: nn.Module) -> None:
    before = {key: value.clone() for key, value in teacher.state_dict().items()}
    distiller = Distiller(_network(), FitNets(), [teacher], IMAGES[:1]).train()
    distiller(IMAGES)
    assert not teacher.training
    assert all(torch.equal(value, before[key]) for key, value in teacher.state_dict().items())


def test_what_the_student_keeps_from_decaying_is_kept_from_it_under_its_new_name() -> None:
    student = _network("test_vit")
    names = Distiller(student, Labels(), (), IMAGES[:1]).no_weight_decay()
    assert names == {f"student.{name}" for name in student.no_weight_decay()}
    assert "student.pos_embed" in names


def test_features_need_a_teacher() -> None:
    with pytest.raises(ValueError, match=naming("fitnets")):
        Distiller(_network(), FitNets(), (), IMAGES[:1])

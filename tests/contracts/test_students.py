"""What every student promises."""

import pytest
import torch

from spaces import catalogue
from spaces.axes import Student
from spaces.students.timm_model import Timm

STUDENTS = [
    *(pytest.param(method(), id=name) for name, method in catalogue.methods("student").items()),
    *(
        pytest.param(Timm(model=model), id=model)
        for model in ("test_efficientnet", "test_byobnet", "test_vit")
    ),
]
over_students = pytest.mark.parametrize("student", STUDENTS)


@over_students
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("image_size", [32, 48])
def test_takes_the_images_and_gives_logits_of_the_classes(
    student: Student, channels: int, image_size: int
) -> None:
    network = student.build(classes=7, channels=channels, image_size=image_size)
    images = torch.randn(2, channels, image_size, image_size)
    assert network.eval()(images).shape == (2, 7)


@over_students
def test_random_weights_come_from_torchs_generator(student: Student) -> None:
    weights = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        network = student.build(classes=3, channels=1, image_size=32)
        weights.append(torch.cat([p.detach().flatten() for p in network.parameters()]))
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


@over_students
def test_a_blank_one_has_the_shapes_of_one_that_is_not(student: Student) -> None:
    shapes = [
        {
            key: value.shape
            for key, value in student.build(classes=3, channels=1, image_size=32, blank=blank)
            .state_dict()
            .items()
        }
        for blank in (False, True)
    ]
    assert shapes[0] == shapes[1]


def test_a_name_that_timm_does_not_know_is_refused_with_one_that_comes_near() -> None:
    with pytest.raises(ValueError, match=r"'resnet81'; did you mean 'resnet18'\?"):
        Timm(model="resnet81").build(classes=3, channels=1, image_size=32)

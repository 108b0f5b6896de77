import torch

from spaces.axes import Lesson
from spaces.distillation.fitnets import FitNets
from spaces.features import Feature


def _features(channels: int) -> list[Feature]:
    return [
        Feature(
            place=n, channels=channels, side=2 ** (3 - n), scale=2 ** (3 - n), depth=(n + 1) / 4
        )
        for n in range(4)
    ]


def test_the_loss_is_the_cross_entropy_and_the_weighted_mean_square_as_by_hand() -> None:
    student = torch.tensor([[[[1.0, 2.0]]]])
    teacher = torch.tensor([[[[3.0, 2.5]]]])
    lesson = Lesson(torch.zeros(1, 2), torch.tensor([0]), None, maps=[(student, teacher)])
    expected = torch.tensor(2.0).log() + 10 * (2**2 + 0.5**2) / 2
    assert torch.allclose(FitNets(weight=10).loss(lesson), expected)


def test_the_hint_lies_where_it_is_placed() -> None:
    for place, feature in [(0.0, 0), (0.5, 2), (1.0, 3)]:
        ((student, teacher),) = FitNets(place=place).pairs(_features(4), _features(6))
        assert (student.place, teacher.place) == (feature, feature)


def test_the_projector_gives_the_teachers_channels() -> None:
    ((student, teacher),) = FitNets().pairs(_features(4), _features(6))
    assert FitNets().projector(student, teacher)(torch.randn(2, 4, 5, 5)).shape == (2, 6, 5, 5)


def test_a_student_that_holds_the_teachers_map_learns_it_by_its_projector() -> None:
    torch.manual_seed(0)
    ((student, teacher),) = FitNets().pairs(_features(4), _features(6))
    projector = FitNets().projector(student, teacher)
    optimizer = torch.optim.Adam(projector.parameters(), lr=0.05)
    own = torch.randn(16, 4, 2, 2)
    taught = torch.nn.Conv2d(4, 6, 1).requires_grad_(requires_grad=False)(own)
    losses = []
    for _ in range(200):
        loss = FitNets().mismatch(projector(own), taught)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.01 * losses[0]

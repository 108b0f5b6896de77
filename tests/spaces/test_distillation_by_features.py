"""Losses of features, against cases worked out by hand and other people's formulas."""

import itertools
import math

import pytest
import timm
import torch
from timm.task.distillation import FeatureDistillationTask
from torch import Tensor, nn
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from spaces.axes.distillation import Distillation, DistillationBatch
from spaces.distillation import rkd
from spaces.distillation.attention import Attention, attention
from spaces.distillation.fitnets import FitNets
from spaces.distillation.layerwise import Layerwise
from spaces.distillation.rkd import RKD, angle_loss, angles, distances
from spaces.features import Feature

GENERATOR = torch.Generator().manual_seed(0)
EVEN = math.log(2)  # the cross-entropy of a student that does not know which of two classes


def _loss(method: Distillation, *maps: tuple[Tensor, Tensor]) -> float:
    images = len(maps[0][0])
    batch = DistillationBatch(torch.zeros(images, 2), torch.zeros(images).long(), None, maps=maps)
    return method.loss(batch).item()


def _features(channels: int, *, last_side: int = 1) -> list[Feature]:
    scales = [2 ** (3 - place) for place in range(4)]
    return [
        Feature(
            place=place,
            channels=channels,
            side=last_side * scale,
            scale=scale,
            depth=(place + 1) / 4,
        )
        for place, scale in enumerate(scales)
    ]


def _embedded(points: Tensor) -> Tensor:
    """Maps of 1 x 2 whose mean over the places is `points`, [batch, dimensions]."""
    return torch.stack([points + 1, points - 1], dim=2)[:, :, None, :]


def test_fitnets_by_hand() -> None:
    student, teacher = torch.tensor([[[[1.0, 2.0]]]]), torch.tensor([[[[3.0, 2.5]]]])
    expected = EVEN + 10 * (2**2 + 0.5**2) / 2
    assert _loss(FitNets(weight=10.0), (student, teacher)) == pytest.approx(expected)


def test_fitnets_are_timms_feature_task_where_the_map_is_pooled_and_nothing_projected() -> None:
    torch.manual_seed(0)
    student, teacher = (
        timm.create_model("test_resnet", num_classes=4).eval() for _ in ("student", "teacher")
    )
    images, labels = torch.randn(6, 3, 32, 32), torch.arange(6) % 4
    context = FeatureDistillationTask(
        student,
        teacher,
        criterion=nn.CrossEntropyLoss(),
        distill_loss_weight=5.0,
        task_loss_weight=1.0,
        verbose=False,
    ).eval()
    pooled = [
        network.forward_head(network.forward_features(images), pre_logits=True)[:, :, None, None]
        for network in (student, teacher)
    ]
    with torch.no_grad():
        expected = context(images, labels)["loss"]
        batch = DistillationBatch(student(images), labels, None, maps=[(pooled[0], pooled[1])])
        assert torch.allclose(FitNets(weight=5.0).loss(batch), expected)


def test_the_hint_lies_where_it_is_placed() -> None:
    for place, among in [(0.0, 0), (0.5, 2), (1.0, 3)]:
        ((student, teacher),) = FitNets(place=place).pairs(_features(4), _features(6))
        assert (student.place, teacher.place) == (among, among)


@pytest.mark.parametrize("method", [FitNets(), Layerwise()], ids=["fitnets", "layerwise"])
def test_a_projector_learns_the_teachers_map_where_the_students_holds_it(
    method: FitNets | Layerwise,
) -> None:
    torch.manual_seed(0)
    student, teacher = method.pairs(_features(4), _features(6))[0]
    projector = method.projector(student, teacher)
    own = torch.randn(16, 4, 2, 2)
    taught = nn.Conv2d(4, 6, kernel_size=1).requires_grad_(requires_grad=False)(own)
    optimizer = torch.optim.Adam(projector.parameters(), lr=0.03)
    losses = []
    for _ in range(300):
        loss = method.mismatch(projector(own), taught)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.01 * losses[0]


def test_attention_by_hand() -> None:
    # Mean squares over the channels are (2, 0) and (0, 8); of length 1, (1, 0) and (0, 1).
    student = torch.tensor([[[[2.0, 0.0]], [[0.0, 0.0]]]])
    teacher = torch.tensor([[[[0.0, 4.0]]]])
    assert attention(student).tolist() == [[1.0, 0.0]]
    assert _loss(Attention(weight=100.0), (student, teacher)) == pytest.approx(EVEN + 100 * 2 / 2)


def test_attention_is_the_mean_over_the_stages() -> None:
    alike = torch.randn(2, 3, 4, 4, generator=GENERATOR)
    student, teacher = torch.tensor([[[[2.0, 0.0]]]] * 2), torch.tensor([[[[0.0, 4.0]]]] * 2)
    one = _loss(Attention(), (student, teacher))
    two = _loss(Attention(), (student, teacher), (alike, 3 * alike))
    assert two - EVEN == pytest.approx((one - EVEN) / 2)


def test_attention_leaves_maps_of_a_single_pixel_out() -> None:
    pairs = Attention().pairs(_features(3), _features(5))
    assert [student.side for student, _ in pairs] == [8, 4, 2]
    with pytest.raises(ValueError, match="attention"):
        Attention().pairs(_features(3)[-1:], _features(5)[-1:])


def test_relational_distances_by_hand() -> None:
    # A triangle of sides 3, 4 and 5, whose mean is 4.
    found = distances(torch.tensor([[0.0, 0.0], [3.0, 0.0], [0.0, 4.0]]))
    expected = torch.tensor([[0, 3, 4], [3, 0, 5], [4, 5, 0]]) / 4
    assert torch.allclose(found, expected, atol=1e-5)


def test_relational_distances_are_torchs() -> None:
    points = torch.randn(7, 5, generator=GENERATOR)
    apart = torch.cdist(points, points)
    assert torch.allclose(distances(points), apart / (apart.sum() / 42), atol=1e-4)


def test_relational_angles_are_the_cosines_at_each_image() -> None:
    points = torch.randn(5, 3, generator=GENERATOR)
    found = angles(points)
    for at, one, other in itertools.permutations(range(5), 3):
        cosine = functional.cosine_similarity(
            points[one] - points[at], points[other] - points[at], 0
        )
        assert found[at, one, other].item() == pytest.approx(cosine.item(), abs=1e-5)


def test_rkd_weighs_huber_losses_of_distances_and_angles() -> None:
    own = torch.randn(6, 3, generator=GENERATOR)
    taught = torch.randn(6, 5, generator=GENERATOR)
    apart = (distances(own) - distances(taught)).abs()
    turned = (angles(own) - angles(taught)).abs()
    huber = [
        torch.where(gap < 1, gap.square() / 2, gap - 0.5).mean().item() for gap in (apart, turned)
    ]
    loss = _loss(RKD(weight=3.0, angle_weight=4.0), (_embedded(own), _embedded(taught)))
    assert loss == pytest.approx(EVEN + 3 * (huber[0] + 4 * huber[1]), rel=1e-4)


def test_rkd_does_not_mind_a_turn_a_shift_and_another_scale() -> None:
    taught = torch.randn(8, 4, generator=GENERATOR)
    turn, _ = torch.linalg.qr(torch.randn(4, 4, generator=GENERATOR))
    own = 3 * taught @ turn + 5
    assert _loss(RKD(), (_embedded(own), _embedded(taught))) == pytest.approx(EVEN, abs=1e-3)


def test_the_angles_of_a_large_batch_are_compared_across_all_of_its_images(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own = torch.randn(100, 3, generator=GENERATOR, requires_grad=True)
    taught = torch.randn(100, 5, generator=GENERATOR)
    directions = [functional.normalize(each[None] - each[:, None], dim=2) for each in (own, taught)]
    cosines = [torch.einsum("ijd,ikd->ijk", each, each) for each in directions]
    expected = functional.smooth_l1_loss(*cosines)
    (slope,) = torch.autograd.grad(3 * expected, own)
    for numbers in (2**22, 2**16, 1):  # one block, blocks of six images, blocks of one
        monkeypatch.setattr(rkd, "_BLOCK_NUMBERS", numbers)
        found = angle_loss(own, taught)
        assert found.item() == pytest.approx(expected.item(), rel=1e-5)
        (found_slope,) = torch.autograd.grad(3 * found, own)
        assert torch.allclose(found_slope, slope, rtol=1e-3, atol=1e-3 * slope.abs().max())


def test_no_tensor_of_rkd_grows_with_the_cube_of_the_batch() -> None:
    own = torch.randn(300, 2, 1, 1, generator=GENERATOR, requires_grad=True)
    taught = torch.randn(300, 3, 1, 1, generator=GENERATOR)
    with _LargestTensor() as largest:
        RKD().mismatch(own, taught).backward()
    assert own.grad is not None
    assert 0 < largest.numbers <= 2**18 < 300**3


class _LargestTensor(TorchDispatchMode):
    """Notes how many numbers the largest tensor has that is computed under it."""

    numbers = 0

    def __torch_dispatch__(  # type: ignore[no-untyped-def]
        self, func, types, args=(), kwargs=None
    ):
        found = func(*args, **(kwargs or {}))
        if isinstance(found, Tensor):
            self.numbers = max(self.numbers, found.numel())
        return found


def test_layerwise_is_twice_one_minus_the_cosine_of_each_places_channels() -> None:
    student, teacher = (torch.randn(2, 5, 3, 3, generator=GENERATOR) for _ in range(2))
    cosine = functional.cosine_similarity(student, teacher, dim=1).mean().item()
    loss = _loss(Layerwise(weight=7.0), (student, 9 * teacher))
    assert loss == pytest.approx(EVEN + 7 * 2 * (1 - cosine), rel=1e-5)


def test_layerwise_pairs_every_stage() -> None:
    pairs = Layerwise().pairs(_features(4)[1:], _features(6, last_side=7))
    assert [(student.place, teacher.place) for student, teacher in pairs] == [
        (1, 1),
        (2, 2),
        (3, 3),
    ]

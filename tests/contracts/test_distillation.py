"""What every distillation's loss promises."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from spaces import registry
from spaces.axes.distillation import Distillation, DistillationBatch, FeatureDistillation, Needs
from spaces.features import Feature
from tests.messages import naming

CLASSES = 5


def _with_edges() -> Iterator[object]:
    for name, method in registry.methods("distillation").items():
        yield pytest.param(method(), id=name)
        for key, distribution in method.distributions().items():
            for edge in distribution.edges():
                yield pytest.param(method(**{key: edge}), id=f"{name}-{key}={edge}")


over_distillations = pytest.mark.parametrize("distillation", [*_with_edges()])


def _features(widths: tuple[int, ...]) -> tuple[Feature, ...]:
    last = len(widths) - 1
    return tuple(
        Feature(
            place=place,
            channels=channels,
            side=2 * 2 ** (last - place),
            scale=2.0 ** (last - place),
            depth=(place + 1) / len(widths),
        )
        for place, channels in enumerate(widths)
    )


def _maps(distillation: Distillation, images: int) -> list[tuple[Tensor, Tensor]]:
    """Pairs of maps as a student and a teacher of these features would give them."""
    if not isinstance(distillation, FeatureDistillation):
        return []
    torch.manual_seed(0)
    maps = []
    for student, teacher in distillation.pairs(_features((4, 6, 8)), _features((5, 7, 9))):
        side = min(student.side, teacher.side)
        own = distillation.projector(student, teacher)(
            torch.randn(images, student.channels, side, side)
        )
        other = torch.randn(images, teacher.channels, side, side)
        maps.append((own.detach().requires_grad_(), other))
    return maps


@pytest.fixture
def batch(distillation: Distillation) -> DistillationBatch:
    """Eight images, two teachers."""
    generator = torch.Generator().manual_seed(0)
    members = 3 * torch.randn(2, 8, CLASSES, generator=generator)
    return DistillationBatch(
        student=torch.randn(8, CLASSES, generator=generator, requires_grad=True),
        labels=torch.arange(8) % CLASSES,
        teacher=members.mean(dim=0).requires_grad_(),
        members=members.requires_grad_(),
        maps=_maps(distillation, 8),
    )


@over_distillations
@pytest.mark.parametrize("smoothing", [0.0, 0.5])
def test_loss_is_a_finite_scalar(
    distillation: Distillation, batch: DistillationBatch, smoothing: float
) -> None:
    loss = distillation.loss(batch, label_smoothing=smoothing)
    assert loss.shape == ()
    assert loss.isfinite()


@over_distillations
def test_shares_of_classes_are_labels_too(
    distillation: Distillation, batch: DistillationBatch
) -> None:
    sure = torch.nn.functional.one_hot(batch.labels, CLASSES).float()
    whole = distillation.loss(replace(batch, labels=sure))
    assert torch.allclose(whole, distillation.loss(batch))
    assert distillation.loss(replace(batch, labels=0.7 * sure + 0.3 * sure.roll(1, 1))).isfinite()


@over_distillations
def test_gradient_reaches_the_student_alone(
    distillation: Distillation, batch: DistillationBatch
) -> None:
    distillation.loss(batch).backward()
    for teacher in (batch.teacher, batch.members):
        assert teacher is not None
        assert teacher.grad is None
    for student in _of_the_student(batch):
        assert student.grad is not None
        assert student.grad.isfinite().all()
        assert student.grad.abs().sum() > 0


@over_distillations
def test_loss_of_the_same_batch_is_the_same(
    distillation: Distillation, batch: DistillationBatch
) -> None:
    assert torch.equal(distillation.loss(batch), distillation.loss(batch))


@over_distillations
def test_loss_leaves_the_batch_as_it_was(
    distillation: Distillation, batch: DistillationBatch
) -> None:
    before = [tensor.detach().clone() for tensor in _tensors(batch)]
    distillation.loss(batch).backward()
    assert all(map(torch.equal, _tensors(batch), before))


@over_distillations
def test_following_the_gradient_lowers_the_loss(
    distillation: Distillation, batch: DistillationBatch
) -> None:
    loss = distillation.loss(batch)
    slopes = torch.autograd.grad(loss, _of_the_student(batch))
    length = torch.stack([slope.norm() for slope in slopes]).norm()
    steps = [-1e-2 * slope / length for slope in slopes]
    moved = replace(
        batch,
        student=batch.student + steps[0],
        maps=[
            (student + step, teacher)
            for (student, teacher), step in zip(batch.maps, steps[1:], strict=True)
        ],
    )
    assert distillation.loss(moved) < loss


@over_distillations
def test_loss_stays_finite_at_extreme_logits(distillation: Distillation) -> None:
    # Half precision's largest numbers, which cached logits may hold; of a single image.
    extreme = torch.tensor([[65504.0, -65504.0, 0.0]])
    batch = DistillationBatch(
        student=(-extreme).requires_grad_(),
        labels=torch.tensor([0]),
        teacher=extreme,
        members=torch.stack([extreme, -extreme]),
        maps=_maps(distillation, 1),
    )
    loss = distillation.loss(batch)
    assert loss.isfinite()
    (slope,) = torch.autograd.grad(loss, batch.student)
    assert slope.isfinite().all()


@over_distillations
def test_gradients_stay_finite_where_student_and_teacher_are_blank(
    distillation: Distillation,
) -> None:
    # As a student is that starts with zeros in its last layer, and whose images are all alike.
    maps = [
        (torch.zeros_like(student).requires_grad_(), torch.zeros_like(teacher))
        for student, teacher in _maps(distillation, 4)
    ]
    blank = torch.zeros(4, CLASSES)
    batch = DistillationBatch(
        student=blank.clone().requires_grad_(),
        labels=torch.arange(4),
        teacher=blank,
        members=torch.stack([blank, blank]),
        maps=maps,
    )
    slopes = torch.autograd.grad(
        distillation.loss(batch), _of_the_student(batch), allow_unused=True
    )
    assert all(slope is None or slope.isfinite().all() for slope in slopes)


@over_distillations
def test_what_is_not_needed_may_be_absent_and_what_is_may_not(
    distillation: Distillation, batch: DistillationBatch
) -> None:
    lacking = {
        Needs.LOGITS: replace(batch, teacher=None, members=None),
        Needs.FEATURES: replace(batch, maps=[]),
    }
    for need, alone in lacking.items():
        if distillation.needs is need:
            with pytest.raises(ValueError, match=naming(need)):
                distillation.loss(alone)
        else:
            assert torch.equal(distillation.loss(alone), distillation.loss(batch))


def _of_the_student(batch: DistillationBatch) -> list[Tensor]:
    return [batch.student, *(student for student, _ in batch.maps)]


def _tensors(batch: DistillationBatch) -> list[Tensor]:
    given = (batch.student, batch.labels, batch.teacher, batch.members)
    return [tensor for tensor in given if tensor is not None] + [
        tensor for pair in batch.maps for tensor in pair
    ]

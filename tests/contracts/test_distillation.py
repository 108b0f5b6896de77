"""What every distillation's loss promises."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from spaces import catalogue
from spaces.axes import Distillation, Lesson


def _with_edges() -> Iterator[object]:
    for name, method in catalogue.methods("distillation").items():
        yield pytest.param(method(), id=name)
        for key, domain in method.domains().items():
            for edge in domain.edges():
                yield pytest.param(method(**{key: edge}), id=f"{name}-{key}={edge}")


over_distillations = pytest.mark.parametrize("distillation", [*_with_edges()])


@pytest.fixture
def lesson() -> Lesson:
    generator = torch.Generator().manual_seed(0)
    return Lesson(
        student=torch.randn(8, 5, generator=generator, requires_grad=True),
        labels=torch.arange(8) % 5,
        teacher=(3 * torch.randn(8, 5, generator=generator)).requires_grad_(),
    )


@over_distillations
@pytest.mark.parametrize("smoothing", [0.0, 0.5])
def test_loss_is_a_finite_scalar(
    distillation: Distillation, lesson: Lesson, smoothing: float
) -> None:
    loss = distillation.loss(lesson, label_smoothing=smoothing)
    assert loss.shape == ()
    assert loss.isfinite()


@over_distillations
def test_gradient_reaches_the_student_alone(distillation: Distillation, lesson: Lesson) -> None:
    distillation.loss(lesson).backward()
    assert lesson.teacher is not None
    assert lesson.teacher.grad is None
    assert lesson.student.grad is not None
    assert lesson.student.grad.isfinite().all()
    assert lesson.student.grad.abs().sum() > 0


@over_distillations
def test_loss_of_the_same_lesson_is_the_same(distillation: Distillation, lesson: Lesson) -> None:
    assert torch.equal(distillation.loss(lesson), distillation.loss(lesson))


@over_distillations
def test_loss_leaves_the_lesson_as_it_was(distillation: Distillation, lesson: Lesson) -> None:
    before = [tensor.detach().clone() for tensor in _tensors(lesson)]
    distillation.loss(lesson).backward()
    assert all(map(torch.equal, _tensors(lesson), before))


@over_distillations
def test_following_the_gradient_lowers_the_loss(distillation: Distillation, lesson: Lesson) -> None:
    loss = distillation.loss(lesson)
    (slope,) = torch.autograd.grad(loss, lesson.student)
    step = Lesson(lesson.student - 1e-2 * slope, lesson.labels, lesson.teacher)
    assert distillation.loss(step) < loss


@over_distillations
def test_loss_stays_finite_at_extreme_logits(distillation: Distillation) -> None:
    # Half precision's largest numbers, which cached logits may hold.
    extreme = torch.tensor([[65504.0, -65504.0, 0.0]])
    lesson = Lesson(student=-extreme, labels=torch.tensor([0]), teacher=extreme)
    assert distillation.loss(lesson).isfinite()


@over_distillations
def test_a_teacher_that_is_not_needed_may_be_absent_and_one_that_is_may_not(
    distillation: Distillation, lesson: Lesson
) -> None:
    alone = Lesson(lesson.student, lesson.labels, teacher=None)
    if distillation.needs_teacher:
        with pytest.raises(ValueError, match="need the teacher's logits"):
            distillation.loss(alone)
    else:
        assert torch.equal(distillation.loss(alone), distillation.loss(lesson))


def _tensors(lesson: Lesson) -> list[Tensor]:
    return [
        tensor for tensor in (lesson.student, lesson.labels, lesson.teacher) if tensor is not None
    ]

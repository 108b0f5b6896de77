import math

import pytest
import torch
from torch import Tensor

from spaces.axes.distillation import DistillationBatch
from spaces.distillation.soft_targets import SoftTargets, soft_target_loss
from tests.messages import naming

# A teacher sure to 3/4 and an undecided student: 3/4 ln(3/4 ÷ 1/2) + 1/4 ln(1/4 ÷ 1/2) nats.
DIVERGENCE = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)


def _sure(temperature: float) -> Tensor:
    """Logits that are (3/4, 1/4) at this temperature."""
    return torch.tensor([[temperature * math.log(3), 0.0]])


def _gradient(student: Tensor, teacher: Tensor, *, temperature: float) -> Tensor:
    student = student.clone().requires_grad_()
    soft_target_loss(student, teacher, temperature=temperature).backward()
    assert student.grad is not None
    return student.grad


def test_at_temperature_one_it_is_the_divergence_worked_by_hand() -> None:
    loss = soft_target_loss(torch.zeros(1, 2), _sure(1), temperature=1)
    assert loss.item() == pytest.approx(DIVERGENCE)


def test_at_temperature_two_it_is_four_times_the_softened_divergence() -> None:
    loss = soft_target_loss(torch.zeros(1, 2), _sure(2), temperature=2)
    assert loss.item() == pytest.approx(4 * DIVERGENCE)


def test_gradient_is_the_difference_of_predictions_times_the_temperature() -> None:
    for temperature in (1.0, 2.0):
        gradient = _gradient(torch.zeros(1, 2), _sure(temperature), temperature=temperature)
        assert gradient[0].tolist() == pytest.approx([-0.25 * temperature, 0.25 * temperature])


def test_gradient_keeps_its_scale_at_high_temperatures() -> None:
    student, teacher = torch.tensor([[1.0, 0.0, -1.0]]), torch.tensor([[0.0, 2.0, 1.0]])
    warm = _gradient(student, teacher, temperature=100.0)
    hot = _gradient(student, teacher, temperature=1000.0)
    assert torch.allclose(warm, hot, rtol=0.05)
    # Hinton et al. 2015, equation 4: (student - teacher) ÷ classes, both centred.
    assert torch.allclose(hot, (student - teacher + 1) / 3, rtol=0.05)


def test_it_is_averaged_over_the_batch() -> None:
    one = soft_target_loss(torch.zeros(1, 2), _sure(1), temperature=1)
    many = soft_target_loss(torch.zeros(5, 2), _sure(1).expand(5, 2), temperature=1)
    assert many.item() == pytest.approx(one.item())


def test_it_is_nothing_where_student_and_teacher_agree() -> None:
    logits = torch.tensor([[3.0, -1.0, 0.5]])
    assert soft_target_loss(logits, logits + 7, temperature=3).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("temperature", [0.0, -1.0])
def test_a_temperature_that_is_not_positive_is_refused(temperature: float) -> None:
    with pytest.raises(ValueError, match=naming("temperature", temperature)):
        soft_target_loss(torch.zeros(1, 2), _sure(1), temperature=temperature)


def test_weight_is_the_share_of_the_teacher_in_the_loss() -> None:
    batch = DistillationBatch(torch.zeros(1, 2), torch.tensor([0]), _sure(2))
    loss = SoftTargets(temperature=2.0, weight=0.7).loss(batch)
    assert loss.item() == pytest.approx(0.7 * 4 * DIVERGENCE + 0.3 * math.log(2))


def test_labels_alone_are_smoothed() -> None:
    batch = DistillationBatch(_sure(1), torch.tensor([0]), _sure(1))
    loss = SoftTargets(temperature=1.0, weight=0.5).loss(batch, label_smoothing=0.2)
    # Half the labels' part: a target of (0.9, 0.1) against (3/4, 1/4); the teacher's is 0.
    expected = 0.5 * -(0.9 * math.log(0.75) + 0.1 * math.log(0.25))
    assert loss.item() == pytest.approx(expected)

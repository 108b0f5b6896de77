"""Losses of logits, against cases worked out by hand and other people's formulas."""

import math
from dataclasses import replace

import numpy as np
import pytest
import timm
import torch
from timm.task.distillation import LogitDistillationTask
from torch import Tensor
from torch.nn import functional

from spaces.axes.distillation import DistillationBatch
from spaces.distillation.confidence import Confidence, confidences
from spaces.distillation.dist import DIST
from spaces.distillation.dkd import DKD, decoupled
from spaces.distillation.hard_labels import HardLabels
from spaces.distillation.label_free import LabelFree
from spaces.distillation.soft_targets import SoftTargets
from spaces.distillation.standardization import standardized

GENERATOR = torch.Generator().manual_seed(0)
STUDENT = torch.randn(6, 4, generator=GENERATOR)
TEACHER = 2 * torch.randn(6, 4, generator=GENERATOR)
LABELS = torch.tensor([0, 1, 2, 3, 0, 1])
TRUE = functional.cross_entropy(STUDENT, LABELS)


def _batch(*members: Tensor, labels: Tensor = LABELS) -> DistillationBatch:
    return DistillationBatch(STUDENT, labels, members[0], members=torch.stack(members))


def _divergence(student: Tensor, teacher: Tensor) -> float:
    """Of two predictions, in nats."""
    return float((teacher * (teacher / student).log()).sum())


def test_soft_targets_are_those_of_timms_distillation_task() -> None:
    torch.manual_seed(0)
    student, teacher = (
        timm.create_model("test_resnet", num_classes=4).eval() for _ in ("student", "teacher")
    )
    images = torch.randn(6, 3, 32, 32)
    context = LogitDistillationTask(
        student,
        teacher,
        criterion=torch.nn.CrossEntropyLoss(),
        task_loss_weight=0.3,
        temperature=3.0,
        verbose=False,
    ).eval()
    with torch.no_grad():
        expected = context(images, LABELS)["loss"]
        batch = DistillationBatch(student(images), LABELS, teacher(images))
        found = SoftTargets(temperature=3.0, weight=0.7).loss(batch)
    assert torch.allclose(found, expected)


def test_hard_labels_are_cross_entropy_with_the_teachers_decisions() -> None:
    student = torch.tensor([[0.0, 0.0], [math.log(3), 0.0]])
    teacher = torch.tensor([[-1.0, 4.0], [0.5, 0.0]])  # decides for 1 and 0
    batch = DistillationBatch(student, torch.tensor([0, 1]), teacher)
    taught, true = (math.log(2) + math.log(4 / 3)) / 2, (math.log(2) + math.log(4)) / 2
    found = HardLabels(weight=0.25).loss(batch)
    assert found.item() == pytest.approx(0.25 * taught + 0.75 * true)


def test_smoothing_blurs_the_labels_and_not_the_teachers_decisions() -> None:
    student = torch.tensor([[math.log(3), 0.0]])  # predicts 3/4 and 1/4
    batch = DistillationBatch(student, torch.tensor([0]), torch.tensor([[0.0, 2.0]]))
    taught, true = math.log(4), 0.9 * math.log(4 / 3) + 0.1 * math.log(4)
    found = HardLabels(weight=0.25).loss(batch, label_smoothing=0.2)
    assert found.item() == pytest.approx(0.25 * taught + 0.75 * true)


def test_dkd_by_hand() -> None:
    # Probabilities of the student are 1/2, 1/4, 1/4 and of the teacher 2/3, 2/9, 1/9.
    student = torch.tensor([[math.log(2), 0.0, 0.0]])
    teacher = torch.tensor([[math.log(6), math.log(2), 0.0]])
    of_target = 2 / 3 * math.log(4 / 3) + 1 / 3 * math.log(2 / 3)
    among_others = 2 / 3 * math.log(4 / 3) + 1 / 3 * math.log(2 / 3)
    loss = DKD(temperature=1.0, target_weight=0.5, others_weight=3.0).loss(
        DistillationBatch(student, torch.tensor([0]), teacher)
    )
    assert loss.item() == pytest.approx(math.log(2) + 0.5 * of_target + 3 * among_others)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_dkds_parts_make_up_the_soft_targets_once_coupled_as_the_paper_shows(
    temperature: float,
) -> None:
    own, taught = (decoupled(logits / temperature, LABELS) for logits in (STUDENT, TEACHER))
    whole = [
        _divergence(student, teacher)
        for student, teacher in zip(
            (STUDENT / temperature).softmax(1), (TEACHER / temperature).softmax(1), strict=True
        )
    ]
    for image in range(6):
        of_target, among_others = (
            _divergence(student[image].exp(), teacher[image].exp())
            for student, teacher in zip(own, taught, strict=True)
        )
        share_of_others = taught[0][image, 1].exp().item()
        assert of_target + share_of_others * among_others == pytest.approx(whole[image], rel=1e-4)


def test_dkds_others_matter_however_sure_the_teacher_is() -> None:
    sure = TEACHER + 50 * functional.one_hot(LABELS, 4)
    apart = DKD().loss(_batch(sure)) - TRUE
    assert apart > 1


def test_dkd_has_the_weights_of_its_authors_and_takes_a_twelfth_of_the_training_to_reach_them() -> (
    None
):
    # For CIFAR-100: alpha 1, beta 8, T 4, and 20 epochs of warm-up of 240.
    assert DKD() == DKD(
        temperature=4.0, target_weight=1.0, others_weight=8.0, warmup=20 / 240, standardize=False
    )
    batch = _batch(TEACHER)
    whole = (DKD().loss(batch) - TRUE).item()
    for epoch in (1, 10, 20, 240):
        found = DKD().loss(replace(batch, progress=epoch / 240)) - TRUE
        assert found.item() == pytest.approx(min(epoch / 20, 1) * whole, rel=1e-4)


def test_dkd_warms_up_over_the_share_that_it_is_given() -> None:
    whole = (DKD().loss(_batch(TEACHER)) - TRUE).item()
    for warmup, expected in ((0.5, 0.2), (0.1, 1.0), (0.0, 1.0)):
        found = DKD(warmup=warmup).loss(replace(_batch(TEACHER), progress=0.1)) - TRUE
        assert found.item() == pytest.approx(expected * whole, rel=1e-4)


def _z_scores(logits: np.ndarray) -> np.ndarray:
    """Of each row, with the standard deviation of a sample: what Sun et al. 2024 compare."""
    return np.stack([(row - row.mean()) / row.std(ddof=1) for row in logits])


def _softmax(logits: np.ndarray) -> np.ndarray:
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    return shares / shares.sum(axis=1, keepdims=True)


def _dkd_of_the_authors(
    student: np.ndarray, teacher: np.ndarray, *, alpha: float, beta: float, temperature: float
) -> float:
    """Zhao et al. 2022 image by image: by probabilities, where ours are logarithms."""
    own, taught = _softmax(student / temperature), _softmax(teacher / temperature)
    total = 0.0
    for p, q, label in zip(own, taught, LABELS.tolist(), strict=True):
        b, d = p[label], q[label]
        target = d * math.log(d / b) + (1 - d) * math.log((1 - d) / (1 - b))
        other = [k for k in range(len(p)) if k != label]
        p_hat, q_hat = p[other] / (1 - b), q[other] / (1 - d)
        total += alpha * target + beta * float((q_hat * np.log(q_hat / p_hat)).sum())
    return temperature**2 * total / len(own)


@pytest.mark.parametrize("weights", [(1.0, 8.0), (1.0, 0.5), (0.5, 2.0)])
def test_dkd_is_its_authors_sum_of_two_divergences(weights: tuple[float, float]) -> None:
    alpha, beta = weights
    student, teacher = STUDENT.double().numpy(), TEACHER.double().numpy()
    expected = _dkd_of_the_authors(student, teacher, alpha=alpha, beta=beta, temperature=4.0)
    found = DKD(target_weight=alpha, others_weight=beta).loss(_batch(TEACHER)) - TRUE
    assert found.item() == pytest.approx(expected, rel=1e-4)


def test_standardised_dkd_is_that_of_z_scores_nine_times() -> None:
    student, teacher = (_z_scores(x.double().numpy()) for x in (STUDENT, TEACHER))
    expected = 9 * _dkd_of_the_authors(student, teacher, alpha=1.0, beta=8.0, temperature=4.0)
    found = DKD(standardize=True).loss(_batch(TEACHER)) - TRUE
    assert found.item() == pytest.approx(expected, rel=1e-4)


def test_standardised_soft_targets_are_those_of_z_scores_nine_times() -> None:
    student, teacher = (_softmax(_z_scores(x.numpy()) / 2) for x in (STUDENT, TEACHER))
    divergence = float((teacher * np.log(teacher / student)).sum() / 6)
    # The authors' weights, 9 of the teacher and 0.1 of the labels, in the same ratio.
    weight = 10 / 11
    found = SoftTargets(temperature=2.0, weight=weight, standardize=True).loss(_batch(TEACHER))
    expected = (9 * 4 * divergence + 0.1 * TRUE.item()) * (1 - weight) / 0.1
    assert found.item() == pytest.approx(expected, rel=1e-4)


def test_standardised_z_scores_by_hand() -> None:
    # Deviations of -1, 0 and 1 from the mean, and a standard deviation of 1.
    assert standardized(torch.tensor([[4.0, 5.0, 6.0]])).tolist() == [
        pytest.approx([-1, 0, 1], abs=1e-6)
    ]


def test_standardised_losses_depend_on_no_scale_and_no_shift_of_the_logits() -> None:
    for method in (SoftTargets(weight=1.0, standardize=True), DKD(standardize=True)):
        losses = []
        for scale, shift in ((1.0, 0.0), (0.1, 5.0)):
            batch = DistillationBatch(STUDENT, LABELS, scale * TEACHER + shift)
            losses.append(method.loss(batch).item())
        assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_dist_is_one_minus_numpys_correlations() -> None:
    student, teacher = ((logits / 2).softmax(1).numpy() for logits in (STUDENT, TEACHER))
    inter = 1 - np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(student, teacher, strict=True)])
    intra = 1 - np.mean(
        [np.corrcoef(a, b)[0, 1] for a, b in zip(student.T, teacher.T, strict=True)]
    )
    loss = DIST(temperature=2.0, inter_weight=0.5, intra_weight=3.0).loss(_batch(TEACHER))
    assert loss.item() == pytest.approx(TRUE.item() + 4 * (0.5 * inter + 3 * intra), rel=1e-5)


def test_dists_gradient_among_many_sure_classes_is_that_of_its_authors_loss() -> None:
    generator = torch.Generator().manual_seed(0)
    student, teacher = (8 * torch.randn(16, 1000, generator=generator) for _ in range(2))
    labels = torch.zeros(16, dtype=torch.int64)
    own = student.clone().requires_grad_()
    loss = DIST().loss(DistillationBatch(own, labels, teacher)) - functional.cross_entropy(
        own, labels
    )
    (found,) = torch.autograd.grad(loss, own)
    (expected,) = torch.autograd.grad(_dist_of_the_authors(own, teacher, room=1e-8), own)
    (unguarded,) = torch.autograd.grad(_dist_of_the_authors(own, teacher, room=0.0), own)
    assert _apart(found, expected) < 1e-3
    assert _apart(unguarded, expected) > 0.5


def _dist_of_the_authors(student: Tensor, teacher: Tensor, *, room: float) -> Tensor:
    """Equations 9 and 10 row by row, in double precision, with `room` beside the norms."""
    own, taught = student.double().softmax(1), teacher.double().softmax(1)
    losses = []
    for rows in (zip(own, taught, strict=True), zip(own.T, taught.T, strict=True)):
        correlations = []
        for one, other in rows:
            a, b = one - one.mean(), other - other.mean()
            correlations.append((a @ b) / (a.norm() * b.norm() + room))
        losses.append(1 - torch.stack(correlations).mean())
    return losses[0] + losses[1]


def _apart(found: Tensor, expected: Tensor) -> float:
    """The length of the difference, as a share of the expected one's."""
    return ((found - expected).norm() / expected.norm()).item()


def test_dist_asks_nothing_of_a_student_that_is_as_its_teacher() -> None:
    assert torch.allclose(DIST().loss(_batch(STUDENT)), TRUE, atol=1e-6)


def test_confidences_by_hand() -> None:
    # Cross-entropies of 0, log 2 and log 4: the softmax over them is 1/7, 2/7 and 4/7.
    members = torch.tensor([[[100.0, 0, 0, 0]], [[0.0, 0, -100, -100]], [[0.0, 0, 0, 0]]])
    found = confidences(members, torch.tensor([0]))
    expected = (1 - torch.tensor([1, 2, 4]) / 7) / 2
    assert torch.allclose(found[:, 0], expected)
    assert found.sum().item() == pytest.approx(1)


def test_confidence_weights_each_image_of_each_teacher() -> None:
    members = (TEACHER, 2 * torch.randn(6, 4, generator=GENERATOR))
    shares = confidences(torch.stack(members), LABELS)
    taught = sum(
        shares[teacher, image].item()
        * _divergence((STUDENT[image] / 2).softmax(0), (members[teacher][image] / 2).softmax(0))
        for teacher in range(2)
        for image in range(6)
    )
    loss = Confidence(temperature=2.0, weight=0.6).loss(_batch(*members))
    assert loss.item() == pytest.approx(0.6 * 4 * taught / 6 + 0.4 * TRUE.item(), rel=1e-5)


@pytest.mark.parametrize("teachers", [1, 3])
def test_confidence_in_teachers_that_are_alike_is_soft_targets(teachers: int) -> None:
    batch = _batch(*[TEACHER] * teachers)
    expected = SoftTargets(temperature=4.0, weight=0.7).loss(batch)
    assert torch.allclose(Confidence(temperature=4.0, weight=0.7).loss(batch), expected)


def test_a_teacher_that_is_wrong_teaches_less() -> None:
    right, wrong = 5.0 * functional.one_hot(LABELS, 4), -5.0 * functional.one_hot(LABELS, 4)
    shares = confidences(torch.stack([right, wrong]), LABELS)
    assert (shares[0] > 0.99).all()


def test_label_free_does_not_look_at_the_labels() -> None:
    losses = [
        LabelFree(temperature=3.0).loss(_batch(TEACHER, labels=labels)).item()
        for labels in (LABELS, LABELS.flip(0), torch.zeros(6, dtype=torch.int64))
    ]
    taught = [
        _divergence(student, teacher)
        for student, teacher in zip((STUDENT / 3).softmax(1), (TEACHER / 3).softmax(1), strict=True)
    ]
    assert losses == [pytest.approx(9 * sum(taught) / 6, rel=1e-5)] * 3

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from timm.layers import DropPath
from torch import Tensor, nn

from search.data.dataset import Dataset, normalize
from search.data.views.view import View, Views
from search.errors import TrialError
from search.objectives.metrics import ACCURACY, AGREEMENT
from search.records import EpochRecord
from search.training.checkpoint import Checkpoint
from search.training.trainer import train
from search.training.training_plan import TrainingPlan
from search.training.validation import Validation, predictions_of
from spaces.axes.distillation import Distillation, DistillationBatch, Needs
from spaces.distillation.fitnets import FitNets
from spaces.distillation.labels import Labels
from spaces.features import Feature
from spaces.students.timm_model import Timm
from spaces.training.standard import Standard
from tests.messages import naming

# Accuracy is of labels alone.
VALIDATION = Validation(ACCURACY, np.empty(0, np.int64))


def _linear() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(32 * 32, 3))


def _course(views: Views, **changes: object) -> TrainingPlan:
    plan = TrainingPlan(
        stage="distil",
        training=Standard(epochs=3, batch_size=32, learning_rate=1e-3),
        distillation=Labels(),
        epochs=3,
        validation=VALIDATION,
        views=views,
        targets=None,
        seed=0,
    )
    return replace(plan, **changes)  # type: ignore[arg-type]


def _curve(network: nn.Module, dataset: Dataset, plan: TrainingPlan) -> list[EpochRecord]:
    return list(train(network, dataset, plan))


def test_the_loss_falls_and_each_epoch_is_reported(stripes: Dataset, views: Views) -> None:
    points = _curve(_linear(), stripes, _course(views))
    assert [(point.stage, point.epoch) for point in points] == [
        ("distil", 0),
        ("distil", 1),
        ("distil", 2),
    ]
    assert points[-1].loss < 0.97 * points[0].loss
    assert points[-1].learning_rate < 1e-4


def test_the_reported_score_is_the_metric_of_the_validation_images(
    stripes: Dataset, views: Views
) -> None:
    network = _linear()
    points = _curve(network, stripes, _course(views))
    assert points[-1].score == predictions_of(network, stripes.validation, stripes).right.mean()
    teacher = np.zeros_like(stripes.validation.labels)
    plan = _course(views, validation=Validation(AGREEMENT, teacher))
    (*_, point) = _curve(network, stripes, plan)
    found = predictions_of(network, stripes.validation, stripes)
    assert point.score == np.mean(found.classes == 0)


class _Steep(Distillation):
    """A loss whose gradient is far above 1."""

    name = "steep"
    needs = Needs.NOTHING

    def loss(self, batch: DistillationBatch, *, label_smoothing: float = 0.0) -> Tensor:
        return 1000 * batch.label_loss(label_smoothing)


@pytest.mark.parametrize("clip_norm", [0.0, 0.5])
def test_a_steps_gradient_is_no_longer_than_it_may_be(
    stripes: Dataset, views: Views, clip_norm: float
) -> None:
    network, lengths = _linear(), []
    training = Standard(
        epochs=1, batch_size=32, optimizer="sgd", learning_rate=1e-3, clip_norm=clip_norm
    )

    def note() -> None:
        slopes = [weight.grad.flatten() for weight in network.parameters()]
        lengths.append(torch.cat(slopes).norm().item())

    plan = _course(views, training=training, distillation=_Steep(), epochs=1, constraint=note)
    _curve(network, stripes, plan)
    assert len(lengths) == len(stripes.training) // 32
    if clip_norm:
        assert lengths == pytest.approx([clip_norm] * len(lengths), rel=1e-4)
    else:
        assert min(lengths) > 1


class _Glance(Distillation):
    """Notes the labels, and the loss that is computed on them."""

    name = "glance"
    needs = Needs.NOTHING

    def __init__(self) -> None:
        object.__setattr__(self, "batches", [])

    def loss(self, batch: DistillationBatch, *, label_smoothing: float = 0.0) -> Tensor:
        self.batches.append(batch)  # type: ignore[attr-defined]
        return batch.label_loss(label_smoothing)


def _uneven(dataset: Dataset) -> Dataset:
    """The data set with three quarters of its training images of one class."""
    labels = np.where(np.arange(len(dataset.training)) % 4 < 3, 0, dataset.training.labels)
    return replace(dataset, training=replace(dataset.training, labels=labels))  # type: ignore[type-var]


def test_balanced_sampling_shows_small_classes_as_often_with_their_own_logits(
    stripes: Dataset, views: Views
) -> None:
    uneven, asked = _uneven(stripes), []

    def targets(view: View, indices: Tensor) -> Tensor:
        asked.append(indices)
        return indices[None, :, None].expand(1, -1, 3).float()

    shown = {}
    for sampling in ("uniform", "balanced"):
        notes = _Glance()
        training = Standard(epochs=2, batch_size=32, learning_rate=1e-3, sampling=sampling)
        plan = _course(views, training=training, distillation=notes, epochs=2, targets=targets)
        _curve(_linear(), uneven, plan)
        batches = notes.batches  # type: ignore[attr-defined]
        assert len(batches) == 2 * (len(uneven.training) // 32)
        shown[sampling] = torch.cat([batch.labels for batch in batches]).bincount(minlength=3)
        for indices, batch in zip(asked, batches, strict=True):
            assert batch.teacher[:, 0].tolist() == indices.tolist()
            assert batch.labels.tolist() == uneven.training.labels[indices].tolist()
        asked.clear()
    images = int(shown["uniform"].sum())
    assert shown["uniform"][0] > 0.7 * images
    assert shown["balanced"].tolist() == pytest.approx([images / 3] * 3, rel=0.1)


def test_the_loss_on_the_labels_is_the_one_that_the_training_chose(
    stripes: Dataset, views: Views
) -> None:
    uneven, notes = _uneven(stripes), _Glance()
    training = Standard(
        epochs=1, batch_size=32, learning_rate=1e-3, label_loss="bce", class_weights="inverse"
    )
    _curve(_linear(), uneven, _course(views, training=training, distillation=notes, epochs=1))
    criterion = notes.batches[0].criterion  # type: ignore[attr-defined]
    counts = np.bincount(uneven.training.labels, minlength=3)
    assert criterion.kind == "bce"
    assert criterion.class_weights.tolist() == pytest.approx([*(counts.sum() / counts / 3)])


@pytest.mark.parametrize("freeze", [True, False, "auto"])
def test_frozen_statistics_stay_and_weights_are_trained(
    stripes: Dataset, views: Views, freeze: bool | str
) -> None:
    torch.manual_seed(0)
    network = Timm(model="test_resnet").build(classes=3, channels=1, image_size=32)
    given = {key: value.clone() for key, value in network.state_dict().items()}
    training = Standard(epochs=1, batch_size=32, learning_rate=1e-3, freeze_statistics=freeze)
    _curve(network, stripes, _course(views, training=training, epochs=1))
    changed = {key for key, value in network.state_dict().items() if not value.equal(given[key])}
    assert any("running_mean" in key for key in changed) is (freeze is not True)
    assert {"conv1.0.weight", "fc.weight", "layer1.0.bn1.weight"} <= changed


def test_drop_path_is_in_the_network_for_its_training_alone(stripes: Dataset, views: Views) -> None:
    weights = []
    for rate in (0.0, 0.8):
        torch.manual_seed(0)
        network = Timm(model="test_resnet").build(classes=3, channels=1, image_size=32)
        training = Standard(epochs=1, batch_size=32, drop_path=rate)
        curve = train(network, stripes, _course(views, training=training, epochs=1))
        next(curve)
        found = sum(isinstance(module, DropPath) for module in network.modules())
        assert found == (4 if rate else 0)
        curve.close()
        assert not any(isinstance(module, DropPath) for module in network.modules())
        weights.append(network.conv1[0].weight.detach().clone())
    assert not torch.equal(*weights)


def test_the_reported_learning_rate_is_the_last_layers(stripes: Dataset, views: Views) -> None:
    rates = []
    for decay in (1.0, 0.5):
        torch.manual_seed(0)
        network = Timm(model="test_vit").build(classes=3, channels=1, image_size=32)
        training = Standard(epochs=2, batch_size=64, learning_rate=1e-3, layer_decay=decay)
        plan = _course(views, training=training, epochs=2)
        rates.append([point.learning_rate for point in _curve(network, stripes, plan)])
    assert rates[0] == pytest.approx(rates[1])


def test_the_same_seed_gives_the_same_weights(stripes: Dataset, views: Views) -> None:
    weights = []
    for seed in (0, 0, 1):
        network = nn.Sequential(_linear(), nn.Dropout(0.5))
        _curve(network, stripes, _course(views, seed=seed))
        weights.append(network[0][1].weight.detach().clone())
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_training_goes_no_further_than_it_is_asked_to(stripes: Dataset, views: Views) -> None:
    network = _linear()
    curve = train(network, stripes, _course(views))
    next(curve)
    after_one = network[1].weight.detach().clone()
    curve.close()
    assert torch.equal(network[1].weight, after_one)


def test_fault_09_a_loss_that_is_not_finite_ends_the_trial(stripes: Dataset, views: Views) -> None:
    network = _linear()
    with torch.no_grad():
        network[1].weight.fill_(1e38)
    with pytest.raises(
        TrialError, match=naming("distil", 0, "training.standard.learning_rate")
    ) as caught:
        _curve(network, stripes, _course(views))
    assert caught.value.kind == "non_finite"


class _Cliff(Distillation):
    """A finite loss whose gradient is infinite."""

    name = "cliff"
    needs = Needs.NOTHING

    def loss(self, batch: DistillationBatch, *, label_smoothing: float = 0.0) -> Tensor:
        return (batch.student - batch.student.detach()).abs().sqrt().sum()


def test_weights_that_become_infinite_in_the_last_step_end_the_trial(
    stripes: Dataset, views: Views
) -> None:
    plan = _course(
        views,
        training=Standard(epochs=1, batch_size=256, warmup_epochs=0),
        distillation=_Cliff(),
        epochs=1,
    )
    with pytest.raises(
        TrialError, match=naming("distil", "0.0", "training.standard.learning_rate")
    ) as caught:
        _curve(_linear(), stripes, plan)
    assert caught.value.kind == "non_finite"


class _Notebook(Distillation):
    """Notes the batches."""

    name = "notebook"
    needs = Needs.LOGITS

    def __init__(self) -> None:
        object.__setattr__(self, "batches", [])

    def loss(self, batch: DistillationBatch, *, label_smoothing: float = 0.0) -> Tensor:
        self.batches.append(batch)  # type: ignore[attr-defined]
        return batch.student.square().mean()


def test_each_epoch_asks_for_the_logits_of_its_own_view_and_images(
    stripes: Dataset, views: Views
) -> None:
    asked: list[tuple[int, list[int]]] = []

    def targets(view: View, indices: Tensor) -> Tensor:
        asked.append((view.number, indices.tolist()))
        return indices[None, :, None].expand(1, -1, 3).float()

    recorder = _Notebook()
    _curve(_linear(), stripes, _course(views, distillation=recorder, targets=targets))
    steps = len(stripes.training) // 32
    assert [number for number, _ in asked] == [0] * steps + [1] * steps + [0] * steps
    for (_, indices), batch in zip(asked, recorder.batches, strict=True):  # type: ignore[attr-defined]
        assert batch.teacher[:, 0].tolist() == indices
        assert torch.equal(batch.members, batch.teacher[None])
        assert batch.labels.tolist() == stripes.training.labels[indices].tolist()


@pytest.mark.parametrize("options", [{}, {"mixup": 0.8, "erasing": 1.0}], ids=["plain", "mixed"])
def test_a_live_teacher_answers_for_the_very_images_of_the_step(
    options: dict[str, float], stripes: Dataset, views: Views
) -> None:
    student, teacher, recorder = _Witness(), _Witness(), _Notebook()
    training = Standard(batch_size=32, **options)  # type: ignore[arg-type]
    live = views.endless()
    plan = _course(live, distillation=recorder, teachers=(teacher,), training=training)
    _curve(student, stripes, plan)
    shown = [images for images in student.seen if len(images) == 32]
    assert len(recorder.batches) == len(shown)  # type: ignore[attr-defined]
    for images, batch in zip(shown, recorder.batches, strict=True):  # type: ignore[attr-defined]
        with torch.no_grad():
            assert torch.allclose(batch.teacher, teacher.network(images), atol=1e-6)
        assert not batch.members.requires_grad


@dataclass(frozen=True)
class _Clock(Distillation):
    """Takes down how far the training is."""

    name: ClassVar[str] = "clock"
    needs: ClassVar[Needs] = Needs.NOTHING
    noted: ClassVar[list[float]] = []

    def loss(self, batch: DistillationBatch, *, label_smoothing: float = 0.0) -> Tensor:
        self.noted.append(batch.progress)
        return batch.student.sum()


def test_each_step_is_told_the_share_of_the_training_that_it_completes(
    stripes: Dataset, views: Views
) -> None:
    _Clock.noted.clear()
    plan = _course(views, distillation=_Clock(), epochs=2)
    _curve(_linear(), stripes, plan)
    steps = 2 * (len(stripes.training) // plan.training.batch_size)
    assert _Clock.noted == pytest.approx([step / steps for step in range(1, steps + 1)])


def test_several_teachers_are_given_each_and_as_their_mean_prediction(
    stripes: Dataset, views: Views
) -> None:
    generator = torch.Generator().manual_seed(0)

    def targets(view: View, indices: Tensor) -> Tensor:
        return torch.randn(2, len(indices), 3, generator=generator)

    recorder = _Notebook()
    _curve(_linear(), stripes, _course(views, distillation=recorder, targets=targets))
    for batch in recorder.batches:  # type: ignore[attr-defined]
        mean = batch.members.softmax(dim=2).mean(dim=0)
        assert torch.allclose(batch.teacher.softmax(dim=1), mean, atol=1e-6)


class _Witness(nn.Module):
    """A linear network that notes the images that it is shown while it is trained."""

    def __init__(self) -> None:
        super().__init__()
        self.network = _linear()
        self.seen: list[Tensor] = []

    def forward(self, images: Tensor) -> Tensor:
        if self.training:
            self.seen.append(images.detach().clone())
        logits: Tensor = self.network(images)
        return logits


def test_each_epoch_shows_its_view_of_every_image_in_another_order(
    stripes: Dataset, views: Views
) -> None:
    asked: list[Tensor] = []

    def targets(view: View, indices: Tensor) -> Tensor:
        asked.append(indices)
        return torch.zeros(1, len(indices), 3)

    witness = _Witness()
    training = Standard(epochs=3, batch_size=168)
    plan = _course(views, training=training, distillation=_Notebook(), targets=targets)
    _curve(witness, stripes, plan)
    for epoch, (indices, seen) in enumerate(zip(asked, witness.seen, strict=True)):
        view = views.in_epoch(epoch)
        (batch,) = stripes.training.batches(168, order=indices, view=view)
        assert torch.equal(seen, normalize(batch.images, stripes.info.mean, stripes.info.std))
        assert sorted(indices.tolist()) == list(range(168))
    assert not torch.equal(asked[0], asked[2])


def test_a_batch_larger_than_the_data_is_the_data(stripes: Dataset, views: Views) -> None:
    training = Standard(epochs=1, batch_size=4096, warmup_epochs=0)
    assert len(_curve(_linear(), stripes, _course(views, training=training, epochs=1))) == 1


def test_trained_weights_are_laid_out_as_they_were(stripes: Dataset, views: Views) -> None:
    network = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 3), nn.Flatten(), nn.Linear(4 * 28 * 28, 3)
    )
    curve = train(network, stripes, _course(views))
    next(curve)
    assert not network[1].weight.is_contiguous()
    curve.close()
    assert all(weight.is_contiguous() for weight in network.parameters())


def _cut_off(network: nn.Module, dataset: Dataset, plan: TrainingPlan, *, epochs: int) -> None:
    curve = train(network, dataset, plan)
    for _ in range(epochs):
        next(curve)
    curve.close()


def _always(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Checkpoint:
    monkeypatch.setattr("search.training.checkpoint._INTERVAL_S", 0.0)
    return Checkpoint(folder)


@pytest.mark.parametrize(
    "options",
    [
        {"optimizer": "adamw"},
        {"optimizer": "lamb", "schedule": "wsd"},
        {"optimizer": "sgd", "mixup": 0.4, "cutmix": 1.0, "erasing": 0.5},
        {"ema": 0.9},
    ],
)
def test_a_training_that_was_cut_off_ends_with_the_same_weights(
    options: dict[str, object],
    stripes: Dataset,
    views: Views,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def network() -> nn.Module:
        return nn.Sequential(_linear(), nn.Dropout(0.5))

    training = Standard(epochs=3, batch_size=32, learning_rate=1e-3, **options)
    whole, resumed = network(), network()
    points = _curve(whole, stripes, _course(views, training=training))
    checkpoint = _always(tmp_path / "part", monkeypatch)
    plan = _course(views, training=training, checkpoint=checkpoint)
    _cut_off(network(), stripes, plan, epochs=2)
    torch.manual_seed(99)  # another process
    assert _curve(resumed, stripes, plan) == points
    for one, other in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("damage", [b"", b"garbage", None])
def test_fault_12_a_damaged_checkpoint_starts_the_training_again(
    damage: bytes | None,
    stripes: Dataset,
    views: Views,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plan = _course(views, checkpoint=_always(tmp_path / "part", monkeypatch))
    _cut_off(_linear(), stripes, plan, epochs=2)
    file = tmp_path / "part" / "state.pt"
    file.unlink() if damage is None else file.write_bytes(damage)
    assert _curve(_linear(), stripes, plan) == _curve(_linear(), stripes, _course(views))


def test_the_checkpoint_of_a_network_of_other_shapes_is_left_alone(
    stripes: Dataset, views: Views, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def narrow() -> nn.Module:
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(32 * 32, 3, bias=False))

    plan = _course(views, checkpoint=_always(tmp_path / "part", monkeypatch))
    _cut_off(_linear(), stripes, plan, epochs=2)
    assert _curve(narrow(), stripes, plan) == _curve(narrow(), stripes, _course(views))


def test_a_checkpoint_that_cannot_be_written_ends_no_training(
    stripes: Dataset, views: Views, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    plan = _course(views, checkpoint=_always(tmp_path / "file" / "part", monkeypatch))
    assert _curve(_linear(), stripes, plan) == _curve(_linear(), stripes, _course(views))


def test_a_quick_training_writes_no_checkpoint(
    stripes: Dataset, views: Views, tmp_path: Path
) -> None:
    _curve(_linear(), stripes, _course(views, checkpoint=Checkpoint(tmp_path / "part")))
    assert not (tmp_path / "part").exists()


@dataclass(frozen=True)
class _Recorded(FitNets):
    """Hints by projectors that start at one half, and are kept to be looked at."""

    made: ClassVar[list[nn.Conv2d]] = []

    def projector(self, student: Feature, teacher: Feature) -> nn.Module:
        projector = nn.Conv2d(student.channels, teacher.channels, kernel_size=1)
        nn.init.constant_(projector.weight, 0.5)
        self.made.append(projector)
        return projector


def test_what_a_method_learns_is_trained_with_the_student(
    stripes: Dataset, views: Views, schooled: nn.Module
) -> None:
    network = Timm(model="test_resnet").build(classes=3, channels=1, image_size=32)
    plan = _course(views, distillation=_Recorded(), teachers=(schooled,))
    _Recorded.made.clear()
    next(train(network, stripes, plan))
    (projector,) = _Recorded.made
    assert (projector.weight - 0.5).abs().min() > 1e-4


def test_what_a_method_learns_goes_on_from_the_checkpoint_too(
    stripes: Dataset,
    views: Views,
    schooled: nn.Module,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def network() -> nn.Module:
        torch.manual_seed(0)
        return Timm(model="test_resnet").build(classes=3, channels=1, image_size=32)

    taught = _course(views, distillation=FitNets(), teachers=(schooled,))
    points = _curve(network(), stripes, taught)
    plan = replace(taught, checkpoint=_always(tmp_path / "part", monkeypatch))
    _cut_off(network(), stripes, plan, epochs=2)
    assert _curve(network(), stripes, plan) == points


def _steps_of_sgd(dataset: Dataset, views: Views, **options: float) -> TrainingPlan:
    training = Standard(
        epochs=2, batch_size=56, optimizer="sgd", learning_rate=0.01, warmup_epochs=0, **options
    )
    return _course(views, training=training, epochs=2)


class _Diary(_Witness):
    """Notes its weights as each step begins."""

    def __init__(self) -> None:
        super().__init__()
        self.weights: list[Tensor] = []

    def forward(self, images: Tensor) -> Tensor:
        if self.training:
            self.weights.append(self.network[1].weight.detach().clone())
        return super().forward(images)


def test_the_average_of_the_weights_is_what_was_trained_and_reported(
    stripes: Dataset, views: Views
) -> None:
    plain, averaged = _Diary(), _Diary()
    _curve(plain, stripes, _steps_of_sgd(stripes, views))
    points = _curve(averaged, stripes, _steps_of_sgd(stripes, views, ema=0.5))
    # Averaging leaves the weights that are trained alone, and with them every later step.
    assert all(map(torch.equal, averaged.weights, plain.weights))
    # timm's warm-up: the first step's weights are taken whole, and never more than asked for kept.
    after = [*plain.weights[1:], plain.network[1].weight.detach()]
    expected = after[0]
    for step, weights in enumerate(after[1:], start=2):
        decay = min(0.5, 1 - (1 + step - 1) ** (-2 / 3))
        expected = decay * expected + (1 - decay) * weights
    assert torch.allclose(averaged.network[1].weight, expected, atol=1e-6)
    assert not torch.allclose(averaged.network[1].weight, after[-1], atol=1e-6)
    assert points[-1].score == predictions_of(averaged, stripes.validation, stripes).right.mean()


def test_whoever_stops_asking_is_left_with_the_average_that_was_reported(
    stripes: Dataset, views: Views
) -> None:
    network = _linear()
    curve = train(network, stripes, _steps_of_sgd(stripes, views, ema=0.9))
    point = next(curve)
    curve.close()
    assert predictions_of(network, stripes.validation, stripes).right.mean() == point.score


@pytest.mark.parametrize("kind", ["mixup", "cutmix"])
def test_images_labels_and_predictions_are_mixed_alike(
    kind: str, stripes: Dataset, views: Views
) -> None:
    asked: list[Tensor] = []

    def targets(view: View, indices: Tensor) -> Tensor:
        asked.append(indices)
        # A teacher that is certain, and right.
        labels = torch.from_numpy(stripes.training.labels[indices.numpy()])
        return 100 * torch.nn.functional.one_hot(labels, 3).float()[None]

    witness, recorder = _Witness(), _Notebook()
    training = Standard(epochs=3, batch_size=56, **{kind: 1.0})
    plan = _course(views, training=training, distillation=recorder, targets=targets)
    _curve(witness, stripes, plan)
    batches = recorder.batches  # type: ignore[attr-defined]
    mixed = 0
    for step, (indices, seen, learned) in enumerate(zip(asked, witness.seen, batches, strict=True)):
        assert learned.labels.shape == (56, 3)
        assert torch.allclose(learned.labels.sum(dim=1), torch.ones(56))
        assert torch.allclose(learned.teacher.softmax(dim=1), learned.labels, atol=1e-5)
        view = views.in_epoch(step // 3)
        (batch,) = stripes.training.batches(56, order=indices, view=view)
        own = normalize(batch.images, stripes.info.mean, stripes.info.std)
        mixed += not torch.allclose(seen, own)
        # As far from the image as from its label: the share of it that is gone.
        gone = ((seen - own).abs().sum() / (own.flip(0) - own).abs().sum()).item()
        truth = torch.nn.functional.one_hot(torch.from_numpy(batch.labels.numpy()), 3).float()
        lost = (learned.labels - truth).abs().sum() / (truth.flip(0) - truth).abs().sum()
        assert gone == pytest.approx(lost.item(), abs=1e-4 if kind == "mixup" else 0.3)
    assert mixed > len(asked) / 2


@pytest.mark.parametrize(
    "options",
    [
        *({"mixup": 0.2}, {"cutmix": 1.0}, {"erasing": 0.5}, {"ema": 0.9}),
        {"mixup": 0.2, "cutmix": 1.0, "erasing": 0.25, "ema": 0.9},
    ],
)
def test_a_student_learns_whatever_is_mixed_and_averaged(
    options: dict[str, float], stripes: Dataset, views: Views
) -> None:
    torch.manual_seed(0)
    network = Timm(model="test_resnet").build(classes=3, channels=1, image_size=32)
    training = Standard(epochs=3, batch_size=16, **options)
    points = _curve(network, stripes, _course(views, training=training))
    assert points[-1].score > 0.6

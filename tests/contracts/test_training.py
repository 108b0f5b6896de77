"""What every training promises."""

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import nn
from torch.nn import functional

from search.training.distiller import Distiller
from spaces import registry
from spaces.axes.training import Training
from spaces.distillation.labels import Labels
from spaces.distillation.layerwise import Layerwise
from spaces.distributions import OneOf
from spaces.recipe import Recipe
from spaces.students.timm_model import Timm
from spaces.training.standard import Standard

STEPS = 10


def _trainings() -> Iterator[object]:
    for name, method in registry.methods("training").items():
        yield pytest.param(method(), id=name)
        for key, distribution in method.distributions().items():
            for option in distribution.edges() if isinstance(distribution, OneOf) else ():
                yield pytest.param(method(**{key: option}), id=f"{name}-{key}={option}")


over_trainings = pytest.mark.parametrize("training", [*_trainings()])


def _fitted(training: Training, *, epochs: int) -> tuple[list[float], list[float]]:
    """The loss before each step, and the learning rate at it; last, after all steps."""
    torch.manual_seed(0)
    images = torch.randn(48, 4)
    labels = (images[:, 0] > 0).long() + (images[:, 1] > 0).long()
    network = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 3))
    fit = training.fit(network, epochs=epochs, steps_per_epoch=STEPS)
    losses, rates = [], []
    for step in range(epochs * STEPS + 1):
        loss = functional.cross_entropy(network(images), labels)
        losses.append(loss.item())
        rates.append(fit.optimizer.param_groups[0]["lr"])
        fit.optimizer.zero_grad()
        loss.backward()
        fit.optimizer.step()
        fit.scheduler.step_update(step + 1)
    return losses, rates


@over_trainings
def test_fitting_lowers_the_loss(training: Training) -> None:
    losses, _ = _fitted(training, epochs=8)
    assert losses[-1] < 0.9 * losses[0]


def test_one_epoch_is_no_contradiction_and_has_no_warm_up(
    recipe: Callable[..., Recipe],
) -> None:
    training = Standard(epochs=1)
    assert training.conflict(recipe(training=training)) is None
    _, rates = _fitted(training, epochs=1)
    assert rates[0] == pytest.approx(max(rates))
    longer = Standard(epochs=1, warmup_epochs=2)
    assert "warmup_epochs" in (longer.conflict(recipe(training=longer)) or "")


@over_trainings
@pytest.mark.parametrize("epochs", [2, 3, 8])
def test_learning_rate_rises_and_falls_to_almost_nothing(training: Training, epochs: int) -> None:
    _, rates = _fitted(training, epochs=epochs)
    peak = max(rates)
    top = rates.index(peak)
    assert 0 < top <= epochs * STEPS / 2
    assert rates[: top + 1] == sorted(rates[: top + 1])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert rates[-1] < 0.01 * peak


@over_trainings
def test_a_single_epoch_falls_from_the_top(training: Training) -> None:
    _, rates = _fitted(training, epochs=1)
    assert rates[0] == max(rates)
    assert rates[-1] < 0.01 * max(rates)


def test_the_top_of_the_learning_rate_is_the_one_asked_for() -> None:
    _, rates = _fitted(Standard(learning_rate=0.02, warmup_epochs=2), epochs=8)
    assert max(rates) == pytest.approx(0.02)
    assert rates.index(max(rates)) == 2 * STEPS


def test_a_recovery_warms_up_for_the_same_share_as_the_training() -> None:
    _, rates = _fitted(Standard(epochs=40, warmup_epochs=10), epochs=8)
    assert rates.index(max(rates)) == 2 * STEPS
    _, rates = _fitted(Standard(epochs=40, warmup_epochs=10), epochs=3)
    assert rates.index(max(rates)) == STEPS


def _rates(schedule: str) -> list[float]:
    training = Standard(schedule=schedule, learning_rate=1.0, optimizer="sgd", warmup_epochs=0)
    return _fitted(training, epochs=10)[1]


def test_a_line_falls_by_the_same_amount_in_every_step() -> None:
    rates = _rates("linear")
    assert rates == pytest.approx([1 - step / 100 for step in range(101)])


def test_a_plateau_lasts_for_seven_tenths() -> None:
    rates = _rates("wsd")
    assert set(rates[:70]) == {1.0}
    assert rates[71] < 1.0


def test_a_cosine_is_half_way_down_in_the_middle() -> None:
    assert _rates("cosine")[50] == pytest.approx(0.5)


def test_a_plateau_of_a_single_step_is_taken_at_the_top() -> None:
    """As of a recovery of one epoch on few images, after the warm-up."""
    training = Standard(schedule="wsd", learning_rate=1.0, optimizer="sgd", warmup_epochs=1)
    model = nn.Linear(2, 2)
    fit = training.fit(model, epochs=2, steps_per_epoch=1)
    fit.scheduler.step_update(1)
    assert fit.optimizer.param_groups[0]["lr"] == 1.0


@pytest.mark.parametrize(
    ("parameter", "off"),
    [
        ("mixup", 0),
        ("cutmix", 0),
        ("erasing", 0),
        ("ema", 0),
        ("label_loss", "cross_entropy"),
        ("class_weights", "none"),
        ("sampling", "uniform"),
        ("clip_norm", 0),
        ("drop_path", 0),
        ("layer_decay", 1),
        ("freeze_statistics", False),
    ],
)
def test_a_recipe_from_before_a_parameter_was_there_keeps_its_meaning(
    parameter: str, off: float | str, recipe: Callable[..., Recipe]
) -> None:
    params = recipe().to_params()
    del params[f"training.standard.{parameter}"]
    training = type(recipe()).from_params(params).training
    assert getattr(training, parameter) == off


def test_a_recipe_from_before_automatic_learning_rates_keeps_its_own(
    recipe: Callable[..., Recipe],
) -> None:
    stored = recipe(training=Standard(learning_rate=0.01)).to_params()
    training = Recipe.from_params({**stored, "training.standard.optimizer": "sgd"}).training
    assert _highest(training) == 0.01
    assert training.prepared_for(Timm(pretrained=True)).learning_rate == 0.01


def _highest(training: Training) -> float:
    return max(_fitted(training, epochs=4)[1])


def test_an_automatic_learning_rate_follows_optimizer_batch_size_and_student() -> None:
    def rate(*, pretrained: bool = False, **params: int | str) -> float:
        return _highest(Standard(**params).prepared_for(Timm(pretrained=pretrained)))

    assert _highest(Standard()) == rate() == pytest.approx(0.01)
    assert rate(optimizer="sgd") == pytest.approx(0.1)
    # By the square root of the batch size for Adam's kind, linearly for SGD.
    assert rate(batch_size=256) == pytest.approx(0.02)
    assert rate(optimizer="sgd", batch_size=256) == pytest.approx(0.4)
    assert rate(batch_size=256, pretrained=True) == pytest.approx(0.002)
    assert rate(optimizer="sgd", batch_size=4096) == 1.0


@over_trainings
def test_students_with_given_weights_keep_their_statistics_unless_a_study_decides(
    training: Training,
) -> None:
    given = training.freeze_statistics
    students = (Timm(pretrained=True), Timm(weights="teacher"), Timm())
    found = tuple(training.prepared_for(student).freeze_statistics for student in students)
    assert found == ((True, True, False) if given == "auto" else (given,) * 3)


def test_sgd_has_nesterovs_momentum() -> None:
    fit = Standard(optimizer="sgd").fit(nn.Linear(2, 2), epochs=2, steps_per_epoch=2)
    assert {(group["momentum"], group["nesterov"]) for group in fit.optimizer.param_groups} == {
        (0.9, True)
    }


def _layer_rates(model: nn.Module, **params: float) -> dict[str, float]:
    """The learning rate of each weight at the top of the schedule, as a share of the highest."""
    fit = Standard(**params, learning_rate=0.5, warmup_epochs=0).fit(
        model, epochs=2, steps_per_epoch=2
    )
    rates = {
        id(w): group["lr"] / 0.5 for group in fit.optimizer.param_groups for w in group["params"]
    }
    return {name: rates[id(weight)] for name, weight in model.named_parameters()}


def test_layer_decay_lowers_the_rate_of_a_timm_models_first_layers() -> None:
    network = Timm(model="test_vit").build(classes=3, channels=1, image_size=32)
    rates = _layer_rates(network, layer_decay=0.5)
    # The head is a layer; the last normalisation belongs to the last of six blocks.
    assert rates["head.weight"] == 1
    assert rates["norm.weight"] == 0.5
    for block in range(6):
        share = 0.5 ** (6 - block)
        assert rates[f"blocks.{block}.attn.qkv.weight"] == pytest.approx(share)
        assert rates[f"blocks.{block}.norm1.bias"] == pytest.approx(share)
    assert rates["patch_embed.proj.weight"] == pytest.approx(0.5**7)
    assert set(_layer_rates(network, layer_decay=1.0).values()) == {1}


def test_layer_decay_reaches_the_layers_of_a_student_in_distillation() -> None:
    network = Timm(model="test_vit").build(classes=3, channels=1, image_size=32)
    teacher = Timm(model="test_resnet").build(classes=3, channels=1, image_size=32)
    alone = _layer_rates(network, layer_decay=0.5)
    distiller = Distiller(network, Layerwise(), [teacher], torch.zeros(1, 1, 32, 32))
    rates = _layer_rates(distiller, layer_decay=0.5)
    projectors = {name: rate for name, rate in rates.items() if name.startswith("projectors.")}
    assert set(projectors.values()) == {1}
    assert rates == projectors | {f"student.{name}": rate for name, rate in alone.items()}


def test_layer_decay_changes_nothing_for_a_student_that_names_no_layers(
    capsys: pytest.CaptureFixture[str],
) -> None:
    network = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    distiller = Distiller(network, Labels(), [], torch.zeros(1, 2))
    for model in (network, distiller):
        assert set(_layer_rates(model, layer_decay=0.5).values()) == {1}
    assert capsys.readouterr().err == ""


def test_class_weights_and_balanced_sampling_contradict_each_other(
    recipe: Callable[..., Recipe],
) -> None:
    both = Standard(class_weights="effective", sampling="balanced")
    assert "class_weights" in (both.conflict(recipe(training=both)) or "")
    for one in (Standard(class_weights="effective"), Standard(sampling="balanced")):
        assert one.conflict(recipe(training=one)) is None

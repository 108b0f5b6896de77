"""What every training promises."""

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import nn
from torch.nn import functional

from spaces import registry
from spaces.axes.training import Training
from spaces.distributions import OneOf
from spaces.recipe import Recipe
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


@pytest.mark.parametrize("parameter", ["mixup", "cutmix", "erasing", "ema"])
def test_a_recipe_from_before_a_parameter_was_there_keeps_its_meaning(parameter, recipe) -> None:
    params = recipe().to_params()
    del params[f"training.standard.{parameter}"]
    training = type(recipe()).from_params(params).training
    assert getattr(training, parameter) == 0

"""Learning rates that fall from the last layer to the first."""

import pytest
import timm
import torch
from torch import nn

from search.training.distiller import Distiller
from spaces.distillation.fitnets import FitNets
from spaces.training.layer_decay import decayed_groups
from spaces.training.standard import Standard


def _scales(groups: list[dict[str, object]], network: nn.Module) -> dict[str, float]:
    by_weight = {id(one): group["lr_scale"] for group in groups for one in group["params"]}  # type: ignore[attr-defined]
    return {name: by_weight[id(one)] for name, one in network.named_parameters()}  # type: ignore[misc]


@pytest.mark.parametrize("model", ["test_resnet", "test_vit", "test_efficientnet"])
def test_each_layer_has_a_share_of_the_rate_of_the_next(model: str) -> None:
    network = timm.create_model(model, num_classes=3)
    groups = decayed_groups(network, weight_decay=0.1, layer_decay=0.5)
    scales = _scales(groups, network)
    assert len(scales) == len([*network.parameters()])
    classifier = next(name for name in scales if name.startswith(("fc.", "head.", "classifier.")))
    assert scales[classifier] == 1.0
    first, *_ = scales.values()
    assert first == min(scales.values()) < 0.5
    assert all(
        scale == 0.5 ** round(-torch.tensor(scale).log2().item()) for scale in scales.values()
    )


def test_projectors_have_the_whole_rate() -> None:
    student, teacher = (timm.create_model("test_resnet", num_classes=3, in_chans=1) for _ in "12")
    distiller = Distiller(student, FitNets(), [teacher], torch.zeros(1, 1, 32, 32))
    groups = decayed_groups(distiller, weight_decay=0.1, layer_decay=0.5)
    scales = _scales(groups, distiller)
    projectors = [scale for name, scale in scales.items() if name.startswith("projectors.")]
    assert set(projectors) == {1.0}
    assert min(scales.values()) < 0.5


def test_biases_and_scales_do_not_decay() -> None:
    network = timm.create_model("test_vit", num_classes=3)
    groups = decayed_groups(network, weight_decay=0.1, layer_decay=0.5)
    decays = {id(one): group["weight_decay"] for group in groups for one in group["params"]}
    found = {name: decays[id(one)] for name, one in network.named_parameters()}
    assert {found[name] for name in ("head.bias", "pos_embed", "cls_token")} == {0.0}
    assert found["head.weight"] == 0.1


def test_the_schedule_keeps_the_ratios_of_the_layers() -> None:
    network = timm.create_model("test_resnet", num_classes=3)
    fit = Standard(epochs=2, layer_decay=0.5, learning_rate=0.1).fit(
        network, epochs=2, steps_per_epoch=4
    )
    for step in range(1, 8):
        fit.scheduler.step_update(step)
        rates = [group["lr"] for group in fit.optimizer.param_groups]
        scales = [group["lr_scale"] for group in fit.optimizer.param_groups]
        highest = max(rates)
        assert rates == pytest.approx([highest * scale for scale in scales])


def test_a_module_without_layers_of_timm_has_one_rate() -> None:
    groups = decayed_groups(nn.Linear(2, 2), weight_decay=0.1, layer_decay=0.5)
    assert {group["lr_scale"] for group in groups} == {1.0}

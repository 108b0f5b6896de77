"""Learning rates that fall from a network's last layer to its first.

Source: Clark et al. 2020, section 3.3, arXiv:2003.10555; Bao et al. 2022, arXiv:2106.08254.
"""

from typing import Any

from timm.models import group_parameters
from timm.optim import param_groups_layer_decay
from torch import nn


def decayed_groups(
    model: nn.Module, *, weight_decay: float, layer_decay: float
) -> list[dict[str, Any]]:
    """Return groups of the model's parameters for an optimizer, with a rate for each layer.

    timm's schedules multiply the learning rate by a group's `lr_scale`. It is 1 for the classifier
    and for all parameters outside of the timm network, such as projectors. Each layer before has
    `layer_decay` times the rate of the next layer. timm states which parameters form a layer.

    Args:
        model: a timm network, or a module that contains one. In any other module, all layers have
            the same rate.
        weight_decay: the weight decay of matrices and kernels; biases and scales have none.
        layer_decay: the ratio of the rates of two consecutive layers, above 0 to 1.
    """
    network = next((one for one in model.modules() if hasattr(one, "group_matcher")), None)
    groups: list[dict[str, Any]] = []
    if network is not None and _has_layers(network):
        undecayed = network.no_weight_decay() if hasattr(network, "no_weight_decay") else ()  # type: ignore[operator]
        groups = param_groups_layer_decay(
            network, weight_decay, no_weight_decay_list=undecayed, layer_decay=layer_decay
        )
    placed = {id(one) for group in groups for one in group["params"]}
    others = [one for one in model.parameters() if id(one) not in placed and one.requires_grad]
    for decays in (True, False):
        own = [one for one in others if (one.ndim > 1) is decays]
        if own:
            decay = weight_decay if decays else 0.0
            groups.append({"params": own, "weight_decay": decay, "lr_scale": 1.0})
    return groups


def _has_layers(model: nn.Module) -> bool:
    """Return whether the network names more than one layer, as timm's do."""
    matcher: Any = model.group_matcher
    layers: dict[str, int] = group_parameters(model, matcher(coarse=False), reverse=True)
    return max(layers.values()) > 0

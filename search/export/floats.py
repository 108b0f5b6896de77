"""The float network of a student, as close to the measured one as floats can be."""

import copy

import torch
from torch import nn

from search.evaluation.artifact import Provenance
from spaces.recipe import Recipe


def as_rounded(network: nn.Module, provenance: Provenance) -> nn.Module:
    """Return the network; if it was trained under rounding, with its rounded weights.

    Such training moves weights, but only their rounded values were ever used: with the unrounded
    floats of ternary weights, every second image gets another class. Rounding the rounded values
    again changes nothing.

    Args:
        network: in evaluation mode; it is not changed.
        provenance: of the student.
    """
    if not provenance.is_tuned:
        return network
    data = provenance.data
    example = torch.zeros(1, data.channels, data.image_size, data.image_size)
    rounded = copy.deepcopy(network)
    with Recipe.from_params(provenance.params).quantization.rounded(rounded, example):
        weights = {
            name: layer.weight.detach().clone()
            for name, layer in rounded.named_modules()
            if isinstance(layer, nn.Conv2d | nn.Linear)
        }
    for name, weight in weights.items():
        rounded.get_parameter(f"{name}.weight").data.copy_(weight)
    return rounded.eval()

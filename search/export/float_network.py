"""The float32 network of a student that agrees best with its measured file."""

import copy

import torch
from torch import nn

from search.evaluation.artifact import Provenance
from spaces.recipe import Recipe


def with_quantized_weights(network: nn.Module, provenance: Provenance) -> nn.Module:
    """Return the network, with fake-quantized weights if it was trained with fake quantization.

    In training with fake quantization, the forward pass uses only the quantized value of each
    weight. The unquantized weights are therefore a different network: for ternary weights, every
    second image gets another class. Quantizing the returned weights again does not change them.

    Args:
        network: in evaluation mode; it is not changed.
        provenance: the student's provenance.
    """
    if not provenance.is_tuned:
        return network
    data = provenance.data
    example = torch.zeros(1, data.channels, data.image_size, data.image_size)
    quantized = copy.deepcopy(network)
    with Recipe.from_params(provenance.params).quantization.rounded(quantized, example):
        weights = {
            name: layer.weight.detach().clone()
            for name, layer in quantized.named_modules()
            if isinstance(layer, nn.Conv2d | nn.Linear)
        }
    for name, weight in weights.items():
        quantized.get_parameter(f"{name}.weight").data.copy_(weight)
    return quantized.eval()

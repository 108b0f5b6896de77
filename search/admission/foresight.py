"""What a recipe will cost, known before its student is trained.

Bytes, parameters, MACs and latency depend on shapes, not on what was learned: they are measured on
a student that was pruned, exported and quantized untrained.
"""

import tempfile
from pathlib import Path

import torch
from torch import nn

from search.brief import Brief
from search.measure import count_cost, time_cost
from search.records import Cost
from search.runtime import export_onnx
from spaces.recipe import Recipe

_CALIBRATION_IMAGES = 8


def foresee_cost(recipe: Recipe, brief: Brief) -> Cost:
    """Cost of the student that `recipe` leads to; untimed where counting already rules it out.

    Raises:
        ValueError: the student can't be built or pruned so.
        ArtifactError: it can't be exported.
    """
    network = brief.build(recipe.student, blank=True)
    _scatter(network)
    network, _ = recipe.pruning.apply(network, brief.example())
    with tempfile.TemporaryDirectory() as folder:
        exported, served = Path(folder) / "float.onnx", Path(folder) / "served.onnx"
        export_onnx(network, exported, image_shape=brief.image_shape)
        noise = torch.randn(_CALIBRATION_IMAGES, *brief.image_shape)
        recipe.quantization.convert(exported, served, calibration=[noise.numpy()])
        cost = count_cost(network, served, brief.image_shape)
        return time_cost(cost, served, brief.target) if brief.budget.admits(cost) else cost


@torch.no_grad()
def _scatter(network: nn.Module) -> None:
    """Makes every weight differ from every other, as training does.

    timm starts the last normalisation of each residual block at zero; folded into the convolution
    before it, that gives tensors of zeros, of which the exporter keeps one: an untrained resnet18
    would be a quarter smaller than the trained one.
    """
    for parameter in network.parameters():
        parameter.normal_(std=0.05)

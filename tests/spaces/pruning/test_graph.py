"""Whether the graph tells which channels are read where."""

import copy
from collections.abc import Sequence

import pytest
import timm
import torch
from torch import nn

from spaces.axes.pruning import Cut
from spaces.pruning.magnitude import Magnitude
from spaces.pruning.structured.cuts import replay_cuts

EXAMPLE = torch.zeros(1, 3, 64, 64)
# Splits and joints, slices, and sums of several branches.
NETWORKS = ("test_resnet", "test_efficientnet", "cs3darknet_focus_s", "ghostnet_050", "dla46_c")


def _read(network: nn.Module, cuts: Sequence[Cut]) -> dict[str, list[int]]:
    """Of each weight with inputs, those that are left by the cuts."""
    marked = copy.deepcopy(network)
    with torch.no_grad():
        for weight in marked.parameters():
            if weight.dim() > 1:
                inputs = torch.arange(float(weight.shape[1]))
                weight.copy_(inputs.view(1, -1, *[1] * (weight.dim() - 2)).expand_as(weight))
    replay_cuts(marked, EXAMPLE, cuts)
    return {
        name: weight.transpose(0, 1).flatten(1)[:, 0].long().tolist()
        for name, weight in marked.named_parameters()
        if weight.dim() > 1
    }


@pytest.mark.parametrize("model", NETWORKS)
def test_channels_that_nothing_reads_go_without_a_trace(model: str) -> None:
    torch.manual_seed(0)
    network = timm.create_model(model, num_classes=3).eval()
    pruned, cuts = Magnitude(ratio=0.25).apply(network, EXAMPLE)
    read = _read(network, cuts)
    deaf = copy.deepcopy(network)
    with torch.no_grad():
        for name, weight in deaf.named_parameters():
            if name in read:
                unread = [place for place in range(weight.shape[1]) if place not in read[name]]
                weight[:, unread] = 0
        images = torch.randn(2, 3, 64, 64)
        expected, found = deaf(images), pruned.eval()(images)
    assert not torch.allclose(network(images), found, rtol=1e-2)
    assert torch.allclose(expected, found, rtol=1e-3, atol=1e-3 * float(expected.abs().max()))


def test_a_network_whose_channels_the_graph_follows_without_end_is_refused() -> None:
    network = timm.create_model("lambda_resnet26rpt_256", num_classes=3, img_size=64)
    with pytest.raises(ValueError, match=r"self_attn\.qkv"):
        Magnitude(ratio=0.25).apply(network, EXAMPLE)

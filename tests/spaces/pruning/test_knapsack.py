"""Which channels the knapsack takes out, and what that saves."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from spaces.counting import count_macs, count_parameters
from spaces.pruning.knapsack import Knapsack
from spaces.pruning.structured.channels import MEASURED
from spaces.pruning.structured.costs import MACS, PARAMETERS, ChannelCosts
from spaces.pruning.structured.cuts import replay_cuts
from spaces.pruning.structured.graph import dependency_graph, settle, traced
from spaces.students.timm_model import Timm
from tests.messages import naming

EXAMPLE = torch.zeros(1, 3, 32, 32)
FAMILIES = ("test_resnet", "test_efficientnet", "test_vit", "test_convnext")


class _TwoLayers(nn.Module):
    """A channel of `first` has 1 + 4 weights, one of `second` 4 + 2; 28 weights together."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 4, 1, bias=False)
        self.second = nn.Conv2d(4, 4, 1, stride=2, bias=False)
        self.fc = nn.Linear(4, 2, bias=False)
        for parameter in self.parameters():
            nn.init.ones_(parameter)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.fc(self.second(self.first(images).relu()).relu().mean((2, 3)))
        return logits

    def get_classifier(self) -> nn.Module:
        return self.fc


def _losses(network: nn.Module) -> Iterator[Tensor]:
    """The effects: 5.2 and three times 100 in `first`, 5.5 and three times 100 in `second`."""
    assert isinstance(network, _TwoLayers)
    first = torch.tensor([5.2, 100.0, 100.0, 100.0]).sqrt().view(4, 1, 1, 1)
    inputs_of_fc = (torch.tensor([5.5, 100.0, 100.0, 100.0]) / 2).sqrt()
    yield (network.first.weight * first).sum() + (network.fc.weight * inputs_of_fc).sum()


def _student(model: str) -> nn.Module:
    torch.manual_seed(0)
    return Timm(model=model).build(classes=3, channels=3, image_size=32)


def _cuts(pruning: Knapsack) -> dict[str, list[int]]:
    steps = pruning.prune_in_steps(_TwoLayers(), torch.zeros(1, 1, 4, 4), losses=_losses)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            _, cuts = end.value
            return {name: list(indices) for name, _, indices in cuts}


def test_the_channel_goes_that_has_the_least_effect_for_each_weight() -> None:
    # 5.2 / 5 = 1.04, and 5.5 / 6 = 0.92: the latter has the larger effect, but saves more.
    assert _cuts(Knapsack(ratio=0.2)) == {"second": [0]}


def test_with_operations_as_the_cost_the_layer_with_more_pixels_loses_its_channel() -> None:
    # A channel of `first` has 16 + 4 * 4 operations, one of `second` has 4 * 4 + 2.
    assert _cuts(Knapsack(ratio=0.2, cost="macs")) == {"first": [0]}


# In an attention, channels of all heads go together.
@pytest.mark.parametrize("model", sorted({*FAMILIES} - {"test_vit"}))
@pytest.mark.parametrize("unit", [PARAMETERS, MACS])
def test_the_cost_of_a_channel_is_what_its_removal_saves(model: str, unit: str) -> None:
    network = _student(model)
    with traced(network):
        graph = dependency_graph(network, EXAMPLE)
        groups = list(graph.get_all_groups(ignored_layers=[network.get_classifier()]))  # type: ignore[operator]
        roots = [group for group in groups if isinstance(group[0].dep.target.module, MEASURED)]
        for group in roots[:4]:
            costs = ChannelCosts(network, EXAMPLE, unit=unit)
            root, function = group[0].dep.target.module, group[0].dep.handler
            whole = graph.get_pruning_group(root, function, list(range(len(group[0].idxs))))
            before, expected = costs.total(), costs.of(whole)[1].item()
            graph.get_pruning_group(root, function, [1]).prune()
            settle(network)
            # A scale outside of layers, as in ConvNeXt, is not counted.
            assert before - costs.total() == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("model", FAMILIES)
@pytest.mark.parametrize("ratio", [0.2, 0.7])
def test_that_share_of_the_weights_goes_and_the_cuts_can_be_replayed(
    model: str, ratio: float
) -> None:
    network = _student(model)
    pruned, cuts = Knapsack(ratio=ratio).apply(network, EXAMPLE)
    left = count_parameters(pruned) / count_parameters(network)
    assert 0.97 * (1 - ratio) < left <= 1 - ratio
    again = _student(model)
    replay_cuts(again, EXAMPLE, cuts)
    assert [p.shape for p in again.parameters()] == [p.shape for p in pruned.parameters()]


def test_that_share_of_the_operations_goes() -> None:
    network = _student("test_efficientnet")
    pruned, _ = Knapsack(ratio=0.5, cost="macs").apply(network, EXAMPLE)
    assert 0.47 < count_macs(pruned, EXAMPLE) / count_macs(network, EXAMPLE) <= 0.5


def test_rounds_share_the_cut_and_the_recovery() -> None:
    network = _student("test_resnet")
    whole = count_parameters(network)
    phases = Knapsack(ratio=0.6, rounds=3, recovery=0.9).prune_in_steps(
        network, EXAMPLE, losses=None
    )
    seen = [(phase.share, 1 - count_parameters(phase.network) / whole) for phase in phases]
    assert [share for share, _ in seen] == pytest.approx([0.3, 0.3, 0.3])
    assert [saved for _, saved in seen] == pytest.approx([0.2, 0.4, 0.6], abs=0.02)
    assert count_parameters(network) == whole


def test_channels_left_are_multiples_and_no_layer_vanishes() -> None:
    network = _student("test_resnet")
    pruned, _ = Knapsack(ratio=0.8, round_to=8).apply(network, EXAMPLE)
    widths = [m.out_channels for m in pruned.modules() if isinstance(m, nn.Conv2d)]
    assert all(width % 8 == 0 and width for width in widths)


def test_a_share_that_cannot_go_is_refused() -> None:
    # One channel of each layer has 4 of 28 weights.
    with pytest.raises(ValueError, match=naming("90%", "86%")):
        Knapsack(ratio=0.9).apply(_TwoLayers(), torch.zeros(1, 1, 4, 4))

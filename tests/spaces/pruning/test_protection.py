"""What stays whole in networks that the dependency graph describes in part."""

import copy
from collections import OrderedDict

import pytest
import timm
import torch
from timm.layers import BlurPool2d
from torch import Tensor, nn

from spaces.pruning.magnitude import Magnitude
from spaces.pruning.structured import protection
from spaces.pruning.structured.cuts import replay_cuts
from spaces.pruning.structured.groups import find_groups
from spaces.pruning.structured.protection import protected_layers
from tests.messages import naming

EXAMPLE = torch.zeros(1, 3, 64, 64)
# Gates with fixed splits, attentions of their own, partial convolutions, blurred strides, halves
# that are split and joined again.
RESCUED = (
    "test_mambaout",
    "edgenext_xx_small",
    "fasternet_t0",
    "efficientnet_blur_b0",
    "cs3darknet_focus_s",
)


def _network(model: str, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    network: nn.Module = timm.create_model(model, num_classes=3)
    return network


def _parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize("model", RESCUED)
def test_the_rest_is_cut_and_can_be_replayed(model: str) -> None:
    network = _network(model)
    pruned, cuts = Magnitude(ratio=0.5).apply(network, EXAMPLE)
    again = copy.deepcopy(network)
    replay_cuts(again, EXAMPLE, cuts)
    images = torch.randn(2, 3, 64, 64)
    assert _parameters(pruned) < 0.8 * _parameters(network)
    assert torch.equal(again.eval()(images), pruned.eval()(images))


@pytest.mark.parametrize("model", ["test_mambaout", "fasternet_t0"])
def test_shapes_do_not_depend_on_weights(model: str) -> None:
    shapes = []
    for seed in (0, 1):
        protection._cache.clear()
        pruned, _ = Magnitude(ratio=0.35).apply(_network(model, seed), EXAMPLE)
        shapes.append([parameter.shape for parameter in pruned.parameters()])
    assert shapes[0] == shapes[1]


def test_larger_ratios_leave_less() -> None:
    network = _network("edgenext_xx_small")
    left = [
        _parameters(Magnitude(ratio=ratio).apply(network, EXAMPLE)[0])
        for ratio in (0.25, 0.5, 0.75)
    ]
    assert _parameters(network) > left[0] > left[1] > left[2]


def test_an_architecture_is_tried_out_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protection, "_cache", OrderedDict())
    first = protected_layers(_network("test_mambaout"), EXAMPLE)
    monkeypatch.setattr(
        protection, "_find_protected_layers", lambda network, example: pytest.fail("again")
    )
    assert protected_layers(_network("test_mambaout", seed=1), EXAMPLE) == first


def test_networks_of_the_same_shapes_with_other_heads_are_not_taken_for_one_another() -> None:
    two, four = (
        timm.create_model("vit_tiny_patch16_224", img_size=64, depth=1, num_heads=heads)
        for heads in (2, 4)
    )
    shapes = [[p.shape for p in network.parameters()] for network in (two, four)]
    assert shapes[0] == shapes[1]
    assert protection._architecture(two, EXAMPLE) != protection._architecture(four, EXAMPLE)
    again = timm.create_model("vit_tiny_patch16_224", img_size=64, depth=1, num_heads=2)
    assert protection._architecture(two, EXAMPLE) == protection._architecture(again, EXAMPLE)


def test_nothing_is_protected_where_the_graph_describes_all() -> None:
    assert protected_layers(_network("test_resnet"), EXAMPLE) == []
    assert protected_layers(_network("test_vit"), EXAMPLE) == []


def test_groups_leave_out_what_is_protected() -> None:
    network = _network("edgenext_xx_small")
    kept = {network.get_submodule(name) for name in protected_layers(network, EXAMPLE)}
    outputs = {
        member.layer
        for group in find_groups(network, EXAMPLE)
        for member in group.members
        if member.dimension == 0
    }
    assert kept
    assert not kept & outputs


def test_a_blurred_stride_takes_as_many_channels_as_are_left() -> None:
    network = _network("efficientnet_blur_b0").eval()
    replay_cuts(network, EXAMPLE, [("blocks.1.0.conv_pw", "outputs", [0, 1])])
    blurs = [module for module in network.modules() if isinstance(module, BlurPool2d)]
    images = torch.rand(1, 5, 8, 8)
    assert blurs
    # Kernels for other numbers of channels may round otherwise, on some processors.
    torch.testing.assert_close(blurs[0](images)[:, :1], blurs[0](images[:, :1]))


class _Mixed(nn.Module):
    """Channels that must come to eight, as they are laid out over two axes."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3)
        self.fc = nn.Linear(8, 2)

    def forward(self, images: Tensor) -> Tensor:
        laid = self.stem(images).mean((2, 3)).reshape(-1, 2, 4).transpose(1, 2)
        logits: Tensor = self.fc(laid.reshape(-1, 8))
        return logits

    def get_classifier(self) -> nn.Module:
        return self.fc


def test_a_network_that_would_stay_nearly_as_it_was_is_refused() -> None:
    with pytest.raises(ValueError, match=naming("_Mixed", "10%", "100%")):
        Magnitude(ratio=0.5).apply(_Mixed(), EXAMPLE)


def test_an_architecture_that_is_refused_is_not_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[nn.Module] = []

    def found(network: nn.Module, example: Tensor) -> list[str]:
        asked.append(network)
        raise ValueError("nothing of it can be pruned")

    monkeypatch.setattr(protection, "_cache", OrderedDict())
    monkeypatch.setattr(protection, "_find_protected_layers", found)
    for seed in range(2):
        with pytest.raises(ValueError, match="nothing of it can be pruned"):
            protected_layers(_network("test_resnet", seed=seed), EXAMPLE)
    assert len(asked) == 1

"""Counts against cases that are worked by hand, layer by layer."""

import copy

import pytest
import timm
import torch
from torch import Tensor, nn
from torch.nn import functional

from spaces.counting import count_macs, count_macs_by_layer, count_parameters

IMAGE = torch.zeros(1, 4, 8, 8)
TOKENS = torch.zeros(1, 10, 16)


class _Attention(nn.Module):
    def __init__(self, **given: object) -> None:
        super().__init__()
        self.given = given

    def forward(self, tokens: Tensor) -> Tensor:
        heads = tokens.unflatten(-1, (2, 8)).transpose(1, 2)  # [batch, 2, tokens, 8]
        return functional.scaled_dot_product_attention(heads, heads, heads, **self.given)


class _TorchsAttention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(16, 2, batch_first=True)

    def forward(self, tokens: Tensor) -> Tensor:
        mixed: Tensor = self.attention(tokens, tokens, tokens, need_weights=False)[0]
        return mixed


class _Standardised(nn.Conv2d):
    def forward(self, images: Tensor) -> Tensor:
        return functional.conv2d(images, self.weight - self.weight.mean())


PRODUCTS = 2 * 10 * 10 * 16  # every token with every token, for the scores and for the values
PROJECTIONS = 10 * 16 * (4 * 16)  # queries, keys, values, and what comes out


@pytest.mark.parametrize(
    ("network", "given", "macs"),
    [
        pytest.param(nn.Conv2d(4, 6, 3, stride=2, padding=1), IMAGE, 16 * 6 * (4 * 9), id="conv"),
        pytest.param(nn.Conv2d(4, 6, 3, groups=2), IMAGE, 36 * 6 * (2 * 9), id="grouped"),
        pytest.param(nn.Conv2d(4, 4, 3, groups=4), IMAGE, 36 * 4 * 9, id="depthwise"),
        pytest.param(nn.ConvTranspose2d(4, 6, 2, stride=2), IMAGE, 64 * 4 * (6 * 4), id="upwards"),
        pytest.param(_Standardised(4, 6, 3), IMAGE, 36 * 6 * (4 * 9), id="subclass"),
        pytest.param(nn.Linear(16, 7), torch.zeros(1, 16), 16 * 7, id="linear"),
        pytest.param(nn.Linear(16, 7), TOKENS, 10 * 16 * 7, id="linear-on-tokens"),
        pytest.param(_Attention(), TOKENS, PRODUCTS, id="attention"),
        pytest.param(
            _Attention(attn_mask=torch.zeros(10, 10)), TOKENS, PRODUCTS, id="attention-masked"
        ),
        pytest.param(_TorchsAttention(), TOKENS, PROJECTIONS + PRODUCTS, id="torchs-attention"),
        pytest.param(
            nn.TransformerEncoderLayer(16, 2, dim_feedforward=24, batch_first=True),
            TOKENS,
            PROJECTIONS + PRODUCTS + 2 * 10 * 16 * 24,
            id="torchs-encoder",
        ),
        pytest.param(
            nn.LSTM(16, 5, bidirectional=True, batch_first=True),
            TOKENS,
            2 * 10 * 4 * 5 * (16 + 5),
            id="lstm",
        ),
        pytest.param(nn.Sequential(nn.BatchNorm2d(4), nn.ReLU()), IMAGE, 0, id="none"),
    ],
)  # fmt: skip
def test_macs_are_those_worked_by_hand(network: nn.Module, given: Tensor, macs: int) -> None:
    assert count_macs(network, given) == macs


def test_attention_is_counted_alike_in_one_piece_and_in_many() -> None:
    network, images = timm.create_model("test_vit"), torch.zeros(1, 3, 160, 160)
    fused = count_macs(network, images)
    for module in network.modules():
        if isinstance(module, timm.layers.Attention):
            assert module.fused_attn
            module.fused_attn = False
    assert count_macs(network, images) == fused


def test_a_network_without_weights_counts_as_one_with_them() -> None:
    with torch.device("meta"):
        blank = timm.create_model("test_nfnet")
    images = torch.zeros(1, 3, 64, 64)
    found = count_macs(timm.create_model("test_nfnet"), images)
    assert count_macs(blank, images.to("meta")) == found > 40_000_000


def test_counting_leaves_the_network_as_it_is() -> None:
    network = timm.create_model("test_resnet").train()
    network.bn1.eval()
    before, modes = copy.deepcopy(network.state_dict()), _modes(network)
    count_macs(network, torch.ones(1, 3, 32, 32))
    assert _modes(network) == modes
    assert all(parameter.requires_grad for parameter in network.parameters())
    after = network.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())


def _modes(network: nn.Module) -> list[bool]:
    return [module.training for module in network.modules()]


def test_counting_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    count_macs(timm.create_model("test_nfnet"), torch.zeros(1, 3, 64, 64))
    assert capfd.readouterr() == ("", "")


def test_layers_have_their_own_macs_and_the_rest_is_elsewhere() -> None:
    class _Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.blocks = nn.Sequential(nn.Linear(16, 16), nn.ReLU())
            self.attention = _Attention()
            self.spare = nn.Linear(16, 3)

        def forward(self, tokens: Tensor) -> Tensor:
            mixed: Tensor = self.attention(self.blocks(tokens))
            return functional.linear(mixed.flatten(2), torch.zeros(3, 80))

    layers, elsewhere = count_macs_by_layer(_Network(), TOKENS)
    assert layers == {"blocks.0": 10 * 16 * 16, "attention": PRODUCTS}
    assert elsewhere == 2 * 80 * 3


@pytest.mark.parametrize("model", ["test_nfnet", "test_vit", "ghostnet_050"])
def test_what_is_counted_by_layer_adds_up(model: str) -> None:
    network, images = timm.create_model(model), torch.zeros(1, 3, 160, 160)
    layers, elsewhere = count_macs_by_layer(network, images)
    assert sum(layers.values()) + elsewhere == count_macs(network, images)


def test_frozen_parameters_are_counted_and_shared_ones_once() -> None:
    linear = nn.Linear(3, 3).requires_grad_(requires_grad=False)
    assert count_parameters(nn.Sequential(linear, nn.ReLU(), linear)) == 3 * 3 + 3

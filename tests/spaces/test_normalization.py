"""The normalisation of an input within the first layers of a network."""

import pytest
import timm
import torch
from torch import nn

from spaces.students.normalization import conversion, fold_normalization

SCALE, OFFSET = [0.5, 2.0, 1.5], [0.3, -0.2, 0.1]


def _moved(network: nn.Module) -> nn.Module:
    """The network with statistics as training leaves them."""
    torch.manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.normal_(module.weight)
    return network.eval()


@pytest.mark.parametrize("model", ["test_resnet", "test_efficientnet", "test_vit", "regnetx_002"])
def test_a_folded_network_takes_the_plain_image(model: str) -> None:
    size = {"img_size": 64} if model == "test_vit" else {}
    network = _moved(timm.create_model(model, num_classes=3, **size))
    images = torch.randn(2, 3, 64, 64)
    map_of = torch.tensor(SCALE).view(3, 1, 1), torch.tensor(OFFSET).view(3, 1, 1)
    with torch.inference_mode():
        expected = network.forward_features(images * map_of[0] + map_of[1])
        unfolded = network.forward_features(images)
    assert fold_normalization(network, SCALE, OFFSET, torch.zeros(1, 3, 64, 64))
    with torch.inference_mode():
        found = network.forward_features(images)
    apart = (found - expected).norm() / (unfolded - expected).norm()
    assert apart < 0.5  # only the padding at the edges differs


def test_it_is_exact_where_nothing_is_padded() -> None:
    network = _moved(nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4)))
    images = torch.randn(2, 3, 8, 8)
    moved = images * torch.tensor(SCALE).view(3, 1, 1) + torch.tensor(OFFSET).view(3, 1, 1)
    with torch.inference_mode():
        expected = network(moved)
    assert fold_normalization(network, SCALE, OFFSET, images[:1])
    with torch.inference_mode():
        assert torch.allclose(network(images), expected, atol=1e-5)


@pytest.mark.parametrize(
    "network",
    [
        nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.ReLU()),
        nn.Sequential(nn.Conv2d(3, 3, 3, groups=3), nn.ReLU()),
        nn.Sequential(nn.Flatten(), nn.Linear(192, 4)),
    ],
    ids=["no bias", "groups", "no convolution"],
)
def test_a_network_that_can_not_absorb_it_does_not_change(network: nn.Module) -> None:
    before = {key: value.clone() for key, value in network.state_dict().items()}
    assert not fold_normalization(network, SCALE, OFFSET, torch.zeros(1, 3, 8, 8))
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())


def test_the_conversion_undoes_one_normalisation_and_applies_the_other() -> None:
    pixels = torch.tensor([0.1, 0.5, 0.9])
    given, wanted = ((0.4, 0.5, 0.6), (0.2, 0.3, 0.1)), ((0.5,) * 3, (0.25,) * 3)
    scale, offset = (torch.tensor(one) for one in conversion(given, wanted))
    normal = (pixels - torch.tensor(given[0])) / torch.tensor(given[1])
    assert torch.allclose(normal * scale + offset, (pixels - 0.5) / 0.25)


def test_grey_images_are_converted_by_the_mean_of_the_colours() -> None:
    scale, offset = conversion(((0.4,), (0.2,)), ((0.3, 0.5, 0.7), (0.1, 0.2, 0.3)))
    assert scale == pytest.approx([1.0])
    assert offset == pytest.approx([-0.5])

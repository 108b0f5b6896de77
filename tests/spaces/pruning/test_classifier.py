"""Which layers compute the logits, where nobody names them."""

import pytest
import torch
from torch import Tensor, nn

from spaces.pruning.structured.classifier import _last_layers, classifier_layers
from spaces.students.timm_model import Timm
from tests.messages import naming

EXAMPLE = torch.zeros(1, 1, 8, 8)


class _TwoHeads(nn.Module):
    """A classifier of two layers whose logits are added, behind a layer that both share."""

    def __init__(self) -> None:
        super().__init__()
        self.shared = nn.Linear(64, 5)
        self.one, self.other = nn.Linear(5, 3), nn.Linear(5, 3)

    def forward(self, images: Tensor) -> Tensor:
        shared = self.shared(images.flatten(1)).relu()
        return torch.log_softmax(self.one(shared) + 2 * self.other(shared), dim=1)


def test_a_sequence_ends_with_its_classifier() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 5), nn.ReLU(), nn.Linear(5, 3))
    assert classifier_layers(network, EXAMPLE) == [network[3]]


def test_a_convolution_may_be_the_classifier_whatever_follows_without_weights() -> None:
    network = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.Conv2d(4, 3, 1), nn.BatchNorm2d(3), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(),
    ).eval()  # fmt: skip
    assert classifier_layers(network, EXAMPLE) == [network[1]]


def test_all_layers_that_add_to_the_logits_are_the_classifier() -> None:
    network = _TwoHeads()
    assert {*classifier_layers(network, EXAMPLE)} == {network.one, network.other}


@pytest.mark.parametrize("model", ["test_resnet", "test_efficientnet", "test_byobnet", "test_vit"])
def test_in_timms_networks_it_is_the_layer_that_they_name(model: str) -> None:
    network = Timm(model=model).build(classes=3, channels=1, image_size=32)
    found = _last_layers(network.eval(), torch.zeros(1, 1, 32, 32))
    assert found == classifier_layers(network, torch.zeros(1, 1, 32, 32))


def test_a_network_without_such_a_layer_is_refused() -> None:
    with pytest.raises(ValueError, match=naming("Flatten")):
        classifier_layers(nn.Flatten(), EXAMPLE)

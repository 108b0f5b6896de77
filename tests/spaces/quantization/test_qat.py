from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import Tensor, nn
from torch.nn import functional

from search.targets.onnx_export import export_onnx
from search.targets.onnx_runtime import Session
from spaces.quantization.int8_qat import Int8Qat
from spaces.quantization.ptq.int8 import largest_int8_weight
from spaces.quantization.qat import rounded_to_int8, rounded_weights
from spaces.quantization.ternary import Ternary
from spaces.quantization.weight_compression.codes import binary_codes
from spaces.students.timm_model import Timm

SHAPE = (3, 32, 32)


def _binary(weights: Tensor) -> Tensor:
    return binary_codes(weights).values()


def _network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3),
        nn.Flatten(),
        nn.Linear(8 * 28 * 28, 4),
    )


def _example() -> Tensor:
    return torch.zeros(1, *SHAPE)


def _images(count: int = 64) -> Tensor:
    return torch.randn(count, *SHAPE, generator=torch.Generator().manual_seed(1))


def _weights(network: nn.Module) -> list[Tensor]:
    layers = [each for each in network.modules() if isinstance(each, nn.Conv2d | nn.Linear)]
    return [layer.weight.detach().clone() for layer in layers]


def test_weights_are_rounded_while_it_lasts_and_their_own_afterwards() -> None:
    network = _network()
    own, keys = _weights(network), network.state_dict().keys()
    with rounded_weights(network, _example(), _binary, activations=True):
        assert all(len(weight[0].unique()) <= 2 for weight in _weights(network))
    assert all(map(torch.equal, _weights(network), own))
    assert network.state_dict().keys() == keys
    assert not any(module._forward_pre_hooks for module in network.modules())


def test_the_first_and_the_last_layer_can_be_left_out() -> None:
    network = _network()
    with rounded_weights(network, _example(), _binary, ends=False):
        levels = [len(weight[0].unique()) for weight in _weights(network)]
    assert levels[1] == 2
    assert min(levels[0], levels[2]) > 2


def test_training_under_the_rounding_moves_the_weights_beneath() -> None:
    network = _network()
    own = _weights(network)
    with rounded_weights(network, _example(), _binary, activations=True):
        optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
        network.train()(_images(8)).square().sum().backward()
        optimizer.step()
    assert not any(map(torch.equal, _weights(network), own))


def test_activations_that_autocast_made_halves_are_rounded_too() -> None:
    network = _network()
    with rounded_weights(network, _example(), _binary, activations=True):
        for _ in range(2):  # the second follows the range of the first
            with torch.autocast("cpu", torch.bfloat16):
                logits = network.train()(_images(8))
            logits.float().square().sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


class _Uncalled(nn.Module):
    """Uses a layer's weight without calling the layer, as some attentions do."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 4)
        self.inner = nn.Linear(4, 4)
        self.last = nn.Linear(4, 4)

    def forward(self, values: Tensor) -> Tensor:
        inner = functional.linear(self.first(values), self.inner.weight)
        result: Tensor = self.last(inner)
        return result


def test_weights_of_layers_that_are_not_called_are_rounded_too() -> None:
    network = _Uncalled()
    with rounded_weights(network, torch.zeros(1, 4), _binary, ends=False):
        assert len(network.inner.weight[0].unique()) <= 2
        assert len(network.last.weight[0].unique()) > 2


def test_gradients_pass_the_rounding_by() -> None:
    layer = nn.Linear(4, 3, bias=False)
    given = torch.randn(2, 4)
    layer(given).sum().backward()
    plain = layer.weight.grad
    with rounded_weights(layer, given, _binary):
        layer.zero_grad()
        layer(given).sum().backward()
        (beneath,) = layer.parameters()
        assert beneath.grad is not None
        assert plain is not None
        assert torch.allclose(beneath.grad, plain)


def test_int8_weights_lie_on_their_channels_grids() -> None:
    weights = torch.tensor([[1.0, -0.5, 0.013], [254.0, 2.9, -100.0]])
    # Steps of 1/127 and of 2.
    expected = torch.tensor([[1.0, -64 / 127, 2 / 127], [254.0, 2.0, -100.0]])
    assert torch.allclose(rounded_to_int8(weights, largest=127), expected)
    assert torch.equal(rounded_to_int8(torch.zeros(2, 3), largest=127), torch.zeros(2, 3))


@pytest.mark.parametrize("family", ["test_resnet", "test_efficientnet"])
def test_the_file_holds_the_integers_that_training_saw(family: str, tmp_path: Path) -> None:
    network = _trained(family)
    path = _shipped(network, tmp_path)
    tensors = onnx.load(path).graph.initializer
    convolutions = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    largest = largest_int8_weight()
    stored = [
        numpy_helper.to_array(tensor)
        for tensor in tensors
        if tensor.data_type == onnx.TensorProto.INT8 and len(tensor.dims) == 4
    ]
    assert len(stored) == len(convolutions)
    for layer in convolutions:
        weights = layer.weight.detach().flatten(1)
        codes = (weights / weights.abs().amax(dim=1, keepdim=True) * largest).round()
        # A normalisation's negative factor turns a channel's signs.
        near = [
            np.abs(np.abs(found.reshape(len(found), -1).astype(int)) - codes.abs().numpy()).max()
            for found in stored
            if found.shape == tuple(layer.weight.shape)
        ]
        assert min(near) <= 1


@pytest.mark.parametrize("family", ["test_resnet", "test_efficientnet", "test_vit"])
def test_training_sees_nearly_what_the_file_predicts(family: str, tmp_path: Path) -> None:
    """Within a tenth of the logits' spread on average.

    The training rounds what its layers take; the file also rounds what they give, and sums.
    """
    network = _trained(family)
    method = Int8Qat()
    with method.rounded(network, _example()), torch.no_grad():
        network.train()(_images())  # shows the ranges
        rounded = network.eval()(_images()).numpy()
    floats = network(_images()).detach().numpy()
    served = Session(_shipped(network, tmp_path), threads=1).predict(_images().numpy())
    assert np.abs(rounded - floats).mean() > 0
    assert np.abs(served - rounded).mean() < 0.1 * floats.std()


def test_a_coded_file_predicts_what_training_saw(tmp_path: Path) -> None:
    network = _trained("test_resnet")
    method = Ternary()
    with method.rounded(network, _example()), torch.no_grad():
        rounded = network(_images()).numpy()
    export_onnx(network, tmp_path / "float.onnx", image_shape=SHAPE)
    method.convert(tmp_path / "float.onnx", tmp_path / "served.onnx", calibration=[])
    served = Session(tmp_path / "served.onnx", threads=1).predict(_images().numpy())
    assert np.allclose(served, rounded, atol=1e-3 * rounded.std())


def _trained(family: str) -> nn.Module:
    """A network whose every tensor differs from its start."""
    torch.manual_seed(0)
    network = Timm(model=family).build(classes=5, channels=3, image_size=32)
    # Statistics of normalisation are those of the images, as at a training's end.
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
        network.train()(_images())
    return network.eval()


def _shipped(network: nn.Module, folder: Path) -> Path:
    export_onnx(network, folder / "float.onnx", image_shape=SHAPE)
    Int8Qat().convert(
        folder / "float.onnx", folder / "served.onnx", calibration=[_images().numpy()]
    )
    return folder / "served.onnx"

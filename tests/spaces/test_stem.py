"""Stems for small images, across timm's families."""

import pytest
import torch
from torch import nn

from spaces.pruning.magnitude import Magnitude
from spaces.pruning.structured.cuts import replay_cuts
from spaces.students.timm_model import Timm
from tests.messages import naming

pytestmark = pytest.mark.slow

SIZE = 32

# One for each way in which timm's networks begin.
BY_BEGINNING = {
    "test_resnet": 4,  # three convolutions, then a pooling
    "resnet26d": 4,
    "densenet121": 4,  # pooling beside the blocks
    "densenetblur121d": 4,  # pooling, blurred
    "legacy_seresnet18": 4,  # pooling that rounds up
    "test_efficientnet": 2,  # one convolution
    "tf_mobilenetv3_small_075": 2,  # one that pads as TensorFlow does
    "test_nfnet": 2,  # standardised weights
    "repvgg_a0": 2,  # branches side by side
    "mobileone_s1": 2,
    "regnetx_002": 2,
    "poolformer_s12": 4,  # one convolution that steps by four
}


def _build(model: str, stem: str, **given: int) -> nn.Module:
    torch.manual_seed(0)
    size = {"classes": 3, "channels": 1, "image_size": SIZE, **given}
    return Timm(model=model, stem=stem).build(**size).eval()


def _map_side(network: nn.Module) -> int:
    """The side of the last features, of a large image."""
    with torch.inference_mode():
        return int(network.forward_features(torch.zeros(1, 1, 128, 128)).shape[2])


@pytest.mark.parametrize(("model", "factor"), BY_BEGINNING.items())
def test_a_small_stem_has_the_weights_and_keeps_the_resolution_that_the_original_gives_away(
    model: str, factor: int
) -> None:
    original, small = _build(model, "original"), _build(model, "small")
    assert _map_side(small) == pytest.approx(factor * _map_side(original), abs=1)
    small.load_state_dict(original.state_dict())
    for key, value in original.state_dict().items():
        assert torch.equal(value, small.state_dict()[key])


@pytest.mark.parametrize(
    "model", [model for model, factor in BY_BEGINNING.items() if "net" in model and factor == 4]
)
def test_half_a_stem_gives_away_half_of_the_resolution(model: str) -> None:
    original, half = _build(model, "original"), _build(model, "half")
    assert _map_side(half) == pytest.approx(2 * _map_side(original), abs=1)
    half.load_state_dict(original.state_dict())


@pytest.mark.parametrize("model", ["test_efficientnet", "poolformer_s12"])
def test_half_a_stem_needs_a_pooling(model: str) -> None:
    with pytest.raises(ValueError, match=naming(model, "half", "pooling")):
        _build(model, "half")


def test_the_stem_of_a_resnet_is_that_of_its_variant_for_cifar() -> None:
    small = _build("resnet18", "small")
    assert small.conv1.stride == (1, 1)
    assert small.conv1.padding == (3, 3)
    assert isinstance(small.maxpool, nn.Identity)
    assert small.layer2[0].conv1.stride == (2, 2)


def test_pooling_that_belongs_to_a_block_stays() -> None:
    # A poolformer mixes its pixels by poolings, a resnet26d shrinks its shortcuts by them.
    for model in ("poolformer_s12", "resnet26d"):
        pools = [
            sum(isinstance(module, nn.AvgPool2d) for module in _build(model, stem).modules())
            for stem in ("original", "small")
        ]
        assert pools[0] == pools[1] > 0


@pytest.mark.parametrize(
    ("model", "facts"),
    [
        ("test_vit", ["patch_embed.proj", 16]),  # patches
        ("test_convnext", ["stem.0", 4]),
        ("cs3darknet_focus_s", ["stem.conv1.conv", (6, 6)]),  # a kernel without a centre
        ("levit_128s", [64, 16]),  # later layers are made for a smaller image
        ("csatv2", []),  # no convolution or pooling at its beginning
    ],
)
def test_a_network_that_cannot_have_one_is_refused_with_the_reason(
    model: str, facts: list[object]
) -> None:
    student = Timm(model=model, stem="small")
    with pytest.raises(ValueError, match=naming(model, "stem", *facts)):
        student.build(classes=3, channels=3, image_size=64)


def test_a_pruned_student_with_a_small_stem_is_rebuilt_to_the_bit() -> None:
    network, example = _build("test_resnet", "small"), torch.zeros(1, 1, SIZE, SIZE)
    pruned, cuts = Magnitude(ratio=0.5).apply(network, example)
    again = _build("test_resnet", "small")
    replay_cuts(again, example, cuts)
    again.load_state_dict(pruned.state_dict())
    images = torch.randn(2, 1, SIZE, SIZE)
    with torch.inference_mode():
        assert torch.equal(again.eval()(images), pruned.eval()(images))


def test_the_network_is_left_in_the_mode_it_was_in() -> None:
    assert Timm(stem="small").build(classes=3, channels=1, image_size=SIZE).training

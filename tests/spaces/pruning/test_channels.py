import pytest
import torch
from timm.layers import Attention
from torch import Tensor, nn

from spaces.axes.pruning import Cut, CutSide
from spaces.pruning.structured.channels import CutPlan, cut_channels, magnitude
from spaces.pruning.structured.cuts import read_cuts, replay_cuts
from spaces.students.timm_model import Timm
from tests.messages import naming


class _Classifier(nn.Module):
    """Four channels, whose weights are 1, 4, 2 and 3."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(1, 4, 1, bias=False)
        self.fc = nn.Linear(4, 2)
        with torch.no_grad():
            self.convolution.weight.copy_(torch.tensor([1.0, 4.0, 2.0, 3.0]).view(4, 1, 1, 1))
            self.fc.weight.fill_(1.0)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.fc(self.convolution(images).relu().mean((2, 3)))
        return logits

    def get_classifier(self) -> nn.Module:
        return self.fc


def _half(model: nn.Module, example: Tensor) -> tuple[nn.Module, list[Cut]]:
    return cut_channels(model, example, importance=magnitude(power=2), plan=CutPlan(ratio=0.5))


def test_the_weakest_channels_are_cut() -> None:
    example = torch.zeros(1, 1, 4, 4)
    pruned, _ = _half(_Classifier(), example)
    assert pruned.convolution.weight.flatten().tolist() == [4.0, 3.0]
    assert pruned.fc.weight.shape == (2, 2)


def test_replaying_no_cuts_leaves_the_network_as_it_is() -> None:
    network = _Classifier()
    replay_cuts(network, torch.zeros(1, 1, 4, 4), [])
    assert network.convolution.weight.flatten().tolist() == [1.0, 4.0, 2.0, 3.0]


def test_replayed_cuts_take_out_the_channels_they_name() -> None:
    network, example = _Classifier(), torch.zeros(1, 1, 4, 4)
    replay_cuts(network, example, [("convolution", CutSide.OUTPUTS, [1, 2])])
    assert network.convolution.weight.flatten().tolist() == [1.0, 3.0]


def test_attention_keeps_its_heads_and_loses_width_in_each() -> None:
    network = Timm(model="test_vit").build(classes=3, channels=1, image_size=32)
    pruned, _ = _half(network, torch.zeros(1, 1, 32, 32))
    pairs = [
        (before, after)
        for before, after in zip(network.modules(), pruned.modules(), strict=True)
        if isinstance(before, Attention)
    ]
    assert pairs
    for before, after in pairs:
        assert after.num_heads == before.num_heads
        assert after.head_dim < before.head_dim
        assert after.qkv.out_features == 3 * after.num_heads * after.head_dim
        assert after.scale == after.head_dim**-0.5


def test_cuts_of_another_network_are_refused() -> None:
    with pytest.raises(ValueError, match=naming("_Classifier", "stem")):
        replay_cuts(_Classifier(), torch.zeros(1, 1, 4, 4), [("stem.conv", CutSide.OUTPUTS, [0])])


def test_cuts_of_the_first_format_are_still_understood() -> None:
    assert read_cuts([["stem", True, [0]], ["fc", False, [1]]]) == (
        ("stem", CutSide.OUTPUTS, [0]),
        ("fc", CutSide.INPUTS, [1]),
    )


def test_a_part_that_no_version_knows_is_refused() -> None:
    with pytest.raises(ValueError, match="'corner'"):
        read_cuts([["stem", "corner", [0]]])

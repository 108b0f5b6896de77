"""Residual blocks: which can be spared, and what sparing them does."""

import copy
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from spaces.axes.pruning import CutSide
from spaces.pruning.depth import Depth
from spaces.pruning.structured.blocks import residual_blocks, without
from spaces.pruning.structured.cuts import replay_cuts
from spaces.students.timm_model import Timm

EXAMPLE = torch.zeros(1, 3, 32, 32)


def _network(family: str) -> nn.Module:
    torch.manual_seed(0)
    return Timm(model=family).build(classes=4, channels=3, image_size=32).eval()


def _images() -> Tensor:
    return torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("family", "names"),
    [
        # By timm's sources: the first block of each stage has a shortcut with a convolution, but
        # for the first stage, whose width is the stem's.
        ("resnet18", ["layer1.0", "layer1.1", "layer2.1", "layer3.1", "layer4.1"]),
        ("test_vit", [f"blocks.{number}" for number in range(6)]),
        ("regnetx_002", [f"s{s}.b{b}" for s, n in ((3, 4), (4, 7)) for b in range(2, n + 1)]),
        ("lcnet_050", []),
        ("repvgg_a0", []),
    ],
)
def test_blocks_are_those_that_add_to_what_they_are_given(family: str, names: list[str]) -> None:
    assert residual_blocks(_network(family), EXAMPLE) == names


def test_which_are_blocks_does_not_depend_on_what_was_learned() -> None:
    network = _network("resnet18")
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
    assert len(residual_blocks(network, EXAMPLE)) == 5


def test_looking_for_blocks_leaves_the_network_as_it_was() -> None:
    network = _network("test_vit").train()
    before = copy.deepcopy(network)
    residual_blocks(network, EXAMPLE)
    assert network.training
    assert all(
        torch.equal(a, b)
        for a, b in zip(network.state_dict().values(), before.state_dict().values(), strict=True)
    )
    assert not any(module._forward_hooks for module in network.modules())


@torch.no_grad()
def test_sparing_a_block_that_adds_nothing_changes_nothing() -> None:
    network = _network("test_vit")
    for parameter in network.get_submodule("blocks.2").parameters():
        parameter.zero_()
    expected = network(_images())
    spared = copy.deepcopy(network)
    replay_cuts(spared, EXAMPLE, [("blocks.2", CutSide.ALL, [])])
    assert torch.equal(spared(_images()), expected)
    assert sum(p.numel() for p in spared.parameters()) < sum(
        p.numel() for p in network.parameters()
    )


@torch.no_grad()
def test_a_block_comes_back_where_it_was_only_left_out_for_a_while() -> None:
    network = _network("test_vit")
    expected = network(_images())
    with without(network, "blocks.3"):
        assert not torch.equal(network(_images()), expected)
    assert torch.equal(network(_images()), expected)


@pytest.mark.parametrize(
    ("ratio", "names"),
    [
        (0.05, ["blocks.3"]),
        (0.34, ["blocks.1", "blocks.4"]),
        (0.5, [f"blocks.{i}" for i in (1, 3, 5)]),
    ],
)
def test_blocks_go_at_even_distances(ratio: float, names: list[str]) -> None:
    _, cuts = Depth(ratio=ratio).apply(_network("test_vit"), EXAMPLE)
    assert cuts == [(name, CutSide.ALL, []) for name in names]


def test_the_blocks_that_are_missed_least_go() -> None:
    network = _network("test_vit")
    with torch.no_grad():
        for number in (0, 4):  # these add nothing at all
            for parameter in network.get_submodule(f"blocks.{number}").parameters():
                parameter.zero_()
        expected = network(_images())

    def losses(tried: nn.Module) -> Iterator[Tensor]:
        yield (tried.eval()(_images()) - expected).square().sum()

    pruning = Depth(ratio=0.34, order="effect")
    (phase,) = pruning.prune_in_steps(network, EXAMPLE, losses=losses)
    pruned = phase.network
    assert [f"blocks.{place}" for place in (0, 4)] == [
        name for name, module in pruned.named_modules() if _is_spared(name, module)
    ]
    assert torch.equal(pruned.eval()(_images()), expected)


def _is_spared(name: str, module: nn.Module) -> bool:
    return name.count(".") == 1 and name.startswith("blocks.") and isinstance(module, nn.Identity)

"""Which channels each method takes out, in networks that are worked out by hand."""

from collections.abc import Iterator

import pytest
import torch
from timm.layers import Attention
from torch import Tensor, nn

from spaces.axes.pruning import CutSide, Losses, Pruning
from spaces.pruning.bn_scale import BatchNormScale
from spaces.pruning.group_lasso import GroupLasso
from spaces.pruning.magnitude import Magnitude
from spaces.pruning.random import Random
from spaces.pruning.structured.channel_pruning import ChannelPruning
from spaces.pruning.structured.groups import find_groups
from spaces.pruning.taylor import Taylor
from spaces.students.timm_model import Timm
from tests.messages import naming

EXAMPLE = torch.zeros(1, 1, 2, 2)


class _Net(nn.Module):
    """Four channels: a 1x1 convolution of two inputs, a normalisation, and two classes."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 2, 1, bias=False)
        self.convolution = nn.Conv2d(2, 4, 1, bias=False)
        self.norm = nn.BatchNorm2d(4)
        self.fc = nn.Linear(4, 2, bias=False)
        with torch.no_grad():
            # L1 norms 4, 5, 6, 10; L2 norms 4, 3.6, 6, 7.1.
            self.convolution.weight.copy_(
                torch.tensor([[4.0, 0.0], [2.0, 3.0], [6.0, 0.0], [5.0, 5.0]]).view(4, 2, 1, 1)
            )
            self.norm.weight.copy_(torch.tensor([0.9, 0.8, 0.1, 0.2]))
            self.fc.weight.fill_(1.0)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.fc(self.norm(self.convolution(self.stem(images))).mean((2, 3)))
        return logits

    def get_classifier(self) -> nn.Module:
        return self.fc


class _TwoLayers(nn.Module):
    """A layer of small weights that hardly differ, and one of large weights of which two do."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 4, 1, bias=False)
        self.second = nn.Conv2d(4, 4, 1, bias=False)
        self.fc = nn.Linear(4, 2, bias=False)
        with torch.no_grad():
            self.first.weight.copy_(torch.tensor([1.0, 1.01, 1.02, 1.03]).view(4, 1, 1, 1))
            rows = torch.tensor([10.0, 0.1, 0.2, 10.0]).view(4, 1, 1, 1)
            self.second.weight.copy_(rows.expand(4, 4, 1, 1))
            self.fc.weight.fill_(0.01)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.fc(self.second(self.first(images).relu()).relu().mean((2, 3)))
        return logits

    def get_classifier(self) -> nn.Module:
        return self.fc


def _left(
    pruning: Pruning, network: nn.Module | None = None, losses: Losses | None = None
) -> list[int]:
    """The channels of the convolution that are left."""
    steps = pruning.prune_in_steps(network or _Net(), EXAMPLE, losses=losses)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            _, cuts = end.value
            break
    cut = {i for name, _, indices in cuts if name == "convolution" for i in indices}
    return sorted(set(range(4)) - cut)


def _quiet_rest(network: _Net) -> _Net:
    """Leaves the convolution alone to tell channels apart."""
    with torch.no_grad():
        network.norm.weight.fill_(1.0)
    return network


def test_l1_takes_out_the_smallest_sums() -> None:
    assert _left(Magnitude(ratio=0.25, norm="l1"), _quiet_rest(_Net())) == [1, 2, 3]


def test_l2_takes_out_the_smallest_sums_of_squares() -> None:
    assert _left(Magnitude(ratio=0.25, norm="l2"), _quiet_rest(_Net())) == [0, 2, 3]


def test_normalisation_scale_looks_at_the_normalisation_alone() -> None:
    assert _left(BatchNormScale(ratio=0.5)) == [0, 1]


def test_channels_that_no_normalisation_scales_are_kept() -> None:
    _, cuts = BatchNormScale(ratio=0.5).apply(_Net(), EXAMPLE)
    assert {name for name, _, _ in cuts} == {"convolution"}


def test_a_network_without_anything_to_cut_is_refused() -> None:
    with pytest.raises(ValueError, match=naming("bn_scale", 0.3)):
        BatchNormScale(ratio=0.3).apply(_TwoLayers(), EXAMPLE)


def test_taylor_takes_out_what_the_loss_depends_on_least() -> None:
    # The loss takes 1, 0.5, 3 and 0.1 of each channel's output; the weights alone would keep 2, 3.
    def losses(network: nn.Module) -> Iterator[Tensor]:
        assert isinstance(network, _Net)
        parts = torch.tensor([1.0, 0.5, 3.0, 0.1]).view(4, 1, 1, 1)
        yield (network.convolution.weight * parts).sum()

    # Sums of (gradient x weight) squared: 16, 0.25 * 13, 324, 0.01 * 50.
    assert _left(Taylor(ratio=0.5), losses=losses) == [0, 2]


def test_taylor_averages_squares_and_not_gradients() -> None:
    # Channel 0 is pulled to and fro, so that its mean gradient is zero; channel 1 hardly at all.
    def losses(network: nn.Module) -> Iterator[Tensor]:
        assert isinstance(network, _Net)
        for sign in (1.0, -1.0):
            parts = torch.tensor([sign, 0.1, 5.0, 5.0]).view(4, 1, 1, 1)
            yield (network.convolution.weight * parts).sum()

    assert _left(Taylor(ratio=0.25), losses=losses) == [0, 2, 3]


def test_weights_that_were_weighed_are_what_they_were() -> None:
    def losses(network: nn.Module) -> Iterator[Tensor]:
        yield network(torch.ones(1, 1, 2, 2)).sum()

    network = _Net().eval()
    ends: list[nn.Module] = []
    for phase in Taylor(ratio=0.25).prune_in_steps(network, EXAMPLE, losses=losses):
        ends.append(phase.network)  # noqa: PERF401
    (pruned,) = ends
    assert isinstance(pruned, _Net)
    rows = {tuple(row) for row in network.fc.weight.tolist()}
    assert rows == {(1.0,) * 4}
    assert set(pruned.fc.weight.flatten().tolist()) == {1.0}
    assert set(pruned.norm.weight.tolist()) < set(network.norm.weight.tolist())


def test_random_draws_differ_and_come_again() -> None:
    draws = [_left(Random(ratio=0.5, draw=draw)) for draw in range(10)]
    assert draws == [_left(Random(ratio=0.5, draw=draw)) for draw in range(10)]
    assert len({tuple(draw) for draw in draws}) > 1


@pytest.mark.parametrize(("scope", "first", "second"), [("layer", 3, 3), ("global", 4, 2)])
def test_layers_compete_only_where_that_is_asked(scope: str, first: int, second: int) -> None:
    network, _ = Magnitude(ratio=0.25, scope=scope).apply(_TwoLayers(), EXAMPLE)
    assert isinstance(network, _TwoLayers)
    assert (network.first.out_channels, network.second.out_channels) == (first, second)


def test_isomorphic_layers_compete_only_with_their_like() -> None:
    network, example = Timm(model="test_vit").build(classes=3, channels=3, image_size=32), 32
    pruned, _ = Magnitude(ratio=0.5, scope="isomorphic").apply(
        network, torch.zeros(1, 3, example, example)
    )
    before = [m.out_features for n, m in network.named_modules() if n.endswith("mlp.fc1")]
    after = [m.out_features for n, m in pruned.named_modules() if n.endswith("mlp.fc1")]
    # Half of the blocks' hidden channels together, but not of each.
    assert sum(after) == sum(before) // 2


@pytest.mark.parametrize("rounds", [1, 3])
def test_rounds_come_to_the_shapes_of_one_cut(rounds: int) -> None:
    network = Timm(model="test_resnet").build(classes=3, channels=3, image_size=32)
    example = torch.zeros(1, 3, 32, 32)
    once, _ = Magnitude(ratio=0.35).apply(network, example)
    often, _ = Magnitude(ratio=0.35, rounds=rounds).apply(network, example)
    assert [p.shape for p in often.parameters()] == [p.shape for p in once.parameters()]


def test_rounds_cut_more_and_more_and_share_the_recovery() -> None:
    network = Timm(model="test_resnet").build(classes=3, channels=3, image_size=32)
    pruning = Magnitude(ratio=0.5, rounds=2, recovery=0.6)
    seen = [
        (phase.share, sum(p.numel() for p in phase.network.parameters()))
        for phase in pruning.prune_in_steps(network, torch.zeros(1, 3, 32, 32), losses=None)
    ]
    assert [share for share, _ in seen] == [0.3, 0.3]
    assert sum(p.numel() for p in network.parameters()) > seen[0][1] > seen[1][1]


def test_channels_left_are_multiples() -> None:
    network = Timm(model="test_resnet").build(classes=3, channels=3, image_size=32)
    pruned, _ = Magnitude(ratio=0.3, round_to=8).apply(network, torch.zeros(1, 3, 32, 32))
    widths = [m.out_channels for m in pruned.modules() if isinstance(m, nn.Conv2d)]
    assert all(width % 8 == 0 for width in widths)
    assert sum(widths) < sum(m.out_channels for m in network.modules() if isinstance(m, nn.Conv2d))


def test_heads_together_are_as_wide_as_a_multiple() -> None:
    network = Timm(model="test_vit").build(classes=3, channels=3, image_size=32)
    pruned, _ = Magnitude(ratio=0.05, round_to=8).apply(network, torch.zeros(1, 3, 32, 32))
    before, after = (
        [m.qkv.out_features // 3 for m in each.modules() if isinstance(m, Attention)]
        for each in (network, pruned)
    )
    # Of 2 heads of 32 channels each loses 2, and 2 more to be a multiple of 4.
    assert set(before) == {64}
    assert set(after) == {56}


def test_whole_heads_leave_each_head_as_wide() -> None:
    network = Timm(model="test_vit").build(classes=3, channels=3, image_size=32)
    attentions = [m for m in network.modules() if isinstance(m, Attention)]
    with torch.no_grad():
        for attention in attentions:
            attention.proj.weight[:, : attention.head_dim] *= 0.01  # the first head hardly speaks
            attention.qkv.weight.view(3, attention.num_heads, -1)[:, 0] *= 0.01
    pruned, cuts = Magnitude(ratio=0.5, attention="heads").apply(network, torch.zeros(1, 3, 32, 32))
    after = [m for m in pruned.modules() if isinstance(m, Attention)]
    for attention, left in zip(attentions, after, strict=True):
        assert (attention.num_heads, left.num_heads) == (2, 1)
        assert attention.head_dim == left.head_dim
    assert [heads for _, part, heads in cuts if part is CutSide.HEADS] == [[0]] * len(attentions)


def test_the_last_head_is_kept() -> None:
    network = Timm(model="test_vit").build(classes=3, channels=3, image_size=32)
    pruned, _ = Magnitude(ratio=0.9, attention="heads").apply(network, torch.zeros(1, 3, 32, 32))
    assert {m.num_heads for m in pruned.modules() if isinstance(m, Attention)} == {1}


def test_group_norms_are_those_of_all_coupled_weights() -> None:
    groups = find_groups(_Net(), EXAMPLE)
    (group,) = [group for group in groups if group.size == 4]
    # Convolution, normalisation and the classes that see the channel: 16 + 0.81 + 2, and so on.
    expected = torch.tensor([18.81, 15.64, 38.01, 52.04])
    assert torch.allclose(group.square_norms(), expected)


def test_the_group_lasso_is_the_sum_of_norms() -> None:
    pruning = GroupLasso(strength=0.01)
    phase = next(iter(pruning.prune_in_steps(_Net(), EXAMPLE, losses=None)))
    assert phase.penalty is not None
    groups = find_groups(phase.network, EXAMPLE)
    with torch.no_grad():
        norms = [group.square_norms().sqrt().sum().item() for group in groups]
        assert len(norms) == 2  # the stem's and the convolution's
        assert phase.penalty().item() == pytest.approx(0.01 * sum(norms))


@pytest.mark.parametrize("pruning", [GroupLasso(strength=0.01), BatchNormScale(strength=0.01)])
def test_a_penalty_shrinks_what_it_is_on(pruning: ChannelPruning) -> None:
    phase = next(iter(pruning.prune_in_steps(_Net(), EXAMPLE, losses=None)))
    assert phase.stage == "sparsify"
    assert phase.penalty is not None
    before = phase.penalty().item()
    optimizer = torch.optim.SGD(phase.network.parameters(), lr=4.0)
    for _ in range(20):
        optimizer.zero_grad()
        phase.penalty().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert phase.penalty().item() < 0.9 * before


def test_no_preparation_where_none_is_asked() -> None:
    stages = [
        e.stage for e in GroupLasso(sparsify=0.0).prune_in_steps(_Net(), EXAMPLE, losses=None)
    ]
    assert stages == ["recover"]

"""What every pruning promises, on one network of each family that is tried."""

import copy
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from search.objectives.counting import count_operations
from search.targets.onnx_export import export_onnx
from spaces import registry
from spaces.axes.pruning import Cut, Pruning
from spaces.pruning.depth import Depth
from spaces.pruning.magnitude import Magnitude
from spaces.pruning.structured.channel_pruning import ChannelPruning
from spaces.pruning.structured.cuts import read_cuts, replay_cuts
from spaces.students.timm_model import Timm
from tests.messages import naming

FAMILIES = ("test_resnet", "test_efficientnet", "test_byobnet", "test_vit")
SHAPE = (3, 32, 32)


def _edges() -> Iterator[object]:
    shared = ChannelPruning.distributions().keys()
    for name, method in registry.methods("pruning").items():
        for key, distribution in method.distributions().items():
            # What all prunings of channels share is tried with one of them.
            if key in shared and issubclass(method, ChannelPruning) and method is not Magnitude:
                continue
            for edge in distribution.edges():
                yield pytest.param(method(**{key: edge}), id=f"{name}-{key}={edge}")


# These have no two layers of one shape between which a block adds something.
WITHOUT_BLOCKS = ("test_efficientnet", "test_byobnet")
over_defaults = pytest.mark.parametrize(
    ("pruning", "family"),
    [
        pytest.param(method(), family, id=f"{name}-{family}")
        for name, method in registry.methods("pruning").items()
        for family in FAMILIES
        if not (method is Depth and family in WITHOUT_BLOCKS)
    ],
)


def _network(family: str, *, seed: int = 0) -> nn.Module:
    """A network of the test's own whose every tensor differs from its start, as if trained."""
    return copy.deepcopy(_trained(family, seed))


@cache
def _trained(family: str, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    network = Timm(model=family).build(classes=5, channels=3, image_size=32)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    network.train()
    network(torch.randn(8, *SHAPE))  # moves the statistics of normalisation
    return network


def _images() -> Tensor:
    return torch.randn(4, *SHAPE, generator=torch.Generator().manual_seed(1))


def _example() -> Tensor:
    return torch.zeros(1, *SHAPE)


def _applied(pruning: Pruning, family: str) -> tuple[nn.Module, nn.Module, list[Cut]]:
    """A network of the family, and what the pruning made of it: copies of the test's own.

    They are copied together, so what the two share stays shared.
    """
    return copy.deepcopy(_applied_once(pruning, family))


@cache
def _applied_once(pruning: Pruning, family: str) -> tuple[nn.Module, nn.Module, list[Cut]]:
    network = _network(family)
    return network, *pruning.apply(network, _example())


def _sizes(network: nn.Module, folder: Path) -> list[int]:
    """The operations of each kind, and the bytes of the exported file."""
    path = folder / "network.onnx"
    export_onnx(network, path, image_shape=SHAPE)
    return [*count_operations(network, SHAPE).values(), path.stat().st_size]


@pytest.fixture(scope="module")
def sizes_before(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[int]]:
    """The sizes of each family's network that nothing has pruned."""
    folder = tmp_path_factory.mktemp("families")
    return {family: _sizes(_network(family), folder) for family in FAMILIES}


def _losses(network: nn.Module) -> Iterator[Tensor]:
    labels = torch.tensor([0, 1, 2, 3])
    for shift in range(2):
        yield functional.cross_entropy(network.eval()(_images() + shift), labels)


def _operated(pruning: Pruning, network: nn.Module) -> tuple[nn.Module, list[Cut]]:
    """What the pruning makes of the network with images at hand, but without any training."""
    steps = pruning.prune_in_steps(network, _example(), losses=_losses)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            pruned, cuts = end.value
            return pruned, cuts


@torch.inference_mode()
def _logits(network: nn.Module) -> Tensor:
    logits: Tensor = network.eval()(_images())
    return logits


@pytest.mark.parametrize("family", ["test_resnet", "test_vit"])
@pytest.mark.parametrize("pruning", [*_edges()])
def test_output_keeps_its_shape_at_each_edge(pruning: Pruning, family: str) -> None:
    pruned, _ = pruning.apply(_network(family), _example())
    assert _logits(pruned).shape == (4, 5)


@over_defaults
def test_output_keeps_its_shape(pruning: Pruning, family: str) -> None:
    _, pruned, _ = _applied(pruning, family)
    assert _logits(pruned).shape == (4, 5)


@over_defaults
def test_the_network_given_is_left_as_it_was(pruning: Pruning, family: str) -> None:
    network = _network(family)
    next(network.parameters()).requires_grad_(False)
    before = copy.deepcopy(network)
    pruning.apply(network, _example())
    weights, expected = network.state_dict(), before.state_dict()
    assert weights.keys() == expected.keys()
    assert all(torch.equal(weights[key], expected[key]) for key in expected)
    assert [p.requires_grad for p in network.parameters()] == [
        p.requires_grad for p in before.parameters()
    ]
    assert network.training
    assert torch.equal(_logits(network), _logits(before))


@over_defaults
def test_weights_are_not_shared_with_the_network_given(pruning: Pruning, family: str) -> None:
    network, pruned, _ = _applied(pruning, family)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    with torch.no_grad():
        for tensor in pruned.state_dict().values():
            tensor.zero_()
    assert all(torch.equal(network.state_dict()[key], value) for key, value in before.items())


@over_defaults
def test_cuts_read_from_json_rebuild_the_pruned_network_to_the_bit(
    pruning: Pruning, family: str
) -> None:
    _, pruned, cuts = _applied(pruning, family)
    again = _network(family, seed=1)
    replay_cuts(again, _example(), read_cuts(json.loads(json.dumps(cuts))))
    again.load_state_dict(pruned.state_dict())
    assert torch.equal(_logits(again), _logits(pruned))


@over_defaults
def test_the_same_weights_give_the_same_result(pruning: Pruning, family: str) -> None:
    _, once, cuts = _applied(pruning, family)
    twice, cuts_again = pruning.apply(_network(family), _example())
    assert cuts == cuts_again
    assert torch.equal(_logits(once), _logits(twice))


@over_defaults
def test_what_is_cut_is_physically_gone(
    pruning: Pruning, family: str, sizes_before: dict[str, list[int]], tmp_path: Path
) -> None:
    _, pruned, cuts = _applied(pruning, family)
    assert bool(cuts) == (pruning.name != "none" and not pruning.leaves_zeros)
    before, after = sizes_before[family], _sizes(pruned, tmp_path)
    if cuts:
        assert all(now < once for once, now in zip(before, after, strict=True))
    else:
        assert before == after


@over_defaults
def test_a_pruned_network_can_still_be_trained(pruning: Pruning, family: str) -> None:
    _, pruned, _ = _applied(pruning, family)
    pruned.train()(_images()).logsumexp(dim=1).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in pruned.parameters())


@over_defaults
def test_exercises_together_take_the_share_that_was_said(pruning: Pruning, family: str) -> None:
    steps = pruning.prune_in_steps(_network(family), _example(), losses=_losses)
    assert sum(phase.share for phase in steps) == pytest.approx(pruning.training_share)


@over_defaults
def test_images_leave_no_trace_but_in_the_choice_of_what_is_cut(
    pruning: Pruning, family: str
) -> None:
    network = _network(family)
    before = copy.deepcopy(network).state_dict()
    pruned, cuts = _operated(pruning, network)
    again = _network(family)
    assert all(torch.equal(network.state_dict()[key], value) for key, value in before.items())
    assert all(parameter.grad is None for parameter in pruned.parameters())
    # Whatever stays is as it was trained.
    replay_cuts(again, _example(), cuts)
    if not pruning.leaves_zeros:
        assert torch.equal(_logits(again), _logits(pruned))


@over_defaults
def test_penalties_have_gradients(pruning: Pruning, family: str) -> None:
    penalties = 0
    for phase in pruning.prune_in_steps(_network(family), _example(), losses=_losses):
        if phase.penalty is not None:
            penalties += 1
            phase.penalty().backward()  # type: ignore[no-untyped-call]
            grads = [p.grad for p in phase.network.parameters() if p.grad is not None]
            assert any(bool(grad.any()) for grad in grads)
            assert all(bool(grad.isfinite().all()) for grad in grads)
            phase.network.zero_grad()
    assert penalties == hasattr(pruning, "sparsify")


@pytest.mark.parametrize("family", WITHOUT_BLOCKS)
def test_a_network_that_no_block_can_leave_is_refused(family: str) -> None:
    network = _network(family)
    with pytest.raises(ValueError, match=naming("depth", type(network).__name__)):
        Depth().apply(network, _example())


@over_defaults
def test_zeros_that_stay_are_kept_there(pruning: Pruning, family: str) -> None:
    for phase in pruning.prune_in_steps(_network(family), _example(), losses=_losses):
        assert (phase.constraint is not None) == (pruning.leaves_zeros and phase.has_cut)
        if phase.constraint is None:
            continue
        before = {name: value == 0 for name, value in phase.network.named_parameters()}
        with torch.no_grad():
            for parameter in phase.network.parameters():
                parameter += 1
        phase.constraint()
        after = {name: value == 0 for name, value in phase.network.named_parameters()}
        assert any(bool(zero.any()) for zero in before.values())
        assert all(torch.equal(before[name], zero) for name, zero in after.items())

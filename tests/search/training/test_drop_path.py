import pytest
import timm
import torch
from timm.layers import DropPath
from torch import Tensor, nn

from search.training.drop_path import drop_path
from spaces.pruning.magnitude import Magnitude
from spaces.students.timm_model import Timm

IMAGES = torch.randn(2, 1, 32, 32, generator=torch.Generator().manual_seed(0))


def _network(model: str) -> nn.Module:
    torch.manual_seed(0)
    return Timm(model=model).build(classes=3, channels=1, image_size=32)


def _rates(network: nn.Module) -> dict[str, float]:
    return {
        name: round(module.drop_prob, 6)
        for name, module in network.named_modules()
        if isinstance(module, DropPath)
    }


@pytest.mark.parametrize(
    "model", ["test_resnet", "mobilenetv3_small_050", "test_convnext", "test_vit", "mobileone_s0"]
)
def test_the_branches_that_timm_drops_are_dropped(model: str) -> None:
    network = _network(model)
    modules = dict(network.named_modules())
    # timm has a place to drop in blocks that add no input, too, but does not use it.
    built = timm.create_model(model, in_chans=1, drop_path_rate=0.5)
    expected = {
        name
        for name in _rates(built)
        if getattr(modules[name.rpartition(".")[0]], "has_skip", True)
    }
    with drop_path(network, IMAGES, rate=0.5):
        found = _rates(network)
    assert expected <= found.keys()
    # timm never drops in the first block.
    assert {found[name] for name in found.keys() - expected} <= {min(found.values())}


def test_the_rate_grows_linearly_with_the_depth_of_the_block() -> None:
    network = _network("test_vit")
    with drop_path(network, IMAGES, rate=0.6):
        assert _rates(network) == {
            f"blocks.{block}.drop_path{place}": round(0.6 * (block + 1) / 6, 6)
            for block in range(6)
            for place in (1, 2)
        }


@pytest.mark.parametrize("model", ["test_resnet", "test_vit"])
def test_the_network_is_restored(model: str) -> None:
    network = _network(model).train()
    modules, state = dict(network.named_modules()), network.state_dict()
    states = {key: value.clone() for key, value in state.items()}
    with drop_path(network, IMAGES, rate=0.5):
        assert network.training
        assert _rates(network)
    assert dict(network.named_modules()) == modules
    assert all(torch.equal(value, states[key]) for key, value in network.state_dict().items())


def test_an_exception_restores_the_network_too() -> None:
    network = _network("test_resnet")
    with pytest.raises(KeyError), drop_path(network, IMAGES, rate=0.5):
        raise KeyError
    assert _rates(network) == {}


def test_a_rate_of_zero_draws_nothing_and_changes_nothing() -> None:
    network = _network("test_resnet")
    with drop_path(network, IMAGES, rate=0.0):
        assert _rates(network) == {}


def test_a_pruned_network_has_it_too() -> None:
    network, cuts = Magnitude(ratio=0.5).apply(_network("test_resnet"), torch.zeros(1, 1, 32, 32))
    assert cuts
    with drop_path(network, IMAGES, rate=0.5):
        assert len(_rates(network)) == 4
        network.train()(IMAGES)


class _Block(nn.Module):
    """A block of a person's own student, which adds its input or does not."""

    def __init__(self, *, adds: bool) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)
        self.drop_path = nn.Identity()
        self._adds = adds

    def forward(self, features: Tensor) -> Tensor:
        branch: Tensor = self.drop_path(self.layer(features))
        return features + branch if self._adds else branch


def test_a_branch_without_a_way_around_it_is_never_dropped() -> None:
    network = nn.Sequential(_Block(adds=True), _Block(adds=False), _Block(adds=True))
    with drop_path(network, torch.randn(2, 4), rate=0.5):
        assert _rates(network) == {"0.drop_path": 0.25, "2.drop_path": 0.5}


def test_a_network_without_branches_is_trained_as_it_is() -> None:
    network = _network("test_efficientnet")  # whose blocks all change the shape
    with drop_path(network, IMAGES, rate=0.5):
        assert _rates(network) == {}


def test_the_branch_of_an_image_is_dropped_with_the_rate() -> None:
    network = _Block(adds=True).train()
    images = torch.randn(4000, 4, generator=torch.Generator().manual_seed(0))
    with drop_path(network, images[:2], rate=0.3):
        torch.manual_seed(0)
        dropped = (network(images) == images).all(dim=1).float().mean().item()
    assert dropped == pytest.approx(0.3, abs=0.03)

import pytest
import torch
from torch import nn

from spaces.axes.pruning import Pruning
from spaces.features import Feature, corresponding, features_of, maps_alone, with_maps
from spaces.pruning.magnitude import Magnitude
from spaces.pruning.none import NoPruning
from spaces.students.timm_model import Timm
from tests.messages import naming

IMAGES = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def _network(model: str, pruning: Pruning | None = None) -> nn.Module:
    torch.manual_seed(0)
    network = Timm(model=model).build(classes=4, channels=3, image_size=32)
    return (pruning or NoPruning()).apply(network, IMAGES[:1])[0].eval()


def _feature(scale: float, depth: float, *, side: int | None = None) -> Feature:
    side = side or int(scale)
    return Feature(place=round(10 * depth), channels=3, side=side, scale=scale, depth=depth)


@pytest.mark.parametrize("pruning", [NoPruning(), Magnitude(ratio=0.4)], ids=["whole", "pruned"])
@pytest.mark.parametrize(
    "model", ["test_resnet", "test_efficientnet", "test_byobnet", "test_convnext", "test_vit"]
)
def test_features_tell_what_the_maps_are_of_whole_and_pruned_networks(
    model: str, pruning: Pruning
) -> None:
    network = _network(model, pruning)
    features = features_of(network, IMAGES)
    logits, maps = with_maps(network, IMAGES, features)
    assert torch.allclose(logits, network(IMAGES), atol=1e-5)
    for feature, taken in zip(features, maps, strict=True):
        assert taken.shape == (2, feature.channels, feature.side, feature.side)
        assert feature.scale == feature.side / features[-1].side
    assert features[-1].depth == 1
    assert [feature.depth for feature in features] == sorted(feature.depth for feature in features)


def test_maps_come_in_the_order_that_they_are_asked_for_and_more_than_once() -> None:
    network = _network("test_resnet")
    first, *_, last = features_of(network, IMAGES)
    one, two, three = maps_alone(network, IMAGES, [last, first, last])
    assert one is three
    assert two.shape[2] > one.shape[2]
    assert not two.requires_grad


def test_a_network_of_shrinking_maps_has_a_feature_for_each_size() -> None:
    sides = [feature.side for feature in features_of(_network("test_resnet"), IMAGES)]
    assert sides == sorted(set(sides), reverse=True)
    assert len(sides) > 2


def test_a_network_whose_maps_are_of_one_size_has_the_ends_of_its_quarters() -> None:
    features = features_of(_network("test_vit"), IMAGES)  # of six blocks
    assert [feature.place for feature in features] == [1, 2, 3, 5]


def test_asking_for_features_leaves_the_network_as_it_was() -> None:
    network = _network("test_resnet").train()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    features_of(network, IMAGES)
    assert network.training
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


def test_a_network_that_gives_no_features_is_refused_by_its_kind() -> None:
    with pytest.raises(ValueError, match=naming("Sequential", "forward_intermediates")):
        features_of(nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 4)), IMAGES)


def test_features_of_the_nearest_scale_correspond_whatever_the_images_size() -> None:
    student = [_feature(4, 1 / 3, side=8), _feature(2, 2 / 3, side=4), _feature(1, 1, side=2)]
    # Five features of a teacher that is shown images seven times as large.
    teacher = [_feature(2.0**n, 1 - n / 5, side=7 * 2**n) for n in (4, 3, 2, 1, 0)]
    assert [other.scale for _, other in corresponding(student, teacher)] == [4, 2, 1]


def test_of_features_that_are_as_near_in_scale_the_nearest_in_depth_corresponds() -> None:
    student = [_feature(4, 0.5), _feature(1, 1)]
    teacher = [_feature(4, 0.2), _feature(4, 0.6), _feature(1, 1)]
    assert [other.depth for _, other in corresponding(student, teacher)] == [0.6, 1]


def test_features_correspond_by_depth_where_one_networks_maps_are_of_one_size() -> None:
    student = [_feature(8, 0.25), _feature(4, 0.5), _feature(2, 0.75), _feature(1, 1)]
    teacher = [_feature(1, depth) for depth in (0.25, 0.5, 0.75, 1)]
    assert [other.depth for _, other in corresponding(student, teacher)] == [0.25, 0.5, 0.75, 1]
    assert [other.depth for _, other in corresponding(teacher, student)] == [0.25, 0.5, 0.75, 1]

"""The law of shapes against real cuts, and the regressions against functions that are known."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from search.cost_model.regression import LatencyModel, SizeModel
from search.cost_model.shape_law import ShapeCounts, ShapeLaw
from search.objectives.counting import count_operations
from search.records import Cost, Shape
from spaces.pruning.magnitude import Magnitude
from spaces.students.timm_model import Timm


@pytest.mark.parametrize("model", ["test_resnet", "test_byobnet", "test_efficientnet", "lcnet_050"])
def test_one_cut_shows_how_many_parameters_every_other_leaves(model: str) -> None:
    network = Timm(model=model).build(classes=3, channels=1, image_size=32)
    example = torch.zeros(1, 1, 32, 32)
    pruned, _ = Magnitude(ratio=0.37).apply(network, example)
    law = ShapeLaw.learn(network, pruned, 0.37, example)
    assert law.regular
    for ratio in (0.12, 0.5, 0.8):
        cut, _ = Magnitude(ratio=ratio).apply(network, example)
        counts = count_operations(cut, (1, 32, 32))
        assert law.count(ratio).parameters == counts["parameters"]
        assert law.count(ratio).macs == pytest.approx(counts["macs"], rel=1e-9)


def test_a_student_of_another_law_is_seen_to_be_so() -> None:
    network = Timm(model="ghostnet_050").build(classes=3, channels=1, image_size=32)
    example = torch.zeros(1, 1, 32, 32)
    pruned, _ = Magnitude(ratio=0.37).apply(network, example)
    assert not ShapeLaw.learn(network, pruned, 0.37, example).regular


@pytest.mark.parametrize(
    ("model", "regular"),
    [
        ("test_resnet", True),
        ("regnetx_002", False),
        ("test_vit", False),
        ("resnetv2_50x1_bit", False),
    ],
)
def test_half_of_the_channels_does_not_hide_that_groups_and_heads_lose_shares_of_their_own(
    model: str, *, regular: bool
) -> None:
    network = Timm(model=model).build(classes=3, channels=1, image_size=32)
    example = torch.zeros(1, 1, 32, 32)
    pruned, _ = Magnitude(ratio=0.5).apply(network, example)
    assert ShapeLaw.learn(network, pruned, 0.5, example).regular == regular


def _counts(ratio: float) -> ShapeCounts:
    weights, vectors = round(100_000 * (1 - ratio) ** 2), round(2000 * (1 - ratio))
    return ShapeCounts(weights=weights, vectors=vectors, macs=0.0)


def test_bytes_are_affine_in_weights_and_vectors() -> None:
    counts = [_counts(ratio) for ratio in (0.1, 0.2, 0.4, 0.6)]
    model = SizeModel.fit(counts, [5000 + c.weights + 13 * c.vectors for c in counts])
    assert model
    wanted = _counts(0.3)
    assert model.predict(wanted) == pytest.approx(5000 + wanted.weights + 13 * wanted.vectors)


def test_one_network_does_not_tell_the_bytes_of_another() -> None:
    assert SizeModel.fit([_counts(0.1)], [1000]) is None


def test_bytes_that_do_not_follow_the_counts_have_a_large_error() -> None:
    counts = [_counts(ratio) for ratio in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6)]
    model = SizeModel.fit(counts, [50_000, 90_000, 40_000, 95_000, 45_000, 99_000])
    assert model
    assert model.error > 0.3


def _timed(student: str, macs: int, latency: float) -> tuple[Shape, Cost]:
    shape = Shape(student=student, pruning=json.dumps({"uniform": macs}), quantization="float32")
    cost = {
        "size_bytes": 1,
        "parameters": macs,
        "macs": macs,
        "latency_ms": latency,
        "latency_p95_ms": 1.0,
    }
    return shape, cost


def _rows(noise: float) -> list[tuple[Shape, Cost]]:
    """Latencies that grow with the square root of MACs; student b takes twice as long."""
    generator = np.random.default_rng(0)
    return [
        _timed(student, macs, factor * macs**0.5 / 1000 * float(np.exp(generator.normal(0, noise))))
        for student, factor in (("a", 1.0), ("b", 2.0))
        for macs in (100_000, 200_000, 400_000, 800_000, 1_600_000, 3_200_000)
    ]


def test_latency_is_told_within_its_error() -> None:
    rows = _rows(noise=0.02)
    model = LatencyModel(rows)
    said = model.predict(rows[-1][0], macs=600_000, parameters=600_000)
    assert said == pytest.approx(2 * 600_000**0.5 / 1000, rel=model.error)


def test_noisier_latencies_have_a_larger_error() -> None:
    assert LatencyModel(_rows(noise=0.3)).error > 2 * LatencyModel(_rows(noise=0.02)).error


def test_a_student_that_was_never_timed_has_no_latency() -> None:
    rows = _rows(noise=0.0)
    stranger = replace(rows[0][0], student="c")
    assert LatencyModel(rows).predict(stranger, macs=1e6, parameters=10**6) is None


def test_few_rows_tell_no_latency() -> None:
    rows = _rows(noise=0.0)[:4]
    assert LatencyModel(rows).predict(rows[0][0], macs=1e6, parameters=10**6) is None

"""Equalised networks compute the same, with more even weights; other pairs are left alone."""

import numpy as np
import pytest
from onnx import ModelProto

from spaces.quantization.ptq.equalization import equalized, pairs_of
from spaces.quantization.ptq.graph import OnnxGraph
from tests.spaces.quantization.ptq_models import constant, model_of, node, normal, run

NONE = np.zeros(0, np.float32)
IMAGES = normal(16, 3, 6, 6, seed=9)


def _uneven(*shape: int, seed: int) -> np.ndarray:
    """Weights whose channels have ranges between 0.01 and 10."""
    spread = 10.0 ** np.random.default_rng(seed).uniform(-2, 1, (shape[0], *[1] * (len(shape) - 1)))
    return (normal(*shape, seed=seed) * spread).astype(np.float32)


def _pair(between: str, **more: np.ndarray) -> ModelProto:
    """Two convolutions with an activation between them."""
    constants = {
        "w1": _uneven(4, 3, 3, 3, seed=1), "b1": normal(4, seed=2),
        "w2": normal(5, 4, 1, 1, seed=3), **more,
    }  # fmt: skip
    return model_of(
        [
            node("Conv", "input w1 b1", "a"),
            node(between.split()[0], " ".join(["a", *between.split()[1:]]), "h"),
            node("Conv", "h w2", "logits"),
        ],
        constants,
    )


def _pairs(model: ModelProto) -> list[tuple[str, str]]:
    return [(pair.first.name, pair.second.name) for pair in pairs_of(OnnxGraph(model))]


def test_a_case_worked_by_hand() -> None:
    first = np.array([8.0, 0.5], np.float32).reshape(2, 1, 1, 1)
    second = np.array([[2.0, 2.0]], np.float32).reshape(1, 2, 1, 1)
    bias = np.array([4.0, 1.0], np.float32)
    model = model_of(
        [node("Conv", "input w1 b1", "a"), node("Relu", "a", "h"), node("Conv", "h w2", "logits")],
        {"w1": first, "b1": bias, "w2": second},
        shape=("batch", 1, 2, 2),
    )
    found = equalized(model, NONE)
    # s = sqrt(r1 r2) / r2 = 2 and 1/2: both ranges of a channel become sqrt(r1 r2) = 4 and 1.
    assert constant(found, "w1").ravel() == pytest.approx([4.0, 1.0])
    assert constant(found, "b1") == pytest.approx([2.0, 2.0])
    assert constant(found, "w2").ravel() == pytest.approx([4.0, 1.0])


def test_outputs_stay_equal_and_the_ranges_of_a_channel_become_equal() -> None:
    model = _pair("Relu")
    found = equalized(model, NONE)
    assert run(found, IMAGES) == pytest.approx(run(model, IMAGES), rel=1e-4, abs=1e-4)
    made = np.abs(constant(found, "w1")).max(axis=(1, 2, 3))
    read = np.abs(constant(found, "w2")).max(axis=(0, 2, 3))
    assert made == pytest.approx(read, rel=1e-2)
    assert not np.allclose(constant(found, "w1"), constant(model, "w1"))


def test_the_given_model_is_left_as_it_was() -> None:
    model = _pair("Relu")
    before = model.SerializeToString()
    equalized(model, NONE)
    assert model.SerializeToString() == before


@pytest.mark.parametrize("between", ["HardSwish", "Sigmoid", "Tanh", "Elu"])
def test_no_scale_passes_other_activations(between: str) -> None:
    model = _pair(between)
    assert _pairs(model) == []
    assert equalized(model, IMAGES) == model


def test_a_chain_through_a_depthwise_convolution_stays_equal() -> None:
    model = model_of(
        [
            node("Conv", "input w1 b1", "a"),
            node("Relu", "a", "h1"),
            node("Conv", "h1 w2 b1", "b", group=4, pads=[1, 1, 1, 1]),
            node("Relu", "b", "h2"),
            node("Conv", "h2 w3", "c"),
            node("GlobalAveragePool", "c", "d"),
            node("Flatten", "d", "e"),
            node("Gemm", "e w4 b4", "logits", transB=1),
        ],
        {
            "w1": _uneven(4, 3, 1, 1, seed=1), "w2": _uneven(4, 1, 3, 3, seed=2),
            "b1": normal(4, seed=3), "w3": _uneven(6, 4, 1, 1, seed=4),
            "w4": normal(2, 6, seed=5), "b4": normal(2, seed=6),
        },
    )  # fmt: skip
    assert _pairs(model) == [("w1", "w2"), ("w2", "w3"), ("w3", "w4")]
    found = equalized(model, NONE)
    assert run(found, IMAGES) == pytest.approx(run(model, IMAGES), rel=1e-3, abs=1e-4)
    # Two layers share a bias; afterwards each has its own.
    assert len({one.input[2] for one in found.graph.node if len(one.input) > 2}) == 3


def test_a_grouped_convolution_reads_its_own_channels() -> None:
    model = model_of(
        [
            node("Conv", "input w1", "a"),
            node("LeakyRelu", "a", "h"),
            node("Conv", "h w2", "logits", group=2),
        ],
        {"w1": _uneven(6, 3, 1, 1, seed=1), "w2": normal(4, 3, 1, 1, seed=2)},
    )
    found = equalized(model, NONE)
    assert run(found, IMAGES) == pytest.approx(run(model, IMAGES), rel=1e-4, abs=1e-4)
    made = np.abs(constant(found, "w1")).max(axis=(1, 2, 3))
    read = np.abs(constant(found, "w2")).max(axis=(2, 3)).reshape(2, 2, 3).max(axis=1).ravel()
    assert made == pytest.approx(read, rel=1e-2)


def test_a_clip_is_scaled_only_as_far_as_the_images_show_no_difference() -> None:
    model = _pair("Clip low high", low=np.float32(0), high=np.float32(6))
    found = equalized(model, IMAGES)
    assert run(model, IMAGES, "h").max() == 6  # one channel is clipped
    assert run(found, IMAGES) == pytest.approx(run(model, IMAGES), rel=1e-3, abs=1e-3)
    assert not np.allclose(constant(found, "w1"), constant(model, "w1"))


def test_a_clip_stays_as_it_is_without_images() -> None:
    model = _pair("Clip low high", low=np.float32(0), high=np.float32(6))
    assert equalized(model, NONE) == model


def test_a_clip_below_zero_lets_no_scale_pass() -> None:
    model = _pair("Clip low high", low=np.float32(-1), high=np.float32(1))
    assert _pairs(model) == []


def test_a_value_with_another_reader_is_not_scaled() -> None:
    model = model_of(
        [
            node("Conv", "input w1", "a"),
            node("Relu", "a", "h"),
            node("Conv", "h w2", "b"),
            node("Add", "b h", "logits"),
        ],
        {"w1": normal(4, 3, 1, 1), "w2": normal(4, 4, 1, 1, seed=1)},
    )
    assert _pairs(model) == []


def test_weights_of_two_layers_are_not_scaled() -> None:
    model = model_of(
        [
            node("Conv", "input w1", "a"),
            node("Conv", "a w2", "b"),
            node("Conv", "b w2", "logits"),
        ],
        {"w1": _uneven(3, 3, 1, 1, seed=1), "w2": normal(3, 3, 1, 1, seed=2)},
    )
    assert _pairs(model) == []


def test_a_dead_channel_stays_as_it_is() -> None:
    model = _pair("Relu")
    weights = constant(model, "w1").copy()
    weights[2] = 0
    model = _pair("Relu", w1=weights)
    found = equalized(model, NONE)
    assert np.array_equal(constant(found, "w2")[:, 2], constant(model, "w2")[:, 2])
    assert np.isfinite(run(found, IMAGES)).all()

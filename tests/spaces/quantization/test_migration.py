"""Migrated networks compute the same, from normalised activations that are more even."""

import numpy as np
import pytest
from onnx import ModelProto

from spaces.quantization.ptq.migration import migrated
from tests.spaces.quantization.ptq_models import constant, model_of, node, normal, run

WIDTH = 4
IMAGES = normal(8, 5, WIDTH, seed=7)


def _attending(*, extra_reader: bool = False) -> ModelProto:
    """A normalisation with one large channel, and two layers that read it."""
    nodes = [
        node("LayerNormalization", "input scale shift", "x", axis=-1),
        node("MatMul", "x w1", "a"),
        node("MatMul", "x w2", "b"),
        node("Add", "a b", "c"),
        node("Add", "c x" if extra_reader else "c c", "logits"),
    ]
    constants = {
        "scale": np.array([50, 1, 1, 1], np.float32),
        "shift": np.array([1, 2, 3, 4], np.float32),
        "w1": normal(WIDTH, WIDTH, seed=1),
        "w2": normal(WIDTH, WIDTH, seed=2),
    }
    return model_of(nodes, constants, shape=("batch", 5, WIDTH))


@pytest.mark.parametrize("strength", [0.2, 0.5, 1.0])
def test_outputs_stay_equal(strength: float) -> None:
    model = _attending()
    found = migrated(model, IMAGES, strength=strength)
    assert run(found, IMAGES) == pytest.approx(run(model, IMAGES), rel=1e-4, abs=1e-3)


def test_at_full_strength_every_channel_has_the_same_range() -> None:
    found = run(migrated(_attending(), IMAGES, strength=1.0), IMAGES, "x")
    assert np.abs(found).max(axis=(0, 1)) == pytest.approx([1, 1, 1, 1], rel=1e-4)


def test_a_scale_worked_by_hand() -> None:
    model = _attending()
    peak = np.abs(run(model, IMAGES, "x")).max(axis=(0, 1))
    weights = np.maximum(*(np.abs(constant(model, name)).max(axis=1) for name in ("w1", "w2")))
    found = migrated(model, IMAGES, strength=0.5)
    expected = constant(model, "shift") / np.sqrt(peak / weights)
    assert constant(found, "shift") == pytest.approx(expected, rel=1e-4)


def test_a_normalisation_with_another_reader_stays_as_it_is() -> None:
    model = _attending(extra_reader=True)
    assert migrated(model, IMAGES, strength=0.5) == model


def test_a_network_without_normalisations_needs_no_images() -> None:
    model = model_of([node("Relu", "input", "logits")], {})
    assert migrated(model, np.zeros(0, np.float32), strength=0.5) == model


def test_images_are_required() -> None:
    with pytest.raises(ValueError, match="migration"):
        migrated(_attending(), np.zeros(0, np.float32), strength=0.5)

from pathlib import Path

import numpy as np
import pytest
from torch import nn

from search.config.target_settings import TargetSettings
from search.data.dataset import Dataset
from search.errors import ArtifactError, TargetError
from search.evaluation.measure import calibration_batches, normalized_batches, predictions, quality
from search.objectives.counting import count_cost, count_operations
from search.objectives.limits import LATENCY
from search.objectives.predictions import Predictions
from search.targets.latency import measure_latency
from search.targets.onnx_export import export_onnx
from search.targets.onnx_runtime import Session
from search.targets.this_machine import processor_here
from search.targets.timing import time_cost, time_files
from search.training.validation import predictions_of
from spaces.processor import processor_name

SHAPE = (3, 8, 8)


@pytest.fixture
def network() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 8 * 8, 10)
    )


@pytest.fixture
def served(network: nn.Module, tmp_path: Path) -> Path:
    export_onnx(network, tmp_path / "model.onnx", image_shape=SHAPE)
    return tmp_path / "model.onnx"


def test_parameters_are_those_counted_by_hand(network: nn.Module) -> None:
    convolution, linear = 4 * 3 * 9 + 4, 256 * 10 + 10
    assert count_operations(network, SHAPE)["parameters"] == convolution + linear


def test_macs_are_those_counted_by_hand() -> None:
    bare = nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=2, padding=1, bias=False),
        nn.Flatten(),
        nn.Linear(4 * 4 * 4, 10, bias=False),
    )
    assert count_operations(bare, SHAPE)["macs"] == 4 * 4 * (4 * 3 * 9) + 64 * 10


def test_counting_leaves_the_network_in_training(network: nn.Module) -> None:
    count_operations(network.train(), SHAPE)
    assert network.training


def test_size_is_that_of_the_served_file(network: nn.Module, served: Path) -> None:
    cost = count_cost(network, served, SHAPE)
    assert cost["size_bytes"] == len(served.read_bytes())
    assert "latency_ms" not in cost


def test_timing_adds_the_latency_and_leaves_the_rest(network: nn.Module, served: Path) -> None:
    counted = count_cost(network, served, SHAPE)
    timed = time_cost(counted, served, TargetSettings())
    assert timed.keys() - counted.keys() == {LATENCY.cost, *LATENCY.also}
    assert counted.items() <= timed.items()
    assert 0 < timed["latency_ms"] <= timed["latency_p95_ms"]


class _Turns:
    """Stands for a student that is served, and notes when its turn comes."""

    image_shape = SHAPE
    computes_in_caller = False

    def __init__(self, name: str, turns: list[str]) -> None:
        self.name, self.turns = name, turns

    def predict(self, images: np.ndarray) -> np.ndarray:
        assert images.shape == (1, *SHAPE)
        if self.turns[-1:] != [self.name]:
            self.turns.append(self.name)
        return images


def test_rounds_of_several_students_take_turns() -> None:
    turns: list[str] = []
    found = measure_latency([_Turns("a", turns), _Turns("b", turns)])
    assert len(found[0].rounds_ms) >= 3
    assert len(turns) > 2 * len(found[0].rounds_ms)  # and the warm-up
    assert turns == ["a", "b"] * (len(turns) // 2)


def test_latency_of_every_student_is_told_with_its_rounds(served: Path) -> None:
    sessions = [Session(served, threads=1), Session(served, threads=1)]
    for latency in measure_latency(sessions):
        assert 0 < min(latency.rounds_ms) <= latency.median_ms <= max(latency.rounds_ms)
        assert latency.median_ms <= latency.p95_ms


def test_predictions_are_the_networks_own_in_the_order_of_the_images(
    schooled: nn.Module, stripes: Dataset, tmp_path: Path
) -> None:
    export_onnx(schooled, tmp_path / "model.onnx", image_shape=(1, 32, 32))
    found = predictions(Session(tmp_path / "model.onnx", threads=1), stripes.test, stripes)
    assert np.array_equal(found.labels, stripes.test.labels)
    assert found.right.mean() == predictions_of(schooled, stripes.test, stripes).right.mean()
    assert found.right.mean() > 0.8


def test_quality_is_every_metric_of_the_predictions_with_its_error() -> None:
    logits, labels = np.eye(3, dtype=np.float32)[[0, 1, 2, 0]], np.array([0, 1, 0, 1])
    found = quality(Predictions.of_logits(logits, labels), teacher=np.array([0, 1, 2, 1]))
    values = {name: measured.value for name, measured in found.items()}
    assert values == {
        "accuracy": 0.5,
        "agreement": 0.75,
        "balanced_accuracy": 0.5,
        "macro_f1": pytest.approx((1 / 2 + 2 / 3 + 0) / 3),
        "top5_accuracy": 1.0,
        "worst_class_recall": 0.5,
    }
    assert found["agreement"].error == pytest.approx((0.75 * 0.25 / 4) ** 0.5)


def test_images_are_normalised_over_the_training_part(stripes: Dataset) -> None:
    training = np.concatenate(
        [images for batch in stripes.training.batches(256) for images in [batch.images.numpy()]]
    )
    mean, std = training.mean() / 255, training.std() / 255
    raw = next(iter(stripes.validation.batches(4))).images.numpy()
    found = next(normalized_batches(stripes.validation, stripes))[:4]
    assert found.dtype == np.float32
    assert np.allclose(found, (raw / 255 - mean) / std, atol=1e-3)


def test_calibration_draws_training_images_by_seed(stripes: Dataset) -> None:
    first, again, other = (
        np.concatenate(list(calibration_batches(stripes, seed=seed))) for seed in (0, 0, 1)
    )
    assert len(first) == len(stripes.training)  # fewer than it would take
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_what_serves_on_a_gpu_is_told_with_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Latencies are kept by that name, and another GPU behind the same processor has others."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.get_device_name", lambda: "GPU 9000")
    assert processor_here("cuda") == f"GPU 9000 beside {processor_name()}"
    assert processor_here("cpu") == processor_name()


@pytest.mark.parametrize(
    ("told", "kind"),
    [
        ("Failed to allocate memory for requested buffer", TargetError),
        ("no such op", ArtifactError),
    ],
)
def test_memory_that_lacks_for_a_moment_is_no_fault_of_the_file(
    monkeypatch: pytest.MonkeyPatch, told: str, kind: type[Exception]
) -> None:
    def fail(sessions: object) -> None:
        raise ArtifactError(f"ONNX Runtime can't run the file: {told}")

    monkeypatch.setattr("search.targets.this_machine.measure_latency", fail)
    with pytest.raises(kind, match=told):
        time_files([], TargetSettings())

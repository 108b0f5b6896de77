"""What a file says of itself is found by any ONNX Runtime, and changes nothing else in it."""

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from torch import nn

from search.data.dataset import Dataset
from search.evaluation.onnx_metadata import (
    LABELS,
    METRICS,
    PREPROCESSING,
    described,
    metadata_bytes,
)
from search.evaluation.predictions_file import kept_predictions
from search.objectives.metrics import metrics
from search.pipeline.study_context import StudyContext
from search.records import Measurement
from search.targets.onnx_export import export_onnx
from search.targets.onnx_runtime import SERVED, OnnxRuntime, Session
from spaces.quantization.int8_static import Int8Static
from tests.search.conftest import FinishedTrials

FOUND = {name: Measurement(0.123) for name in metrics()}


def _said(path: Path) -> dict[str, object]:
    metadata = onnxruntime.InferenceSession(path).get_modelmeta().custom_metadata_map
    # ONNX Runtime's quantizer adds a key of its own.
    return {key: json.loads(metadata[key]) for key in (LABELS, PREPROCESSING, METRICS)}


def test_a_shipped_file_names_its_classes_its_preprocessing_and_what_was_measured(
    finished: FinishedTrials, context: StudyContext
) -> None:
    _, trial = finished(quantization=Int8Static())
    assert trial.outcome
    assert trial.outcome.artifact
    assert trial.outcome.quality
    path = context.artifacts.folder / trial.outcome.artifact.path / SERVED
    onnx.checker.check_model(path)
    said, info = _said(path), context.dataset.info
    assert said["labels"] == list(info.classes)
    assert said["preprocessing"] == {
        "channels": 1, "image_size": 32, "mean": list(info.mean), "std": list(info.std),
        "resize": "bilinear", "crop": "largest centred square",
    }  # fmt: skip
    kept = kept_predictions(context.artifacts, trial.outcome.artifact.path)["validation"]
    quality = trial.outcome.quality
    assert quality.keys() == metrics().keys()
    assert quality["accuracy"].value == kept.right.mean()
    assert said["metrics"] == {
        **{f"validation_{name}": f"{found.value:.6f}" for name, found in quality.items()},
        "validation_images": len(context.dataset.validation),
    }


def test_every_byte_that_was_measured_stays(
    schooled: nn.Module, stripes: Dataset, tmp_path: Path
) -> None:
    path = tmp_path / SERVED
    export_onnx(schooled, path, image_shape=(1, 32, 32))
    before, images = path.read_bytes(), np.ones((2, 1, 32, 32), np.float32)
    logits = Session(path, threads=1).predict(images)
    OnnxRuntime().annotate(path, described(stripes.info, FOUND))
    after = path.read_bytes()
    assert after.startswith(before)
    assert len(after) - len(before) == metadata_bytes(stripes.info)
    assert np.array_equal(Session(path, threads=1).predict(images), logits)

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from search.errors import ArtifactError
from search.evaluation.predictions_file import (
    PREDICTIONS,
    keep_test,
    kept_predictions,
    read_predictions,
    write_predictions,
)
from search.objectives.predictions import Predictions
from search.pipeline.study_context import StudyContext
from tests.messages import naming
from tests.search.bombs import write_zip_bomb
from tests.search.conftest import FinishedTrials

LOGITS = np.log(np.float32([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6], [0.5, 0.4, 0.1]]))


@pytest.fixture
def found() -> Predictions:
    return Predictions.of_logits(LOGITS, np.array([0, 1, 2, 1]))


def _same(one: Predictions, other: Predictions) -> bool:
    pairs = ((one.labels, other.labels), (one.classes, other.classes),
             (one.confidence, other.confidence))  # fmt: skip
    return all(np.array_equal(a, b) for a, b in pairs)


def test_a_prediction_is_the_likeliest_class_and_its_probability(found: Predictions) -> None:
    assert found.classes.tolist() == [0, 1, 2, 0]
    assert found.confidence == pytest.approx([0.7, 0.8, 0.6, 0.5])
    assert found.right.mean() == 0.75


def test_each_class_is_counted_with_those_that_are_right(found: Predictions) -> None:
    assert found.by_class(4) == ((1, 1), (2, 1), (1, 1), (0, 0))


def test_disagreements_are_the_places_of_the_images(found: Predictions) -> None:
    other = Predictions.of_logits(LOGITS[[0, 0, 2, 2]], found.labels)
    assert found.disagreements(other).tolist() == [1, 3]


def test_what_was_written_comes_back_by_part(found: Predictions, tmp_path: Path) -> None:
    write_predictions(tmp_path / PREDICTIONS, {"validation": found, "test": found})
    read = read_predictions(tmp_path / PREDICTIONS)
    assert list(read) == ["validation", "test"]
    assert _same(read["validation"], found)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 and no more", b"text"])
def test_a_damaged_file_is_refused_by_name(content: bytes, tmp_path: Path) -> None:
    (tmp_path / PREDICTIONS).write_bytes(content)
    with pytest.raises(ArtifactError, match=naming(PREDICTIONS)):
        read_predictions(tmp_path / PREDICTIONS)


def test_arrays_of_objects_which_could_run_code_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / PREDICTIONS, test_classes=np.array([{}], dtype=object))
    with pytest.raises(ArtifactError, match=naming(PREDICTIONS, "test_classes", "object")):
        read_predictions(tmp_path / PREDICTIONS)


def test_fault_36_predictions_that_hold_gigabytes_are_refused_by_name(tmp_path: Path) -> None:
    write_zip_bomb(tmp_path / PREDICTIONS, "test_labels", "<i8")
    with pytest.raises(ArtifactError, match=naming(PREDICTIONS, "3,221")):
        read_predictions(tmp_path / PREDICTIONS)


@pytest.mark.parametrize(
    "edit",
    [
        {"test_labels": np.array([0, 10**15])},  # to count them would take a petabyte
        {"test_classes": np.array([0, -1])},
        {"test_labels": np.array([0.5, 1.0])},
        {"test_confidence": np.array(["a", "b"])},
        {"test_classes": np.array([0, 1, 2])},
        {"test_labels": None},
    ],
)
def test_fault_36_predictions_that_cannot_be_counted_are_refused(
    edit: dict[str, object], tmp_path: Path
) -> None:
    whole = {
        "test_labels": np.arange(2),
        "test_classes": np.arange(2),
        "test_confidence": np.float32([0.5, 1]),
    }
    held = {name: array for name, array in (whole | edit).items() if array is not None}
    np.savez(tmp_path / PREDICTIONS, **held)  # type: ignore[arg-type]
    with pytest.raises(ArtifactError, match=naming(PREDICTIONS)):
        read_predictions(tmp_path / PREDICTIONS)


def test_a_trial_keeps_its_validation_predictions_and_later_those_of_the_test(
    finished: FinishedTrials, context: StudyContext
) -> None:
    _, trial = finished()
    assert trial.outcome
    assert trial.outcome.artifact
    assert trial.outcome.quality
    name = trial.outcome.artifact.path
    kept = kept_predictions(context.artifacts, name)
    assert list(kept) == ["validation"]
    assert np.array_equal(kept["validation"].labels, context.dataset.validation.labels)
    assert kept["validation"].right.mean() == trial.outcome.quality["accuracy"].value
    keep_test(context.artifacts.writing, name, kept["validation"])
    assert list(kept_predictions(context.artifacts, name)) == ["validation", "test"]


def test_reading_needs_no_torch() -> None:
    heavy = "{'torch', 'onnxruntime'}"
    code = f"import sys, search.evaluation.predictions_file; print({heavy} & sys.modules.keys())"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "set()"

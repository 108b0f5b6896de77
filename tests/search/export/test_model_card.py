"""The model card says what was measured, as the hub reads it."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from huggingface_hub import ModelCard

from search.artifacts.student import read_provenance
from search.evaluation.intervals import wilson_interval
from search.evaluation.predictions_file import TEACHER, kept_predictions
from search.export.exporting import export_student
from search.export.model_card import Report, model_card
from search.export.record import ExportedMeasurements
from search.files.filestore import FolderStore
from search.records import StudyRecord, TrialRecord
from spaces.pruning.magnitude import Magnitude
from tests.search.conftest import FinishedTrials
from tests.search.export.conftest import Tested


def _report(study: StudyRecord, trial: TrialRecord) -> Report:
    assert trial.outcome
    assert trial.outcome.artifact
    artifacts, name = FolderStore.of(study.artifacts), trial.outcome.artifact.path
    return Report(
        study=study.name,
        trial=trial.number,
        measured=ExportedMeasurements.of(study, trial),
        provenance=read_provenance(artifacts.fetched(name)),
        student=kept_predictions(artifacts, name).get("test"),
        teacher=kept_predictions(artifacts, TEACHER).get("test"),
        formats=(),
    )


def test_the_hub_reads_the_test_accuracy_and_the_agreement(tested: Tested) -> None:
    study, trial = tested()
    assert trial.test
    results = ModelCard(model_card(_report(study, trial))).data.eval_results
    assert results
    assert {result.metric_type: result.metric_value for result in results} == {
        "accuracy": round(trial.test.accuracy, 6),
        "agreement": round(trial.test.agreement, 6),
    }
    assert {result.dataset_split for result in results} == {"test"}


def test_figures_stand_beside_the_teachers_with_their_intervals(tested: Tested) -> None:
    study, trial = tested()
    card, count = model_card(_report(study, trial)), 36
    assert trial.test
    assert study.teacher
    assert study.teacher.test_accuracy is not None
    low, high = wilson_interval(trial.test.accuracy, count)
    taught = wilson_interval(study.teacher.test_accuracy, count)
    assert (
        f"| accuracy on {count} test images | {trial.test.accuracy:.2%} ({low:.2%} to {high:.2%}) "
        f"| {study.teacher.test_accuracy:.2%} ({taught[0]:.2%} to {taught[1]:.2%}) |"
    ) in card


def test_every_class_has_a_row_that_adds_up(tested: Tested) -> None:
    study, trial = tested()
    report = _report(study, trial)
    assert report.student
    rows = [
        f"| {name} | {count} | {right / count:.2%} |"
        for name, (count, right) in zip(
            report.data.classes, report.student.by_class(3), strict=True
        )
    ]
    assert all(row in model_card(report) for row in rows)
    assert trial.test
    right = sum(right for _, right in report.student.by_class(3))
    assert right / len(report.student.labels) == pytest.approx(trial.test.accuracy)


def test_a_student_that_was_not_tested_claims_nothing_of_the_test_part(
    finished: FinishedTrials,
) -> None:
    card = model_card(_report(*finished()))
    assert "model-index" not in card
    assert "test images | not measured" in card
    assert "### By class" not in card


def test_the_latency_stands_with_its_hardware_and_threads(finished: FinishedTrials) -> None:
    report = _report(*finished())
    hardware = {"processor": "Cortex | A72", "device": "cpu", "threads": 4}
    measured = replace(report.measured, hardware=hardware)
    card = model_card(replace(report, measured=measured))
    assert "4 thread(s) of Cortex | A72 (cpu)" in card


def test_timm_is_named_only_where_it_can_load_the_student(finished: FinishedTrials) -> None:
    pruned = model_card(_report(*finished(pruning=Magnitude(ratio=0.4, recovery=0.5))))
    whole = model_card(_report(*finished()))
    assert "timm.create_model" not in pruned
    assert "timm.create_model" in whole


def test_the_licence_is_that_of_the_pretrained_weights(finished: FinishedTrials) -> None:
    report = _report(*finished())
    assert "started from random weights" in model_card(report)
    params = {**report.provenance.params, "student.timm.pretrained": True}
    card = model_card(replace(report, provenance=replace(report.provenance, params=params)))
    assert "which timm states to be under `apache-2.0`" in card
    assert yaml.safe_load(card.split("---\n")[1])["license"] == "apache-2.0"


def test_a_class_with_an_odd_name_breaks_no_table(tested: Tested) -> None:
    report = _report(*tested())
    data = replace(report.data, classes=("a|b", "c\nd", "`e`"))
    card = model_card(replace(report, provenance=replace(report.provenance, data=data)))
    assert "| a\\|b | " in card
    assert "| c d | " in card


def test_the_card_goes_with_the_folder(finished: FinishedTrials, tmp_path: Path) -> None:
    study, trial = finished()
    folder = export_student(study, trial, tmp_path / "student")
    assert (folder / "README.md").read_text() == model_card(_report(study, trial))


def test_the_interval_is_wilsons() -> None:
    # 8 of 10: the center is 0.7167, the spread 0.2266.
    assert wilson_interval(0.8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_the_interval_of_all_or_none_ends_there_but_is_not_empty(share: float) -> None:
    low, high = wilson_interval(share, 20)
    assert share == pytest.approx(high if share else low)
    assert high - low == pytest.approx(0.1611, abs=1e-4)

"""The model card says what was measured, as the hub reads it."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from huggingface_hub import ModelCard

from search.data.views.augmentation import Augmentation
from search.evaluation.artifact import read_provenance
from search.evaluation.predictions_file import TEACHER, kept_predictions
from search.export.exporting import export_student
from search.export.formats import ExportFormat
from search.export.model_card import Report, model_card
from search.export.record import ExportedMeasurements
from search.files.filestore import FolderStore
from search.objectives.goal import DEFAULT_GOAL, Goal
from search.objectives.limits import limits
from search.objectives.metrics import metrics, wilson_interval
from search.objectives.predictions import Predictions
from search.records import StudyRecord, TrialRecord
from spaces.pruning.magnitude import Magnitude
from tests.messages import naming
from tests.search.conftest import FinishedTrials
from tests.search.export.conftest import Tested


def _report(study: StudyRecord, trial: TrialRecord) -> Report:
    assert trial.outcome
    assert trial.outcome.artifact
    artifacts, name = FolderStore.of(study.artifacts), trial.outcome.artifact.path
    return Report(
        study=study.name,
        trial=trial.number,
        goal=DEFAULT_GOAL,
        measured=ExportedMeasurements.of(study, trial),
        provenance=read_provenance(artifacts.fetched(name)),
        student=kept_predictions(artifacts, name).get("test"),
        teacher=kept_predictions(artifacts, TEACHER).get("test"),
        formats=(),
        loaded_by={},
    )


def _row(card: str, label: str, *facts: object) -> list[str]:
    """The other cells of the table's only row of that label that names the facts."""
    rows = [line.strip("| ").split(" | ") for line in card.splitlines() if line.startswith("|")]
    named = [row for row in rows if row[0].startswith(f"{label} ")]
    ((_, *cells),) = (row for row in named if naming(*facts).search(row[0]))
    return cells


def test_the_hub_reads_every_metric_of_the_test_part(tested: Tested) -> None:
    study, trial = tested()
    assert trial.test
    results = ModelCard(model_card(_report(study, trial))).data.eval_results
    assert results
    assert {result.metric_type: result.metric_value for result in results} == {
        name: round(found.value, 6) for name, found in trial.test.items()
    }
    assert {result.dataset_split for result in results} == {"test"}


def test_figures_stand_beside_the_teachers_with_their_intervals(tested: Tested) -> None:
    study, trial = tested()
    card, count = model_card(_report(study, trial)), 36
    assert trial.test
    assert study.teacher
    measured = (trial.test["accuracy"].value, study.teacher.test["accuracy"].value)
    for value, cell in zip(measured, _row(card, "accuracy", "test", count), strict=True):
        figures = (value, *wilson_interval(value, count))
        assert naming(*(f"{figure:.2%}" for figure in figures)).search(cell)


def test_every_metric_and_every_limit_has_a_row(tested: Tested) -> None:
    card = model_card(_report(*tested()))
    for metric in metrics().values():
        assert f"\n| {metric.label} on 36 test images | " in card
        assert f"\n| {metric.label} on 36 validation images | " in card
    for limit in limits().values():
        assert f"\n| {limit.label} (" in card


def test_the_metric_that_was_searched_for_comes_first(tested: Tested) -> None:
    goal = Goal.of("balanced_accuracy", ["macs"])
    report = replace(_report(*tested()), goal=goal)
    card = model_card(report)
    assert card.index("| balanced accuracy on 36 test") < card.index("| accuracy on 36 test")
    assert card.index("| MACs (") < card.index("| size (")
    head = yaml.safe_load(card.split("---\n")[1])
    kinds = [one["type"] for one in head["model-index"][0]["results"][0]["metrics"]]
    assert kinds[0] == "balanced_accuracy"


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
    assert right / len(report.student.labels) == pytest.approx(trial.test["accuracy"].value)


def _card_of(tested: Tested, wrong: Mapping[int, int], classes: int) -> str:
    """The card of a student that takes these classes for others, with 10 images of each class."""
    report, labels = _report(*tested()), np.repeat(np.arange(classes), 10)
    names = tuple(f"sign {label}" for label in range(classes))
    found = Predictions(
        labels=labels,
        classes=np.array([wrong.get(label, label) for label in labels.tolist()]),
        confidence=np.ones(len(labels), np.float32),
    )
    data = replace(report.data, classes=names)
    provenance = replace(report.provenance, data=data)
    return model_card(replace(report, provenance=provenance, student=found, teacher=None))


def test_the_card_names_the_worst_classes_and_the_most_confused_pairs(tested: Tested) -> None:
    card = _card_of(tested, {3: 7, 4: 7}, classes=43)
    assert any(naming(2, 43).search(line) for line in card.splitlines() if "never right" in line)
    assert "\n| sign 3 | 10 | 0.00% | sign 7 |\n" in card
    assert "\n| sign 4 | sign 7 | 10 | 100.00% |\n" in card
    worst = card.partition("The worst classes:")[2].partition("The most confused pairs:")[0]
    assert worst.count("\n| sign ") == 10


def test_a_card_of_few_classes_lists_each_of_them_once(tested: Tested) -> None:
    card = _card_of(tested, {}, classes=3)
    assert card.count("\n| sign 1 |") == 1
    assert "never right" not in card


def test_a_student_that_was_not_tested_claims_nothing_of_the_test_part(
    finished: FinishedTrials,
) -> None:
    report = _report(*finished())
    card = model_card(report)
    assert "model-index" not in card
    assert not any("%" in cell for cell in _row(card, "accuracy", "test"))
    assert not any(line.startswith(f"| {report.data.classes[0]} |") for line in card.splitlines())


def test_the_latency_stands_with_its_hardware_and_threads(finished: FinishedTrials) -> None:
    report = _report(*finished())
    hardware = {"processor": "Cortex | A72", "device": "cpu", "threads": 4}
    measured = replace(report.measured, hardware=hardware)
    card = model_card(replace(report, measured=measured))
    assert any(naming(4, "Cortex | A72", "cpu").search(line) for line in card.splitlines())


def test_timm_is_named_only_where_it_can_load_the_student(finished: FinishedTrials) -> None:
    pruned = model_card(_report(*finished(pruning=Magnitude(ratio=0.4, recovery=0.5))))
    whole = model_card(_report(*finished()))
    assert "timm.create_model" not in pruned
    assert "timm.create_model" in whole


def test_the_licence_is_that_of_the_pretrained_weights(finished: FinishedTrials) -> None:
    report = _report(*finished())
    assert "license" not in yaml.safe_load(model_card(report).split("---\n")[1])
    params = {**report.provenance.params, "student.timm.pretrained": True}
    card = model_card(replace(report, provenance=replace(report.provenance, params=params)))
    _, head, text = card.split("---\n", maxsplit=2)
    assert yaml.safe_load(head)["license"] == "apache-2.0"
    assert naming("apache-2.0").search(text)


def test_a_class_with_an_odd_name_breaks_no_table(tested: Tested) -> None:
    report = _report(*tested())
    data = replace(report.data, classes=("a|b", "c\nd", "`e`"))
    card = model_card(replace(report, provenance=replace(report.provenance, data=data)))
    assert "| a\\|b | " in card
    assert "| c d | " in card


def test_what_people_have_named_is_neither_markdown_nor_a_template(tested: Tested) -> None:
    report, name = _report(*tested()), "a|b`c` {{ 7 * 7 }}\n<b> & {% if"
    kept = "a\\|b'c' {{ 7 * 7 }} <b> & {% if"
    in_a_cell = kept.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    assert report.measured.teacher
    card = model_card(
        replace(
            report,
            measured=replace(report.measured, teacher=replace(report.measured.teacher, name=name)),
            provenance=replace(
                report.provenance,
                data=replace(report.data, classes=(name, "b", "c")),
                origin={"study": name},
            ),
        )
    )
    assert f"|  | student | teacher, `{kept}` |" in card
    assert f"\n| {in_a_cell} | " in card
    assert f"\n| study | `{kept}` |\n" in card


def test_fault_39_the_card_says_how_images_were_changed_and_which_were_not_used(
    tested: Tested,
) -> None:
    report = _report(*tested())
    assert "never mirrored" in model_card(report)
    unused = ((".heic", 7), ("in a|b/, which is no part", 2))
    data = replace(report.data, augmentation=Augmentation(flip=True), unused=unused)
    card = model_card(replace(report, provenance=replace(report.provenance, data=data)))
    assert "mirrored at random" in card
    assert "7 .heic, 2 in a\\|b/, which is no part." in card


def test_each_further_form_has_a_row(finished: FinishedTrials) -> None:
    card = model_card(replace(_report(*finished()), formats=tuple(ExportFormat)))
    assert all(f"\n| `{form.file}` | " in card for form in ExportFormat)


def test_the_card_goes_with_the_folder(finished: FinishedTrials, tmp_path: Path) -> None:
    study, trial = finished()
    folder = export_student(study, trial, tmp_path / "student")
    report = replace(_report(study, trial), loaded_by={"model.onnx": "ONNX Runtime 1.12"})
    assert (folder / "README.md").read_text() == model_card(report)


def test_the_oldest_runtime_that_loads_each_file_is_told(
    finished: FinishedTrials, tmp_path: Path
) -> None:
    formats = [ExportFormat.FP16, ExportFormat.UINT8]
    card = (
        export_student(*finished(), tmp_path / "student", formats=formats) / "README.md"
    ).read_text()
    for file in ("model.onnx", *(each.file for each in formats)):
        (row,) = (line for line in card.splitlines() if line.startswith(f"| `{file}` |"))
        assert naming("ONNX Runtime", 1.12).search(row)
    report = _report(*finished())
    assert "1.12" not in model_card(report)
    later = replace(report, loaded_by={"model.onnx": "ONNX Runtime 1.18"})
    assert naming("ONNX Runtime", 1.18).search(model_card(later))

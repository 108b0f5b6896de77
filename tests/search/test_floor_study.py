"""A whole study whose budget has floors: real trainings, a real store, no Ray."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from search.config.loader import dump_study
from search.config.study import Study
from search.errors import BadInput, DataError, NoStudentFits
from search.export.exporting import export_student
from search.export.images import RECORDED
from search.export.record import read_export_record
from search.export.verify import verify
from search.pipeline.setup import prepare_context
from search.progress import SilentCallback
from search.records import StudyRecord, StudyState, TrialKind, TrialState
from search.run import run_study
from search.storage.storage import Store
from search.tuner.plan import plan_study
from search.tuner.study_changes import check_changes
from tests.faults.without_ray import STRIPES_SPACE, TrialRecorder, one_after_another, study_of
from tests.messages import naming

REACHED = {"recall": {"1": 0.01}, "metrics": {"macro_f1": 0.01}}
UNREACHED = {"recall": {"1": 1.0}, "metrics": {"accuracy": 1.0, "macro_f1": 1.0}}


@pytest.fixture(autouse=True)
def _no_ray() -> Iterator[None]:
    with one_after_another():
        yield


def _study(folder: Path, data: Path, budget: dict[str, object]) -> Study:
    return study_of(folder, data, search={"trials": 2}, budget=budget)


@pytest.mark.slow
def test_its_best_student_meets_them_and_so_says_its_export(
    stripes_file: Path, tmp_path: Path
) -> None:
    study = _study(tmp_path, stripes_file, REACHED)
    with Store.open(study.run.storage) as store:
        best = run_study(study, store, TrialRecorder())
        record, trials = store.study("stripes"), store.trials("stripes", whole=True)
    assert best.outcome is not None
    assert best.outcome.quality["recall.1"].value >= 0.01
    assert "recall.1" in best.test
    assert record.teacher is not None
    assert {"recall.1"} <= record.teacher.quality.keys() & record.teacher.test.keys()
    assert all(one.floors for trial in trials if trial.outcome for one in trial.outcome.epochs)

    folder = export_student(record, best, tmp_path / "student", trials=trials)
    card = (folder / "README.md").read_text()
    assert "The student meets the floors of the budget on validation images: recall of 1" in card
    assert "| recall of 1 on test images |" in card
    assert read_export_record(folder).budget.floors() == study.budget.floors()
    checks = {each.name: each for each in verify(folder, data=RECORDED)}
    assert checks["floors"].holds is True
    assert naming("recall of 1", "macro F1").search(checks["floors"].found)
    assert naming("at least 1.00%", "here").search(checks["floors, test part"].found)


@pytest.mark.slow
def test_if_none_meets_them_the_nearest_is_named_and_finalists_are_still_trained(
    stripes_file: Path, tmp_path: Path
) -> None:
    hardly = {**STRIPES_SPACE["training"]["standard"], "learning_rate": 1e-5}
    study = study_of(
        tmp_path,
        stripes_file,
        space={"training": {"standard": {**hardly, "batch_size": [16, 17]}}},
        search={"trials": 2},
        budget=UNREACHED,
        final={"students": 1, "epochs": 2},
    )
    recorder = TrialRecorder()
    with Store.open(study.run.storage) as store:
        with pytest.raises(NoStudentFits, match=naming("trial", "accuracy", "below 100.00%")):
            run_study(study, store, recorder)
        trials = store.trials("stripes")
    assert {trial.state for trial in trials} == {TrialState.COMPLETE}
    assert [trial.kind for trial in trials].count(TrialKind.FINAL) == 1
    assert any("too few students meet the floors" in text for text in recorder.noted)


def test_a_class_that_the_data_lack_is_refused_before_the_teacher(
    stripes_file: Path, tmp_path: Path
) -> None:
    study = _study(tmp_path, stripes_file, {"recall": {"stop": 0.9}})
    facts = ("budget.recall", "'stop'", "'0'")
    with pytest.raises(DataError, match=naming(*facts)):
        prepare_context(study, SilentCallback())
    with pytest.raises(DataError, match=naming(*facts)):
        plan_study(study, progress=lambda _: None)


@pytest.mark.slow
def test_a_plan_names_the_floors_and_those_that_allow_no_wrong_image(
    stripes_file: Path, tmp_path: Path
) -> None:
    budget = {"recall": {"1": 0.999}, "metrics": {"macro_f1": 0.5}}
    plan = plan_study(_study(tmp_path, stripes_file, budget), progress=lambda _: None)
    assert plan.to_json()["floors"] == {"recall.1": 0.999, "macro_f1": 0.5}
    assert any(naming("budget.recall.1", "0.999").search(text) for text in plan.warnings)


def test_floors_and_the_names_of_their_classes_can_not_change_in_between(
    stripes_file: Path, tmp_path: Path
) -> None:
    study = _study(tmp_path, stripes_file, REACHED)
    record = _record(study)
    other = _study(tmp_path, stripes_file, {**REACHED, "recall": {"1": 0.02}})
    with pytest.raises(BadInput, match=naming("budget.recall.1", 0.01, 0.02)):
        check_changes(record, other, [])
    data = {**study.data.model_dump(), "class_names": {"0": "stop"}}
    renamed = Study.model_validate({**study.model_dump(), "data": data})
    with pytest.raises(BadInput, match=naming("data.class_names")):
        check_changes(record, renamed, [])
    free = study.model_copy(update={"budget": study.budget.before_training})
    without = renamed.model_copy(update={"budget": study.budget.before_training})
    assert check_changes(_record(free), without, [])


def _record(study: Study) -> StudyRecord:
    return StudyRecord(
        name=study.study,
        state=StudyState.FINISHED,
        config=dump_study(study),
        artifacts=f"{study.run.artifacts}/{study.study}",
        teacher=None,
        created_at=datetime.now(UTC),
        changed_at=datetime.now(UTC),
    )

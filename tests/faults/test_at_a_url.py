"""A whole study whose artifacts and cache are at URLs: searched, resumed, checked, exported."""

import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dashboard.panels.export import artifact_folder
from search.analysis.examples import data_names
from search.analysis.ranking import Ranking
from search.config.study import Study
from search.errors import ArtifactError
from search.evaluation.predictions_file import TEACHER, kept_predictions
from search.export.exporting import export_student, load
from search.files import filestore as folder_stores
from search.files.filestore import FolderStore
from search.records import TrialState
from search.run import resume_study, run_study
from search.storage.integrity import check_store
from search.storage.storage import Store
from tests.faults.without_ray import TrialRecorder, one_after_another, study_of

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _no_ray() -> Iterator[None]:
    with one_after_another():
        yield


def _study(folder: Path, file: Path, trials: int) -> Study:
    there = (folder / "there").as_uri()
    run = {"artifacts": f"{there}/artifacts", "cache": f"{there}/cache"}
    space = {"distillation": ["soft_targets", "fitnets"]}
    return study_of(folder, file, run=run, space=space, search={"trials": trials})


def _move_to_another_machine(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nothing of what this machine has copied is there."""
    copies = folder / name
    monkeypatch.setattr(folder_stores, "COPIES", copies)
    return copies


def test_a_study_at_urls_is_resumed_checked_and_exported_from_another_machine(
    stripes_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _move_to_another_machine("first", tmp_path, monkeypatch)
    study = _study(tmp_path, stripes_file, 1)
    with Store.open(study.run.storage) as store:
        run_study(study, store, TrialRecorder())
        assert store.study("stripes").artifacts == f"{study.run.artifacts}/stripes"
        copies = _move_to_another_machine("second", tmp_path, monkeypatch)
        recorder = TrialRecorder()
        best = resume_study(_study(tmp_path, stripes_file, 2), store, recorder)
        assert any("earlier run" in said for said in recorder.said)
        assert not [
            said for said in recorder.said if said.startswith(("reading", "teacher's soft"))
        ]
        trials = store.trials("stripes")
        assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 2
        assert all(trial.test for trial in trials if trial.number == best.number)

        _move_to_another_machine("third", tmp_path, monkeypatch)
        assert check_store(store) == []
        record = store.study("stripes")
        artifacts = FolderStore.of(record.artifacts)
        assert set(kept_predictions(artifacts, TEACHER)) == {"validation", "test"}
        shown = artifact_folder(record, best)
        assert shown
        assert shown.is_relative_to(tmp_path / "third")
        assert data_names(shown).classes == load(shown).labels
        assert best.outcome
        assert best.outcome.artifact
        other = replace(best.outcome.artifact, sha256="0" * 64)
        with pytest.raises(ArtifactError, match=re.escape(str(shown))):
            artifact_folder(record, replace(best, outcome=replace(best.outcome, artifact=other)))
        folder = export_student(
            record, Ranking(trials, study.goal).chosen(study.budget), tmp_path / "student"
        )
        assert load(folder).labels
    assert not (tmp_path / "artifacts").exists()
    assert not (tmp_path / "cache").exists()
    assert not list(copies.rglob("*.tmp"))


def test_what_a_killed_run_left_at_the_url_is_found_and_removed(
    stripes_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _move_to_another_machine("copies", tmp_path, monkeypatch)
    study = _study(tmp_path, stripes_file, 1)
    with Store.open(study.run.storage) as store:
        run_study(study, store, TrialRecorder())
        there = tmp_path / "there" / "artifacts" / "stripes"
        (there / "trial-00007").mkdir()
        (there / "trial-00007" / "model.onnx").write_text("cut off")
        (problem,) = check_store(store)
        assert f"{study.run.artifacts}/stripes/trial-00007 belongs to no trial" in problem
        resume_study(_study(tmp_path, stripes_file, 1), store, TrialRecorder())
        assert check_store(store) == []
        assert not (there / "trial-00007").exists()

        (there / "trial-00000" / "model.onnx").write_text("changed")
        shutil.rmtree(tmp_path / "copies")
        (problem,) = check_store(store)
        assert "trial-00000" in problem
        assert "model.onnx" in problem

"""Disks that are full or read-only, under each place that a search writes to."""

import re
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import onnx
import pytest
import safetensors.torch
import torch

from search.config.study import Study
from search.data.dataset import Dataset
from search.data.views.augmentation import Augmentation
from search.data.views.view import Views
from search.errors import DiskError, StoreError, StoreUnavailable
from search.export.exporting import export_student
from search.files.atomic import CHECKSUMS, file_written_whole, written_whole
from search.files.disk import scratch
from search.files.filestore import FolderStore
from search.records import StudyState, TrialState
from search.run import resume_study, run_study
from search.storage.integrity import check_store
from search.storage.storage import Store
from search.teachers.logits_cache import soft_targets
from search.teachers.prepared import Teacher
from tests.faults.conftest import check_invariants
from tests.faults.disks import Disk, small_disk
from tests.faults.without_ray import TrialRecorder, one_after_another, study_of

STORES = Path(__file__).parent / "stores"
COMPLETE, INTERRUPTED = TrialState.COMPLETE, TrialState.INTERRUPTED

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _no_ray() -> Iterator[None]:
    with one_after_another():
        yield


@pytest.fixture(scope="module")
def ended(stripes_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a study that has ended after a trial; tests must leave it as it is."""
    folder = tmp_path_factory.mktemp("ended")
    study = study_of(folder, stripes_file, search={"trials": 1})
    with one_after_another(), Store.open(study.run.storage) as store:
        run_study(study, store, TrialRecorder())
    return folder


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    with small_disk(tmp_path / "disk") as made:
        yield made


@pytest.fixture
def study(ended: Path, stripes_file: Path, tmp_path: Path) -> Callable[..., Study]:
    """Gives the study of two trials, whose data and teacher are ready, but no student."""
    shutil.copytree(ended / "cache", tmp_path / "cache", ignore=shutil.ignore_patterns("stages"))
    return lambda **run: study_of(tmp_path, stripes_file, search={"trials": 2}, run=run)


def _left_in(*folders: Path) -> list[Path]:
    return [path for folder in folders for path in folder.rglob("*") if ".tmp" in path.name]


def _forget_holder(folder: Path) -> None:
    """This very process holds the study, and lives: as left by a dead one."""
    with closing(sqlite3.connect(folder / "retort.db")) as connection:
        connection.execute("DELETE FROM holds")
        connection.commit()


@pytest.mark.parametrize("trouble", ["full", "read-only"])
@pytest.mark.parametrize("place", ["artifacts", "temporary files"])
def test_fault_08_a_disk_that_takes_no_more_ends_the_search_and_its_trial_goes_first_at_resume(
    study: Callable[..., Study],
    disk: Disk,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    place: str,
    trouble: str,
) -> None:
    begin, end = (disk.fill, disk.make_room) if trouble == "full" else (disk.close, disk.open)
    run = {"artifacts": disk.path} if place == "artifacts" else {}
    if place != "artifacts":
        monkeypatch.setattr(tempfile, "tempdir", str(disk.path))
    searched = study(**run)
    with Store.open(searched.run.storage) as store:
        recorder = TrialRecorder(lambda number: begin() if number == 1 else None)
        named = rf"(?s){disk.path}.* can't be written.*retort resume stripes"
        with pytest.raises(DiskError, match=named):
            run_study(searched, store, recorder)
        before = store.trials("stripes")
        assert [trial.state for trial in before] == [COMPLETE, INTERRUPTED]
        assert _left_in(tmp_path / "artifacts", disk.path) == []
        end()
        again = TrialRecorder()
        resume_study(searched, store, again)
        assert again.started == [1]
        assert check_store(store) == []
        trials = store.trials("stripes")
    assert [trial.state for trial in check_invariants(tmp_path)] == [COMPLETE] * 2
    assert trials[0].outcome == before[0].outcome
    assert trials[1].params == before[1].params


@pytest.mark.parametrize("trouble", ["full", "read-only"])
def test_fault_08_a_cache_that_takes_no_more_keeps_nothing_and_ends_nothing(
    study: Callable[..., Study], disk: Disk, tmp_path: Path, trouble: str
) -> None:
    shutil.copytree(tmp_path / "cache", disk.path, dirs_exist_ok=True)
    begin = disk.fill if trouble == "full" else disk.close
    searched = study(cache=disk.path)
    with Store.open(searched.run.storage) as store:
        run_study(searched, store, TrialRecorder(lambda number: begin() if number == 0 else None))
    assert [trial.state for trial in check_invariants(tmp_path)] == [COMPLETE] * 2
    assert _left_in(disk.path) == []


def test_fault_07_a_store_on_a_full_disk_has_its_results_kept_with_the_artifacts(
    study: Callable[..., Study], disk: Disk, tmp_path: Path
) -> None:
    searched = study(storage=f"sqlite:///{disk.path / 'retort.db'}")
    kept = tmp_path / "artifacts" / "stripes" / "unstored.jsonl"
    with Store.open(searched.run.storage, patience_s=0.5) as store:
        recorder = TrialRecorder(lambda number: disk.fill() if number == 1 else None)
        with pytest.raises(StoreUnavailable, match=rf"disk is full.*{kept}.*retort resume"):
            run_study(searched, store, recorder)
        assert list(disk.path.glob("*.jsonl")) == []
    disk.make_room()
    _forget_holder(disk.path)
    with Store.open(searched.run.storage) as store:
        assert any(str(kept) in problem for problem in check_store(store))
        again = TrialRecorder()
        resume_study(searched, store, again)
        assert again.started == []
        assert again.said[0].startswith("1 results")
        assert [trial.state for trial in store.trials("stripes")] == [COMPLETE] * 2
    assert not kept.exists()


def test_fault_07_where_no_disk_takes_a_result_its_trial_is_run_again(
    study: Callable[..., Study], disk: Disk
) -> None:
    searched = study(
        storage=f"sqlite:///{disk.path / 'retort.db'}", artifacts=disk.path / "artifacts"
    )
    with Store.open(searched.run.storage, patience_s=0.5) as store:
        recorder = TrialRecorder(lambda number: disk.fill() if number == 1 else None)
        with pytest.raises((DiskError, StoreUnavailable), match=f"(?s){disk.path}.*retort resume"):
            run_study(searched, store, recorder)
    disk.make_room()
    _forget_holder(disk.path)
    with Store.open(searched.run.storage) as store:
        again = TrialRecorder()
        resume_study(searched, store, again)
        assert again.started == [1]
        assert [trial.state for trial in store.trials("stripes")] == [COMPLETE] * 2


@pytest.mark.parametrize("options", ["size=16k", "size=1500k", "size=64m,nr_inodes=4"])
def test_fault_08_a_cache_without_room_is_refused_before_the_teacher_is_trained(
    stripes_file: Path, tmp_path: Path, options: str
) -> None:
    with small_disk(tmp_path / "disk", options) as disk:
        study = study_of(
            tmp_path, stripes_file, search={"trials": 1}, run={"cache": disk.path / "cache"}
        )
        with Store.open(study.run.storage) as store:
            recorder = TrialRecorder()
            with pytest.raises(DiskError, match=rf"{disk.path}/cache/\w+ can't be written.*free"):
                run_study(study, store, recorder)
            assert not any(said.startswith("teacher: epoch") for said in recorder.said)
            record = store.study("stripes")
            assert record.state is StudyState.FAILED
            assert str(disk.path) in (record.failure or "")
            assert _left_in(disk.path) == []


def test_fault_08_artifacts_that_can_only_be_read_are_refused_before_data_are_prepared(
    stripes_file: Path, tmp_path: Path, disk: Disk
) -> None:
    disk.close()
    study = study_of(tmp_path, stripes_file, run={"artifacts": disk.path / "artifacts"})
    named = rf"{disk.path}/artifacts.*Read-only"
    with Store.open(study.run.storage) as store, pytest.raises(DiskError, match=named):
        run_study(study, store, TrialRecorder())
    assert not (tmp_path / "cache").exists()


def test_fault_08_soft_targets_without_room_are_an_error_and_no_crash(
    stripes: Dataset, tmp_path: Path
) -> None:
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(32 * 32, 3))
    teacher = Teacher("none", network, "none", "cpu")
    views = Views(seed=0, augmentation=Augmentation(), count=100)
    with small_disk(tmp_path / "disk", "size=64k") as disk:
        with pytest.raises(DiskError, match=rf"{disk.path}/soft_targets can't be written"):
            soft_targets(teacher, stripes, views, cache=FolderStore.of(disk.path), progress=print)
        assert _left_in(disk.path) == []


WRITERS: dict[str, Callable[[Path], object]] = {
    "numpy": lambda path: np.save(path, np.ones(10**6)),
    "numpy archive": lambda path: np.savez(path, ones=np.ones(10**6)),
    "torch": lambda path: torch.save(torch.ones(10**6), path),
    "safetensors": lambda path: safetensors.torch.save_file({"ones": torch.ones(10**6)}, path),
    "onnx": lambda path: onnx.save(
        onnx.helper.make_model(
            onnx.helper.make_graph(
                [], "g", [], [], [onnx.numpy_helper.from_array(np.ones(10**6), "ones")]
            )
        ),
        path,
    ),
    "text": lambda path: path.write_text("x" * 10**6),
    "folder": lambda path: [(path / str(number)).mkdir(parents=True) for number in range(1000)],
}


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_fault_08_whatever_library_writes_the_full_disk_is_named_and_nothing_left(
    tmp_path: Path, write: Callable[[Path], object]
) -> None:
    with small_disk(tmp_path / "disk", "size=256k,nr_inodes=64") as disk:
        named = f"{re.escape(str(disk.path))} can't be written .*: make room"
        with pytest.raises(DiskError, match=named), written_whole(disk.path / "whole") as folder:
            write(folder / "file.npy")
        assert list(disk.path.iterdir()) == []


def test_fault_08_a_file_without_room_stays_as_it_was(disk: Disk) -> None:
    path = disk.path / "report.html"
    path.write_text("old")
    disk.fill()
    named = f"{disk.path} can't be written .*has 0 B of"
    with pytest.raises(DiskError, match=named), file_written_whole(path) as temporary:
        temporary.write_text("new" * 10**6)
    assert path.read_text() == "old"
    assert sorted(file.name for file in disk.path.iterdir()) == ["filler", "report.html"]


def test_fault_08_temporary_files_may_be_put_elsewhere(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(disk.path))
    disk.fill()
    with pytest.raises(DiskError, match=f"{disk.path} .*TMPDIR"), scratch() as folder:
        (folder / "file").write_text("x")
    assert [path.name for path in disk.path.iterdir()] == ["filler"]


def test_fault_08_an_export_without_room_leaves_the_earlier_one_whole(
    ended: Path, disk: Disk
) -> None:
    with Store.open(f"sqlite:///{ended / 'retort.db'}", read_only=True) as store:
        record, trial = store.study("stripes"), store.trial("stripes", 0)
    destination = disk.path / "student"
    export_student(record, trial, destination)
    listed = (destination / CHECKSUMS).read_bytes()
    disk.fill()
    with pytest.raises(DiskError, match=f"{disk.path} can't be written .*has 0 B of"):
        export_student(record, trial, destination, force=True)
    assert (destination / CHECKSUMS).read_bytes() == listed
    assert sorted(path.name for path in disk.path.iterdir()) == ["filler", "student"]


def test_fault_08_a_store_without_room_for_its_backup_is_not_upgraded(disk: Disk) -> None:
    path = disk.path / "retort.db"
    with closing(sqlite3.connect(path)) as old:
        old.executescript((STORES / "schema_0001.sql").read_text())
        old.execute("PRAGMA journal_mode = WAL")
    disk.fill(left=40960)  # for the log that SQLite's readers share
    before = path.read_bytes()
    with pytest.raises(StoreError, match=rf"backup {disk.path}/retort\.schema-0001.*full"):
        Store.open(f"sqlite:///{path}")
    assert path.read_bytes() == before
    assert sorted(file.name for file in disk.path.iterdir()) == ["filler", "retort.db"]
    disk.make_room()
    with Store.open(f"sqlite:///{path}") as store:
        assert store.backup


def test_fault_08_a_store_in_a_folder_that_can_only_be_read_is_read(
    ended: Path, disk: Disk
) -> None:
    shutil.copy(ended / "retort.db", disk.path)
    disk.close()
    url = f"sqlite:///{disk.path / 'retort.db'}"
    with Store.open(url, read_only=True) as store:
        assert [trial.state for trial in store.trials("stripes")] == [COMPLETE]
    with pytest.raises(StoreUnavailable, match=f"{disk.path}.* can't be"):
        Store.open(url, patience_s=0.5)

"""Trials that fail: full disks, no memory, hanging data, damaged files, Ray's own state."""

import os
import re
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from search.errors import NoStudentFits
from search.files.atomic import damaged_files
from search.records import StudyState, TrialState
from search.run import resume_study, run_study
from search.storage.integrity import check_store
from search.storage.storage import Store
from tests.faults.conftest import (
    Command,
    Start,
    WriteStudy,
    check_invariants,
    slow_training,
    trials_of,
)
from tests.faults.without_ray import TrialRecorder, one_after_another, study_of
from tests.messages import naming

PYTHON = """
import resource, sys
from pathlib import Path
import psutil
from search.errors import RetortError
from search.run import resume_study, run_study
from search.storage.storage import Store
from tests.messages import naming
from tests.faults.without_ray import TrialRecorder, one_after_another, study_of

home, data = Path(sys.argv[1]), Path(sys.argv[2])
"""

FULL_DISK = (
    PYTHON
    + """
def fill_disk(number):
    resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, resource.RLIM_INFINITY))

study = study_of(home, data, search={"trials": 2})
with one_after_another(), Store.open(study.run.storage) as store:
    resume_study(study, store, TrialRecorder(fill_disk))
"""
)

LITTLE_MEMORY = (
    PYTHON
    + """
def take_memory_away(number):
    taken = psutil.Process().memory_info().vms
    resource.setrlimit(resource.RLIMIT_AS, (taken + 40_000_000, resource.RLIM_INFINITY))

training = {"epochs": 1, "batch_size": 160, "warmup_epochs": 0}
study = study_of(
    home, data, data={"image_size": 128}, search={"trials": 1},
    space={"training": {"standard": training}},
)
with one_after_another(), Store.open(study.run.storage) as store:
    try:
        run_study(study, store, TrialRecorder(take_memory_away))
    except RetortError as error:
        print(type(error).__name__)
"""
)


@pytest.fixture
def _no_ray() -> Iterator[None]:
    with one_after_another():
        yield


@pytest.mark.slow
@pytest.mark.usefixtures("_no_ray")
def test_fault_08_a_full_disk_leaves_old_artifacts_whole_and_nothing_half_written(
    stripes_file: Path, tmp_path: Path
) -> None:
    study = study_of(tmp_path, stripes_file, search={"trials": 1})
    with Store.open(study.run.storage) as store:
        run_study(study, store, TrialRecorder())
    full = Command(str(tmp_path), str(stripes_file), folder=tmp_path, script=FULL_DISK)
    full.wait()
    first, second = check_invariants(tmp_path)
    assert first.state is TrialState.COMPLETE
    assert second.state is TrialState.INTERRUPTED, full.output
    assert re.search(r"DiskError: .* can't be written \(File too large\)", full.output)
    assert damaged_files(tmp_path / "artifacts" / "stripes" / "trial-00000") == []
    assert not list((tmp_path / "artifacts").rglob("*.tmp"))
    with Store.open(study.run.storage, read_only=True) as store:
        assert check_store(store) == []


@pytest.mark.slow
def test_fault_10_too_little_memory_is_one_try_with_half_the_batch_and_then_a_failure(
    stripes_file: Path, tmp_path: Path
) -> None:
    poor = Command(str(tmp_path), str(stripes_file), folder=tmp_path, script=LITTLE_MEMORY)
    assert poor.wait() == 0, poor.output
    assert "NoStudentFits" in poor.output
    (trial,) = trials_of(tmp_path)
    assert trial.state is TrialState.FAILED
    assert trial.outcome
    assert trial.outcome.failure
    assert trial.outcome.failure.kind == "out_of_memory", trial.outcome.failure
    assert trial.params["training.standard.batch_size"] == 80
    assert trial.attempts == 2


@pytest.mark.ray
@pytest.mark.slow
def test_fault_11_a_trial_whose_data_block_is_ended_with_the_place_where_it_hung(
    write_study: WriteStudy, start: Start, home: Path
) -> None:
    settings = {"retries": 1, "trial_timeout": "30s"}
    space = slow_training(1000)
    run = start("run", str(write_study(space=space, search={"trials": 1}, run=settings)))
    run.wait_for("trial 0 started")
    worker = run.worker()
    (pixels,) = (home / "cache" / "data").glob("*/training_labels.npy")
    pixels.unlink()
    os.mkfifo(pixels)  # nobody will ever write into it
    os.kill(worker, signal.SIGKILL)
    run.wait_for("trial 0 failed: timed_out")
    pixels.unlink()  # or testing the frontier would hang as well
    run.wait()
    (trial,) = check_invariants(home)
    assert trial.outcome
    assert trial.outcome.failure
    assert trial.outcome.failure.kind == "timed_out"
    assert "open_dataset" in trial.outcome.failure.traceback
    assert not list((home / "artifacts").rglob("*.hung"))


@pytest.mark.ray
@pytest.mark.slow
def test_fault_13_damage_to_rays_own_files_does_not_matter(
    write_study: WriteStudy, start: Start, home: Path
) -> None:
    # Ray's sockets need a short path.
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        run = start("run", str(write_study()), TMPDIR=folder, RAY_TMPDIR="/tmp")  # noqa: S108
        run.wait_for("trial 1 started")
        damaged = [path for path in Path(folder).rglob("*") if path.is_file()]
        for path in damaged:
            path.write_bytes(os.urandom(100))
        assert run.wait() == 0, run.output
    assert damaged
    assert [trial.state for trial in check_invariants(home)] == [TrialState.COMPLETE] * 3


@pytest.mark.slow
def test_fault_29_a_ray_that_does_not_answer_is_named_with_the_remedy(
    write_study: WriteStudy, start: Start, home: Path
) -> None:
    run = start("run", str(write_study(run={"ray": "127.0.0.1:1"})))
    assert run.wait() == 1, run.output
    assert "run.ray" in run.output
    assert "127.0.0.1:1 does not answer" in run.output
    assert "ray start --head" in run.output
    assert "Traceback" not in run.output


@pytest.mark.usefixtures("_no_ray")
def test_fault_12_a_damaged_artifact_is_found_and_never_used(
    stripes_file: Path, tmp_path: Path
) -> None:
    study = study_of(tmp_path, stripes_file, search={"trials": 1})
    with Store.open(study.run.storage) as store:
        run_study(study, store, TrialRecorder())
        served = tmp_path / "artifacts" / "stripes" / "trial-00000" / "model.onnx"
        content = bytearray(served.read_bytes())
        content[1000] ^= 1
        served.write_bytes(content)
        (problem,) = check_store(store)
        assert naming("trial 0", "model.onnx").search(problem)


@pytest.mark.usefixtures("_no_ray")
def test_fault_17_where_nothing_fits_the_nearest_miss_is_named(
    stripes_file: Path, tmp_path: Path
) -> None:
    budget: dict[str, object] = {"size": "10kB"}
    space = {
        "training": {"standard": {"epochs": 1, "batch_size": 16, "warmup_epochs": 0}},
        "student": {"timm": {"model": ["test_resnet", "test_byobnet"]}},
    }
    study = study_of(tmp_path, stripes_file, budget=budget, space=space)
    with Store.open(study.run.storage) as store:
        with pytest.raises(NoStudentFits, match=r"nearest is trial \d+.*size .* is above 10"):
            run_study(study, store, TrialRecorder())
        trials = store.trials("stripes", whole=True)
        assert {trial.state for trial in trials} == {TrialState.INFEASIBLE}
        assert all(trial.outcome and trial.outcome.epochs == () for trial in trials)
        assert store.study("stripes").state is StudyState.FINISHED
        with pytest.raises(NoStudentFits, match="nearest is trial"):
            resume_study(study, store, TrialRecorder())
        assert len(store.trials("stripes")) == 2

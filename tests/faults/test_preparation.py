"""Studies whose data or teacher are being prepared: on record, stopped, failed, run again."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from search import run as searches
from search.errors import DataError, Interrupted, StoreError, StudyHeld, TeacherError
from search.files.filestore import FolderStore
from search.ray_backend.signals import ending_when_asked
from search.records import StudyRecord, StudyState, TrialState
from search.run import resume_study, run_study
from search.storage.artifact_owner import read_owner
from search.storage.leases import Heartbeat, beating, standing, this_process
from search.storage.storage import Store
from tests.faults.without_ray import TrialRecorder, one_after_another, study_of
from tests.messages import naming

pytestmark = pytest.mark.slow

BEAT_S = 0.02
SOFT = {"student": {"timm": {"model": "test_resnet"}}, "distillation": ["soft_targets"]}
SOFT["training"] = {"standard": {"epochs": 1, "batch_size": 16, "warmup_epochs": 0}}


class StepWatcher(TrialRecorder):
    """Notes each step, and does what is asked at the first that begins with these words."""

    def __init__(self, words: str = "", at_step: Callable[[], None] = lambda: None) -> None:
        super().__init__()
        self.steps: list[str] = []
        self._words, self._at_step = words, at_step

    def on_step(self, text: str) -> None:
        is_first = not any(step.startswith(self._words) for step in self.steps)
        self.steps.append(text)
        if self._words and is_first and text.startswith(self._words):
            self._at_step()


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(searches, "beating", partial(beating, beat_s=BEAT_S))
    with one_after_another():
        yield


def _wait_for(url: str, holds: Callable[[StudyRecord], bool]) -> StudyRecord:
    """The study, once this holds for it."""
    end = time.monotonic() + 120
    with Store.open(url, read_only=True) as store:
        while not holds(found := store.study("stripes")):
            assert time.monotonic() < end, found
            time.sleep(BEAT_S)
    return found


def test_what_is_prepared_and_how_far_is_in_the_store(stripes_file: Path, tmp_path: Path) -> None:
    study = study_of(tmp_path, stripes_file, space=SOFT, search={"trials": 1, "views": 2})
    seen: list[StudyRecord] = []

    def look() -> None:
        seen.append(_wait_for(study.run.storage, lambda one: "view 2 of 2" in str(one.activity)))

    recorder = StepWatcher("teacher's logits: view 2 of 2", look)
    with Store.open(study.run.storage) as store:
        run_study(study, store, recorder)
        ended = store.study("stripes")
    (found,) = seen
    assert standing(found) is StudyState.RUNNING
    assert found.teacher is None
    assert found.changed_at > found.created_at
    assert ended.activity is ended.failure is None
    assert recorder.steps[0] == "preparing training images: 64 of 168"
    for step in (
        "preparing training images: 168 of 168",
        "training the teacher: epoch 1 of 1",
        "teacher's logits: view 1 of 2, 168 of 168 images",
    ):
        assert step in recorder.steps


@pytest.mark.parametrize(
    "words", ["preparing training images", "training the teacher", "teacher's logits: view 2"]
)
def test_a_stop_ends_the_preparation_at_once_and_resume_goes_on(
    stripes_file: Path, tmp_path: Path, words: str
) -> None:
    study = study_of(tmp_path, stripes_file, space=SOFT, search={"trials": 1, "views": 2})
    with Store.open(study.run.storage) as store:

        def stop() -> None:
            with Store.open(study.run.storage) as other:
                assert other.ask_to_stop("stripes")
            time.sleep(120)

        recorder = StepWatcher(words, stop)
        began = time.monotonic()
        with pytest.raises(Interrupted, match=naming("retort resume stripes")):
            run_study(study, store, recorder)
        assert time.monotonic() - began < 120
        assert recorder.steps[-1].startswith(words)
        record = store.study("stripes")
        assert (record.state, record.lease) == (StudyState.INTERRUPTED, None)
        assert record.activity is record.failure is None
        assert not list(tmp_path.glob("cache/**/.*.tmp"))
        resume_study(study, store, TrialRecorder())
        assert store.study("stripes").state is StudyState.FINISHED
        assert [trial.state for trial in store.trials("stripes")] == [TrialState.COMPLETE]


def test_a_failed_preparation_says_so_and_is_run_again_under_its_name(
    stripes_file: Path, tmp_path: Path
) -> None:
    damaged = tmp_path / "damaged.pth"
    damaged.write_text("no weights")
    broken = study_of(
        tmp_path, stripes_file, teacher={"train": None, "checkpoint": damaged}, search={"trials": 1}
    )
    without_data = study_of(tmp_path, tmp_path / "none.npz", search={"trials": 1})
    whole = study_of(tmp_path, stripes_file, search={"trials": 1})
    elsewhere = {"artifacts": tmp_path / "other"}
    moved = whole.model_copy(update={"run": whole.run.model_copy(update=elsewhere)})
    with Store.open(whole.run.storage) as store:
        with pytest.raises(TeacherError, match=naming(damaged)):
            run_study(broken, store, TrialRecorder())
        first = store.study("stripes")
        assert first.state is StudyState.FAILED
        assert naming(damaged).search(first.failure or "")
        with pytest.raises(DataError):
            run_study(without_data, store, TrialRecorder())
        assert naming("none.npz").search(store.study("stripes").failure or "")
        run_study(moved, store, TrialRecorder())
        record = store.study("stripes")
        assert record.state is StudyState.FINISHED
        assert record.failure is None
        assert record.identity == first.identity
        owner = read_owner(FolderStore.of(record.artifacts))
        assert owner is not None
        assert (owner.study, Path(record.artifacts).parent) == (first.identity, tmp_path / "other")
        with pytest.raises(StoreError, match=naming("retort resume stripes")):
            run_study(whole, store, TrialRecorder())


def test_a_failed_preparation_is_resumed_with_any_change(
    stripes_file: Path, tmp_path: Path
) -> None:
    broken = study_of(tmp_path, tmp_path / "none.npz", search={"trials": 1, "views": 1})
    whole = study_of(tmp_path, stripes_file, search={"trials": 1, "views": 2})
    with Store.open(whole.run.storage) as store:
        with pytest.raises(DataError):
            run_study(broken, store, TrialRecorder())
        resume_study(whole, store, TrialRecorder())
        record = store.study("stripes")
        assert record.state is StudyState.FINISHED
        assert record.config["search"]["views"] == 2  # type: ignore[index]


def test_a_refused_resume_leaves_the_study_in_its_state(stripes_file: Path, tmp_path: Path) -> None:
    study = study_of(tmp_path, stripes_file, search={"trials": 1})
    without_data = study_of(tmp_path, tmp_path / "none.npz", search={"trials": 2})
    with Store.open(study.run.storage) as store:
        run_study(study, store, TrialRecorder())
        before = store.study("stripes")
        with pytest.raises(DataError):
            resume_study(without_data, store, TrialRecorder())
        after = store.study("stripes")
        assert (after.state, after.config) == (StudyState.FINISHED, before.config)
        assert naming("none.npz").search(after.failure or "")


def test_a_process_killed_while_it_prepared_leaves_a_study_that_is_run_again(
    stripes_file: Path, tmp_path: Path
) -> None:
    study = study_of(tmp_path, stripes_file, search={"trials": 1})
    dead = replace(this_process(), process_start="0")
    with Store.open(study.run.storage) as store:
        store.create_study(
            "stripes",
            config=study.model_dump(mode="json"),
            artifacts=str(tmp_path / "artifacts" / "stripes"),
            lease=dead,
            activity="preparing the data",
        )
        assert standing(store.study("stripes")) is StudyState.INTERRUPTED
    with Store.open(study.run.storage) as store:
        run_study(study, store, TrialRecorder())
        assert store.study("stripes").state is StudyState.FINISHED


def test_a_preparation_ends_when_another_process_takes_its_study_over(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'retort.db'}"
    with Store.open(url) as first, Store.open(url) as second:
        mine = this_process()
        first.create_study("stripes", config={}, artifacts="a", lease=mine)

        def lose(heartbeat: Heartbeat) -> None:
            with ending_when_asked(heartbeat):
                second.hold("stripes", this_process(), in_place_of=mine)
                time.sleep(120)

        with (
            beating(first, "stripes", beat_s=BEAT_S) as heartbeat,
            pytest.raises(StudyHeld, match="was taken over by process"),
        ):
            lose(heartbeat)


def test_a_heartbeat_changes_the_study_only_with_its_activity(tmp_path: Path) -> None:
    with Store.open(f"sqlite:///{tmp_path / 'retort.db'}") as store:
        store.create_study("stripes", config={}, artifacts="a", lease=this_process())
        times = []
        for activity in (None, "preparing", "preparing", None):
            store.beat("stripes", elapsed_s=0, activity=activity)
            times.append(store.study("stripes").changed_at)
        assert times[0] < times[1] == times[2] < times[3]
        assert store.study("stripes").lease.beats == 4  # type: ignore[union-attr]

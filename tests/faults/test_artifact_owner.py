"""Whose an artifacts folder is: copies of a store, other stores, and drivers that wake up late."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from search.config.study import Study
from search.errors import ArtifactsHeld, StudyHeld
from search.evaluation.predictions_file import Writing
from search.files import filestore as folder_stores
from search.files.atomic import CHECKSUMS, damaged_files, file_digest
from search.files.filestore import FolderStore
from search.records import ArtifactRecord, Outcome, TrialState
from search.run import resume_study, run_study
from search.storage.artifact_owner import OWNER, Claim, check_free, claim_artifacts, read_owner
from search.storage.integrity import check_store, students_aside, sweep
from search.storage.leases import this_process
from search.storage.storage import Store
from tests.faults.conftest import trials_of
from tests.faults.without_ray import TrialRecorder, one_after_another, study_of
from tests.measured import cost, quality

pytestmark = pytest.mark.slow

COST = cost(size_bytes=1, parameters=1, macs=1, latency_ms=1.0)
ENDED = Outcome(state=TrialState.COMPLETE, cost=COST, quality=quality(accuracy=0.5, agreement=0.5))


@dataclass
class Home:
    """A folder with stores that share the artifacts of a study `digits`."""

    folder: Path
    artifacts: FolderStore

    def open(self, name: str) -> Store:
        return Store.open(f"sqlite:///{self.folder / name}")

    def begin(self, store: Store) -> Claim:
        """Begins the study in a store, as `retort run` does."""
        lease = this_process()
        store.create_study("digits", config={}, artifacts=str(self.artifacts), lease=lease)
        return claim_artifacts(store, "digits", lease.token)

    def go_on(self, store: Store, *, take_over: bool = False) -> Claim:
        """Goes on with it after its process died, as `retort resume` does."""
        lease, known = this_process(), store.study("digits").lease
        store.hold("digits", lease, in_place_of=known)
        return claim_artifacts(store, "digits", lease.token, take_over=take_over)

    def try_one(self, store: Store, claim: Claim) -> str:
        """Adds a trial and its student; gives the name of the student's folder."""
        number = store.start_trial("digits", params={}, seed=0)
        name = f"trial-{number:05d}"
        self.put(claim.writing, name)
        listed = self.artifacts.fetched(name) / CHECKSUMS
        artifact = ArtifactRecord(path=name, sha256=file_digest(listed))
        outcome = Outcome(**{**vars(ENDED), "artifact": artifact})
        store.finish_trial("digits", number, outcome)
        claim.keep_noted(store, "digits")
        return name

    def put(self, writing: Writing, name: str) -> None:
        with writing(name) as folder:
            (folder / "model.onnx").write_text(name)

    def students(self) -> list[str]:
        return [name for name in self.artifacts.names() if name.startswith("trial-")]


@pytest.fixture(params=["folder", "url"])
def home(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setattr(folder_stores, "COPIES", tmp_path / "copies")
    there = tmp_path / "artifacts" / "digits"
    return Home(tmp_path, FolderStore.of(there if request.param == "folder" else there.as_uri()))


@pytest.fixture
def live(home: Home) -> Iterator[Store]:
    """The store of a study of three trials; `copy.db` was made of it after the first."""
    with home.open("live.db") as store:
        claim = home.begin(store)
        home.try_one(store, claim)
        store.back_up(home.folder / "copy.db")
        home.try_one(store, claim)
        home.try_one(store, claim)
        yield store


def test_fault_30_an_older_copy_of_the_store_is_refused_and_changes_nothing(
    home: Home, live: Store
) -> None:
    before = home.students()
    with home.open("copy.db") as copy:
        with pytest.raises(ArtifactsHeld, match=r" 3 trials.* 1 trials"):
            home.go_on(copy)
        copy.release("digits", elapsed_s=0)
        assert any("is an older copy of sqlite:///" in one for one in check_store(copy))
    assert home.students() == before
    assert len(before) == 3
    assert home.go_on(live).is_kept()


def test_fault_30_an_older_copy_takes_over_where_told_and_sets_students_aside_whole(
    home: Home, live: Store
) -> None:
    said: list[str] = []
    with home.open("copy.db") as copy:
        claim = home.go_on(copy, take_over=True)
        sweep(claim, copy.trials("digits"), said.append)
        assert home.students() == ["trial-00000"]
        (told,) = said
        assert told.endswith(": trial-00001, trial-00002")
        assert home.try_one(copy, claim) == "trial-00001"
        (line,) = students_aside(copy)
    assert line.startswith("digits: 2 ")
    assert f"{home.artifacts}/aside" in line
    aside = home.artifacts / "aside"
    assert all(aside.kept(name) for name in aside.names())
    with pytest.raises(ArtifactsHeld, match=f"{home.artifacts} was held last by process"):
        home.go_on(live)


def test_fault_30_of_two_equal_copies_the_first_that_goes_on_has_the_folder(
    home: Home, live: Store
) -> None:
    live.back_up(home.folder / "equal.db")
    with home.open("equal.db") as copy:
        claim = home.go_on(copy)
        # Its original runs yet, as on another machine.
        late = Claim(home.artifacts, _token(live))
        with pytest.raises(ArtifactsHeld, match=r"taken over by process \d+ on"):
            home.put(late.writing, "trial-00003")
        with pytest.raises(ArtifactsHeld, match=r"taken over by process \d+ on"):
            sweep(late, live.trials("digits"), pytest.fail)
        with pytest.raises(ArtifactsHeld, match=r"taken over by process \d+ on"):
            late.keep_noted(live, "digits")
        assert home.students() == ["trial-00000", "trial-00001", "trial-00002"]
        assert claim.is_kept()
    with pytest.raises(ArtifactsHeld, match="was held last by"):
        home.go_on(live)


def test_fault_30_a_study_of_that_name_in_another_store_is_refused(home: Home, live: Store) -> None:
    with pytest.raises(ArtifactsHeld, match=r"store sqlite:///.*live.db"):
        check_free(home.artifacts, "digits")
    with (
        home.open("other.db") as other,
        pytest.raises(ArtifactsHeld, match=r"store sqlite:///.*live.db"),
    ):
        home.begin(other)
    assert home.go_on(live).is_kept()


def test_fault_30_a_folder_of_an_older_retort_is_adopted_unless_it_holds_strangers(
    home: Home, live: Store
) -> None:
    with home.open("copy.db") as copy:
        home.artifacts.remove(OWNER)
        with pytest.raises(ArtifactsHeld, match="such as trial-00001"):
            home.go_on(copy)
    with pytest.raises(ArtifactsHeld, match="such as trial-00000"):
        check_free(home.artifacts, "digits")
    home.artifacts.replace(OWNER, b'{"cut sh')
    assert home.go_on(live).is_kept()


@pytest.mark.parametrize("died", ["before the folder", "after the folder"])
def test_fault_30_a_process_that_dies_over_its_claim_leaves_the_folder_its_stores(
    home: Home, live: Store, died: str
) -> None:
    before = read_owner(home.artifacts)
    assert before
    home.go_on(live)
    if died == "before the folder":
        owner = home.artifacts.read(OWNER)
        assert owner
        token = _token(live).encode()
        home.artifacts.replace(OWNER, owner.replace(token, before.hold.encode()))
    assert home.go_on(live).is_kept()


def test_fault_30_clean_up_removes_what_was_cut_short_and_nothing_that_is_whole(
    home: Home, live: Store
) -> None:
    claim = home.go_on(live)
    home.put(home.artifacts.writing, "trial-00007")
    home.put(home.artifacts.writing, "tested/trial-00008-1")
    home.put(home.artifacts.writing, "trial-00009")
    home.artifacts.folder.mkdir(parents=True, exist_ok=True)
    root = Path(home.artifacts.address.removeprefix("file://"))
    (root / "trial-00009" / CHECKSUMS).unlink()
    said: list[str] = []
    live.release("digits", elapsed_s=0)
    assert sum("belongs to no trial that ended" in one for one in check_store(live)) == 3
    sweep(claim, live.trials("digits"), said.append)
    assert home.students() == ["trial-00000", "trial-00001", "trial-00002"]
    assert not (home.artifacts / "tested").kept("trial-00008-1")
    assert [line.rpartition(": ")[2] for line in said] == ["trial-00007", "trial-00008-1"]
    for place in (home.artifacts, home.artifacts / "tested"):
        (name,) = (place / "aside").names()
        assert not damaged_files((place / "aside").fetched(name))
    assert len(students_aside(live)) == 2


def _token(store: Store) -> str:
    lease = store.study("digits").lease
    assert lease
    return lease.token


def test_fault_30_a_copy_can_be_resumed_only_where_it_is_told_to_take_over(
    stripes_file: Path, tmp_path: Path
) -> None:
    def study(trials: int, store: str) -> Study:
        run = {"storage": f"sqlite:///{tmp_path / store}"}
        return study_of(tmp_path, stripes_file, search={"trials": trials}, run=run)

    students = tmp_path / "artifacts" / "stripes"
    with one_after_another(), Store.open(f"sqlite:///{tmp_path / 'retort.db'}") as live:
        run_study(study(1, "retort.db"), live, TrialRecorder())
        live.back_up(tmp_path / "copy.db")
        resume_study(study(2, "retort.db"), live, TrialRecorder())
        before = _content(students)
        with Store.open(f"sqlite:///{tmp_path / 'copy.db'}") as copy:
            with pytest.raises(ArtifactsHeld, match="--take-over"):
                resume_study(study(1, "copy.db"), copy, TrialRecorder())
            with Store.open(f"sqlite:///{tmp_path / 'other.db'}") as other:
                with pytest.raises(ArtifactsHeld, match="study=stripes-2"):
                    run_study(study(1, "other.db"), other, TrialRecorder())
                assert not other.studies()
            assert _content(students) == before
            assert check_store(live) == []
            recorder = TrialRecorder()
            resume_study(study(1, "copy.db"), copy, recorder, take_over=True)
            assert check_store(copy) == []
        (told,) = (said for said in recorder.said if f"set aside in {students}/aside" in said)
        assert told.endswith(": trial-00001")


def test_fault_14_a_driver_that_was_stopped_and_taken_over_changes_no_file(
    stripes_file: Path, tmp_path: Path
) -> None:
    """It is stopped before it writes its student, which must never be seen."""
    study = study_of(tmp_path, stripes_file, search={"trials": 1})
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        sys.addaudithook(_stop_before_a_student())
        word = "ended as if nothing had happened"
        try:
            with one_after_another(), Store.open(study.run.storage) as store:
                run_study(study, store, TrialRecorder())
        except StudyHeld as error:
            word = f"{type(error).__name__}: {error}"
        except BaseException as error:  # noqa: BLE001  told to the parent, whatever it is
            word = repr(error)
        os.write(writing, word.encode())
        os._exit(0)
    os.close(writing)
    try:
        _, status = os.waitpid(child, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        with one_after_another(), Store.open(study.run.storage) as store:
            stopped = store.study("stripes").lease
            assert stopped
            # As from another machine: the stopped process is there, but is not heard of.
            store.hold("stripes", this_process(), in_place_of=stopped)
            store.release("stripes", elapsed_s=0)
            resume_study(study, store, TrialRecorder())
        # Of the same recipe it makes the same student: only where there is none would it be seen.
        student = tmp_path / "artifacts" / "stripes" / "trial-00000"
        student.rename(tmp_path / "student")
        before, trials = _content(tmp_path / "artifacts"), trials_of(tmp_path)
        os.kill(child, signal.SIGCONT)
        with os.fdopen(reading, "rb") as pipe:
            word = pipe.read().decode()
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    # By the store, or by the folder: whichever it asked first.
    assert word.startswith(("StudyHeld: ", "ArtifactsHeld: "))
    assert "was taken over by" in word
    assert _content(tmp_path / "artifacts") == before
    assert trials_of(tmp_path) == trials
    assert [trial.state for trial in trials] == [TrialState.COMPLETE]


def _stop_before_a_student() -> Callable[[str, tuple[object, ...]], None]:
    """Stops this process, once, as it makes the temporary folder of a student."""
    stopped: list[bool] = []

    def audit(event: str, arguments: tuple[object, ...]) -> None:
        if event == "os.mkdir" and "/.trial-" in str(arguments[0]) and not stopped:
            stopped.append(True)
            os.kill(os.getpid(), signal.SIGSTOP)

    return audit


def _content(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

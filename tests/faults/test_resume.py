"""Resuming: what is learned again, what may change in between, and warm starts."""

import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from search.config.loader import dump_study
from search.config.study import Study
from search.config.teacher_settings import TeacherSettings
from search.errors import BadInput, Interrupted, StoreError
from search.records import Outcome, StudyState, TrialState
from search.run import resume_study, run_study
from search.samplers.optuna_adapter import Sampler
from search.storage.journal import Journal
from search.storage.storage import Store
from search.tuner.study_changes import check_changes
from search.tuner.warm_start import judged, warm_start_sampler
from tests.faults.without_ray import TrialRecorder, one_after_another, study_of
from tests.measured import cost, quality

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _no_ray() -> Iterator[None]:
    with one_after_another():
        yield


@pytest.fixture(scope="module")
def ended(stripes_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a study that has ended after two trials; tests must leave it as it is."""
    folder = tmp_path_factory.mktemp("ended")
    study = study_of(folder, stripes_file, search={"trials": 2})
    with one_after_another(), Store.open(study.run.storage) as store:
        run_study(study, store, TrialRecorder())
    return folder


def test_more_trials_may_be_asked_for_and_the_old_ones_are_kept(
    stripes_file: Path, tmp_path: Path
) -> None:
    study = study_of(tmp_path, stripes_file, search={"trials": 1})
    with Store.open(study.run.storage) as store:
        run_study(study, store, TrialRecorder())
        (first,) = store.trials("stripes", whole=True)
        recorder = TrialRecorder()
        more = study_of(tmp_path, stripes_file, search={"trials": 2, "sampler": "gp"})
        resume_study(more, store, recorder)
        trials = store.trials("stripes", whole=True)
        assert "changed: search.trials: 1, now 2" in recorder.said
        assert "changed: search.sampler: random, now gp" in recorder.said
        assert recorder.started == [1]
        assert trials[0].params == first.params
        assert trials[0].outcome == first.outcome
        assert trials[1].params != first.params
        assert store.study("stripes").config["search"]["trials"] == 2  # type: ignore[index]


def test_a_wider_space_is_taken_up(stripes_file: Path, tmp_path: Path) -> None:
    study = study_of(tmp_path, stripes_file, search={"trials": 1})
    wider = {"quantization": ["float32", "int8_static"]}
    with Store.open(study.run.storage) as store:
        run_study(study, store, TrialRecorder())
        more = study_of(tmp_path, stripes_file, space=wider, search={"trials": 2, "stopping": True})
        recorder = TrialRecorder()
        resume_study(more, store, recorder)
        assert 'changed: space.quantization: none, now ["float32", "int8_static"]' in recorder.said
        assert "changed: search.stopping: false, now true" in recorder.said
        assert [trial.state for trial in store.trials("stripes")] == [TrialState.COMPLETE] * 2


REFUSED = {
    "seed": ({"seed": 1}, "seed: 0, now 1"),
    "data": ({"data": {"image_size": 16}}, "data.image_size: 32, now 16"),
    "teacher": ({"teacher": {"model": "test_vit"}}, "teacher.model: test_resnet, now test_vit"),
    "target": (
        {"budget": {"target": {"threads": 2}}}, "budget.target.threads: 1, now 2"
    ),
    "budget": ({"budget": {"size": "1MB"}}, "budget.size: none, now 1000000"),
    "views": ({"search": {"views": 2}}, "search.views: 1, now 2"),
    "narrower": (
        {"space": {"training": {"standard": {"epochs": 2, "batch_size": 16}}}},
        "space: trial 0 has training.standard.epochs = 1, but the space now contains 2",
    ),
    "artifacts": ({"run": {"artifacts": "/elsewhere"}}, "run.artifacts must"),
}  # fmt: skip


@pytest.mark.parametrize(("sections", "told"), REFUSED.values(), ids=REFUSED)
def test_what_would_mix_unlike_trials_is_refused_and_nothing_is_written(
    ended: Path, stripes_file: Path, sections: dict[str, object], told: str
) -> None:
    sections = {"search": {"trials": 2}, **sections}
    seed = sections.pop("seed", 0)
    study = study_of(ended, stripes_file, **sections)  # type: ignore[arg-type]
    study = study.model_copy(update={"seed": seed})
    with Store.open(f"sqlite:///{ended / 'retort.db'}") as store:
        before = store.study("stripes"), store.trials("stripes", whole=True)
        with pytest.raises(BadInput) as caught:
            resume_study(study, store, TrialRecorder())
        assert told in str(caught.value)
        after = store.study("stripes"), store.trials("stripes", whole=True)
        assert after[1] == before[1]
        assert (after[0].state, after[0].config) == (before[0].state, before[0].config)
        assert after[0].lease is None


def test_images_without_labels_may_be_found_elsewhere(ended: Path, stripes_file: Path) -> None:
    study = study_of(ended, stripes_file, search={"trials": 2})
    moved = study.data.model_copy(update={"unlabelled": Path("/elsewhere")})
    with Store.open(study.run.storage) as store:
        record, trials = store.study("stripes"), store.trials("stripes")
    (change,) = check_changes(record, study.model_copy(update={"data": moved}), trials)
    assert "data.unlabelled: none, now /elsewhere" in change


def test_each_of_several_teachers_may_be_found_elsewhere(ended: Path, stripes_file: Path) -> None:
    study = study_of(ended, stripes_file, search={"trials": 2})

    def taught_by(*files: str, model: str = "test_resnet") -> Study:
        teachers = [TeacherSettings(model=model, checkpoint=Path(file)) for file in files]
        return study.model_copy(update={"teacher": teachers})

    with Store.open(study.run.storage) as store:
        record = store.study("stripes")
    record = replace(record, config=dump_study(taught_by("/a/1.pt", "/a/2.pt")))
    changes = check_changes(record, taught_by("/a/1.pt", "/b/2.pt"), [])
    assert changes == ["teacher.1.checkpoint: /a/2.pt, now /b/2.pt"]
    with pytest.raises(BadInput, match=r"teacher\.0\.model: test_resnet, now test_vit"):
        check_changes(record, taught_by("/a/1.pt", "/a/2.pt", model="test_vit"), [])
    with pytest.raises(BadInput, match=r"teacher\.1"):
        check_changes(record, taught_by("/a/1.pt"), [])


def test_a_batch_that_was_halved_for_want_of_memory_does_not_hinder_a_resume(
    ended: Path, stripes_file: Path
) -> None:
    study = study_of(ended, stripes_file, search={"trials": 2})
    with Store.open(study.run.storage) as store:
        record, trials = store.study("stripes"), store.trials("stripes")
    halved = {**trials[0].params, "training.standard.batch_size": 8}
    trials = [replace(trials[0], params=halved), *trials[1:]]
    assert check_changes(record, study, trials) == []
    other = {**trials[1].params, "training.standard.warmup_epochs": 3}
    with pytest.raises(BadInput, match=r"trial 1 has .*warmup_epochs = 3, but .* 0"):
        check_changes(record, study, [trials[0], replace(trials[1], params=other)])
    narrower = {"distillation": "soft_targets"}
    with pytest.raises(BadInput, match=r"trial 0 has distillation = labels, but .* soft_targets"):
        check_changes(record, study_of(ended, stripes_file, space=narrower), trials)


def _teachers_test_accuracy(store: Store) -> float | None:
    teacher = store.study("stripes").teacher
    return teacher.test["accuracy"].value if teacher and teacher.test else None


def test_a_student_that_is_gone_is_not_tested_and_ends_nothing(
    stripes_file: Path, tmp_path: Path
) -> None:
    study = study_of(tmp_path, stripes_file, search={"trials": 1})
    with Store.open(study.run.storage) as store:
        run_study(study, store, TrialRecorder())
        before = _teachers_test_accuracy(store)
        shutil.rmtree(tmp_path / "artifacts" / "stripes" / "trial-00000")
        recorder = TrialRecorder()
        resume_study(study_of(tmp_path, stripes_file, search={"trials": 2}), store, recorder)
        assert store.study("stripes").state is StudyState.FINISHED
        assert any(
            "trial 0 is not tested: a student must be a folder" in one for one in recorder.said
        )
        assert before is not None
        assert _teachers_test_accuracy(store) == before


def test_an_interrupted_resume_keeps_the_teachers_test_accuracy(
    stripes_file: Path, tmp_path: Path
) -> None:
    def interrupt(number: int) -> None:
        raise KeyboardInterrupt

    study = study_of(tmp_path, stripes_file, search={"trials": 1})
    with Store.open(study.run.storage) as store:
        run_study(study, store, TrialRecorder())
        before = _teachers_test_accuracy(store)
        more = study_of(tmp_path, stripes_file, search={"trials": 2})
        with pytest.raises(Interrupted):
            resume_study(more, store, TrialRecorder(interrupt))
        assert before is not None
        assert _teachers_test_accuracy(store) == before


def test_a_journal_of_a_study_that_was_removed_is_set_aside(
    stripes_file: Path, tmp_path: Path
) -> None:
    study = study_of(tmp_path, stripes_file, search={"trials": 1})
    journal = Journal(tmp_path / "retort.db.stripes.unstored.jsonl")
    journal.write(0, Outcome(state=TrialState.INFEASIBLE, reason="of long ago"))
    recorder = TrialRecorder()
    with Store.open(study.run.storage) as store:
        run_study(study, store, recorder)
        assert [trial.state for trial in store.trials("stripes")] == [TrialState.COMPLETE]
        assert store.study("stripes").state is StudyState.FINISHED
    assert any(str(journal.path) in one for one in recorder.said)
    assert not journal.path.exists()
    assert journal.path.with_name(f"{journal.path.name}.old").exists()


def test_other_data_under_the_same_name_are_refused(stripes_file: Path, tmp_path: Path) -> None:
    import numpy as np

    data = tmp_path / "own.npz"
    data.write_bytes(stripes_file.read_bytes())
    study = study_of(tmp_path, data, search={"trials": 1})
    with Store.open(study.run.storage) as store:
        run_study(study, store, TrialRecorder())
        with np.load(stripes_file) as arrays:
            np.savez(data, images=255 - arrays["images"], labels=arrays["labels"])
        with pytest.raises(BadInput, match="the data of stripes"):
            resume_study(study, store, TrialRecorder())


def test_a_study_that_is_not_there_is_answered_with_those_that_are(
    ended: Path, stripes_file: Path
) -> None:
    study = study_of(ended, stripes_file).model_copy(update={"study": "stripe"})
    with (
        Store.open(f"sqlite:///{ended / 'retort.db'}") as store,
        pytest.raises(StoreError, match="did you mean 'stripes'"),
    ):
        resume_study(study, store, TrialRecorder())


def test_a_new_run_of_an_ended_study_is_told_of_resume(ended: Path, stripes_file: Path) -> None:
    with (
        Store.open(f"sqlite:///{ended / 'retort.db'}") as store,
        pytest.raises(StoreError, match="`retort resume stripes`"),
    ):
        run_study(study_of(ended, stripes_file), store, TrialRecorder())


def _beside(folder: Path, file: Path, /, **sections: dict[str, object]) -> Study:
    study = study_of(folder, file, **sections)
    return study.model_copy(update={"study": "second"})


def test_a_warm_start_teaches_a_like_studys_trials(stripes_file: Path, tmp_path: Path) -> None:
    first = study_of(tmp_path, stripes_file, search={"trials": 2})
    second = _beside(tmp_path, stripes_file, search={"trials": 1, "warm_start": ["stripes"]})
    with Store.open(first.run.storage) as store:
        run_study(first, store, TrialRecorder())
    with sqlite3.connect(tmp_path / "retort.db") as database:
        # As a version without the setting wrote it.
        remove = "UPDATE studies SET config = json_remove(config, '$.budget.target.runtime')"
        assert database.execute(remove).rowcount == 1
    database.close()
    with Store.open(first.run.storage) as store:
        recorder = TrialRecorder()
        run_study(second, store, recorder)  # type: ignore[arg-type]
        assert any("2 trials of stripes" in line for line in recorder.said)
        assert len(store.trials("second")) == 1


@pytest.mark.parametrize(
    ("sections", "told"),
    [
        ({"teacher": {"train": {"epochs": 2, "batch_size": 16}}}, "it has another teacher"),
        ({"data": {"image_size": 16}}, "it has other data"),
        ({"data": {"flip": True}}, r"its data\.augment\.flip is False, .* True"),
        ({"search": {"views": 2}}, r"its search\.views is 1, .* 2"),
        ({"budget": {"target": {"threads": 2}}}, r"its budget\.target\.threads is 1, .* 2"),
    ],
    ids=["teacher", "data", "flip", "views", "target"],
)
def test_a_warm_start_from_an_unlike_study_is_refused_with_the_reason(
    ended: Path, stripes_file: Path, sections: dict[str, dict[str, object]], told: str
) -> None:
    search = {"trials": 1, **sections.get("search", {}), "warm_start": ["stripes"]}
    study = _beside(ended, stripes_file, **{**sections, "search": search})
    with Store.open(f"sqlite:///{ended / 'retort.db'}") as store:
        with pytest.raises(BadInput, match=rf"search\.warm_start .* stripes: {told}"):
            run_study(study, store, TrialRecorder())  # type: ignore[arg-type]
        assert store.study("second").state is StudyState.FAILED
        assert store.trials("second") == []


def test_a_warm_start_trains_nothing_again_that_its_study_has_trained(
    stripes_file: Path, tmp_path: Path
) -> None:
    """The same recipes are tried, since another budget may admit others; no student is trained."""
    training = {"epochs": 1, "batch_size": 16, "learning_rate": [0.001, 0.01]}
    space = {
        "student": {"timm": {"model": "test_resnet"}},
        "training": {"standard": training},
        "distillation": ["labels", "soft_targets"],
        "pruning": {"none": {}, "magnitude": {"ratio": 0.3}},
    }
    search = {"trials": 8, "branches": 0}
    first = study_of(tmp_path, stripes_file, space=space, search=search)
    more = {**search, "warm_start": ["stripes"], "sampler": "gp"}
    second = _beside(
        tmp_path, stripes_file, space=space, search=more, budget={"latency": "1s", "size": "9MB"}
    )
    with Store.open(first.run.storage) as store:
        run_study(first, store, TrialRecorder())
        run_study(second, store, TrialRecorder())
        before = {tuple(one.params.items()) for one in store.trials("stripes")}
        trials = store.trials("second", whole=True)
    known = [one for one in trials if tuple(one.params.items()) in before]
    assert known
    for trial in known:
        assert trial.outcome is not None
        trained = [one for one in trial.outcome.stages if one.name in ("distil", "prune")]
        assert trained
        assert all(stage.reused for stage in trained), trial


def test_a_warm_start_from_a_study_of_another_metric_leaves_its_curves_out(
    ended: Path, stripes_file: Path
) -> None:
    """Their points are of that metric; their finished students have every metric."""
    taught: dict[str, list[Outcome]] = {}
    for objective in ("accuracy", "agreement"):
        search = {"trials": 1, "warm_start": ["stripes"], "objective": objective}
        study = _beside(ended, stripes_file, search=search)
        sampler = Sampler(study.search_space(), name="random", seed=0)
        told = taught.setdefault(objective, [])
        sampler.tell = lambda recipe, outcome, told=told, **more: told.append(outcome)  # type: ignore[assignment]
        with Store.open(study.run.storage) as store:
            assert warm_start_sampler(study, sampler, store) == len(told) > 0
    assert all(outcome.epochs for outcome in taught["accuracy"])
    assert taught["agreement"] == [replace(one, epochs=()) for one in taught["accuracy"]]


def test_what_another_budget_refused_is_not_learned_as_refused() -> None:
    from search.objectives.budget import Budget

    found = cost(size_bytes=100, parameters=1, macs=1, latency_ms=1.0)
    complete = Outcome(
        state=TrialState.COMPLETE,
        cost=found,
        quality=quality(accuracy=0.5, agreement=0.5),
        violations={"size_bytes": -0.5},
    )
    infeasible = Outcome(state=TrialState.INFEASIBLE, cost=found, violations={"size_bytes": 1.0})
    assert judged(infeasible, Budget(size=200)) is None
    tighter = judged(complete, Budget(size=50))
    assert tighter
    assert tighter.violations == {"size_bytes": 1.0}
    assert judged(Outcome(state=TrialState.FAILED), Budget()) is None

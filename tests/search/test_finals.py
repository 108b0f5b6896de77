"""Finalists of a small study: a real store, real networks and files; one test has a real Ray."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from search.analysis.finals import of_kind, shipped
from search.config.final_settings import FinalSettings
from search.config.study import Study
from search.errors import BadInput, Interrupted
from search.evaluation.artifact import read_provenance
from search.evaluation.predictions_file import kept_predictions
from search.export.exporting import export_student
from search.export.record import read_export_record
from search.files.filestore import FolderStore
from search.pipeline.checks import check_study
from search.progress import FinalPlace, SilentCallback
from search.records import Scalar, StudyState, TrialKind, TrialState
from search.run import resume_study, run_study
from search.storage.storage import Store
from tests.faults.without_ray import one_after_another
from tests.messages import naming


class _Notes(SilentCallback):
    """Notes which trials of the search and which finalists begin, and what it is told."""

    def __init__(self, on_final: Callable[[int], None] = lambda number: None) -> None:
        self._on_final = on_final
        self.searched: list[int] = []
        self.finals: list[str] = []
        self.said: list[str] = []

    def log(self, text: str) -> None:
        self.said.append(text)

    note = log

    def on_trial_start(self, number: int, params: Mapping[str, Scalar]) -> None:
        self.searched.append(number)

    def on_final_start(self, number: int, params: Mapping[str, Scalar], place: FinalPlace) -> None:
        self.finals.append(str(place))
        self._on_final(number)


def _study(folder: Path, data: Path, **final: object) -> Study:
    return Study.model_validate(
        {
            "study": "stripes",
            "data": {"source": "npz", "path": data, "image_size": 32, "flip": False},
            "teacher": {
                "model": "test_resnet",
                "train": {"epochs": 2, "batch_size": 16, "learning_rate": 0.01},
            },
            "space": {
                "student": {"timm": {"model": "test_resnet"}},
                "training": {
                    "standard": {"epochs": 1, "batch_size": 16, "learning_rate": [0.01, 0.002]}
                },
                "distillation": {"soft_targets": {}},
                "pruning": {"magnitude": {"ratio": 0.3}},
                "quantization": ["float32", "int8_static"],
            },
            "search": {"trials": 2, "views": 2, "sampler": "random", "branches": 1},
            "final": {"students": 3, "epochs": 2, **final},
            "run": {
                "parallel": 1,
                "cache": folder / "cache",
                "artifacts": folder / "artifacts",
                "storage": f"sqlite:///{folder / 'retort.db'}",
            },
        }
    )


def _with_final(study: Study, **changes: object) -> Study:
    assert study.final is not None
    final = FinalSettings.model_validate(study.final.model_dump() | changes)
    return study.model_copy(update={"final": final})


@pytest.mark.slow
@pytest.mark.ray
def test_finalists_and_their_refit_run_on_ray(stripes_file: Path, tmp_path: Path) -> None:
    study, notes = _study(tmp_path, stripes_file, students=2, refit=True), _Notes()
    with Store.open(study.run.storage) as store:
        best = run_study(study, store, notes)
        trials = store.trials("stripes")
    later = of_kind(trials, TrialKind.FINAL, TrialKind.REFIT)
    assert [trial.kind.value for trial in later] == ["final", "final", "refit"]
    assert {trial.state for trial in later} == {TrialState.COMPLETE}
    assert later[-1].repeats == best.number
    assert notes.finals == [
        "finalist 1 of 2",
        "finalist 2 of 2",
        f"refit of trial {best.number}",
    ]


@pytest.mark.slow
def test_finalists_are_trained_to_the_end_and_the_best_is_refitted(
    stripes_file: Path, tmp_path: Path
) -> None:
    study, notes = _study(tmp_path, stripes_file, seeds=2, refit=True), _Notes()
    with one_after_another(), Store.open(study.run.storage) as store:
        best = run_study(study, store, notes)
        record, trials = store.study("stripes"), store.trials("stripes", whole=True)
        done = store.training_done("stripes")
    searched, finals, refits = (of_kind(trials, kind) for kind in TrialKind)

    # There are only two trainings in the space, and each final repeats one trial of the search.
    assert [trial.seed for trial in finals] == [0, 1, 0, 1]
    sources = {trial.repeats: trials[trial.repeats or 0] for trial in finals}
    assert len(sources) == 2
    assert notes.finals[:2] == ["finalist 1 of 2, seed 1 of 2", "finalist 1 of 2, seed 2 of 2"]
    assert len(notes.searched) == 2 < len(searched)  # the others are branches
    for final in finals:
        assert final.state is TrialState.COMPLETE
        assert final.params == sources[final.repeats].params | {"training.standard.epochs": 2}
        assert done[final.number].epochs == 2
        assert final.test
    assert record.finals_s > 0

    # The best of the finalists is chosen, whatever the trials of the search reach.
    assert best in finals or best.number in {trial.number for trial in finals}
    (refit,) = refits
    assert refit.repeats == best.number
    assert (refit.params, refit.seed) == (best.params, best.seed)
    assert shipped(best, trials, study.budget) == refit
    # The teacher of the refit is that of the search, trained on the training part alone.
    assert len([path for path in (tmp_path / "cache/teachers").iterdir() if path.is_dir()]) == 1
    views = [path for path in (tmp_path / "cache/soft_targets").iterdir() if path.is_dir()]
    assert len(views) == 2 * 2  # of the search, and once more with the validation images

    # A refit is measured on test images alone.
    assert refit.state is TrialState.COMPLETE
    assert refit.outcome is not None
    assert refit.test
    assert refit.outcome.quality == {}
    assert refit.outcome.epochs == ()
    assert {stage.score for stage in refit.outcome.stages} == {None}
    assert refit.outcome.artifact is not None
    artifacts = FolderStore.of(record.artifacts)
    assert list(kept_predictions(artifacts, refit.outcome.artifact.path)) == ["test"]
    data = read_provenance(Path(record.artifacts) / refit.outcome.artifact.path).data
    own = read_provenance(Path(record.artifacts) / "trial-00000").data
    assert data.sizes.training == own.sizes.training + own.sizes.validation
    assert (data.sizes.validation, data.digest) == (0, own.digest)

    folder = export_student(record, refit, tmp_path / "student", trials=trials)
    assert read_export_record(folder).measured.quality == {}
    card = (folder / "README.md").read_text()
    assert "training and validation images together" in card
    assert "validation images |" not in card


@pytest.mark.slow
def test_a_resumed_study_keeps_its_finals_and_trains_those_it_lacks(
    stripes_file: Path, tmp_path: Path
) -> None:
    study = _study(tmp_path, stripes_file, students=1)
    study = study.model_copy(update={"search": study.search.model_copy(update={"trials": 1})})
    with one_after_another(), Store.open(study.run.storage) as store:
        run_study(study, store, _Notes())
        before = of_kind(store.trials("stripes"), TrialKind.FINAL)

        again = _Notes()
        resume_study(study, store, again)
        assert (again.searched, again.finals) == ([], [])

        more = _with_final(study, students=2)
        more = more.model_copy(update={"search": more.search.model_copy(update={"trials": 2})})
        notes = _Notes()
        resume_study(more, store, notes)
        after = of_kind(store.trials("stripes"), TrialKind.FINAL)
        assert len(notes.searched) == 1
        assert len(notes.finals) == 1
        assert [trial.params for trial in after[:1]] == [trial.params for trial in before]
        assert [trial.attempts for trial in after] == [1, 1]

        limited = _Notes()
        resume_study(_with_final(more, seeds=2, max_time="1ms"), store, limited)
        assert limited.finals == []
        assert any(
            "final.max_time is used up, and 2 of the trainings" in line for line in limited.said
        )
        assert store.study("stripes").state is StudyState.FINISHED


@pytest.mark.slow
def test_longer_finalists_see_more_views_and_the_search_keeps_its_own(
    stripes_file: Path, tmp_path: Path
) -> None:
    study = _study(tmp_path, stripes_file, students=1, epochs=5)
    search = study.search.model_copy(update={"views": "auto", "trials": 1, "branches": 0})
    study = study.model_copy(update={"search": search})

    def views() -> tuple[int | None, int | None]:
        record = store.study("stripes")
        return record.views, record.final_views

    with one_after_another(), Store.open(study.run.storage) as store:
        run_study(study, store, _Notes())
        assert views() == (1, 5)
        space = store.study("stripes").config["space"]
        resume_study(_with_final(study, epochs=7), store, _Notes())
        assert views() == (1, 7)
        resume_study(_with_final(study, epochs=3), store, _Notes())
        assert views() == (1, 7)
        assert store.study("stripes").config["space"] == space


@pytest.mark.slow
def test_an_interrupted_finalist_runs_again_under_its_number(
    stripes_file: Path, tmp_path: Path
) -> None:
    def interrupt(number: int) -> None:
        raise KeyboardInterrupt

    study = _study(tmp_path, stripes_file, students=1)
    with one_after_another(), Store.open(study.run.storage) as store:
        with pytest.raises(Interrupted):
            run_study(study, store, _Notes(on_final=interrupt))
        assert store.study("stripes").state is StudyState.INTERRUPTED
        (final,) = of_kind(store.trials("stripes"), TrialKind.FINAL)
        assert final.state is TrialState.INTERRUPTED

        # The search is complete: no more trials of it are trained.
        notes = _Notes()
        best = resume_study(study, store, notes)
        assert (notes.searched, notes.finals) == ([], ["finalist 1 of 1"])
        assert best.number == final.number
        assert best.attempts == 2


@pytest.mark.slow
def test_if_no_finalist_has_a_student_the_best_of_the_search_is_chosen(
    stripes_file: Path, tmp_path: Path
) -> None:
    study, notes = _study(tmp_path, stripes_file, students=2, epochs=1, refit=True), _Notes()
    # With the warm-up of two epochs, a training of one epoch contradicts itself.
    standard = {"epochs": 3, "warmup_epochs": 2, "batch_size": 16, "learning_rate": [0.01, 0.002]}
    space = dict(study.space) | {"training": {"standard": standard}}
    study = Study.model_validate(study.model_dump() | {"space": space})
    with one_after_another(), Store.open(study.run.storage) as store:
        best = run_study(study, store, notes)
        trials = store.trials("stripes")
    finals = of_kind(trials, TrialKind.FINAL)
    assert [trial.state for trial in finals] == [TrialState.INFEASIBLE] * 2
    assert best.kind is TrialKind.SEARCH
    assert of_kind(trials, TrialKind.REFIT) == []
    assert any("--kind final" in line for line in notes.said)


def test_a_method_that_allows_fewer_epochs_refuses_the_final_ones(
    stripes_file: Path, tmp_path: Path
) -> None:
    study = _study(tmp_path, stripes_file, epochs=1001)
    with pytest.raises(BadInput, match=naming("final.epochs", 1000, 1001)):
        check_study(study)

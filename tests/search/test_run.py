"""A whole search, small: real Ray, a real store, real files."""

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch

from search.analysis.pareto import frontier
from search.config.study import Study
from search.errors import StoreError, TeacherError
from search.evaluation.artifact import load_network
from search.evaluation.predictions_file import TEACHER
from search.grading import grade
from search.objectives.goal import DEFAULT_GOAL
from search.pipeline.setup import prepare_context
from search.pipeline.study_context import open_context
from search.progress import SilentCallback
from search.records import EpochRecord, Outcome, Scalar, StudyState, TrialState
from search.run import run_study
from search.storage.storage import Store
from tests.messages import naming


class _Notes(SilentCallback):
    """Watches, and notes what it is told."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.started: list[int] = []
        self.advanced: list[tuple[int, str, int]] = []
        self.ended: list[tuple[int, TrialState]] = []

    def log(self, text: str) -> None:
        self.said.append(text)

    def on_trial_start(self, number: int, params: Mapping[str, Scalar]) -> None:
        self.started.append(number)

    def on_trial_report(self, number: int, point: EpochRecord) -> None:
        self.advanced.append((number, point.stage, point.epoch))

    def on_trial_end(self, number: int, params: Mapping[str, Scalar], outcome: Outcome) -> None:
        self.ended.append((number, outcome.state))


def _study(folder: Path, data: Path, **changes: object) -> Study:
    return Study.model_validate(
        {
            "study": "stripes",
            "data": {"source": "npz", "path": data, "image_size": 32, "flip": False},
            "teacher": {
                "model": "test_resnet",
                "train": {"epochs": 2, "batch_size": 16, "learning_rate": 0.01},
            },
            "space": {
                "student": {"timm": {"model": ["test_resnet", "test_byobnet"]}},
                "training": {"standard": {"epochs": 2, "batch_size": 16}},
                "pruning": {"none": {}, "magnitude": {"ratio": [0.3, 0.5]}},
            },
            "search": {"trials": 3, "views": 2, "sampler": "random", "branches": 0},
            "run": {
                "parallel": 1,
                "cache": folder / "cache",
                "artifacts": folder / "artifacts",
                "storage": f"sqlite:///{folder / 'retort.db'}",
            },
            **changes,
        }
    )


@pytest.mark.ray
def test_a_study_runs_to_its_best_student_and_its_name_is_taken_then(
    stripes_file: Path, tmp_path: Path
) -> None:
    study, recorder = _study(tmp_path, stripes_file), _Notes()
    with Store.open(study.run.storage) as store:
        best = run_study(study, store, recorder)
        trials = store.trials("stripes", whole=True)
        record = store.study("stripes")

        assert record.state is StudyState.FINISHED
        assert record.teacher is not None
        assert record.teacher.test
        assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 3
        assert len({tuple(trial.params.items()) for trial in trials}) == 3
        on_frontier = {trial.number for trial in frontier(trials, DEFAULT_GOAL)}
        assert {trial.number for trial in trials if trial.test} == {*on_frontier, best.number}
        for trial in trials:
            assert trial.outcome
            assert trial.outcome.artifact
            load_network(Path(record.artifacts) / trial.outcome.artifact.path)
            assert len(trial.outcome.epochs) >= 2
        assert recorder.started == [0, 1, 2]
        assert sorted(recorder.ended) == [(number, TrialState.COMPLETE) for number in range(3)]
        told = [(n, p.stage, p.epoch) for n in range(3) for p in trials[n].outcome.epochs]  # type: ignore[union-attr]
        assert recorder.advanced == told

        again = _Notes()
        with pytest.raises(StoreError, match=naming("stripes", "retort resume stripes")):
            run_study(study, store, again)
        assert again.said == []
        assert len(store.trials("stripes")) == 3


def test_without_test_images_nothing_is_tested(stripes_file: Path, tmp_path: Path) -> None:
    study, recorder = _study(tmp_path, stripes_file), _Notes()
    data = study.data.model_copy(update={"test_share": 0.0})
    study = study.model_copy(update={"data": data})
    spec, teacher = prepare_context(study, recorder)
    with Store.open(study.run.storage) as store:
        store.create_study("stripes", config={}, artifacts=str(spec.artifacts))
        grade(spec, teacher, store, recorder, goal=DEFAULT_GOAL)
        assert store.study("stripes").teacher is None
    assert naming("data.test_share", 0).search(recorder.said[-1])


def test_a_teacher_that_cannot_be_had_leaves_nothing_in_the_store(
    stripes_file: Path, tmp_path: Path
) -> None:
    teacher = {"model": "test_resnet", "checkpoint": tmp_path / "none.pth"}
    study = _study(tmp_path, stripes_file, teacher=teacher)
    with Store.open(study.run.storage) as store:
        with pytest.raises(TeacherError, match=naming("teacher.checkpoint", tmp_path / "none.pth")):
            run_study(study, store, _Notes())
        assert store.studies() == []


def test_what_was_made_ready_is_found_again_with_the_same_teacher(
    stripes_file: Path, tmp_path: Path
) -> None:
    study, recorder = _study(tmp_path, stripes_file), _Notes()
    spec, teacher = prepare_context(study, _Notes())
    again, same = prepare_context(study, recorder)
    assert again == spec
    assert (same.digest, same.quality) == (teacher.digest, teacher.quality)
    assert recorder.said[0] == "teacher: uses the weights that an earlier run trained"
    assert len(recorder.said) == 2  # and its accuracy


def test_soft_targets_are_computed_only_where_a_method_asks_for_them(
    stripes_file: Path, tmp_path: Path
) -> None:
    space = {"student": {"timm": {"model": "test_resnet"}}, "distillation": ["labels"]}
    spec, _ = prepare_context(_study(tmp_path, stripes_file, space=space), _Notes())
    assert spec.targets is None
    assert not (tmp_path / "cache" / "soft_targets").exists()


def test_the_teachers_themselves_are_handed_over_only_where_a_method_asks_for_their_features(
    stripes_file: Path, tmp_path: Path
) -> None:
    student = {"timm": {"model": "test_resnet"}}
    space = {"student": student, "distillation": ["labels", "fitnets"]}
    spec, _ = prepare_context(_study(tmp_path, stripes_file, space=space), _Notes())
    assert spec.targets is None
    (teacher,) = open_context(spec).teachers()
    assert teacher(torch.zeros(1, 1, 32, 32)).shape == (1, 3)
    space = {"student": student, "distillation": ["labels", "soft_targets"]}
    spec, _ = prepare_context(_study(tmp_path, stripes_file, space=space), _Notes())
    assert spec.targets is not None
    assert open_context(spec).teachers() == ()


def test_the_teacher_is_measured_on_the_file_that_would_serve_it(
    stripes_file: Path, tmp_path: Path
) -> None:
    spec, teacher = prepare_context(_study(tmp_path, stripes_file), _Notes())
    served = spec.artifacts.folder / TEACHER / "model.onnx"
    assert teacher.cost["size_bytes"] == served.stat().st_size
    assert "latency_ms" in teacher.cost
    assert 0 <= teacher.quality["accuracy"].value <= 1

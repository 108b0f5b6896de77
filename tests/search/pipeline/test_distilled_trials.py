"""Every distillation trains a student, from the cached logits or beside a live teacher."""

import copy
from dataclasses import replace
from pathlib import Path

import pytest
from torch import nn

from search.artifacts.student import load_network
from search.files.filestore import Depot
from search.pipeline.study_context import Task
from search.pipeline.trial import finish, run_trial
from search.records import Outcome, TrialState
from search.teachers.logits_cache import open_soft_targets, soft_targets
from search.teachers.teacher import Teacher
from spaces import catalogue
from spaces.axes.distillation import Distillation, Needs
from spaces.pruning.magnitude import Magnitude
from spaces.training.standard import Standard

CHANCE = 1 / 3
METHODS = [
    pytest.param(method(), id=name) for name, method in catalogue.methods(Distillation.axis).items()
]
TRAINING = Standard(epochs=4, batch_size=16)


@pytest.fixture
def taught(task: Task, schooled: nn.Module, tmp_path: Path) -> Task:
    """The task with a teacher that knows the stripes: its cached logits, and itself."""
    schooled = copy.deepcopy(schooled).requires_grad_(requires_grad=False)
    teacher = Teacher("schooled", schooled, "schooled", "cpu")
    folder = soft_targets(
        teacher,
        task.dataset,
        task.views,
        cache=Depot.of(tmp_path / "cache"),
        progress=lambda _: None,
    )
    return replace(task, targets=open_soft_targets(folder).of, teachers=lambda: (schooled,))


def _run(task: Task, recipe, **choices: object) -> Outcome:
    outcome = finish(run_trial(recipe(**choices), task, number=0, seed=0))
    assert outcome.state is TrialState.COMPLETE, outcome.failure
    return outcome


@pytest.mark.parametrize("method", METHODS)
def test_a_student_learns_and_recovers_from_pruning_under_it(
    method: Distillation, taught: Task, recipe
) -> None:
    outcome = _run(
        taught,
        recipe,
        distillation=method,
        training=TRAINING,
        pruning=Magnitude(ratio=0.3, recovery=0.5),
    )
    assert [point.stage for point in outcome.epochs] == ["distil"] * 4 + ["recover"] * 2
    first, *_, last = (point.loss for point in outcome.epochs if point.stage == "distil")
    assert last < 0.8 * first
    assert outcome.quality
    assert outcome.quality.accuracy > CHANCE + 0.3
    # The artifact holds the student alone: what was learnt beside it is gone.
    assert outcome.artifact
    load_network(taught.artifacts.folder / outcome.artifact.path)


@pytest.mark.parametrize("method", METHODS)
def test_the_teacher_runs_beside_the_student_only_where_its_features_are_needed(
    method: Distillation, taught: Task, recipe
) -> None:
    (teacher,) = taught.teachers()
    shown: list[int] = []
    hook = teacher.get_submodule("conv1").register_forward_hook(
        lambda _, images, __: shown.append(len(images[0]))
    )
    _run(taught, recipe, distillation=method)
    hook.remove()
    assert (16 in shown) == (method.needs is Needs.FEATURES)

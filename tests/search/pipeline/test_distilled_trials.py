"""Every distillation trains a student, from the cached logits or beside a live teacher."""

import copy
from dataclasses import replace
from pathlib import Path

import pytest
from torch import nn

from search.evaluation.artifact import load_network
from search.files.filestore import FolderStore
from search.pipeline.study_context import StudyContext
from search.pipeline.trial import finish, run_trial
from search.records import Outcome, TrialState
from search.teachers.logits_cache import soft_targets
from search.teachers.prepared import Teacher
from spaces import registry
from spaces.axes.distillation import Distillation, Needs
from spaces.pruning.magnitude import Magnitude
from spaces.training.standard import Standard

pytestmark = pytest.mark.slow

CHANCE = 1 / 3
METHODS = [
    pytest.param(method(), id=name) for name, method in registry.methods(Distillation.axis).items()
]
TRAINING = Standard(epochs=4, batch_size=16)


@pytest.fixture
def taught(context: StudyContext, schooled: nn.Module, tmp_path: Path) -> StudyContext:
    """The task with a teacher that knows the stripes: its cached logits, and itself."""
    schooled = copy.deepcopy(schooled).requires_grad_(requires_grad=False)
    teacher = Teacher("schooled", schooled, "schooled", "cpu")
    targets = soft_targets(
        teacher,
        context.dataset,
        context.views,
        cache=FolderStore.of(tmp_path / "cache"),
        progress=lambda _: None,
    )
    return replace(context, targets=targets.of, teachers=lambda: (schooled,))


def _run(context: StudyContext, recipe, **methods: object) -> Outcome:
    outcome = finish(run_trial(recipe(**methods), context, number=0, seed=0))
    assert outcome.state is TrialState.COMPLETE, outcome.failure
    return outcome


@pytest.mark.parametrize("method", METHODS)
def test_a_student_learns_and_recovers_from_pruning_under_it(
    method: Distillation, taught: StudyContext, recipe
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
    assert outcome.quality["accuracy"].value > CHANCE + 0.3
    # The artifact holds the student alone: what was learnt beside it is gone.
    assert outcome.artifact
    load_network(taught.artifacts.folder / outcome.artifact.path)


@pytest.mark.parametrize("method", METHODS)
def test_the_teacher_runs_beside_the_student_only_where_its_features_are_needed(
    method: Distillation, taught: StudyContext, recipe
) -> None:
    (teacher,) = taught.teachers()
    shown: list[int] = []
    hook = teacher.get_submodule("conv1").register_forward_hook(
        lambda _, images, __: shown.append(len(images[0]))
    )
    _run(taught, recipe, distillation=method)
    hook.remove()
    assert (16 in shown) == (method.needs is Needs.FEATURES)

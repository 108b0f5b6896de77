"""What a plan takes into account of the distillation."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from timm.models import register_model
from torch import nn
from torch.nn.modules.module import register_module_forward_hook

from search.config.final_settings import FinalSettings
from search.config.study import Study
from search.errors import TeacherError
from search.tuner.plan import plan_study
from tests.messages import naming

pytestmark = pytest.mark.slow

TEACHER_SIZE = 48  # the students' is 32


def _study(folder: Path, data: Path, teacher: object, *methods: str) -> Study:
    return Study.model_validate(
        {
            "study": "stripes",
            "data": {"source": "npz", "path": data, "image_size": 32, "flip": False},
            "teacher": teacher,
            "space": {
                "student": {"timm": {"model": "test_resnet"}},
                "training": {"standard": {"epochs": 2, "batch_size": 16}},
                "distillation": list(methods),
            },
            "run": {"cache": folder / "cache", "artifacts": folder / "artifacts"},
        }
    )


@contextmanager
def _batches_of_the_teacher() -> Iterator[list[int]]:
    """The batch of each image batch of the teacher's size that a stem convolution is shown."""
    shown: list[int] = []

    def note(module: nn.Module, images: tuple[torch.Tensor, ...], _: object) -> None:
        if isinstance(module, nn.Conv2d) and images[0].shape[2] == TEACHER_SIZE:
            shown.append(len(images[0]))

    hook = register_module_forward_hook(note)
    try:
        yield shown
    finally:
        hook.remove()


@pytest.fixture
def teacher(schooled: nn.Module, tmp_path: Path) -> dict[str, object]:
    checkpoint = tmp_path / "teacher.safetensors"
    save_file(schooled.state_dict(), checkpoint)
    return {"model": "test_resnet", "checkpoint": checkpoint, "image_size": TEACHER_SIZE}


@pytest.mark.parametrize(("method", "runs"), [("soft_targets", False), ("fitnets", True)])
def test_the_steps_that_are_timed_hold_a_live_teacher_where_the_trials_do(
    method: str, runs: bool, teacher: dict[str, object], stripes_file: Path, tmp_path: Path
) -> None:
    with _batches_of_the_teacher() as shown:
        plan = plan_study(_study(tmp_path, stripes_file, teacher, method), progress=print)
    assert (16 in shown) == runs
    assert plan.trials_s > 0


def test_soft_targets_take_disk_for_each_teacher_and_none_where_no_method_asks(
    teacher: dict[str, object], stripes_file: Path, tmp_path: Path
) -> None:
    one, two, none = (
        plan_study(_study(tmp_path, stripes_file, given, method), progress=print)
        for given, method in (
            (teacher, "soft_targets"),
            ([teacher, teacher], "soft_targets"),
            (teacher, "fitnets"),
        )
    )
    views, images, classes = 2, 168, 3  # a view for each epoch
    assert two.disk_bytes - one.disk_bytes == views * images * classes * 2
    assert one.disk_bytes - none.disk_bytes == views * images * classes * 2


def test_branches_take_time_and_disk_and_threads_are_left_as_they_were(
    teacher: dict[str, object], stripes_file: Path, tmp_path: Path
) -> None:
    study = _study(tmp_path, stripes_file, teacher, "soft_targets")
    space = {**study.space, "pruning": {"none": None, "magnitude": {"ratio": [0.3, 0.6]}}}
    threads = torch.get_num_threads()
    alone, with_branches = (
        plan_study(
            study.model_copy(
                update={
                    "space": space,
                    "search": study.search.model_copy(update={"branches": branches}),
                }
            ),
            progress=lambda text: None,
        )
        for branches in (0, 2)
    )
    assert {draw.branches for draw in alone.draws} == {0}
    assert all(draw.branches >= 1 for draw in with_branches.fitting)
    assert with_branches.disk_bytes > 1.5 * alone.disk_bytes
    assert torch.get_num_threads() == threads


class _Bare(nn.Module):
    """A classifier that gives nothing but logits."""

    def __init__(self, num_classes: int, in_chans: int) -> None:
        super().__init__()
        self.classify = nn.Linear(in_chans * 32 * 32, num_classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.classify(images.flatten(1))
        return logits


def bare_classifier(
    pretrained: bool = False,
    *,
    num_classes: int,
    in_chans: int,
    **_: object,
) -> nn.Module:
    return _Bare(num_classes, in_chans)


@pytest.mark.usefixtures("own_registry")
def test_a_teacher_without_features_is_refused_where_a_method_needs_them(
    stripes_file: Path, tmp_path: Path
) -> None:
    register_model(bare_classifier)
    teacher = {"model": "bare_classifier", "train": {}}
    plan_study(_study(tmp_path, stripes_file, teacher, "soft_targets"), progress=print)
    with pytest.raises(TeacherError, match=naming("_Bare")):
        plan_study(_study(tmp_path, stripes_file, teacher, "fitnets"), progress=print)


def test_a_factory_is_not_run_and_said_to_be_left_out(stripes_file: Path, tmp_path: Path) -> None:
    said: list[str] = []
    study = _study(tmp_path, stripes_file, {"factory": "nowhere:make"}, "fitnets")
    assert plan_study(study, progress=said.append).trials_s > 0
    assert any(naming("nowhere:make").search(line) for line in said)


def test_a_plan_runs_a_factory_where_code_is_allowed(stripes_file: Path, tmp_path: Path) -> None:
    nets = tmp_path / "nets.py"
    nets.write_text(
        "import timm\n"
        "def make(*, classes, channels, image_size):\n"
        "    return timm.create_model('test_resnet', num_classes=classes, in_chans=channels)\n"
        "def make_wider(*, classes, channels, image_size):\n"
        "    return make(classes=classes + 1, channels=channels, image_size=image_size)\n"
    )
    study = _study(tmp_path, stripes_file, {"factory": f"{nets}:make"}, "soft_targets")
    assert plan_study(study, progress=print).teacher_s == 0
    assert plan_study(study, progress=print, allow_code=True).teacher_s > 0
    wider = _study(tmp_path, stripes_file, {"factory": f"{nets}:make_wider"}, "soft_targets")
    with pytest.raises(TeacherError, match=naming(3, "[2, 4]")):
        plan_study(wider, progress=print, allow_code=True)


def test_a_plan_counts_contradictions_and_refusals_by_reason(
    teacher: dict[str, object], stripes_file: Path, tmp_path: Path
) -> None:
    study = _study(tmp_path, stripes_file, teacher, "labels")
    space = {
        "student": {"timm": {"model": ["test_resnet", "test_vit?"], "stem": ["original", "small"]}},
        "training": {"standard": {"epochs": [2, 3], "warmup_epochs": 2, "batch_size": 16}},
        "distillation": ["labels"],
    }
    changed = Study.model_validate({**study.model_dump(mode="json"), "space": space})
    plan = plan_study(changed, progress=lambda text: None)
    assert plan.students == ("test_resnet", "test_vit2", "test_vit3", "test_vit4")
    # Half of all recipes have two epochs, which the warm-up would fill.
    ((reason, share),) = plan.contradictions.items()
    assert naming("training.standard", "warmup_epochs").search(reason)
    assert share == pytest.approx(0.5, abs=0.1)
    assert reason in plan.causes
    assert any(naming("stem", "patch_embed").search(cause) for cause in plan.causes)
    assert sum(plan.causes.values()) == pytest.approx(1 - len(plan.fitting) / len(plan.draws))
    assert plan.to_json()["share_refused"] == plan.causes


def test_a_plan_counts_finalists_their_time_and_their_disk_space(
    teacher: dict[str, object], stripes_file: Path, tmp_path: Path
) -> None:
    study = _study(tmp_path, stripes_file, teacher, "labels")
    run = study.run.model_copy(update={"parallel": 1, "stages": 0})
    plain = study.model_copy(update={"run": run})
    final = FinalSettings(students=2, seeds=2, epochs=20, refit=True)
    with_finals = plain.model_copy(update={"final": final})
    without, found = (plan_study(one, progress=print) for one in (plain, with_finals))
    assert (without.finals, without.finals_s) == (0, 0.0)
    assert found.finals == 5
    one = found.fitting[0]
    assert one.seconds is not None
    assert one.final_s is not None
    assert one.final_s > one.seconds
    assert found.finals_s > 4 * one.final_s / 2
    assert found.disk_bytes > without.disk_bytes
    limited = with_finals.model_copy(
        update={"final": FinalSettings.model_validate({"max_time": "1ms"})}
    )
    assert plan_study(limited, progress=print).finals_s < found.finals_s


def test_a_teacher_in_each_step_is_counted_in_the_time_of_trials(
    teacher: dict[str, object], stripes_file: Path, tmp_path: Path
) -> None:
    study = _study(tmp_path, stripes_file, teacher, "soft_targets")
    live = study.model_copy(update={"search": study.search.model_copy(update={"views": "live"})})
    with _batches_of_the_teacher() as shown:
        plan = plan_study(live, progress=print)
    assert plan.views is None
    # Steps of 16 images, besides the passes that time the teacher itself.
    in_steps = shown.count(16)
    with _batches_of_the_teacher() as shown:
        assert plan_study(study, progress=print).views == 2
    assert in_steps > shown.count(16)

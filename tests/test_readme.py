"""What the README, ARCHITECTURE.md and docs/teachers.md show is run here."""

from pathlib import Path

import torch

from search.config.loader import load_study
from search.data.prepare import prepare
from search.files.filestore import FolderStore
from search.objectives.metrics import ACCURACY
from search.pipeline.setup import prepare_context
from search.progress import SilentCallback
from search.teachers.setting import TeacherContext
from search.teachers.teacher import prepare_teacher
from spaces.axes.distillation import Distillation, DistillationBatch
from tests.pages import code_block


def test_its_study_file_is_valid(tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(code_block("README.md", "yaml"))
    study = load_study(file)
    assert study.budget.size == 10**6
    assert study.budget.latency == 5.0


def test_its_method_in_one_file_is_a_method() -> None:
    namespace: dict[str, object] = {"__name__": "spaces.distillation.example"}
    example = code_block("ARCHITECTURE.md", "python", "class Logits")
    exec(compile(example, "ARCHITECTURE.md", "exec"), namespace)  # noqa: S102
    method = namespace["Logits"]
    assert isinstance(method, type)
    assert issubclass(method, Distillation)
    student = torch.tensor([[2.0, 0.0], [0.0, 1.0]], requires_grad=True)
    teacher = torch.tensor([[0.0, 3.0], [1.0, 1.0]])
    loss = method(weight=1.0).loss(DistillationBatch(student, torch.tensor([0, 0]), teacher))
    assert loss.item() == (2**2 + 3**2 + 1**2 + 0) / 4


def test_its_teacher_of_your_own_teaches(tmp_path: Path) -> None:
    for file, language, holding in (
        ("nets.py", "python", "def teacher"),
        ("study.yaml", "yaml", "own-teacher"),
    ):
        (tmp_path / file).write_text(code_block("docs/teachers.md", language, holding))
    places = [f"run.{key}={tmp_path / key}" for key in ("cache", "artifacts")]
    training = "teacher={factory: nets.py:network, train: {epochs: 3}}".replace(
        "nets.py", str(tmp_path / "nets.py")
    )
    untrained = load_study(tmp_path / "study.yaml", [*places, training])
    cache = FolderStore.of(untrained.run.cache)
    context = TeacherContext(
        dataset=prepare(untrained.data, seed=untrained.seed, cache=cache),
        cache=cache,
        seed=untrained.seed,
        device="cpu",
        metric=ACCURACY,
        allow_code=True,
        progress=lambda line: None,
    )
    trained = prepare_teacher(untrained.teachers, context).network
    torch.save(trained.state_dict(), tmp_path / "weights.pt")
    study = load_study(tmp_path / "study.yaml", places)
    _, record = prepare_context(study, SilentCallback(), allow_code=True)
    assert record.quality["accuracy"].value > 0.8

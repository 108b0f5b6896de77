"""What the README and ARCHITECTURE.md show is run here."""

from pathlib import Path

import torch

from search.config.loader import load_study
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

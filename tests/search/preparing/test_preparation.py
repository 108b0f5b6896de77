"""What is made ready before the trials."""

from pathlib import Path

import pytest
import torch

from search.preparing.preparation import prepare_task
from search.settings.config import Study
from tests.notes import Notes


def test_a_clusters_driver_without_a_gpu_prepares_trials_that_have_one(
    stripes_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    study = Study.model_validate(
        {
            "study": "gpus",
            "data": {"source": "npz", "path": stripes_file},
            "teacher": {"model": "test_resnet", "train": {"epochs": 1}},
            "space": {"student": {"timm": {"model": ["test_resnet"]}}},
            "run": {
                "cache": tmp_path / "cache",
                "artifacts": tmp_path / "artifacts",
                "ray": "10.0.0.1:6379",
                "gpus": 0.5,
            },
        }
    )
    notes = Notes()
    spec, teacher = prepare_task(study, notes)
    assert spec.device == spec.lineage.device == "cuda"
    assert teacher.cost.size_bytes > 0
    assert any(said.startswith("there is no GPU here") for said in notes.said)

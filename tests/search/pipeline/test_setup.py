"""What is made ready before the trials."""

import multiprocessing
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from search.config.study import Study
from search.pipeline.setup import prepare_context
from search.targets.this_machine import load_here
from tests.messages import naming
from tests.recorder import TrialRecorder


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
    recorder = TrialRecorder()
    done: list[str] = []
    spec, teacher = prepare_context(
        study, recorder, step=done.append, quiet=lambda: done.append("quiet")
    )
    assert done[-2:] == ["quiet", "measuring the teacher"]
    assert spec.device == spec.lineage.device == "cuda"
    assert teacher.cost["size_bytes"] > 0
    assert any(naming("GPU", "cluster").search(said) for said in recorder.said)
    facts = ("augmentation", "mirrored at random", "data.augment")
    assert any(naming(*facts).search(said) for said in recorder.noted)
    assert any(naming("not used", "nothing").search(said) for said in recorder.noted)


class _SlowReader(TrialRecorder):
    """Reads the data for as long as another process does not wait for them."""

    def __init__(self, data: Path, cache: Path, reads: Event, waited_for: Event) -> None:
        super().__init__()
        self._data, self._cache = data, cache
        self._reads, self._waited_for = reads, waited_for

    def log(self, text: str) -> None:
        super().log(text)
        if str(self._data) in text:
            self._reads.set()
            self._waited_for.wait(60)
        if str(self._cache) in text:  # where another process prepares
            self._waited_for.set()


def test_of_two_studies_that_share_a_cache_one_prepares_and_the_other_waits(
    stripes_file: Path, tmp_path: Path
) -> None:
    processes = multiprocessing.get_context("fork")
    reads, waited_for = processes.Event(), processes.Event()
    heard = processes.SimpleQueue()

    def prepare(name: str) -> None:
        study = Study.model_validate(
            {
                "study": name,
                "data": {"source": "npz", "path": stripes_file},
                "teacher": {"model": "test_resnet", "train": {"epochs": 1}},
                "space": {
                    "student": {"timm": {"model": ["test_resnet"]}},
                    "distillation": ["soft_targets"],
                },
                "search": {"views": 1},
                "run": {"cache": tmp_path / "cache", "artifacts": tmp_path / "artifacts"},
            }
        )
        recorder = _SlowReader(stripes_file, tmp_path / "cache", reads, waited_for)
        prepare_context(study, recorder)
        heard.put(recorder.said)

    both = [processes.Process(target=prepare, args=(name,)) for name in ("one", "two")]
    both[0].start()
    assert reads.wait(60)
    both[1].start()
    said = [text for _ in both for text in heard.get()]
    for process in both:
        process.join()
    for work in (stripes_file, "epoch", "view"):
        assert sum(bool(naming(work).search(text)) for text in said) == 1
    assert any(str(tmp_path / "cache") in text for text in said)


def test_a_teacher_of_another_resolution_is_measured_at_its_own(
    stripes_file: Path, schooled: nn.Module, tmp_path: Path
) -> None:
    save_file(schooled.state_dict(), tmp_path / "teacher.safetensors")
    study = Study.model_validate(
        {
            "study": "large",
            "data": {"source": "npz", "path": stripes_file, "image_size": 32},
            "teacher": {
                "model": "test_resnet",
                "checkpoint": tmp_path / "teacher.safetensors",
                "image_size": 48,
            },
            "space": {"student": {"timm": {"model": ["test_resnet"]}}},
            "run": {"cache": tmp_path / "cache", "artifacts": tmp_path / "artifacts"},
        }
    )
    recorder = TrialRecorder()
    spec, teacher = prepare_context(study, recorder)
    served = load_here(spec.artifacts.folder / "teacher" / "model.onnx", study.budget.target)
    assert served.image_shape == (1, 48, 48)
    told = f"{teacher.quality['accuracy'].value:.2%}"
    assert any(naming("teacher", told).search(line) for line in recorder.said)

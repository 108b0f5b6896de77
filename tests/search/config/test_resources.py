import os

import pytest
import torch

from search.config.resources import parallel_trials, preparing_device, training_device
from search.config.study import RunSettings
from search.errors import BadInput
from tests.messages import naming

CORES = os.cpu_count() or 1


def test_as_many_trials_run_as_the_cores_allow() -> None:
    assert parallel_trials(RunSettings(cpus=1)) == CORES
    assert parallel_trials(RunSettings(cpus=CORES)) == 1
    assert parallel_trials(RunSettings(cpus=2 * CORES)) == 1


def test_more_than_the_cores_are_refused() -> None:
    with pytest.raises(BadInput, match=naming("run.parallel", "run.cpus", CORES, 2)):
        parallel_trials(RunSettings(parallel=CORES, cpus=2))


def test_more_than_the_gpus_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(BadInput, match=naming("run.parallel", "run.gpus", 1, 3, 0.5)):
        parallel_trials(RunSettings(parallel=3, gpus=0.5))
    assert parallel_trials(RunSettings(parallel=2, gpus=0.5)) == 2


def test_a_cluster_may_have_more_cores_than_this_machine() -> None:
    assert parallel_trials(RunSettings(parallel=5000, ray="10.0.0.1:6379")) == 5000


def test_without_a_share_of_a_gpu_all_is_computed_on_the_processor() -> None:
    assert training_device(RunSettings()) == preparing_device(RunSettings()) == "cpu"


def test_a_gpu_that_torch_does_not_find_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(BadInput, match=naming("run.gpus", 0.5)):
        preparing_device(RunSettings(gpus=0.5))


def test_a_clusters_driver_needs_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    run = RunSettings(gpus=0.5, ray="10.0.0.1:6379")
    assert (training_device(run), preparing_device(run)) == ("cuda", "cpu")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_with_a_share_of_a_gpu_all_is_computed_on_it() -> None:
    run = RunSettings(gpus=0.5)
    assert training_device(run) == preparing_device(run) == "cuda"

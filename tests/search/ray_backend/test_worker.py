"""The process in which trials run, before it has one."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

NEEDED = {"search.pipeline.trial", "torch._dynamo", "spaces.pruning.magnitude", "onnxruntime"}
PROGRAM = """
import gc, json, os, sys
from torch import _C, cuda
asked = []
_C._cuda_getDeviceCount = lambda: asked.append("GPUs") or 0
import search.ray_backend.preload
facts = {"modules": list(sys.modules), "collects": gc.isenabled(), "asked": asked,
         "uses_gpu": cuda.is_initialized(), "threads": os.environ["OMP_NUM_THREADS"]}
print(json.dumps(facts))
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cluster")


@pytest.fixture(scope="module")
def worker(cluster: Path) -> dict[str, Any]:
    """Facts of a process that has imported what Ray's workers import as they start."""
    given = {"RETORT_TRIAL_CORES": "1", "RAY_TMPDIR": str(cluster)}
    inherited = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(
        command, env=inherited | given, capture_output=True, text=True, check=True
    )
    facts: dict[str, Any] = json.loads(done.stdout)
    return facts


def test_a_worker_loads_no_sampler(worker: dict[str, Any]) -> None:
    assert "optuna" not in worker["modules"]


def test_a_worker_has_what_trials_need_and_says_so(worker: dict[str, Any], cluster: Path) -> None:
    assert set(worker["modules"]) >= NEEDED
    assert worker["collects"]
    assert len(list(cluster.iterdir())) == 1


def test_a_worker_without_a_trial_has_asked_for_no_gpu(worker: dict[str, Any]) -> None:
    """Ray says later which GPU is the worker's own, and CUDA reads that once."""
    assert worker["asked"] == []
    assert not worker["uses_gpu"]


def test_a_worker_computes_with_the_cores_of_a_trial(worker: dict[str, Any]) -> None:
    assert worker["threads"] == "1"

"""The process in which trials run."""

import subprocess
import sys
from pathlib import Path

IMPORT = "import os, sys; os.environ.update(RETORT_TRIAL_CORES='1', RAY_TMPDIR=sys.argv[1])"


def answer(code: str, folder: Path) -> str:
    """What a new process prints."""
    command = [sys.executable, "-c", f"{IMPORT}\n{code}", str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_a_worker_loads_no_sampler(tmp_path: Path) -> None:
    code = "import search.ray_backend.preload\nprint('optuna' in sys.modules)"
    assert answer(code, tmp_path) == "False"


def test_a_worker_has_what_trials_need_and_says_so(tmp_path: Path) -> None:
    needed = ("search.pipeline.trial", "torch._dynamo", "spaces.pruning.magnitude", "onnxruntime")
    code = (
        "import gc, search.ray_backend.preload\n"
        f"print({set(needed)!r} <= sys.modules.keys(), gc.isenabled())"
    )
    assert answer(code, tmp_path) == "True True"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_worker_without_a_trial_has_asked_for_no_gpu(tmp_path: Path) -> None:
    """Ray says later which GPU is the worker's own, and CUDA reads that once."""
    code = (
        "from torch import _C, cuda\n"
        "asked = []\n"
        "_C._cuda_getDeviceCount = lambda: asked.append('count') or 0\n"
        "import search.ray_backend.preload\n"
        "print(asked, cuda.is_initialized())"
    )
    assert answer(code, tmp_path) == "[] False"


def test_a_worker_computes_with_the_cores_of_a_trial(tmp_path: Path) -> None:
    code = (
        "os.environ.pop('OMP_NUM_THREADS', None)\n"
        "import search.ray_backend.preload, torch\n"
        "print(os.environ['OMP_NUM_THREADS'], torch.get_num_threads())"
    )
    assert answer(code, tmp_path) == "1 1"

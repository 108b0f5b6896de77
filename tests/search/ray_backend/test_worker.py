"""The process in which trials run."""

import subprocess
import sys


def test_a_worker_loads_no_sampler() -> None:
    code = "import sys, search.ray_backend.worker\nprint('optuna' in sys.modules)"
    command = [sys.executable, "-c", code]
    loaded = subprocess.run(command, capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "False"

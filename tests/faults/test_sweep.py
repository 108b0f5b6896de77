"""Points at which a small search can die: some here, all by `python -m tests.faults.sweep`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.conftest import ROOT


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_fault_18_whichever_operation_fails_or_kills_nothing_is_lost_and_nothing_left(
    tmp_path: Path,
) -> None:
    command = [sys.executable, "-m", "tests.faults.sweep", str(tmp_path), "--every", "19"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert '"broken": 0' in done.stdout

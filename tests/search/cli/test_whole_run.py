"""A search as a person runs it, from the study file to the exported student."""

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.messages import naming
from tests.search.cli.conftest import MAIN, RetortProcess

pytestmark = [pytest.mark.ray, pytest.mark.slow]

QUICK = (
    "data.train_images=200", "teacher={model: test_resnet, train: {epochs: 1}}", "search.views=1",
    "search.branches=0",
    "space.student.timm.model=[test_resnet, test_efficientnet]",
    "space.training.standard.epochs=1", "space.training.standard.warmup_epochs=0", "budget={}",
    "final.students=1", "final.epochs=2", "run.parallel=1", "run.cache=cache",
)  # fmt: skip


@pytest.fixture(autouse=True)
def _study(retort_process: RetortProcess) -> None:
    assert retort_process("init").returncode == 0


def test_a_run_ends_with_students_that_the_other_commands_find(
    retort_process: RetortProcess, home: Path
) -> None:
    run = retort_process("run", "study.yaml", "--trials", "2", *QUICK)
    assert run.returncode == 0, run.stderr
    assert run.stderr == ""
    assert "\x1b" not in run.stdout
    assert re.search(r"\b1/\d+\.\d\b", run.stdout)  # the student as a share of its teacher
    (study,) = json.loads(retort_process("status", "--json").stdout)
    assert (study["state"], study["trials"]) == ("finished", {"complete": 3})  # a finalist too
    best = json.loads(retort_process("best", "--json").stdout)
    assert best["trial"] == study["best_trial"]
    assert best["test_accuracy"] is not None
    assert retort_process("export", "-o", "out").returncode == 0
    # Beside the store, SQLite may leave its own two files.
    assert {path.name for path in home.iterdir() if not path.name.startswith("retort.db-")} == {
        "study.yaml", "retort.db", "artifacts", "cache", "out",
    }  # fmt: skip


def test_ctrl_c_keeps_the_trials_that_ended_and_leaves_none_running(
    retort_process: RetortProcess,
) -> None:
    command = [sys.executable, "-u", "-c", MAIN, "run", "study.yaml", "--trials", "50", *QUICK]
    command.append("space.training.standard.epochs=20")  # time for the signal to come
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        is_signalled = False
        for line in process.stdout:
            if not is_signalled and naming("trial 1").search(line):
                process.send_signal(signal.SIGINT)
                is_signalled = True
    assert process.returncode == 130
    (study,) = json.loads(retort_process("status", "--json").stdout)
    assert study["state"] == "interrupted"
    # The second ends too, unless the signal came before Ray had handed it to a worker.
    assert study["trials"] in ({"complete": 2}, {"complete": 1, "interrupted": 1})

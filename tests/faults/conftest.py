"""Small searches, run as people run them, and what becomes of them when something dies."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from search.records import TrialRecord, TrialState
from search.storage.storage import Store

ROOT = Path(__file__).parents[2]
MAIN = "import sys; sys.argv[0] = 'retort'; from search.cli.main import main; main()"
PATIENCE_S = 800

WriteStudy = Callable[..., Path]
Start = Callable[..., "Command"]


class Command:
    """A `retort` command in a process group of its own, as in a terminal of its own."""

    def __init__(
        self, *arguments: str, folder: Path, script: str = MAIN, **environment: str
    ) -> None:
        self._log = folder / f"log-{os.urandom(4).hex()}.txt"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", script, *arguments],
                cwd=folder,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
            )

    @property
    def output(self) -> str:
        return self._log.read_text()

    def wait_for(self, pattern: str) -> str:
        """Waits until the output matches; gives the first group, or the match."""
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            ended = self.process.poll() is not None
            if found := re.search(pattern, self.output):
                return found[1] if found.groups() else found[0]
            assert not ended, f"ended before {pattern!r}:\n{self.output}"
            time.sleep(0.02)
        raise AssertionError(f"no {pattern!r} in:\n{self.output}")

    def wait(self) -> int:
        return self.process.wait(PATIENCE_S)

    def kill(self) -> None:
        """As by `kill -9`: the driver alone."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(PATIENCE_S)

    def workers(self) -> list[int]:
        """Processes of Ray that run a trial."""
        return [pid for pid, title in descendants(self.process.pid) if "ray::Worker" in title]

    def worker(self) -> int:
        """The process that runs the only trial."""
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            if found := self.workers():
                return found[0]
            time.sleep(0.02)
        raise AssertionError(f"no trial runs:\n{self.output}")

    def end(self) -> None:
        """Ends what is left of it."""
        left = [pid for pid, _ in descendants(self.process.pid)]
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder, and no store named in the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RETORT_STORE", raising=False)
    return tmp_path


@pytest.fixture
def write_study(home: Path, stripes_file: Path) -> WriteStudy:
    """Writes `study.yaml`, a search for a test_resnet on stripes, with these sections changed."""

    def write(**sections: dict[str, Any]) -> Path:
        study: dict[str, Any] = {
            "study": "stripes",
            "data": {"source": "npz", "path": str(stripes_file), "flip": False},
            "teacher": {"model": "test_resnet", "train": {"epochs": 1, "batch_size": 16}},
            "space": {
                "student": {"timm": {"model": "test_resnet"}},
                "training": {
                    "standard": {
                        "epochs": 1,
                        "batch_size": 16,
                        "warmup_epochs": 0,
                        "learning_rate": {"low": 0.001, "high": 0.01},
                    }
                },
                "distillation": ["labels"],
            },
            "search": {"trials": 3, "views": 1, "sampler": "random", "branches": 0},
            "run": {"parallel": 1, "cache": str(home / "cache"), "retries": 0},
        }
        for name, section in sections.items():
            study[name] = study.get(name, {}) | section
        file = home / "study.yaml"
        file.write_text(yaml.safe_dump(study))
        return file

    return write


@pytest.fixture
def start(home: Path) -> Iterator[Start]:
    """Starts commands, and ends those that are left."""
    started: list[Command] = []

    def begin(*arguments: str, **environment: str) -> Command:
        started.append(Command(*arguments, folder=home, **environment))
        return started[-1]

    yield begin
    for command in started:
        command.end()


def shadow(folder: Path) -> None:
    """Puts modules of our names, and of those we use, there; the file `ran` lists what has run."""
    for name in ("search", "spaces", "dashboard", "timm", "torch", "tempfile", "subprocess"):
        module = folder / name / "__init__.py"
        module.parent.mkdir(parents=True)
        module.write_text(f"open({str(folder / 'ran')!r}, 'a').write({name!r})\n")


def slow_training(epochs: int = 150) -> dict[str, Any]:
    """A space whose trials take so long that something can happen to them."""
    training = {
        "epochs": epochs,
        "batch_size": 16,
        "warmup_epochs": 0,
        "learning_rate": {"low": 0.001, "high": 0.01},
    }
    return {"training": {"standard": training}}


def trials_of(home: Path, study: str = "stripes") -> list[TrialRecord]:
    with Store.open(f"sqlite:///{home / 'retort.db'}", read_only=True) as store:
        return store.trials(study, whole=True)


def check_invariants(home: Path, study: str = "stripes") -> list[TrialRecord]:
    """What holds after every fault and a resume; gives the trials."""
    trials = trials_of(home, study)
    assert all(trial.state is not TrialState.RUNNING for trial in trials)
    recipes = [tuple(sorted(trial.params.items())) for trial in trials]
    assert len(set(recipes)) == len(recipes), "a recipe was tried twice"
    assert [trial.number for trial in trials] == list(range(len(trials)))
    return trials


def descendants(root: int) -> list[tuple[int, str]]:
    """All processes below `root`, and their titles."""
    found: list[tuple[int, str]] = []
    with suppress(psutil.NoSuchProcess):
        for process in psutil.Process(root).children(recursive=True):
            with suppress(psutil.Error):  # gone by now
                found.append((process.pid, " ".join(process.cmdline())))
    return found

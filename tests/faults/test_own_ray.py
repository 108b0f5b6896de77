"""A Ray of a run's own: what its workers are, its loss, its start, and what is left of it."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import pytest
import ray
from ray.cloudpickle import register_pickle_by_value

from search.config.study import RunSettings
from search.errors import RayUnavailable
from search.ray_backend.cluster import ray_of
from search.ray_backend.local_ray import own_folder, remove_abandoned, started
from tests.faults.conftest import descendants, shadow


@dataclass(frozen=True)
class Lost:
    """What a Ray's worker saw, and what there was once the raylet had been killed.

    Attributes:
        modules: where its modules are.
        path: where it looks for others.
        niceness: of its process.
        error: what the block ended with.
        left: processes.
        folder: of Ray.
    """

    modules: list[str]
    path: list[str]
    niceness: int
    error: RayUnavailable
    left: list[str]
    folder: Path


@pytest.fixture(scope="module")
def current(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The current folder, which holds modules of our names."""
    folder, before = tmp_path_factory.mktemp("current") / "here", Path.cwd()
    shadow(folder)
    os.chdir(folder)
    yield folder
    os.chdir(before)


@ray.remote
def look() -> tuple[list[str], list[str], int]:
    modules = [import_module(name) for name in ("dashboard", "search", "spaces", "timm")]
    return [str(module.__file__) for module in modules], sys.path, os.nice(0)


@ray.remote
def hang() -> None:
    signal.pause()


@pytest.fixture(scope="module")
def lost(current: Path) -> Lost:
    register_pickle_by_value(sys.modules[__name__])  # workers know nothing of these tests
    try:
        with ray_of(RunSettings(parallel=1, cpus=1)):
            folder = Path(os.environ["RAY_TMPDIR"])
            modules, path, niceness = ray.get(look.remote())
            below = descendants(os.getpid())
            (raylet,) = (pid for pid, title in below if "/raylet/raylet " in title)
            os.kill(raylet, signal.SIGKILL)
            ray.get(hang.remote())
    except RayUnavailable as error:
        left = [title for _, title in descendants(os.getpid()) if str(folder) in title]
        return Lost(modules, path, niceness, error, left, folder)
    raise AssertionError("nothing was told")


@pytest.mark.ray
def test_fault_33_workers_run_our_own_modules(lost: Lost, current: Path) -> None:
    assert not [place for place in lost.modules if Path(place).is_relative_to(current)]
    assert not {"", ".", str(current)} & set(lost.path)
    assert not (current / "ran").exists()


@pytest.mark.ray
def test_a_trials_process_is_no_background_work(lost: Lost) -> None:
    assert lost.niceness == os.nice(0)


@pytest.mark.ray
def test_fault_38_a_lost_raylet_is_told_and_nothing_of_its_ray_is_left(lost: Lost) -> None:
    assert "raylet" in str(lost.error)
    assert not lost.folder.exists()
    assert lost.left == []
    assert not ray.is_initialized()


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the folders of Rays are."""
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    return tmp_path


def _helper() -> "subprocess.Popen[bytes]":
    """A process that outlives who started it."""
    return subprocess.Popen(["sleep", "600"], start_new_session=True)


def test_fault_38_a_ray_that_does_not_start_is_tried_again_and_its_processes_are_ended(
    base: Path,
) -> None:
    helpers: list[subprocess.Popen[bytes]] = []
    said: list[str] = []

    def slow_once() -> int:
        helpers.append(_helper())
        if len(helpers) == 1:
            raise Exception("The current node timed out during startup.")
        return 7

    with own_folder() as folder:
        assert folder.parent == base
        assert started(slow_once, folder, said.append) == 7
        assert len(said) == 1
        assert helpers[0].wait() == -signal.SIGKILL
        assert helpers[1].poll() is None
    assert helpers[1].wait() == -signal.SIGKILL
    assert list(base.iterdir()) == []
    assert os.environ["RAY_TMPDIR"] == str(base)


def test_fault_38_a_ray_that_never_starts_is_told_in_one_line_with_what_to_do(base: Path) -> None:
    long = base / ("x" * 100)  # a socket's path has 107 bytes at most
    long.mkdir()
    os.environ["RAY_TMPDIR"] = str(long)
    said: list[str] = []
    with (
        pytest.raises(RayUnavailable, match=r"^run\.ray: .*RAY_TMPDIR") as error,
        ray_of(RunSettings(parallel=1, cpus=1), log=said.append),
    ):
        pass
    assert "\n" not in str(error.value)
    assert len(said) == 2
    assert list(long.iterdir()) == []


def test_fault_38_what_a_killed_run_left_is_ended_and_what_another_holds_is_not(
    base: Path,
) -> None:
    with own_folder() as held:
        mine = _helper()
        killed = base / "retort-killed"
        shutil.copytree(held, killed)
        os.environ["RAY_TMPDIR"] = str(killed)
        orphan = _helper()
        (base / "retort-a-persons-own").mkdir()
        remove_abandoned(base)
        assert orphan.wait() == -signal.SIGKILL
        assert mine.poll() is None
        assert {folder.name for folder in base.iterdir()} == {"retort-a-persons-own", held.name}
    assert mine.wait() == -signal.SIGKILL

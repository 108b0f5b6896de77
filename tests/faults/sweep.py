"""Every point at which a small search can die: each is made to fail, and then the study resumed.

A point is a file opened for writing, a rename, a removal, a new folder, an fsync, or a commit. At
the k-th of them the operation fails as on a full disk, or the process is killed. Then the study is
resumed, and what must hold is checked.

    python -m tests.faults.sweep FOLDER [--every N [--first K]] [--at-url]

`--every 4 --first 1`, then 2, 3 and 4, is the whole of it in four parts. With `--at-url` artifacts
and cache are at `file://` URLs, and every copy to and from them is a point too.
"""

import argparse
import errno
import json
import os
import shutil
import signal
import sqlite3
import sys
import tempfile
import traceback
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Engine, event

from search.config.study import Study
from search.errors import RetortError
from search.files import filestore as folder_store
from search.records import Outcome, Scalar, TrialState
from search.run import resume_study, run_study
from search.storage.integrity import check_store
from search.storage.storage import Store
from tests.faults.without_ray import TrialRecorder, one_after_another, study_of
from tests.short_rounds import short_rounds

_EVENTS = {"os.rename": "rename", "os.remove": "remove", "os.mkdir": "mkdir"}
_WRITING = os.O_WRONLY | os.O_RDWR
_TRIALS = 2


@dataclass(frozen=True)
class Room:
    """Where tries are made.

    Attributes:
        folder: of all tries.
        data: the images.
        at_url: whether artifacts and cache are at URLs.
    """

    folder: Path
    data: Path
    at_url: bool

    def cache(self, home: Path) -> Path:
        """Where the cache of the try in `home` is in truth."""
        return home / "there" / "cache" if self.at_url else home / "cache"

    def study(self, home: Path) -> Study:
        """The study of the try in `home`."""
        there = home / "there"
        run = {"artifacts": (there / "artifacts").as_uri(), "cache": (there / "cache").as_uri()}
        folder_store.COPIES = home / "copies"
        search = {"trials": _TRIALS}
        return study_of(home, self.data, search=search, run=run if self.at_url else {})

    def furnish(self, home: Path) -> None:
        """Gives a try the cache of a whole run, but no stages, so that it trains itself."""
        made = self.cache(self.folder / "base")
        shutil.copytree(made, self.cache(home), ignore=shutil.ignore_patterns("stages"))


@dataclass(frozen=True)
class Found:
    """What became of one point."""

    mode: str
    point: int
    steps: str
    ended: str
    problems: tuple[str, ...]


class Points:
    """Counts the operations of this process, and lets one of them fail.

    Args:
        at: which, counted from 1; 0 none.
        kill: whether the process dies there, in place of the operation's failing.
        log: told the operation at which it happened.
    """

    def __init__(self, at: int, *, kill: bool, log: Path) -> None:
        self.count = 0
        self._at = at
        self._kill = kill
        self._log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        self._fsync = os.fsync
        self.active = False

    def install(self) -> None:
        sys.addaudithook(self._audit)
        os.fsync = self._fail_fsync
        event.listen(Engine, "begin", self._watch_commits)
        self.active = True

    def _audit(self, name: str, arguments: tuple[Any, ...]) -> None:
        if not self.active:
            return
        if name == "open":
            path, _, flags = arguments
            if not flags & _WRITING or str(path).startswith(("/dev", "/proc")):
                return
            self._reach(f"open {path}")
        elif name in _EVENTS:
            self._reach(f"{_EVENTS[name]} {arguments[0]}")

    def _fail_fsync(self, descriptor: int) -> None:
        self._reach("fsync")
        self._fsync(descriptor)

    def _watch_commits(self, connection: Any) -> None:
        # Set anew for each transaction: statements that are kept prepared are not asked for again.
        connection.connection.dbapi_connection.set_authorizer(self._authorize)

    def _authorize(self, action: int, first: str | None, *_: object) -> int:
        if action == sqlite3.SQLITE_TRANSACTION and first == "COMMIT":
            try:
                self._reach("commit")
            except OSError:
                return sqlite3.SQLITE_DENY
        return sqlite3.SQLITE_OK

    def _reach(self, steps: str) -> None:
        self.count += 1
        if self.count != self._at:
            return
        os.write(self._log, steps.encode())
        if self._kill:
            os.kill(os.getpid(), signal.SIGKILL)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class Acknowledged(TrialRecorder):
    """Notes on disk which trials were told to have ended."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def on_trial_end(self, number: int, params: Mapping[str, Scalar], outcome: Outcome) -> None:
        os.write(self._file, f"{json.dumps([number, outcome.state])}\n".encode())


def sweep(room: Room, *, every: int = 1, first: int = 1) -> list[Found]:
    """Tries each `every`-th point from the `first` on, failing and killed."""
    (room.folder / "base").mkdir()
    unused = room.folder / "none"
    ended = _in_child(
        lambda: _search(room, room.folder / "base", Points(0, kill=False, log=unused))
    )
    assert ended == "done", ended
    whole = room.folder / "whole"
    room.furnish(whole)

    def count() -> None:
        points = Points(0, kill=False, log=unused)
        _search(room, whole, points)
        points.active = False
        (whole / "count").write_text(str(points.count))

    _in_child(count)
    total = int((whole / "count").read_text())
    found = []
    for mode in ("fail", "kill"):
        for point in range(first, total + 1, every):
            found.append(_try(room, mode, point))
            print(json.dumps(asdict(found[-1])), flush=True)  # noqa: T201
    return found


def _try(room: Room, mode: str, point: int) -> Found:
    home = room.folder / f"{mode}-{point}"
    room.furnish(home)
    log = home / "operation"
    ended = _in_child(
        lambda: _search(room, home, Points(point, kill=mode == "kill", log=log)),
    )
    problems = []
    if ended not in ("done", "signal 9", "RetortError", "OSError"):
        problems.append(f"ended as {ended}")
    # The dead child's number may be given to the next one, but not its start.
    again = _in_child(lambda: _go_on(room, home))
    if again != "done":
        problems.append(f"resumed as {again}")
    else:
        problems += _problems(home)
    steps = log.read_text().replace(str(home), "") if log.exists() else ""
    if not problems:
        shutil.rmtree(home)
    return Found(mode, point, steps, ended, tuple(problems))


def _search(room: Room, home: Path, points: Points) -> None:
    study = room.study(home)
    recorder = Acknowledged(home / "acknowledged")
    with one_after_another():
        points.install()
        with Store.open(study.run.storage, patience_s=0.3) as store:
            run_study(study, store, recorder)


def _go_on(room: Room, home: Path) -> None:
    study = room.study(home)
    with one_after_another(), Store.open(study.run.storage) as store:
        there = study.study in store.names()
        go_on = resume_study if there else run_study
        go_on(study, store, TrialRecorder())


def _problems(home: Path) -> list[str]:
    folder_store.COPIES = home / "copies of another machine"
    with Store.open(f"sqlite:///{home / 'retort.db'}", read_only=True) as store:
        problems = check_store(store)
        trials = {trial.number: trial for trial in store.trials("stripes")}
    for line in (home / "acknowledged").read_text().splitlines():
        number, state = json.loads(line)
        if trials[number].state != state:
            problems.append(f"trial {number} was told to be {state}, but is {trials[number].state}")
    recipes = {json.dumps(dict(trial.params), sort_keys=True) for trial in trials.values()}
    if len(recipes) != len(trials):
        problems.append("a recipe was tried twice")
    trained = [t for t in trials.values() if t.state in (TrialState.COMPLETE, TrialState.FAILED)]
    if len(trained) != _TRIALS or len(trials) != _TRIALS:
        problems.append(f"{len(trials)} trials, of which {len(trained)} have ended")
    left = [str(path) for path in home.rglob("*.tmp") if "cache" not in path.parts]
    return problems + [f"left behind: {path}" for path in left]


def _in_child(work: Callable[[], None]) -> str:
    """Does it in a forked process, which may die; how it ended."""
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        os.close(reading)
        try:
            work()
            word = "done"
        except RetortError:
            word = "RetortError"
        except OSError:
            word = "OSError"
        except BaseException:  # noqa: BLE001  told to the parent, whatever it is
            word = traceback.format_exc()
        os.write(writing, word.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        word = pipe.read().decode()
    _, status = os.waitpid(child, 0)
    return f"signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else word


def _stripes(folder: Path) -> Path:
    """As the fixture of that name."""
    generator = np.random.default_rng(0)
    labels = np.arange(240) % 3
    rows, columns = np.mgrid[:32, :32]
    along = np.stack([rows, columns, rows + columns])[labels]
    images = 128 + 60 * np.sin(along) + generator.normal(0, 25, along.shape)
    path = folder / "stripes.npz"
    np.savez(path, images=images.clip(0, 255).astype(np.uint8), labels=labels)
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--every", type=int, default=1, help="try one point in so many")
    parser.add_argument("--first", type=int, default=1, help="the first point, counted from 1")
    parser.add_argument("--at-url", action="store_true", help="artifacts and cache at URLs")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    tempfile.tempdir = str(options.folder)
    folder = options.folder.resolve()
    room = Room(folder, _stripes(folder), options.at_url)
    with short_rounds():
        found = sweep(room, every=options.every, first=options.first)
    broken = [one for one in found if one.problems]
    print(json.dumps({"tries": len(found), "broken": len(broken)}))  # noqa: T201
    sys.exit(bool(broken))


if __name__ == "__main__":
    main()

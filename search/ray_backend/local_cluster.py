"""A Ray cluster of a run's own, which starts while the run prepares data and teacher."""

import math
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from queue import SimpleQueue

from search.ray_backend import environment  # noqa: F401  before modules that import Ray

# isort: split

import ray
from ray._private import worker

from search.config.resources import parallel_trials
from search.config.study import RunSettings
from search.ray_backend.connection import connect
from search.ray_backend.lifeline import Lifeline
from search.ray_backend.local_ray import own_folder, started
from search.ray_backend.worker_marks import CORES_VARIABLE, count_ready
from search.storage.leases import Log

# Workers that take longer to import are not waited for.
_PATIENCE_S = 60.0
_PAUSE_S = 0.05


class LocalCluster:
    """A Ray cluster on this machine, with a core of Ray, and a worker, for each parallel trial.

    A thread starts Ray, and stays until the cluster's end: Linux ends Ray's processes together with
    the thread that started them (PR_SET_PDEATHSIG). The caller must call `end`.

    Args:
        run: the number of parallel trials, and the resources of each.

    Raises:
        BadInput: the trials need more cores or GPUs than this machine has.
    """

    def __init__(self, run: RunSettings) -> None:
        self._parallel, self._cpus, self._gpus = parallel_trials(run), run.cpus, run.gpus
        self._folder: Path | None = None
        self._lifeline: Lifeline | None = None
        self._fault: BaseException | None = None
        self._lines: SimpleQueue[str | None] = SimpleQueue()
        self._is_tried, self._is_over = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._keep, name="ray", daemon=True)
        self._thread.start()

    def lifeline(self, log: Log) -> Lifeline:
        """Wait until Ray has started, and return the lifeline of the connection to it.

        Args:
            log: receives a line if a start fails and is retried.

        Raises:
            RayUnavailable: Ray can't be started.
        """
        while (line := self._lines.get()) is not None:
            log(line)
        if self._fault:
            raise self._fault
        assert self._lifeline is not None
        return self._lifeline

    def wait_for_workers(self) -> None:
        """Wait until the workers have imported what trials need, but for a minute at most."""
        end = time.monotonic() + _PATIENCE_S
        self._is_tried.wait(_PATIENCE_S)
        while self._folder and not self._fault and time.monotonic() < end:
            if count_ready(self._folder) >= self._parallel:
                return
            time.sleep(_PAUSE_S)

    def end(self) -> None:
        """End Ray and remove its folder; a second call does nothing."""
        self._is_over.set()
        self._thread.join()

    def _keep(self) -> None:
        try:
            with own_folder() as self._folder, _silent_helpers():
                try:
                    self._lifeline = started(self._connect, self._folder, self._lines.put)
                    self._report_start()
                    self._is_over.wait()
                    self._lifeline.close()
                finally:
                    ray.shutdown()
        except BaseException as error:  # noqa: BLE001  `lifeline` raises it in the main thread
            self._fault = error
            self._report_start()

    def _report_start(self) -> None:
        self._is_tried.set()
        self._lines.put(None)

    def _connect(self) -> Lifeline:
        os.environ[CORES_VARIABLE] = str(self._cpus)
        return connect(
            address="local",
            include_dashboard=False,
            # Ray starts as many workers at once as it has cores.
            num_cpus=self._parallel,
            num_gpus=math.ceil(self._parallel * self._gpus) or None,
            _temp_dir=str(self._folder),
            _system_config={
                "preload_python_modules": ["search.ray_backend.preload"],
                # Otherwise Ray ends idle workers as soon as a trial reserves the core of one.
                "num_workers_soft_limit": self._parallel,
            },
        )


# The cluster of a `workers_starting` block, for the next `ray_of` block.
EARLY: ContextVar[LocalCluster | None] = ContextVar("EARLY", default=None)


@contextmanager
def workers_starting(run: RunSettings) -> Iterator[Callable[[], None]]:
    """Start a local Ray and its workers in the background; `ray_of` in the block takes them.

    Inside another such block, the outer block's Ray is used.

    Yields:
        A function that waits until the workers have started, so that they disturb nothing that is
        timed next.

    Raises:
        BadInput: the trials need more cores or GPUs than this machine has.
    """
    if run.ray != "local":
        yield lambda: None
        return
    if outer := EARLY.get():
        yield outer.wait_for_workers
        return
    cluster = LocalCluster(run)
    token = EARLY.set(cluster)
    try:
        yield cluster.wait_for_workers
    finally:
        EARLY.reset(token)
        cluster.end()


@contextmanager
def _silent_helpers() -> Iterator[None]:
    """Suppress the long messages that Ray's helper processes print after the loss of a raylet."""
    before = worker.print_to_stdstream
    worker.print_to_stdstream = lambda *_, **__: None
    try:
        yield
    finally:
        worker.print_to_stdstream = before

"""Processes that decode images ahead of their use.

They are no `multiprocessing` processes. A forked process would inherit torch's and Ray's threads
half-way, and a spawned one would import torch and the main program. These here start at the first
image, decode one request after another, stay for the next epoch, and end when nobody has asked for
an image for a while, when they are told to, or when this process ends in whatever way.
"""

import os
import pickle
import queue
import subprocess
import sys
import threading
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from search.data.decoding import DAMAGED, SOUND, STATUS, Request
from search.errors import DataError

_IDLE_S = 30.0
_END_S = 5.0
_PIPE_BYTES = 2**20
_MODULE = "search.data.decoding"
# `-P` keeps the current folder off the path: a folder `search` of the user's own must not be run.
_START = (
    "import sys, runpy; sys.path[:] = sys.argv.pop(1).split('\\n'); "
    f"runpy.run_module('{_MODULE}', run_name='__main__')"
)
# NumPy's threads would only use memory.
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


@dataclass(frozen=True)
class _Task:
    """A request, the memory for its pixels, and its result."""

    request: Request
    pixels: memoryview
    done: Future[None] = field(default_factory=Future)


_Tasks = queue.SimpleQueue[_Task | None]


class Decoders:
    """Processes that decode the images of one prepared data set.

    Each process has a thread here, which passes requests on and reads the pixels.

    Args:
        folder: the folder of the prepared data set.
        count: the number of processes, above 0.
    """

    def __init__(self, folder: Path, count: int) -> None:
        self.count = count
        self._folder = folder
        self._lock = threading.Lock()
        self._tasks = _Tasks()
        self._serving = 0  # the threads that take tasks from `_tasks`

    def submit(self, request: Request, pixels: memoryview) -> Future[None]:
        """Let a process decode images; requests are begun in the order of the calls.

        Args:
            request: the images.
            pixels: where their pixels are written, [images × channels × size × size] bytes.

        Returns:
            A future that is done when the pixels are complete. It raises DataError for a damaged
            image. If it is cancelled before a process begins, nothing is decoded.
        """
        task = _Task(request, pixels)
        with self._lock:
            self._tasks.put(task)
            if self._serving < self.count:
                self._serving += 1
                threading.Thread(target=self._serve, args=(self._tasks,), daemon=True).start()
        return task.done

    def end(self) -> None:
        """Let the processes end after the requests that were submitted. A new request starts them.

        This method returns at once.
        """
        with self._lock:
            for _ in range(self._serving):
                self._tasks.put(None)
            self._tasks, self._serving = _Tasks(), 0

    def _serve(self, tasks: _Tasks) -> None:
        """Pass tasks to a process until there have been none for a while."""
        process = _Process(self._folder)
        try:
            while True:
                task = self._next(tasks)
                if task is None:
                    return
                if task.done.set_running_or_notify_cancel():
                    try:
                        process.run(task.request, task.pixels)
                    except BaseException as error:  # noqa: BLE001  whoever waits raises it
                        task.done.set_exception(error)
                    else:
                        task.done.set_result(None)
                del task  # its memory must not stay while the thread waits
        finally:
            process.end()

    def _next(self, tasks: _Tasks) -> _Task | None:
        """Return the next task; None if this thread must end."""
        while True:
            with suppress(queue.Empty):
                return tasks.get(timeout=_IDLE_S)
            with self._lock:
                if tasks is self._tasks and tasks.empty():
                    self._serving -= 1
                    return None


class _Process:
    """A decoding process, which is started at the first request, and again if it has died."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def run(self, request: Request, pixels: memoryview) -> None:
        """Decode images into `pixels`.

        Raises:
            DataError: an image is damaged, or the process died twice.
        """
        for _ in range(2):
            process = self._process = self._process or _started(self._folder)
            try:
                _ask(process, request, pixels)
            except (EOFError, BrokenPipeError):
                code = self.end()
            except BaseException:
                self.end()  # the rest of its answers is of no use
                raise
            else:
                return
        raise DataError(
            "a process that decodes images must not be ended from outside, but two have ended with "
            f"exit code {code} at images {request.indices[0]} to {request.indices[-1]} of "
            f"{request.part}; if the memory was exhausted, lower data.workers"
        )

    def end(self) -> int | None:
        """End the process if there is one; return its exit code."""
        process, self._process = self._process, None
        if process is None:
            return None
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            with suppress(OSError):
                pipe.close()
        try:
            return process.wait(_END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()


def _started(folder: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-P", "-c", _START, "\n".join(sys.path), str(folder)]
    process = subprocess.Popen(  # noqa: S603  our own module
        command,
        bufsize=0,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, **_ONE_THREAD},
    )
    _widen(process)
    return process


def _widen(process: subprocess.Popen[bytes]) -> None:
    """Let the pipe hold whole images where the system allows it, so that processes wait less."""
    try:
        import fcntl

        assert process.stdout is not None
        fcntl.fcntl(process.stdout, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    except (ImportError, AttributeError, OSError):
        return


def _ask(process: subprocess.Popen[bytes], request: Request, pixels: memoryview) -> None:
    assert process.stdin is not None
    process.stdin.write(pickle.dumps(request))
    step = len(pixels) // len(request.indices)
    for place in range(len(request.indices)):
        status, size = STATUS.unpack(_read(process, bytearray(STATUS.size)))
        if status == SOUND and size == step:
            _read_into(process, pixels[place * step : (place + 1) * step])
            continue
        message = _read(process, bytearray(size)).decode("utf-8", "replace")
        if status == DAMAGED:
            raise DataError(message)
        raise RuntimeError(f"a decoding process failed:\n{message}")


def _read(process: subprocess.Popen[bytes], content: bytearray) -> bytearray:
    _read_into(process, memoryview(content))
    return content


def _read_into(process: subprocess.Popen[bytes], left: memoryview) -> None:
    assert process.stdout is not None
    while left:
        read = process.stdout.readinto(left)  # type: ignore[attr-defined]  # bufsize=0: a FileIO
        if not read:
            raise EOFError
        left = left[read:]

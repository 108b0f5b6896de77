"""How long retort takes to start: commands that read a store, and a search up to its first trial.

    python -m benchmarks.start_up [--against CHECKOUT] [--rounds 5] [--searches 3]

The program makes a store with a small study of digits. It prints a Markdown table of medians:

commands   seconds of processors of `retort --help`, `status` and `trials`
searches   seconds on the clock, and of all processes of the run, from the start of `retort run` to
           the start of its first trial, in a worker that is ready to train

With --against, another checkout of this repository takes turns with this one, and the table has
ratios. Other programs on the machine change both, so ratios say more than seconds. Both checkouts
use the Python, and the libraries, that run this program.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from statistics import median

import psutil

from benchmarks.process_time import Spent

HERE = Path(__file__).resolve().parent.parent
COMMANDS = (("--help",), ("status",), ("trials",))
_STARTED = re.compile(r"trial \d+ started")
_MAIN = "from search.cli.main import main; main()"
_STUDY = """\
study: digits
data: {source: digits, image_size: 32}
teacher:
  model: test_resnet
  train: {epochs: 1, batch_size: 64, learning_rate: 1e-3}
space:
  student:
    timm: {model: [test_efficientnet, test_resnet, test_byobnet], pretrained: false}
  training:
    standard: {epochs: 1, batch_size: 64, learning_rate: {low: 2e-3, high: 2e-2, log: true}}
  distillation:
    soft_targets: {temperature: {low: 1, high: 8}}
  pruning: [none]
  quantization: [float32]
budget: {size: 2MB}
search: {trials: 4, branches: 0}
run: {parallel: 2, artifacts: artifacts, cache: cache}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--against", type=Path, help="another checkout, such as of an older commit")
    parser.add_argument("--rounds", type=int, default=5, help="calls of each command")
    parser.add_argument("--searches", type=int, default=3, help="starts of a search")
    options = parser.parse_args()
    checkouts = [HERE] if options.against is None else [options.against.resolve(), HERE]
    print(f"| | {' | '.join(map(str, checkouts))} | ratio |")
    print("|---|" + "---:|" * (len(checkouts) + 1))
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        _run_to_the_end(home)
        for arguments in COMMANDS:
            work = partial(_command, arguments=arguments, home=home)
            figures = _in_turns(checkouts, work, options.rounds)
            print(_row(f"`retort {' '.join(arguments)}`, CPU s", [one.cpu_s for one in figures]))
    figures = _in_turns(checkouts, _start, options.searches)
    print(_row("`retort run` to its first trial, s", [one.wall_s for one in figures]))
    print(_row("… CPU s of all processes", [one.cpu_s for one in figures]))


def _in_turns(checkouts: Sequence[Path], work: Callable[[Path], Spent], rounds: int) -> list[Spent]:
    """Do the work for each checkout in each round; return the medians of each checkout."""
    found = [[work(checkout) for checkout in checkouts] for _ in range(rounds)]
    return [
        Spent(median(one.wall_s for one in column), median(one.cpu_s for one in column))
        for column in zip(*found, strict=True)
    ]


def _row(name: str, figures: Sequence[float]) -> str:
    ratio = f"{figures[-1] / figures[0]:.2f}" if len(figures) > 1 else "–"
    return f"| {name} | {' | '.join(f'{one:.2f}' for one in figures)} | {ratio} |"


def _command(checkout: Path, *, arguments: Sequence[str], home: Path) -> Spent:
    """Return the time that a command takes, with the store in `home`."""
    start, before = time.perf_counter(), getrusage(RUSAGE_CHILDREN)
    subprocess.run(  # noqa: S603  our own checkouts
        [sys.executable, "-c", _MAIN, *arguments],
        env=_environment(checkout),
        cwd=home,
        stdout=subprocess.DEVNULL,
        check=True,
    )
    after = getrusage(RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Spent(time.perf_counter() - start, cpu_s)


def _start(checkout: Path) -> Spent:
    """Return the time from the call of `retort run` to the start of a trial; end the run then."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        with _running(checkout, Path(folder)) as run:
            assert run.stdout is not None
            for line in run.stdout:
                if _STARTED.search(line):
                    return Spent(time.perf_counter() - started, _cpu_s(run.pid))
    raise RuntimeError(f"the run of {checkout} ended without a trial")


@contextmanager
def _running(checkout: Path, home: Path) -> Iterator["subprocess.Popen[str]"]:
    """Run a search for the duration of the block."""
    (home / "study.yaml").write_text(_STUDY)
    with subprocess.Popen(  # noqa: S603  our own checkouts
        [sys.executable, "-c", _MAIN, "run", "study.yaml"],
        env=_environment(checkout),
        cwd=home,
        stdout=subprocess.PIPE,
        text=True,
    ) as run:
        try:
            yield run
        finally:
            run.terminate()
            run.communicate()


def _run_to_the_end(home: Path) -> None:
    """Make a store with a finished study."""
    (home / "study.yaml").write_text(_STUDY)
    command = [sys.executable, "-c", _MAIN, "run", "study.yaml"]
    subprocess.run(  # noqa: S603  our own checkout
        command, env=_environment(HERE), cwd=home, stdout=subprocess.DEVNULL, check=True
    )


def _environment(checkout: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}


def _cpu_s(process: int) -> float:
    """Return the processors' seconds of a process, and of all that it started and that live."""
    total = 0.0
    root = psutil.Process(process)
    for one in (root, *root.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            times = one.cpu_times()
            total += times.user + times.system
    return total


if __name__ == "__main__":
    main()

"""Latencies of one file in fresh processes beside busy ones: plain, and without disturbed rounds.

`python -m benchmarks.disturbed_latency [--model NAME] [--processes N] [--busy N]` starts busy
processes, and then measures a file in one fresh process after another, in two ways: over all runs
of seven rounds, as before version 0.2, and by `measure_latency`. The table has the range of each
figure over the processes. The first row is measured without busy processes of our own.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from search.targets.latency import measure_latency
from search.targets.onnx_runtime import Session

_SIZE = 64
_ROUNDS, _ROUND_S = 7, 0.03
_NICENESS = 15  # that of Ray's workers by default

Figures = Mapping[str, float]


def main() -> None:
    """Print a table, or measure the given file in this process."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="test_resnet")
    parser.add_argument("--processes", type=int, default=6)
    parser.add_argument("--busy", type=int, default=3)
    parser.add_argument("--measure", type=Path, help="measure this file, and print JSON")
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(_figures(Session(arguments.measure, threads=1))))
        return
    with TemporaryDirectory() as folder:
        file = Path(folder) / "model.onnx"
        _write(arguments.model, file)
        print(f"{'':24} median, ms      p95, ms         marked")
        for busy, niceness in ((0, 0), (arguments.busy, 0), (arguments.busy, _NICENESS)):
            with _load(busy):
                found = [_in_fresh_process(file, niceness) for _ in range(arguments.processes)]
            print(f"{busy} busy, niceness {niceness}")
            _print_ranges(found)


def _write(model: str, file: Path) -> None:
    # Only here: the measuring processes need no torch, whose import would take most of their time.
    import timm

    from search.targets.onnx_export import export_onnx

    export_onnx(timm.create_model(model, num_classes=10), file, image_shape=(3, _SIZE, _SIZE))


def _print_ranges(found: Sequence[Figures]) -> None:
    for way in ("plain", "repeated"):
        cells = [
            f"{min(values):.3f}-{max(values):.3f} (x{max(values) / min(values):.2f})"
            for figure in ("median", "p95")
            for values in [[each[f"{way} {figure}"] for each in found]]
        ]
        marked = sum(each["disturbed"] > 0 for each in found) if way == "repeated" else 0
        print(f"  {way:10} {cells[0]:>24} {cells[1]:>24} {marked:>6} of {len(found)}")


def _in_fresh_process(file: Path, niceness: int) -> Figures:
    command = [sys.executable, "-m", "benchmarks.disturbed_latency", "--measure", str(file)]
    nice = ["nice", "-n", str(niceness)] if niceness else []
    done = subprocess.run([*nice, *command], check=True, capture_output=True, text=True)  # noqa: S603
    figures: Figures = json.loads(done.stdout)
    return figures


def _figures(session: Session) -> Figures:
    (latency,) = measure_latency([session])
    image = np.zeros((1, *session.image_shape), np.float32)
    times_ms: list[float] = []
    for _ in range(_ROUNDS):
        end = time.perf_counter() + _ROUND_S
        while time.perf_counter() < end:
            start = time.perf_counter()
            session.predict(image)
            times_ms.append((time.perf_counter() - start) * 1e3)
    return {
        "plain median": float(np.median(times_ms)),
        "plain p95": float(np.percentile(times_ms, 95)),
        "repeated median": latency.median_ms,
        "repeated p95": latency.p95_ms,
        "disturbed": latency.disturbed,
    }


@contextmanager
def _load(count: int) -> Iterator[None]:
    """Keep this number of processes busy in the block."""
    code = "import numpy; a = numpy.ones((300, 300))\nwhile True: a @ a"
    busy = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(count)]  # noqa: S603
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


if __name__ == "__main__":
    main()

"""Log of an arm: the times of its trained epochs and of its finished students.

Each line is JSON: `{"time": …, "epoch": "distil"}`, or `{"time": …, "accuracy": …,
"size_bytes": …, "latency_ms": …, "folder": …}`. Several processes may write to one log.
"""

import json
import os
import time
from pathlib import Path

from search.records import Outcome, TrialState


def log_epoch(log: Path, stage: str) -> None:
    """Log that an epoch was trained just now."""
    _write(log, {"epoch": stage})


def log_student(log: Path, outcome: Outcome, artifacts: Path) -> None:
    """Log a student that was trained to its end and exported; ignore any other."""
    if outcome.state is not TrialState.COMPLETE:
        return
    assert outcome.quality
    assert outcome.cost
    assert outcome.artifact
    _write(
        log,
        {
            "accuracy": outcome.quality["accuracy"].value,
            "size_bytes": outcome.cost["size_bytes"],
            "latency_ms": outcome.cost["latency_ms"],
            "folder": str(artifacts / outcome.artifact.path),
        },
    )


def read_log(log: Path) -> list[dict[str, float | str]]:
    """Return the lines, ordered by time."""
    if not log.exists():
        return []
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    return sorted(lines, key=lambda line: float(line["time"]))


def _write(log: Path, line: dict[str, object]) -> None:
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        # One write of a short line to a file opened for appending is never split.
        os.write(descriptor, (json.dumps({"time": time.time(), **line}) + "\n").encode())
    finally:
        os.close(descriptor)

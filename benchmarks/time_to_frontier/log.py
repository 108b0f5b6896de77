"""What an arm writes down while it runs: when it trained an epoch, and when a student was finished.

One line of JSON each: `{"time": …, "epoch": "distil"}`, or `{"time": …, "accuracy": …,
"size_bytes": …, "latency_ms": …, "folder": …}`. Several processes may write to one log.
"""

import json
import os
import time
from pathlib import Path

from search.records import Outcome, TrialState


def log_epoch(log: Path, stage: str) -> None:
    """An epoch was trained, here and now."""
    _write(log, {"epoch": stage})


def log_student(log: Path, outcome: Outcome, artifacts: Path) -> None:
    """A student was trained to its end, and exported; one that was not is left out."""
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
    """The lines, in the order of their times."""
    if not log.exists():
        return []
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    return sorted(lines, key=lambda line: float(line["time"]))


def _write(log: Path, line: dict[str, object]) -> None:
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        # One write of a short line to a file opened for appending is not torn.
        os.write(descriptor, (json.dumps({"time": time.time(), **line}) + "\n").encode())
    finally:
        os.close(descriptor)

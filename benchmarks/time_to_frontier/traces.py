"""From an arm's log to its hypervolume over time and over training steps."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.time_to_frontier.log import read_log
from search.budget import Budget
from search.data.dataset import Dataset
from search.findings.frontier import hypervolume
from search.keeping.artifacts import SERVED
from search.measuring.measure import predictions
from search.measuring.runtime import Session
from search.measuring.timing import measure_latency
from search.settings.config import Target

WORST_ERROR = 0.5


@dataclass(frozen=True)
class Student:
    """A finished student: seconds and epochs since its arm's start, and what was measured of it."""

    seconds: float
    epochs: int
    folder: str
    accuracy: float
    size_bytes: float
    latency_ms: float

    def point(self, budget: Budget) -> tuple[float, float, float]:
        """Error, bytes and latency as shares of the worst error and of the budget's limits."""
        limits = budget.limits()
        return (
            (1 - self.accuracy) / WORST_ERROR,
            self.size_bytes / limits["size_bytes"],
            self.latency_ms / limits["latency_ms"],
        )


@dataclass(frozen=True)
class Trace:
    """An arm's run: its students as they were finished, and how long it ran."""

    arm: str
    seed: int
    students: tuple[Student, ...]
    seconds: float
    epochs: int
    finished: int

    def steps(self, budget: Budget) -> list[tuple[Student, float]]:
        """Each student that moved the frontier, and the hypervolume from then on."""
        volume, seen, moved = 0.0, [], []
        for student in self.students:
            point = student.point(budget)
            if max(point) >= 1:
                continue
            seen.append(point)
            if (found := hypervolume(seen, (1.0, 1.0, 1.0))) > volume:
                volume = found
                moved.append((student, volume))
        return moved

    def final(self, budget: Budget) -> float:
        """The hypervolume at the end."""
        return max((volume for _, volume in self.steps(budget)), default=0.0)

    def reaches(self, volume: float, budget: Budget) -> Student | None:
        """The student that brings the hypervolume up to so much; None where none does."""
        return next((student for student, found in self.steps(budget) if found >= volume), None)

    def feasible(self, budget: Budget) -> float:
        """The share of the finished students that fit the budget."""
        fitting = [student for student in self.students if max(student.point(budget)) < 1]
        return len(fitting) / self.finished if self.finished else 0.0


def read_trace(log: Path, *, arm: str, seed: int, start: float, seconds: float) -> Trace:
    """What the log says of a run that began at `start` (Unix time) and had so many seconds."""
    epochs, students, finished = 0, [], 0
    for line in read_log(log):
        passed = float(line["time"]) - start
        if "epoch" in line:
            epochs += 1
            continue
        finished += 1
        students.append(
            Student(
                seconds=passed,
                epochs=epochs,
                folder=str(line["folder"]),
                accuracy=float(line["accuracy"]),
                size_bytes=float(line["size_bytes"]),
                latency_ms=float(line["latency_ms"]),
            )
        )
    return Trace(arm, seed, tuple(students), seconds, epochs, finished)


def measured_again(
    traces: Sequence[Trace], budget: Budget, dataset: Dataset, target: Target
) -> list[Trace]:
    """The students that moved a frontier, on the test images and with latencies taken in turns.

    What never moved its arm's frontier is left out: it would change nothing, and takes time.
    """
    folders = sorted({student.folder for trace in traces for student, _ in trace.steps(budget)})
    sessions = {
        folder: Session(Path(folder) / SERVED, threads=target.threads, device=target.device)
        for folder in folders
    }
    latencies = measure_latency(list(sessions.values()))
    found = {
        folder: (_test_accuracy(session, dataset), latency.median_ms)
        for (folder, session), latency in zip(sessions.items(), latencies, strict=True)
    }
    return [replace(trace, students=tuple(_again(trace.students, found))) for trace in traces]


def _again(
    students: Iterable[Student], found: Mapping[str, tuple[float, float]]
) -> Iterable[Student]:
    for student in students:
        if student.folder in found:
            accuracy, latency_ms = found[student.folder]
            yield replace(student, accuracy=accuracy, latency_ms=latency_ms)


def _test_accuracy(session: Session, dataset: Dataset) -> float:
    return predictions(session, dataset.test, dataset).accuracy

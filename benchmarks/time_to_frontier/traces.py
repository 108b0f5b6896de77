"""Traces: from an arm's log to its hypervolume over time and over training steps."""

import math
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.time_to_frontier.log import read_log
from benchmarks.time_to_frontier.runs import Run
from search.config.student_spec import StudentRequirements
from search.cost_model.dry_run import untrained
from search.evaluation.measure import predictions
from search.objectives.budget import Budget
from search.objectives.dominance import hypervolume
from search.pipeline.study_context import StudyContext
from search.targets.float_student import FloatStudent
from search.targets.latency import measure_latency
from search.targets.target import ServedModel
from search.targets.this_machine import load_here
from spaces.processor import processor_name
from spaces.pruning.none import NoPruning
from spaces.students.timm_model import Timm

WORST_ERROR = 0.5
REFERENCE = "test_resnet"


@dataclass(frozen=True)
class Student:
    """A finished student: seconds and epochs since its run's start, and its measures.

    Its folder is known as long as its run's files exist.
    """

    seconds: float
    epochs: int
    accuracy: float
    size_bytes: int
    latency_ms: float
    folder: Path | None = None

    def point(self, budget: Budget) -> tuple[float, float, float]:
        """Return error, bytes and latency as shares of the worst error and the limits."""
        limits = budget.limits()
        return (
            (1 - self.accuracy) / WORST_ERROR,
            self.size_bytes / limits["size_bytes"],
            self.latency_ms / limits["latency_ms"],
        )

    def fits(self, budget: Budget) -> bool:
        """Return whether it can add to the hypervolume."""
        return max(self.point(budget)) < 1


@dataclass(frozen=True)
class Trace:
    """The results of a run.

    Attributes:
        run: the run.
        students: in the order in which they finished; after a second measurement, only those that
            moved the frontier.
        seconds: the run's duration.
        epochs: the number of trained epochs.
        finished: the number of students that were trained to their end and exported.
        fitting: the number of these that fitted the budget, as the search measured them.
        processor: the processor that it ran on.
        limit_ms: the limit on its students' latency.
        pace_ms: the latency of the reference network that is measured beside every run's students:
            a shared machine is slower in some minutes than in others.
    """

    run: Run
    students: tuple[Student, ...]
    seconds: float
    epochs: int
    finished: int
    fitting: int
    processor: str
    limit_ms: float
    pace_ms: float = 1.0

    def at_pace(self, pace_ms: float) -> "Trace":
        """Return the trace with latencies of a machine where the reference takes `pace_ms`."""
        return replace(self._slower(pace_ms / self.pace_ms), pace_ms=pace_ms)

    def under(self, budget: Budget) -> "Trace":
        """Return the trace with latencies that are the same shares of this budget's limit."""
        return self._slower(budget.limits()["latency_ms"] / self.limit_ms)

    def _slower(self, factor: float) -> "Trace":
        students = (replace(one, latency_ms=one.latency_ms * factor) for one in self.students)
        return replace(self, students=tuple(students))

    def steps(self, budget: Budget) -> list[tuple[Student, float]]:
        """Return each student that moved the frontier, and the hypervolume from then on."""
        volume, seen, moved = 0.0, [], []
        for student in self.students:
            if not student.fits(budget):
                continue
            seen.append(student.point(budget))
            if (found := hypervolume(seen, (1.0, 1.0, 1.0))) > volume:
                volume = found
                moved.append((student, volume))
        return moved

    def volume(self, budget: Budget, *, until: float = math.inf) -> float:
        """Return the hypervolume after `until` seconds, or at the end."""
        found = [volume for student, volume in self.steps(budget) if student.seconds <= until]
        return found[-1] if found else 0.0

    def reaches(self, volume: float, budget: Budget) -> Student | None:
        """Return the first student with at least that hypervolume; None if there is none."""
        return next((student for student, found in self.steps(budget) if found >= volume), None)


def read_trace(log: Path, run: Run, *, start: float, seconds: float, budget: Budget) -> Trace:
    """Read the log of a run that began at `start` (Unix time) and took `seconds`."""
    epochs, students = 0, []
    for line in read_log(log):
        if "epoch" in line:
            epochs += 1
            continue
        students.append(
            Student(
                seconds=float(line["time"]) - start,
                epochs=epochs,
                accuracy=float(line["accuracy"]),
                size_bytes=int(line["size_bytes"]),
                latency_ms=float(line["latency_ms"]),
                folder=Path(str(line["folder"])),
            )
        )
    fitting = sum(student.fits(budget) for student in students)
    return Trace(
        run=run,
        students=tuple(students),
        seconds=seconds,
        epochs=epochs,
        finished=len(students),
        fitting=fitting,
        processor=processor_name(),
        limit_ms=budget.limits()["latency_ms"],
    )


def measured_again(trace: Trace, budget: Budget, context: StudyContext) -> Trace:
    """Measure the students of the frontier again, on test images and with latencies in turns.

    Students that never moved the frontier are left out: they would change nothing, and take time. A
    latency over the limit may come from slow minutes; it counts if it is at most twice the limit.
    """
    loose = budget.model_copy(update={"latency": 2 * budget.limits()["latency_ms"]})
    students = [student for student, _ in trace.steps(loose)]
    sessions = [
        load_here(student.folder / context.requirements.runtime.file, context.requirements.target)
        for student in students
        if student.folder
    ]
    # Before the latencies: meanwhile the last of the run's processes can end.
    accuracies = [
        float(predictions(session, context.dataset.test, context.dataset).right.mean())
        for session in sessions
    ]
    pace, *latencies = measure_latency([_reference(context.requirements), *sessions])
    found = zip(students, accuracies, latencies, strict=True)
    return replace(
        trace,
        students=tuple(
            replace(student, accuracy=accuracy, latency_ms=latency.median_ms)
            for student, accuracy, latency in found
        ),
        pace_ms=pace.median_ms,
    )


def _reference(requirements: StudentRequirements) -> ServedModel:
    """Return the reference network that sets the pace."""
    network, shape = untrained(Timm(model=REFERENCE), requirements), requirements.image_shape
    with tempfile.TemporaryDirectory() as folder:
        floats = FloatStudent(network, Path(folder) / "floats", shape, pruning=NoPruning())
        return load_here(floats.in_floats(requirements.runtime), requirements.target)

"""From an arm's log to its hypervolume over time and over training steps."""

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
    """A finished student: seconds and epochs since its run's start, and what was measured of it.

    Its folder is known while its run's files are there.
    """

    seconds: float
    epochs: int
    accuracy: float
    size_bytes: int
    latency_ms: float
    folder: Path | None = None

    def point(self, budget: Budget) -> tuple[float, float, float]:
        """Error, bytes and latency as shares of the worst error and of the budget's limits."""
        limits = budget.limits()
        return (
            (1 - self.accuracy) / WORST_ERROR,
            self.size_bytes / limits["size_bytes"],
            self.latency_ms / limits["latency_ms"],
        )

    def fits(self, budget: Budget) -> bool:
        """Whether it can add to the hypervolume."""
        return max(self.point(budget)) < 1


@dataclass(frozen=True)
class Trace:
    """What a run came to.

    Attributes:
        run: which.
        students: as they were finished; of one that was measured again, those alone that moved the
            frontier.
        seconds: how long it ran.
        epochs: how many it trained.
        finished: how many students were trained to their end and exported.
        fitting: how many of these fitted the budget, as the search measured them.
        processor: what it ran on.
        limit_ms: the latency that its students might have.
        pace_ms: the latency of the one network that is measured beside every run's students: in
            some minutes a shared machine is slower than in others.
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
        """The same, with the latencies of a machine on which that network takes so long."""
        return replace(self._slower(pace_ms / self.pace_ms), pace_ms=pace_ms)

    def under(self, budget: Budget) -> "Trace":
        """The same, with latencies that are such shares of this budget's limit as of its own."""
        return self._slower(budget.limits()["latency_ms"] / self.limit_ms)

    def _slower(self, factor: float) -> "Trace":
        students = (replace(one, latency_ms=one.latency_ms * factor) for one in self.students)
        return replace(self, students=tuple(students))

    def steps(self, budget: Budget) -> list[tuple[Student, float]]:
        """Each student that moved the frontier, and the hypervolume from then on."""
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
        """The hypervolume after so many seconds, or at the end."""
        found = [volume for student, volume in self.steps(budget) if student.seconds <= until]
        return found[-1] if found else 0.0

    def reaches(self, volume: float, budget: Budget) -> Student | None:
        """The student that brings the hypervolume up to so much; None where none does."""
        return next((student for student, found in self.steps(budget) if found >= volume), None)


def read_trace(log: Path, run: Run, *, start: float, seconds: float, budget: Budget) -> Trace:
    """What the log says of a run that began at `start` (Unix time) and took so many seconds."""
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
    """The students that moved the frontier, on the test images and with latencies in turns.

    What never moved it is left out: it would change nothing, and takes time. A latency over the
    limit may be one of slow minutes, and counts as moving it as long as it is not twice that.
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
    """The one network that sets the pace."""
    network, shape = untrained(Timm(model=REFERENCE), requirements), requirements.image_shape
    with tempfile.TemporaryDirectory() as folder:
        floats = FloatStudent(network, Path(folder) / "floats", shape, pruning=NoPruning())
        return load_here(floats.in_floats(requirements.runtime), requirements.target)
